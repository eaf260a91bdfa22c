//! What clients of HTTP share.

use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode, header};
use moorline_core::{TransportError, TransportErrorKind};

/// A header of an application's, to be sent with a request. `own` says which names, in lower case, are the transport's.
///
/// # Errors
///
/// [`Configuration`](TransportErrorKind::Configuration) when the name or the value is not a header's, or the header is the
/// transport's own, `Host`, `Connection`, or speaks of a body.
pub fn own_header(
    name: &str,
    value: &str,
    own: impl Fn(&str) -> bool,
) -> Result<(HeaderName, HeaderValue), TransportError> {
    let wrong = |why: &str| {
        let message = format!("header {name:?}: {why}");
        TransportError::new(TransportErrorKind::Configuration, message)
    };
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("not a header's name"))?;
    let reserved =
        [header::HOST, header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING];
    if reserved.contains(&name) || own(name.as_str()) {
        return Err(wrong("it is the transport's own"));
    }
    let value = HeaderValue::from_str(value).map_err(|_| wrong("not a header's value"))?;
    Ok((name, value))
}

/// The status of a response that is none of those hoped for, as an error: for now
/// ([`Unavailable`](TransportErrorKind::Unavailable)), with the delay of its `Retry-After` if that is in seconds, or for good
/// ([`Refused`](TransportErrorKind::Refused)).
#[must_use]
pub fn answered(status: u16, retry_after: Option<&[u8]>) -> TransportError {
    let kind = match status {
        408 | 425 | 429 | 500..=599 => TransportErrorKind::Unavailable,
        _ => TransportErrorKind::Refused,
    };
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    let error =
        TransportError::new(kind, format!("the server answered with status {status}{reason}"));
    let seconds =
        retry_after.and_then(|value| std::str::from_utf8(value).ok()?.trim().parse().ok());
    match seconds {
        Some(seconds) => error.with_retry_after(Duration::from_secs(seconds)),
        None => error,
    }
}
