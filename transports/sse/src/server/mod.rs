//! The server's side.

mod hub;
mod inbox;
mod link;
mod receiver;
mod sender;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE,
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, ORIGIN, RETRY_AFTER,
};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use moorline_core::{Capabilities, TransportError};
use moorline_http::{
    Answer, Arrived, Halves, Host, HttpAcceptor, Reply, Route, Socket, peer, refusal,
};

use self::hub::{Busy, Hub, Paired};
use self::inbox::{Inbox, Kept, Refused, UnderWay};
use self::link::Link;
pub use self::receiver::EventStreamReceiver;
pub use self::sender::EventStreamSender;
use self::sender::Form;
use crate::capabilities;
use crate::frames::event_limit;
use crate::names::{BATCH, EVENT_STREAM, LINK, TICKET};

/// How long a flush waits for more by default: less than anybody sees, and long enough for what belongs together.
const DEBOUNCE: Duration = Duration::from_millis(20);

/// How often an idle stream gets a comment by default (WHATWG HTML, section 9.2.7: every 15 seconds or so).
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a batch may wait for the one before it, on another connection.
const EARLY: Duration = Duration::from_secs(5);

/// The largest first batch in bytes: a hello in Base64.
const FIRST_BATCH: usize = 24 * 1024;

/// A batch's bytes beyond those of one largest frame: what a client holds back at most.
const BATCH_BYTES: usize = 128 * 1024;

/// Takes links in by server-sent events at one address. For one address with WebSockets, see [`EventStreams`].
pub type SseAcceptor<N> = HttpAcceptor<N, EventStreams>;

/// What an [`HttpAcceptor`] takes in as event streams, with POST upstream. Clones are the same one.
///
/// ```
/// # fn configured<N: moorline_core::Net + Clone>(net: N) -> Result<(), moorline_core::TransportError> {
/// use std::time::Duration;
/// use moorline_http::{HttpAcceptor, HttpDoor};
/// use moorline_sse::EventStreams;
///
/// let door = HttpDoor::new("127.0.0.1:8080", net)?.path("/realtime");
/// let acceptor = HttpAcceptor::of(door, EventStreams::new().debounce(Duration::ZERO));
/// // On one address with WebSockets: HttpAcceptor::of(door, (WebSockets::new(), EventStreams::new()))
/// # Ok(())
/// # }
/// ```
///
/// # What it answers
///
/// | request | answer |
/// | --- | --- |
/// | `POST` without `Moorline-Link` | opens a link: 200, `{"link":"…","ticket":"…"}`. The body is its first batch, at most 24 KiB |
/// | `GET` with `?ticket=…` and `Accept: text/event-stream` | the link's event stream; a ticket is good once, for 10 seconds |
/// | `POST` with `Moorline-Link` and `Moorline-Batch: n` | 204: batch `n` is taken, or has been before |
/// | `OPTIONS` of a page that is let in | 204, with what such a page may send |
///
/// Batches count from 1, and are taken in their order. A POST's content type is `text/event-stream`: a form of another site's
/// cannot send that, and a script of another site's only if the [door](moorline_http::HttpDoor::allow_origin) lets it in. No cookie
/// is looked at. What is refused:
///
/// | what | status |
/// | --- | --- |
/// | a ticket that is unknown, used, or late | 404 |
/// | the token of no link, or of one that has ended | 404 |
/// | a batch before the one that is due; if that is the next one, after 5 seconds | 409 |
/// | a third POST while two of a link are under way | 429 |
/// | another content type | 415 |
/// | a body beyond the first batch's, or one largest frame's and 128 KiB (at first, a [largest first frame](HttpAcceptor::max_first_frame)'s) | 413 |
/// | a `GET` for something else than an event stream | 406 |
/// | another method | 405 |
/// | a link while 1024 wait for their stream, or the server stops | 503, `Retry-After` |
///
/// The [`Peer`](moorline_core::Peer) has the transport `"sse"`, and the address, path and headers of the first POST.
///
/// # Behind a proxy
///
/// The answer asks not to be stored, changed or held back (`Cache-Control`, `X-Accel-Buffering`), and begins with a comment. A proxy
/// that passes blocks of some size on needs a [padding](Self::padding). One that holds the whole answer back lets no link come about:
/// the client's attempt ends by its time, and nothing is lost. One that cuts idle answers needs a heartbeat below its limit, or in raw a [comment](Self::keep_alive).
#[derive(Clone)]
pub struct EventStreams {
    hub: Arc<Hub>,
    debounce: Duration,
    keep_alive: Duration,
    padding: usize,
    raw: Option<Form>,
}

impl EventStreams {
    /// How long a flush waits for more by default.
    pub const DEBOUNCE: Duration = DEBOUNCE;
    /// How often an idle stream gets a comment by default, in raw.
    pub const KEEP_ALIVE: Duration = KEEP_ALIVE;

    /// All by default.
    #[must_use]
    pub fn new() -> Self {
        let (debounce, keep_alive) = (DEBOUNCE, KEEP_ALIVE);
        Self { hub: Arc::default(), debounce, keep_alive, padding: 0, raw: None }
    }

    /// How close one write of a stream's may follow another: what is sent meanwhile goes together. The first one goes at once.
    /// [`DEBOUNCE`](Self::DEBOUNCE) by default; zero writes at every flush.
    #[must_use]
    pub fn debounce(mut self, time: Duration) -> Self {
        self.debounce = time;
        self
    }

    /// How often a stream in raw gets a comment, so that nobody between takes it for dead. [`KEEP_ALIVE`](Self::KEEP_ALIVE) by
    /// default; zero is never. In a session its own heartbeat sees to it.
    #[must_use]
    pub fn keep_alive(mut self, every: Duration) -> Self {
        self.keep_alive = every;
        self
    }

    /// Ends each write of a stream with a comment of so many bytes: what a proxy holds back that passes blocks of that size on, 4 KiB
    /// or 8 KiB usually. None by default: it costs as much for every message that goes by itself.
    #[must_use]
    pub fn padding(mut self, bytes: usize) -> Self {
        self.padding = bytes;
        self
    }

    /// For a server with the codec `Raw`: also takes in whoever asks for an event stream without a ticket, any `EventSource` in the
    /// world, as a link that is only sent to. A frame of text is the data of an event; a binary one is Base64, of the type
    /// `binary`. `Last-Event-ID` is among the peer's headers.
    #[must_use]
    pub fn raw(mut self) -> Self {
        self.raw = Some(Form::Raw { whole: false });
        self
    }

    /// As [`raw`](Self::raw), and a frame of text is a whole event: `{"event":"…","data":"…","id":"…"}`, of which `data` is
    /// required.
    #[must_use]
    pub fn raw_whole_events(mut self) -> Self {
        self.raw = Some(Form::Raw { whole: true });
        self
    }

    fn get(&self, request: &Parts, host: &Host) -> Answer<Accepted> {
        if !accepts_events(&request.headers) {
            let text = "this is an event stream: Accept: text/event-stream";
            return Answer::Refuse(refusal(StatusCode::NOT_ACCEPTABLE, text));
        }
        let accepted = match (ticket(request), self.raw) {
            (Some(ticket), _) => match self.hub.attach(ticket, host.runtime.now()) {
                Some(paired) => Accepted::Paired(paired),
                None => {
                    let text = "this ticket is unknown, used, or older than 10 seconds";
                    return Answer::Refuse(refusal(StatusCode::NOT_FOUND, text));
                }
            },
            (None, Some(form)) => Accepted::Raw(form),
            (None, None) => {
                let text = "a link begins with a POST, whose answer has a ticket";
                return Answer::Refuse(refusal(StatusCode::BAD_REQUEST, text));
            }
        };
        let mut response = Response::new(());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
        headers
            .insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
        Answer::Stream { response, accepted }
    }

    fn post(&self, request: &Parts, host: &Host) -> Answer<Accepted> {
        let kind = request.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case(EVENT_STREAM) {
            let text = "a batch is text/event-stream";
            return Answer::Refuse(refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
        }
        match request.headers.get(LINK) {
            None => Answer::Body { limit: FIRST_BATCH, stranger: true, permit: None },
            Some(_) => match self.inbox(request, host) {
                Some(inbox) => batch_of(&inbox, host),
                None => Answer::Refuse(no_link()),
            },
        }
    }

    /// What comes up for the link that a request names.
    fn inbox(&self, request: &Parts, host: &Host) -> Option<Arc<Inbox>> {
        let token = request.headers.get(LINK)?.to_str().ok()?;
        self.hub.inbox(token, host.runtime.now())
    }

    fn open(&self, request: &Parts, body: Bytes, host: &Host) -> Reply {
        let address = request.extensions.get().copied();
        let peer = peer("sse", request, address);
        match self.hub.open(&*host.runtime, peer, body) {
            Ok(opened) => {
                let hub::Opened { link, ticket, inbox } = opened;
                let text = format!("{{\"link\":\"{link}\",\"ticket\":\"{ticket}\"}}");
                let mut response = Response::new(text);
                let headers = response.headers_mut();
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                let late = self.hub.clone().expire(ticket, host.runtime.clone());
                let Some(kept) = Kept::new(&inbox) else { return Reply::last(response) };
                let lingering = Box::pin(self.hub.linger(&inbox, kept, host.runtime.clone()));
                Reply::keep(response, async {
                    // A link that has its stream by then lives on.
                    if let Either::Right(((), lingering)) = select(lingering, Box::pin(late)).await
                    {
                        lingering.await;
                    }
                })
            }
            Err(busy) => {
                let text = match busy {
                    Busy::Closed => "the server stops",
                    Busy::TooMany => "too many wait for their stream",
                };
                let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, text);
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
                Reply::last(response)
            }
        }
    }

    async fn batch(&self, request: &Parts, body: Bytes, host: &Host) -> Reply {
        let header = |name| request.headers.get(name).and_then(|value| value.to_str().ok());
        let Some(inbox) = self.inbox(request, host) else { return Reply::last(no_link()) };
        let Some(number) = header(BATCH).and_then(|number| number.parse().ok()) else {
            let text = "Moorline-Batch is the batch's number";
            return Reply::last(refusal(StatusCode::BAD_REQUEST, text));
        };
        let late = async {
            let mut timer = host.runtime.timer();
            timer.as_mut().reset(host.runtime.now() + EARLY);
            timer.await;
        };
        let response = match inbox.put(number, body, late).await {
            Ok(()) => {
                let mut response = Response::new(String::new());
                *response.status_mut() = StatusCode::NO_CONTENT;
                response
            }
            Err(Refused::Over) => return Reply::last(no_link()),
            Err(Refused::Early { expected }) => {
                let text = format!("batch {expected} is due, not {number}");
                refusal(StatusCode::CONFLICT, &text)
            }
        };
        match Kept::new(&inbox) {
            Some(kept) => {
                Reply::keep(response, self.hub.linger(&inbox, kept, host.runtime.clone()))
            }
            None => Reply::last(response),
        }
    }
}

impl Default for EventStreams {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for EventStreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStreams")
            .field("debounce", &self.debounce)
            .field("keep_alive", &self.keep_alive)
            .field("padding", &self.padding)
            .field("raw", &self.raw)
            .finish_non_exhaustive()
    }
}

/// A request for an event stream that is granted.
pub struct Granted(Accepted);

enum Accepted {
    Paired(Paired),
    Raw(Form),
}

impl fmt::Debug for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Granted").finish_non_exhaustive()
    }
}

impl Route for EventStreams {
    type Accepted = Granted;
    type Sender<S: Socket> = EventStreamSender<S>;
    type Receiver<S: Socket> = EventStreamReceiver<S>;

    fn is_for(&self, request: &Parts) -> bool {
        request.method == Method::POST
            || request.method == Method::OPTIONS
            || accepts_events(&request.headers)
    }

    fn answer(&self, request: &Parts, host: &Host) -> Answer<Granted> {
        match request.method {
            Method::GET => granted(self.get(request, host)),
            Method::POST => granted(self.post(request, host)),
            Method::OPTIONS => Answer::Refuse(preflight(request)),
            _ => {
                let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, "only GET and POST");
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST"));
                Answer::Refuse(response)
            }
        }
    }

    async fn respond(&self, request: Parts, body: Bytes, host: &Host) -> Reply {
        match request.headers.contains_key(LINK) {
            true => self.batch(&request, body, host).await,
            false => self.open(&request, body, host),
        }
    }

    fn link<S: Socket>(
        &self,
        arrived: Arrived<S, Granted>,
        host: &Host,
    ) -> Result<Halves<Self, S>, TransportError> {
        let mut known = arrived.peer("sse");
        let Arrived { stream, accepted, .. } = arrived;
        let link = Link::new(stream, self.padding);
        let runtime = host.runtime.clone();
        let (paired, form) = match accepted.0 {
            Accepted::Paired(paired) => (Some(paired), Form::Paired),
            Accepted::Raw(form) => (None, form),
        };
        if let Some(paired) = &paired {
            known.clone_from(&paired.peer);
        }
        let sender = EventStreamSender::new(link.clone(), runtime.clone(), self.debounce, form);
        let receiver = EventStreamReceiver::new(link, paired, host, self.keep_alive);
        Ok((sender, receiver, known))
    }

    fn capabilities(&self) -> Capabilities {
        capabilities()
    }

    fn close(&self, closed: bool) {
        self.hub.close(closed);
    }
}

/// A further batch: its body is read where few are under way, and it is small until the first one was taken.
fn batch_of(inbox: &Arc<Inbox>, host: &Host) -> Answer<Accepted> {
    let Some(under_way) = UnderWay::begin(inbox) else {
        let text = "a link has one POST under way";
        return Answer::Refuse(refusal(StatusCode::TOO_MANY_REQUESTS, text));
    };
    let largest = match inbox.has_begun() {
        true => host.max_frame,
        false => host.max_frame.min(host.max_first_frame),
    };
    let more = BATCH_BYTES.min(largest.saturating_add(FIRST_BATCH));
    let limit = event_limit(largest).saturating_add(more);
    Answer::Body { limit, stranger: false, permit: Some(Box::new(under_way)) }
}

fn granted(answer: Answer<Accepted>) -> Answer<Granted> {
    answer.map(Granted)
}

fn no_link() -> Response<String> {
    refusal(StatusCode::NOT_FOUND, "there is no such link, or it has ended")
}

/// Tells a page of another host, which the door lets in, what it may send (the Fetch standard's CORS).
fn preflight(request: &Parts) -> Response<String> {
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static("GET, POST"));
    if request.headers.contains_key(ORIGIN) {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
        let names = "content-type, moorline-link, moorline-batch";
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(names));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    }
    response
}

fn accepts_events(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|kind| {
        kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(EVENT_STREAM)
    })
}

fn ticket(request: &Parts) -> Option<&str> {
    let parameters = request.uri.query()?.split('&');
    parameters
        .filter_map(|parameter| parameter.split_once('='))
        .find_map(|(name, value)| (name == TICKET).then_some(value))
}
