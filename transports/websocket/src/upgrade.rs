//! The server's opening handshake (RFC 6455, section 4.2).

use http::header::{
    ALLOW, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts;
use http::{Method, Response, StatusCode, Version};
use moorline_http::refusal;
use tungstenite::handshake::derive_accept_key;

use crate::client_handshake::has_token;

/// The length of 16 bytes in Base64.
const KEY_LENGTH: usize = 24;

/// Whether a request asks for a WebSocket, right or wrong.
pub(crate) fn asks(request: &Parts) -> bool {
    let headers = &request.headers;
    has_token(&values(headers, UPGRADE), "websocket")
        && has_token(&values(headers, CONNECTION), "upgrade")
}

/// What answers a request: an upgrade, or a refusal.
pub(crate) fn accept(
    request: &Parts,
    spoken: &[String],
) -> Result<Response<()>, Box<Response<String>>> {
    let headers = &request.headers;
    if request.method != Method::GET {
        return Err(refused(StatusCode::METHOD_NOT_ALLOWED, "only GET", ALLOW, "GET"));
    }
    if request.version != Version::HTTP_11 || !headers.contains_key(HOST) {
        return Err(bad("this is no request of HTTP/1.1"));
    }
    if !asks(request) {
        let text = "this is a WebSocket";
        return Err(refused(StatusCode::UPGRADE_REQUIRED, text, UPGRADE, "websocket"));
    }
    if values(headers, SEC_WEBSOCKET_VERSION) != [b"13"] {
        let text = "only version 13";
        let status = StatusCode::UPGRADE_REQUIRED;
        return Err(refused(status, text, SEC_WEBSOCKET_VERSION, "13"));
    }
    let keys = values(headers, SEC_WEBSOCKET_KEY);
    let [key] = keys[..] else { return Err(bad("Sec-WebSocket-Key is missing or doubled")) };
    if !is_key(key) {
        return Err(bad("Sec-WebSocket-Key is not 16 bytes in Base64"));
    }
    let accept = HeaderValue::try_from(derive_accept_key(key))
        .map_err(|_| bad("Sec-WebSocket-Key is not 16 bytes in Base64"))?;
    let mut response = Response::new(());
    let answer = response.headers_mut();
    answer.insert(UPGRADE, HeaderValue::from_static("websocket"));
    answer.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(protocol) = choose(headers, spoken) {
        answer.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    Ok(response)
}

/// The first subprotocol offered that is spoken here.
fn choose(headers: &HeaderMap, spoken: &[String]) -> Option<HeaderValue> {
    let offers = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let mut offers =
        offers.filter_map(|offer| offer.to_str().ok()).flat_map(|offer| offer.split(','));
    let chosen = offers.find(|offer| spoken.iter().any(|spoken| spoken == offer.trim()))?;
    HeaderValue::from_str(chosen.trim()).ok()
}

fn values(headers: &HeaderMap, name: HeaderName) -> Vec<&[u8]> {
    headers.get_all(name).iter().map(HeaderValue::as_bytes).collect()
}

fn is_key(key: &[u8]) -> bool {
    let digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == KEY_LENGTH && key.ends_with(b"==") && key[..KEY_LENGTH - 2].iter().all(digit)
}

fn bad(text: &str) -> Box<Response<String>> {
    Box::new(refusal(StatusCode::BAD_REQUEST, text))
}

fn refused(
    status: StatusCode,
    text: &str,
    name: HeaderName,
    value: &'static str,
) -> Box<Response<String>> {
    let mut response = refusal(status, text);
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    Box::new(response)
}
