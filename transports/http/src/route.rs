//! What becomes of a request.

use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};

/// Decides about requests that the door lets in.
///
/// ```
/// use moorline_http::http::request::Parts;
/// use moorline_http::http::{Response, StatusCode, header::UPGRADE};
/// use moorline_http::{Answer, Route, refusal};
///
/// /// Takes what wants to speak a protocol of our own.
/// struct Shop;
///
/// impl Route for Shop {
///     type Accepted = ();
///     fn answer(&self, request: &Parts) -> Answer<()> {
///         if request.headers.get(UPGRADE).is_none_or(|name| name != "shop/1") {
///             return Answer::Refuse(refusal(StatusCode::UPGRADE_REQUIRED, "this is a shop"));
///         }
///         let mut response = Response::new(());
///         response.headers_mut().insert(UPGRADE, "shop/1".parse().expect("it is a token"));
///         Answer::Upgrade { response, accepted: () }
///     }
/// }
/// ```
pub trait Route: Send {
    /// What it learns about a request that it takes.
    type Accepted: Send;

    /// Takes the request, or refuses it. Its body, if it has one, is not read; with one it is not taken.
    fn answer(&self, request: &Parts) -> Answer<Self::Accepted>;
}

/// What becomes of a request. A transport that answers without leaving HTTP will add its own.
#[derive(Debug)]
#[non_exhaustive]
pub enum Answer<T> {
    /// The socket leaves HTTP after this response. Its status becomes 101 whatever it says.
    Upgrade {
        /// The headers to send; `Connection: upgrade` is added.
        response: Response<()>,
        /// What was learned.
        accepted: T,
    },
    /// This response is sent, and the connection is closed.
    Refuse(Response<String>),
}

/// A refusal with a line of text for people.
#[must_use]
pub fn refusal(status: StatusCode, text: &str) -> Response<String> {
    let mut response = Response::new(format!("{text}\n"));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}
