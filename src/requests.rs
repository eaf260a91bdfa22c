//! Requests and their answers, both ways (R46).

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Display;
use std::future::Future;
use std::mem;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use bytestring::ByteString;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use moorline_core::machine::Outgoing;
use moorline_core::wire::{self, ErrorPacket, Packet, Response};
use moorline_core::{BoxFuture, Class, Message, Time};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::delivery::Item;
use crate::error::panic_text;
use crate::sending::About;
use crate::shared::{Command, Shared};
use crate::sync::{WaitList, lock, wait_for};
use crate::{Handle, RequestError, SendError, Status};

/// How long an answer is waited for by default: as long as a person waits.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A message that asks for an answer, at the end that gives it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// What is asked.
    pub message: Message,
}

impl Request {
    /// What is asked, read as JSON.
    ///
    /// # Errors
    ///
    /// When it is not JSON, or not of that type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        self.message.json()
    }
}

type Answer = Result<Message, ErrorPacket>;
type Handler = Arc<dyn Fn(Request) -> BoxFuture<'static, Result<Message, String>> + Send + Sync>;

/// The requests of one connection.
#[derive(Default)]
pub(crate) struct Requests {
    last_id: u64,
    /// What was asked here.
    asked: BTreeMap<u64, Option<Answer>>,
    askers: WaitList,
    late: u64,
    handler: Option<Handler>,
    /// What the other end asks and nobody has begun to answer.
    waiting: VecDeque<(u64, Item)>,
    /// The task that begins to.
    worker: Option<Waker>,
    unanswered: Vec<(u64, Item)>,
    ended: bool,
}

impl Requests {
    pub(crate) const fn late(&self) -> u64 {
        self.late
    }

    pub(crate) fn ask(&mut self, id: u64, item: Item, wakes: &mut Vec<Waker>) {
        self.waiting.push_back((id, item));
        wakes.extend(self.worker.take());
    }

    pub(crate) fn answered(&mut self, id: u64, answer: Answer, wakes: &mut Vec<Waker>) {
        match self.asked.get_mut(&id) {
            Some(slot @ None) => {
                *slot = Some(answer);
                wakes.extend(self.askers.all());
            }
            _ => self.late += 1,
        }
    }

    /// Since when the oldest request has waited for somebody who answers.
    pub(crate) fn waiting_since(&self) -> Time {
        match self.waiting.front() {
            Some((_, item)) if self.handler.is_none() => item.arrived,
            _ => Time::MAX,
        }
    }

    pub(crate) fn expire(&mut self, now: Time, after: Duration) {
        while self.waiting_since() + after <= now {
            self.unanswered.extend(self.waiting.pop_front());
        }
    }

    pub(crate) fn has_unanswered(&self) -> bool {
        !self.unanswered.is_empty()
    }

    pub(crate) fn take_unanswered(&mut self) -> (Vec<u64>, Vec<Item>) {
        mem::take(&mut self.unanswered).into_iter().unzip()
    }

    pub(crate) fn end(&mut self, wakes: &mut Vec<Waker>) {
        self.ended = true;
        wakes.extend(self.askers.all());
        wakes.extend(self.worker.take());
    }
}

impl Handle {
    /// Asks the other end, and waits for its answer for 30 s; see [`request_within`](Self::request_within).
    ///
    /// # Errors
    ///
    /// As `request_within`.
    ///
    /// # Cancel safety
    ///
    /// As `request_within`.
    pub async fn request(&self, message: impl Into<Message>) -> Result<Message, RequestError> {
        self.request_within(message, TIMEOUT).await
    }

    /// Asks the other end, and waits for its answer. The question and the answer are numbered, so each arrives
    /// once, also over a reconnect that recovers.
    ///
    /// ```
    /// # use moorline::{Handle, RequestError};
    /// # async fn ask(connection: &Handle) -> Result<(), RequestError> {
    /// let answer = connection.request("how many teas?").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When it cannot be sent, no answer comes in time, the other end answers no requests or could not answer
    /// this one, or the connection closes for good.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the request is taken back if it has not been sent, and its answer is dropped.
    pub async fn request_within(
        &self,
        message: impl Into<Message>,
        timeout: Duration,
    ) -> Result<Message, RequestError> {
        let message = message.into().class(Class::AtLeastOnce).ttl(timeout);
        let shared = &self.shared;
        let mut asked = Asked { shared, id: None, ticket: 0 };
        let outgoing = {
            let codec = self.codec().ok_or(SendError::NotConnected)?;
            let about = About::of(&message, &*shared.runtime);
            let id = asked.begin();
            let frame = codec
                .encode(Packet::Request(wire::Request { id, message }))
                .map_err(SendError::from)?;
            about.outgoing(frame)
        };
        let mut timer = shared.runtime.timer();
        timer.as_mut().reset(shared.runtime.now() + timeout);
        let answer = Box::pin(async {
            asked.ticket = self.send_encoded(outgoing).await?.ticket();
            asked.answer().await
        });
        match select(answer, timer).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(RequestError::TimedOut(timeout)),
        }
    }

    /// [`request`](Self::request) with JSON both ways, on a channel.
    ///
    /// # Errors
    ///
    /// As `request`; and when the question cannot be written or the answer not be read.
    ///
    /// # Cancel safety
    ///
    /// As `request`.
    pub async fn request_json<A: DeserializeOwned>(
        &self,
        channel: impl Into<ByteString>,
        question: &(impl Serialize + ?Sized),
    ) -> Result<A, RequestError> {
        let message = Message::from_json(question)
            .map_err(|error| RequestError::Send(SendError::Json(error.to_string())))?;
        let answer = self.request(message.on(channel)).await?;
        answer.json().map_err(|error| RequestError::Unreadable(error.to_string()))
    }

    /// Answers the requests of the other end; a later call takes the place of an earlier one. Each is answered in
    /// a task of its own, so a slow one holds up no other. An error, or a panic, is the other end's
    /// [`Failed`](RequestError::Failed) with the code `failed`.
    ///
    /// A request that comes before there is a handler waits for one, as long as a message waits for a
    /// listener ([`unheard_after`](crate::Config::unheard_after)); then it is refused with `no_handler`.
    ///
    /// ```
    /// # fn serve(connection: &moorline::Handle) {
    /// connection.on_request(async |request| {
    ///     let teas: u32 = request.json()?;
    ///     Ok::<_, serde_json::Error>(format!("{teas} teas"))
    /// });
    /// # }
    /// ```
    pub fn on_request<F, Fut, A, E>(&self, handler: F)
    where
        F: Fn(Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<A, E>> + Send + 'static,
        A: Into<Message>,
        E: Display,
    {
        let handler = Arc::new(handler);
        let handler: Handler = Arc::new(move |request| {
            let handler = handler.clone();
            // Called in the future, so that a panic before its first await is caught too.
            Box::pin(async move {
                let answer = AssertUnwindSafe(async { handler(request).await }).catch_unwind();
                match answer.await {
                    Ok(Ok(answer)) => Ok(answer.into()),
                    Ok(Err(error)) => Err(error.to_string()),
                    Err(panic) => Err(panic_text(&*panic)),
                }
            })
        });
        let mut delivery = lock(&self.shared.delivery);
        if delivery.requests.ended {
            return;
        }
        let first = delivery.requests.handler.is_none();
        let old = delivery.requests.handler.replace(handler);
        let worker = delivery.requests.worker.take();
        drop(delivery);
        drop(old);
        worker.into_iter().for_each(Waker::wake);
        if first {
            self.shared.runtime.spawn("requests", Box::pin(run(self.shared.clone())));
        }
    }
}

/// A request whose answer is waited for. Forgotten when dropped.
struct Asked<'a> {
    shared: &'a Arc<Shared>,
    id: Option<u64>,
    ticket: u64,
}

impl Asked<'_> {
    fn begin(&mut self) -> u64 {
        let mut delivery = lock(&self.shared.delivery);
        let requests = &mut delivery.requests;
        requests.last_id += 1;
        requests.asked.insert(requests.last_id, None);
        self.id = Some(requests.last_id);
        requests.last_id
    }

    async fn answer(&self) -> Result<Message, RequestError> {
        let id = self.id.unwrap_or_default();
        let answer = wait_for(
            &self.shared.delivery,
            |delivery| &mut delivery.requests.askers,
            |delivery| {
                let requests = &mut delivery.requests;
                match requests.asked.get_mut(&id).and_then(Option::take) {
                    Some(answer) => Some(Some(answer)),
                    None => (requests.ended || delivery.is_closed()).then_some(None),
                }
            },
        );
        match answer.await {
            Some(Ok(message)) => Ok(message),
            Some(Err(error)) => {
                let retry_after = error.retry_after();
                let ErrorPacket { code, message, .. } = error;
                Err(RequestError::Failed { code, message, retry_after })
            }
            None => Err(RequestError::Closed),
        }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        let answered = lock(&self.shared.delivery).requests.asked.remove(&id);
        if self.ticket > 0 && matches!(answered, Some(None)) {
            let waker = lock(&self.shared.state).command(Command::Cancel(self.ticket));
            waker.into_iter().for_each(Waker::wake);
        }
    }
}

/// Begins to answer each request, until the connection has ended.
async fn run(shared: Arc<Shared>) {
    loop {
        let next = std::future::poll_fn(|context| {
            let mut delivery = lock(&shared.delivery);
            let requests = &mut delivery.requests;
            let Some(handler) = requests.handler.clone().filter(|_| !requests.ended) else {
                return None.into();
            };
            match requests.waiting.pop_front() {
                Some((id, item)) => Some((handler, id, item)).into(),
                None => {
                    requests.worker = Some(context.waker().clone());
                    std::task::Poll::Pending
                }
            }
        });
        let Some((handler, id, item)) = next.await else { break };
        let answering = answer(shared.clone(), handler, id, item);
        shared.runtime.spawn("request", Box::pin(answering));
    }
    // It may hold the connection that holds it.
    let handler = lock(&shared.delivery).requests.handler.take();
    drop(handler);
}

async fn answer(shared: Arc<Shared>, handler: Handler, id: u64, item: Item) {
    let answer = handler(Request { message: item.message.clone() }).await;
    let taken = lock(&shared.delivery).count_taken(&item);
    if taken {
        shared.wake_driver();
    }
    let result =
        answer.map_err(|message| ErrorPacket { code: "failed".to_owned(), message, details: None });
    if let Some(outgoing) = response(&shared, Response { id, result }) {
        let handle = Handle::new(shared);
        let sent = handle.send_encoded(outgoing.clone()).await;
        // An answer waits for the session's next link also where messages do not.
        if matches!(sent, Err(SendError::NotConnected)) {
            let mut state = lock(&handle.shared.state);
            if state.status == Status::Connecting {
                let waker = state.command(Command::Send(outgoing));
                drop(state);
                waker.into_iter().for_each(Waker::wake);
            }
        }
    }
}

/// The answer to what nobody here answers.
pub(crate) fn no_handler(shared: &Shared, id: u64) -> Option<Outgoing> {
    let message = "nobody answers requests here".to_owned();
    let error = ErrorPacket { code: "no_handler".to_owned(), message, details: None };
    response(shared, Response { id, result: Err(error) })
}

pub(crate) fn response(shared: &Shared, response: Response) -> Option<Outgoing> {
    let id = response.id;
    let codec = shared.codec.get()?;
    let frame = codec.encode(Packet::Response(Box::new(response))).or_else(|error| {
        let error =
            ErrorPacket { code: "failed".to_owned(), message: error.to_string(), details: None };
        codec.encode(Packet::Response(Box::new(Response { id, result: Err(error) })))
    });
    Some(Outgoing::new(frame.ok()?, Class::AtLeastOnce))
}
