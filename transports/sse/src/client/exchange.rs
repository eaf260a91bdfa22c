//! One connection of a client's, on which requests are answered.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use moorline_core::TransportError;
use moorline_http::{Io, Socket, failure};
use moorline_socket::answered;

/// The largest head of a response in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// The largest answer to a POST in bytes.
const MAX_ANSWER: usize = 16 * 1024;

pub(crate) struct Exchange<S: Socket> {
    requests: SendRequest<Full<Bytes>>,
    /// Until it is over.
    connection: Connection<S>,
}

type Connection<S> = Option<http1::Connection<Io<S>, Full<Bytes>>>;

impl<S: Socket> Exchange<S> {
    pub(crate) async fn new(stream: S) -> Result<Self, TransportError> {
        let mut builder = http1::Builder::new();
        let (requests, connection) =
            builder.max_header_size(MAX_HEAD).handshake(Io(stream)).await.map_err(failure)?;
        Ok(Self { requests, connection: Some(connection) })
    }

    /// Sends a request; the head of its response.
    pub(crate) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TransportError> {
        let Self { requests, connection } = self;
        let mut response = pin!(requests.send_request(request));
        poll_fn(|context| {
            drive(connection, context);
            response.poll_unpin(context)
        })
        .await
        .map_err(failure)
    }

    /// Sends a request, and reads its whole answer.
    pub(crate) async fn ask(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, TransportError> {
        let (head, mut body) = self.send(request).await?.into_parts();
        let mut answer = BytesMut::new();
        while let Some(data) = poll_fn(|context| self.poll_data(&mut body, context)).await {
            answer.extend_from_slice(&data?);
            if answer.len() > MAX_ANSWER {
                return Err(TransportError::too_large(answer.len(), MAX_ANSWER));
            }
        }
        Ok(Response::from_parts(head, answer.freeze()))
    }

    /// The next piece of a body.
    pub(crate) fn poll_data(
        &mut self,
        body: &mut Incoming,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, TransportError>>> {
        loop {
            drive(&mut self.connection, context);
            return Poll::Ready(match Pin::new(&mut *body).poll_frame(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => None,
                Poll::Ready(Some(Err(error))) => Some(Err(failure(error))),
                // What are not data are trailers, and say nothing here.
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => Some(Ok(data)),
                    Err(_) => continue,
                },
            });
        }
    }
}

fn drive<S: Socket>(connection: &mut Connection<S>, context: &mut Context<'_>) {
    if connection.as_mut().is_some_and(|connection| connection.poll_unpin(context).is_ready()) {
        // Its error comes out of the response or its body, too: of what waits to be sent only when it is dropped.
        *connection = None;
    }
}

/// A response that is none of those hoped for, as an error.
pub(crate) fn refused<B>(response: &Response<B>) -> TransportError {
    let retry_after = response.headers().get(RETRY_AFTER).map(|value| value.as_bytes());
    answered(response.status().as_u16(), retry_after)
}

/// Whether what follows is of that type, whatever its parameters.
pub(crate) fn is<B>(response: &Response<B>, wanted: &str) -> bool {
    let value = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| {
        value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(wanted)
    })
}
