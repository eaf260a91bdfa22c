//! Answers requests: the checks that are the same for every route, and what the route says.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, select};
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONNECTION, CONTENT_LENGTH, HeaderMap, VARY};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use hyper::body::Body;

use crate::origin::Verdict;
use crate::route::{Answer, Host, Reply, Route, refusal};
use crate::settings::Settings;

/// How much of a body must come in each handshake's time: slower than any network that a person would wait for.
const SLOWEST: usize = 64 * 1024;

/// A route at a place.
pub(crate) struct Requests<R> {
    pub(crate) route: R,
    pub(crate) settings: Arc<Settings>,
    pub(crate) host: Arc<Host>,
}

impl<R: Route> Requests<R> {
    /// What to do with a request; `empty` says that it has no body.
    pub(crate) fn decide(&self, request: &Parts, empty: bool) -> Decision<R::Accepted> {
        if self.settings.path.as_deref().is_some_and(|path| path != request.uri.path()) {
            let answer = Answer::Refuse(refusal(StatusCode::NOT_FOUND, "there is nothing here"));
            return Decision { answer, shared: None };
        }
        let shared = match self.settings.origins.check(&request.headers) {
            Verdict::Foreign => {
                let text = "this origin is not allowed";
                let answer = Answer::Refuse(refusal(StatusCode::FORBIDDEN, text));
                return Decision { answer, shared: None };
            }
            Verdict::Own => None,
            Verdict::Shared(origin) => Some(origin),
        };
        let answer = match self.route.answer(request, &self.host) {
            // What comes behind its head would be the body or the next protocol's, as it happens to be read.
            Answer::Upgrade { .. } if !empty => {
                Answer::Refuse(refusal(StatusCode::BAD_REQUEST, "an upgrade has no body"))
            }
            answer => answer,
        };
        Decision { answer, shared }
    }

    /// Reads a body, and has it answered.
    pub(crate) async fn respond<B: Body<Data = Bytes>>(
        &self,
        request: Parts,
        body: B,
        limit: usize,
    ) -> Reply {
        let declared = request.headers.get(CONTENT_LENGTH);
        let declared =
            declared.and_then(|length| length.to_str().ok()?.parse::<u64>().ok()).unwrap_or(0);
        if declared > limit as u64 {
            return Reply::last(too_large(limit));
        }
        let chunks = u32::try_from(limit.div_ceil(SLOWEST)).unwrap_or(u32::MAX);
        let time = self.settings.handshake_timeout.saturating_mul(chunks);
        let read = {
            let reading = pin!(read(body, limit));
            match select(reading, pin!(self.sleep(time))).await {
                Either::Left((read, _)) => read,
                Either::Right(_) => {
                    let text = "the body did not come in time";
                    return Reply::last(refusal(StatusCode::REQUEST_TIMEOUT, text));
                }
            }
        };
        match read {
            Ok(body) => self.route.respond(request, body, &self.host).await,
            Err(response) => Reply::last(*response),
        }
    }

    async fn sleep(&self, span: Duration) {
        let mut timer = self.host.runtime.timer();
        timer.as_mut().reset(self.host.runtime.now() + span);
        timer.await;
    }
}

/// What to do with a request.
pub(crate) struct Decision<T> {
    pub(crate) answer: Answer<T>,
    /// The origin of another host's page, that may read the answer.
    pub(crate) shared: Option<HeaderValue>,
}

/// Lets a page of that origin read the answer (the Fetch standard's CORS). Credentials never go with it: what a cookie says is
/// nobody's word here.
pub(crate) fn share(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(VARY, HeaderValue::from_static("origin"));
    }
}

/// Says that nothing comes after this response.
pub(crate) fn last(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
}

async fn read<B: Body<Data = Bytes>>(
    body: B,
    limit: usize,
) -> Result<Bytes, Box<Response<String>>> {
    let mut body = pin!(body);
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = poll_fn(|context| Pin::as_mut(&mut body).poll_frame(context)).await {
        let broken = |_| Box::new(refusal(StatusCode::BAD_REQUEST, "the body broke off"));
        // What are not data are trailers, and say nothing here.
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if first.len() + all.len() + data.len() > limit {
            return Err(Box::new(too_large(limit)));
        }
        // Most are one piece.
        if first.is_empty() && all.is_empty() {
            first = data;
            continue;
        }
        all.extend_from_slice(&std::mem::take(&mut first));
        all.extend_from_slice(&data);
    }
    Ok(if first.is_empty() { all.freeze() } else { first })
}

fn too_large(limit: usize) -> Response<String> {
    refusal(StatusCode::PAYLOAD_TOO_LARGE, &format!("a body has at most {limit} bytes here"))
}
