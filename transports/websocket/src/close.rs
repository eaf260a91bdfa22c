//! Close frames as bytes (RFC 6455, sections 5.5.1 and 7.4).

use moorline_core::CloseFrame;

/// What a close without a code counts as.
pub(crate) const NO_STATUS: u16 = 1005;
/// The peer broke the protocol.
pub(crate) const PROTOCOL: u16 = 1002;
/// Text was not UTF-8.
pub(crate) const BAD_TEXT: u16 = 1007;
/// A message was larger than the limit.
pub(crate) const TOO_LARGE: u16 = 1009;

/// Whether a peer may send this code.
pub(crate) fn is_allowed(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// The payload. A code that MUST NOT be sent gives an empty one, which is read as 1005; a reason that is too long is cut.
pub(crate) fn payload(close: CloseFrame) -> Vec<u8> {
    if !is_allowed(close.code) {
        return Vec::new();
    }
    let close = CloseFrame::new(close.code, close.reason);
    let mut payload = Vec::with_capacity(2 + close.reason.len());
    payload.extend_from_slice(&close.code.to_be_bytes());
    payload.extend_from_slice(close.reason.as_bytes());
    payload
}

/// Reads a payload; the close code of the violation where it is none.
pub(crate) fn parse(payload: &[u8]) -> Result<CloseFrame, u16> {
    match payload {
        [] => Ok(CloseFrame::new(NO_STATUS, "")),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !is_allowed(code) {
                return Err(PROTOCOL);
            }
            let reason = std::str::from_utf8(reason).map_err(|_| BAD_TEXT)?;
            Ok(CloseFrame::new(code, reason))
        }
        [_] => Err(PROTOCOL),
    }
}
