//! The client's side.

mod exchange;
mod raw;
mod receiver;
mod sender;
mod site;

use std::fmt;
use std::sync::Arc;

use bytes::BytesMut;
use http::HeaderValue;
use moorline_core::{Capabilities, ConnectRequest, Net, Transport, TransportError};
use moorline_socket::{Address, Dialer, Proxy, own_header};

use self::raw::Raw;
pub use self::receiver::SseReceiver;
pub use self::sender::SseSender;
use self::sender::Up;
use self::site::Site;
use crate::capabilities;
use crate::decoder::EventDecoder;
use crate::frames::{event_limit, protocol};
use crate::names::LAST_EVENT_ID;

/// Connects to one address by server-sent events, and POST upstream. Cheap to clone.
///
/// A link is two connections: an event stream down, and one that is kept for POSTs. Each connect looks the host up anew, as RFC
/// 8305 says. It has no time limit of its own: the driver's is the attempt's. So where a proxy holds an event stream back until it
/// is over, an attempt ends by the attempt's time, and a [`Fallback`](moorline_core::Fallback) goes on.
///
/// ```
/// # fn configured<N: moorline_core::Net + Clone>(net: N) -> Result<(), moorline_core::TransportError> {
/// use moorline_sse::Sse;
///
/// // One of moorline's servers, both ways.
/// let shop = Sse::new("http://127.0.0.1:8080/realtime", net.clone())?
///     .header("authorization", "Bearer 0123")?;
/// // Any endpoint of server-sent events, only read.
/// let news = Sse::raw("http://127.0.0.1:8080/news", net)?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// A connect fails as
///
/// - [`Unreachable`](moorline_core::TransportErrorKind::Unreachable) or
///   [`TimedOut`](moorline_core::TransportErrorKind::TimedOut): no address of the host answered;
/// - [`Unavailable`](moorline_core::TransportErrorKind::Unavailable): the server answered with 408, 425, 429 or 5xx, with the delay
///   of its `Retry-After` if that is in seconds;
/// - [`Refused`](moorline_core::TransportErrorKind::Refused): it answered with any other status than 200 (204 says that there will
///   be no more), or with something else than an event stream;
/// - [`Protocol`](moorline_core::TransportErrorKind::Protocol) or [`TooLarge`](moorline_core::TransportErrorKind::TooLarge): its
///   answer was not HTTP's or not moorline's, or its head was above 16 KiB;
/// - [`Untrusted`](moorline_core::TransportErrorKind::Untrusted): TLS does not know who answers;
/// - [`Broken`](moorline_core::TransportErrorKind::Broken): the connection broke.
///
/// # Cancel safety
///
/// Dropping a connect closes its sockets.
pub struct Sse<N: Net> {
    site: Site<N>,
    raw: Option<Raw>,
}

impl<N: Net> Sse<N> {
    /// A client of one of moorline's servers at `url`, `http://host:port/path?query`, or `https://` for TLS (with the feature
    /// `rustls`); the port is 80 or 443 by default. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// [`Configuration`](moorline_core::TransportErrorKind::Configuration) when it is not such an address, or is `https://` without
    /// that feature. It may not have a fragment or credentials.
    pub fn new(url: impl AsRef<str>, net: N) -> Result<Self, TransportError> {
        let address = Arc::new(Address::parse(url.as_ref(), "http")?);
        let (net, dialer, headers) = (Arc::new(net), Dialer::default(), Arc::default());
        Ok(Self { site: Site { net, dialer, address, headers }, raw: None })
    }

    /// A reader of any endpoint of server-sent events, for the codec `Raw`. Each event's data is a message of text, whatever its
    /// type. Redirects are followed. What is kept from one link to the next, also by its clones, is the last event's id, which is
    /// sent as `Last-Event-ID`, and the time that the endpoint wants to be left alone (`retry`), which is kept to.
    ///
    /// It departs from the standard in one point: a status of 408, 425, 429 or 5xx is tried again.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn raw(url: impl AsRef<str>, net: N) -> Result<Self, TransportError> {
        let new = Self::new(url, net)?;
        Ok(Self { raw: Some(Raw::default()), ..new })
    }

    /// In [raw](Self::raw), gives each event whole, as JSON: `{"event":"message","data":"…","id":"…"}`, the last event's id if there
    /// is one.
    #[must_use]
    pub fn whole_events(mut self) -> Self {
        self.raw.get_or_insert_default().whole = true;
        self
    }

    /// Goes through a proxy, which also looks the host up.
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.site.dialer = self.site.dialer.proxy(proxy);
        self
    }

    /// For `https://`: whom to trust, and who to be. By default the roots that browsers ship are trusted
    /// ([`TlsClient::web_roots`](crate::TlsClient::web_roots)).
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn tls(mut self, tls: crate::TlsClient) -> Self {
        self.site.dialer = self.site.dialer.tls(tls);
        self
    }

    /// Sends a header with each request; one name may be given more than once.
    ///
    /// # Errors
    ///
    /// [`Configuration`](moorline_core::TransportErrorKind::Configuration) when the name or the value is not a header's, or the
    /// header is the transport's own (`Host`, `Connection`, `Accept`, `Cache-Control`, `Content-Type`, `Last-Event-ID`,
    /// `Moorline-…`) or speaks of a body.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, TransportError> {
        let own = |name: &str| {
            ["accept", "cache-control", "content-type", LAST_EVENT_ID.as_str()].contains(&name)
                || name.starts_with("moorline-")
        };
        let header = own_header(name, value, own)?;
        Arc::make_mut(&mut self.site.headers).push(header);
        Ok(self)
    }
}

impl<N: Net> Transport for Sse<N> {
    type Sender = SseSender<N>;
    type Receiver = SseReceiver<N>;

    async fn connect(
        &self,
        request: &ConnectRequest,
    ) -> Result<(SseSender<N>, SseReceiver<N>), TransportError> {
        let max_frame = request.max_frame;
        if let Some(raw) = &self.raw {
            let id = raw.last_event_id();
            let (connection, body) = self.site.read(&id).await?;
            let mut decoder = EventDecoder::new(event_limit(max_frame));
            decoder.set_last_event_id(id);
            let raw = Some(raw.clone());
            let receiver = SseReceiver::new(connection, body, decoder, max_frame, raw);
            return Ok((SseSender::new(None), receiver));
        }
        let mut posts = self.site.open().await?;
        let opened = self.site.hello(&mut posts).await?;
        let link = HeaderValue::try_from(opened.link)
            .map_err(|error| protocol("a link's token is no header").with_source(error))?;
        let (connection, body) = self.site.attach(&opened.ticket).await?;
        let up = Up {
            site: self.site.clone(),
            connection: Some(posts),
            link,
            taken: 0,
            outbox: BytesMut::new(),
        };
        let decoder = EventDecoder::new(event_limit(max_frame));
        let receiver = SseReceiver::new(connection, body, decoder, max_frame, None);
        Ok((SseSender::new(Some(up)), receiver))
    }

    fn capabilities(&self) -> Capabilities {
        capabilities()
    }
}

impl<N: Net> Clone for Sse<N> {
    fn clone(&self) -> Self {
        Self { site: self.site.clone(), raw: self.raw.clone() }
    }
}

impl<N: Net> fmt::Debug for Sse<N> {
    /// Leaves the query and the headers' values out: they may carry credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.site.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Sse")
            .field("host", &self.site.address.host)
            .field("port", &self.site.address.port)
            .field("secure", &self.site.address.secure)
            .field("headers", &names)
            .field("raw", &self.raw.is_some())
            .finish_non_exhaustive()
    }
}
