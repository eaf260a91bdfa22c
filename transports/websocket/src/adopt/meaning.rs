//! What tungstenite's closes and errors mean to a link.

use moorline_core::{CloseFrame, Incoming, TransportError, TransportErrorKind};
use tungstenite::Error;
use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::protocol::CloseFrame as Close;

use crate::close::{BAD_TEXT, NO_STATUS, PROTOCOL, TOO_LARGE, is_allowed};

/// The end of a socket that nothing more can be read from.
pub(super) fn ended(error: Error) -> Result<Option<Incoming>, TransportError> {
    match error {
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Ok(None),
        error => Err(failure(error)),
    }
}

pub(super) fn outgoing(close: CloseFrame) -> Option<Close> {
    let close = CloseFrame::new(close.code, close.reason);
    is_allowed(close.code).then(|| Close { code: close.code.into(), reason: close.reason.into() })
}

pub(super) fn received(close: Option<Close>) -> CloseFrame {
    match close {
        Some(close) => CloseFrame::new(close.code.into(), close.reason.as_str()),
        None => CloseFrame::new(NO_STATUS, ""),
    }
}

/// The code that tells the peer; `None` where it has done nothing wrong, or has gone.
pub(super) fn close_code(error: &Error) -> Option<u16> {
    match error {
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => Some(PROTOCOL),
        Error::Utf8(_) => Some(BAD_TEXT),
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Some(TOO_LARGE),
        _ => None,
    }
}

pub(super) fn failure(error: Error) -> TransportError {
    let kind = match error {
        Error::Io(error) => return error.into(),
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::SendAfterClosing) => TransportErrorKind::Closed,
        Error::Capacity(_) | Error::WriteBufferFull(_) => TransportErrorKind::TooLarge,
        Error::Protocol(_) | Error::Utf8(_) => TransportErrorKind::Protocol,
        _ => TransportErrorKind::Broken,
    };
    TransportError::new(kind, error.to_string()).with_source(error)
}
