//! The codec `raw`.

use super::{Codec, DecodeError, EncodeError, Packet};
use crate::{Class, Data, Frame, Message};

/// The codec `raw`: no envelope and no handshake, frames are the messages. It talks to any existing endpoint.
///
/// Text and JSON go out as text frames, bytes as binary ones; what comes in is [`Data::Text`] or [`Data::Binary`], of
/// the class [`Class::AtMostOnce`], whatever class it was sent in: nothing is numbered and nothing is sent again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Raw;

impl Codec for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    fn protocol(&self) -> Option<&'static str> {
        None
    }

    /// None: it is chosen by configuration, since any frame could be its first.
    fn claims(&self, _first: &Frame) -> bool {
        false
    }

    fn has_session(&self) -> bool {
        false
    }

    fn encode(&self, packet: Packet) -> Result<Frame, EncodeError> {
        let Packet::Message(message) = packet else {
            return Err(unsupported(packet.name()));
        };
        if message.channel.is_some() {
            return Err(unsupported("channel"));
        }
        if message.event.is_some() {
            return Err(unsupported("event"));
        }
        match message.data {
            Data::Text(bytes) | Data::Json(bytes) => match std::str::from_utf8(&bytes) {
                Ok(_) => Ok(Frame::Text(bytes)),
                // Sent all the same it would cost the link: a WebSocket's peer closes with 1007.
                Err(_) => Err(EncodeError::Invalid { field: "message.text", expected: "UTF-8" }),
            },
            Data::Binary(bytes) => Ok(Frame::Binary(bytes)),
        }
    }

    fn decode(&self, frame: Frame) -> Result<Packet, DecodeError> {
        let data = match frame {
            Frame::Text(bytes) => Data::Text(bytes),
            Frame::Binary(bytes) => Data::Binary(bytes),
        };
        Ok(Packet::Message(Message::new(data).class(Class::AtMostOnce)))
    }
}

const fn unsupported(field: &'static str) -> EncodeError {
    EncodeError::Unsupported { codec: "raw", field }
}
