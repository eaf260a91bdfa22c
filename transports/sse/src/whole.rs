//! Events of an application's own, in raw: as their data, or whole.

use bytes::{Bytes, BytesMut};
use moorline_core::{Frame, TransportError, TransportErrorKind};
use serde::{Deserialize, Serialize};

use crate::decoder::Event;
use crate::frames::{protocol, put_base64, put_text};

/// A whole event, as a frame of text has it.
#[derive(Deserialize, Serialize)]
struct Whole {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    data: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

/// An event as a frame: its data, or all of it.
pub(crate) fn frame(event: Event, id: &Bytes, whole: bool) -> Frame {
    if !whole {
        return match std::str::from_utf8(&event.data) {
            Ok(_) => Frame::Text(event.data),
            Err(_) => Frame::text(text(&event.data)),
        };
    }
    let name = if event.name.is_empty() { "message".into() } else { text(&event.name) };
    let id = (!id.is_empty()).then(|| text(id));
    let whole = Whole { event: Some(name), data: text(&event.data), id };
    Frame::text(serde_json::to_string(&whole).unwrap_or_default())
}

/// As the standard decodes it: what is not UTF-8 is replaced.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An endpoint of somebody else's takes nothing.
pub(crate) fn only_read() -> TransportError {
    let message = "nothing can be sent to an endpoint that is only read";
    TransportError::new(TransportErrorKind::Configuration, message)
}

/// Writes a frame as an event of the application's own.
pub(crate) fn put(frame: &Frame, whole: bool, out: &mut BytesMut) -> Result<(), TransportError> {
    match frame {
        Frame::Binary(bytes) => put_base64(b"binary", bytes, out),
        Frame::Text(data) if !whole => put_lines(&String::from_utf8_lossy(data), out),
        Frame::Text(json) => {
            let whole: Whole = serde_json::from_slice(json).map_err(|error| {
                let message = "a whole event is {\"event\": …, \"data\": …, \"id\": …}";
                protocol(message).with_source(error)
            })?;
            let one_line = |text: &str| !text.contains(['\n', '\r', '\0']);
            for (name, value) in [("event", &whole.event), ("id", &whole.id)] {
                let Some(value) = value else { continue };
                if !one_line(value) {
                    return Err(protocol(&format!("the {name} of an event is one line")));
                }
                out.extend_from_slice(format!("{name}: {value}\n").as_bytes());
            }
            put_lines(&whole.data, out);
        }
    }
    Ok(())
}

/// Writes data as lines: whoever reads them sees line feeds, whichever line ends it has.
fn put_lines(data: &str, out: &mut BytesMut) {
    if data.contains('\r') {
        put_text(data.replace("\r\n", "\n").replace('\r', "\n").as_bytes(), out);
    } else {
        put_text(data.as_bytes(), out);
    }
}
