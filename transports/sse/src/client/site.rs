//! Where a client's requests go, and what they say.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HOST, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use moorline_core::{Net, TransportError, TransportErrorKind};
use moorline_socket::{Address, Dialer, Stream};
use serde::Deserialize;

use super::exchange::{Exchange, is, refused};
use crate::frames::protocol;
use crate::names::{BATCH, EVENT_STREAM, LAST_EVENT_ID, LINK, TICKET};

/// How many redirects are followed (the Fetch standard's number).
const REDIRECTS: usize = 20;

/// A connection, or TLS over one.
pub(crate) type Bare<N> = Stream<<N as Net>::Stream>;

/// What all requests of a client have in common. Cheap to clone.
pub(crate) struct Site<N: Net> {
    pub(crate) net: Arc<N>,
    pub(crate) dialer: Dialer,
    pub(crate) address: Arc<Address>,
    pub(crate) headers: Arc<Vec<(HeaderName, HeaderValue)>>,
}

impl<N: Net> Clone for Site<N> {
    fn clone(&self) -> Self {
        let (net, dialer) = (self.net.clone(), self.dialer.clone());
        Self { net, dialer, address: self.address.clone(), headers: self.headers.clone() }
    }
}

/// The answer to the first POST.
#[derive(Deserialize)]
pub(crate) struct Opened {
    pub(crate) link: String,
    pub(crate) ticket: String,
}

impl<N: Net> Site<N> {
    /// A new connection.
    pub(crate) async fn open(&self) -> Result<Exchange<Bare<N>>, TransportError> {
        let Address { host, port, secure, .. } = &*self.address;
        Exchange::new(self.dialer.dial(&*self.net, host, *port, *secure).await?).await
    }

    /// Opens a link, which has not begun.
    pub(crate) async fn hello(
        &self,
        connection: &mut Exchange<Bare<N>>,
    ) -> Result<Opened, TransportError> {
        let response = connection.ask(self.post(Bytes::new())?).await?;
        if response.status() != StatusCode::OK {
            return Err(refused(&response));
        }
        let opened = serde_json::from_slice(response.body());
        opened.map_err(|error| protocol("this is no server of moorline's").with_source(error))
    }

    /// A request that carries a batch of a link's.
    pub(crate) fn batch(
        &self,
        link: &HeaderValue,
        number: u64,
        batch: Bytes,
    ) -> Result<Request<Full<Bytes>>, TransportError> {
        let mut request = self.post(batch)?;
        request.headers_mut().insert(LINK, link.clone());
        request.headers_mut().insert(BATCH, number.into());
        Ok(request)
    }

    /// The event stream of a link.
    pub(crate) async fn attach(
        &self,
        ticket: &str,
    ) -> Result<(Exchange<Bare<N>>, Incoming), TransportError> {
        let mut connection = self.open().await?;
        let target = &self.address.target;
        let mark = if target.contains('?') { '&' } else { '?' };
        let request = self.request(Method::GET, &format!("{target}{mark}{TICKET}={ticket}"))?;
        let response = connection.send(events(request)).await?;
        let body = stream(response)?;
        Ok((connection, body))
    }

    /// The event stream of an endpoint that is only read.
    pub(crate) async fn read(
        &self,
        last_event_id: &Bytes,
    ) -> Result<(Exchange<Bare<N>>, Incoming), TransportError> {
        let mut site = self.clone();
        for _ in 0..=REDIRECTS {
            let mut connection = site.open().await?;
            let mut request = events(site.request(Method::GET, &site.address.target)?);
            if !last_event_id.is_empty() {
                // A header's value may be anything but a control character; an id that is one is not sent.
                if let Ok(id) = HeaderValue::from_bytes(last_event_id) {
                    request.headers_mut().insert(LAST_EVENT_ID, id);
                }
            }
            let response = connection.send(request).await?;
            match redirect(&response) {
                Some(location) => site.follow(location)?,
                None => return Ok((connection, stream(response)?)),
            }
        }
        Err(TransportError::refused(format!("more than {REDIRECTS} redirects")))
    }

    /// Goes elsewhere. Headers of the application's stay with the origin that they were meant for.
    fn follow(&mut self, location: &str) -> Result<(), TransportError> {
        let old = &*self.address;
        let scheme = if old.secure { "https" } else { "http" };
        let path = old.target.split('?').next().unwrap_or_default();
        let is_absolute = location.split_once("://").is_some_and(|(scheme, _)| {
            !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
        let url = if is_absolute {
            location.to_owned()
        } else if location.starts_with('?') {
            format!("{scheme}://{}{path}{location}", old.authority)
        } else if let Some(rest) = location.strip_prefix("//") {
            format!("{scheme}://{rest}")
        } else if location.starts_with('/') {
            format!("{scheme}://{}{location}", old.authority)
        } else {
            let folder = &path[..=path.rfind('/').unwrap_or(0)];
            format!("{scheme}://{}{folder}{location}", old.authority)
        };
        let url = url.split('#').next().unwrap_or_default();
        let new = Address::parse(url, "http").map_err(|error| {
            TransportError::refused("redirected to what is no address").with_source(error)
        })?;
        if (&new.host, new.port, new.secure) != (&old.host, old.port, old.secure) {
            self.headers = Arc::default();
        }
        self.address = Arc::new(new);
        Ok(())
    }

    fn post(&self, body: Bytes) -> Result<Request<Full<Bytes>>, TransportError> {
        let mut request = self.request(Method::POST, &self.address.target)?;
        *request.body_mut() = Full::new(body);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
        Ok(request)
    }

    fn request(
        &self,
        method: Method,
        target: &str,
    ) -> Result<Request<Full<Bytes>>, TransportError> {
        let wrong = |error: http::Error| {
            TransportError::new(TransportErrorKind::Configuration, error.to_string())
        };
        let request =
            Request::builder().method(method).uri(target).header(HOST, &self.address.authority);
        let mut request = request.body(Full::default()).map_err(wrong)?;
        for (name, value) in &*self.headers {
            request.headers_mut().append(name, value.clone());
        }
        Ok(request)
    }
}

/// What is wanted is an event stream, from its source.
fn events(mut request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
    let headers: &mut HeaderMap = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    request
}

/// The body of a response that is an event stream.
fn stream(response: Response<Incoming>) -> Result<Incoming, TransportError> {
    if response.status() != StatusCode::OK {
        return Err(refused(&response));
    }
    if !is(&response, EVENT_STREAM) {
        return Err(TransportError::refused("the answer is no event stream"));
    }
    Ok(response.into_body())
}

fn redirect<B>(response: &Response<B>) -> Option<&str> {
    match response.status().as_u16() {
        301 | 302 | 303 | 307 | 308 => response.headers().get(LOCATION)?.to_str().ok(),
        _ => None,
    }
}
