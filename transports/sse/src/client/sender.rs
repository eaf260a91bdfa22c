//! The half of a client's that sends: one POST after another.

use std::fmt;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, StatusCode};
use moorline_core::{CloseFrame, Frame, Net, Sender, TransportError, TransportErrorKind};

use super::exchange::{Exchange, refused};
use super::site::{Bare, Site};
use crate::frames::{put_close, put_frame};
use crate::whole::only_read;

/// How much is held back until a flush, at most: a POST of that size is carried at once by most networks.
const BATCH: usize = 64 * 1024;

/// The half of a link that sends.
///
/// Frames are held back until a [`flush`](Sender::flush), up to 64 KiB, and go up as one POST, whose answer is waited for. If the
/// connection that was kept for it has broken, the same POST is sent once more on a new one: the server knows it by its number, and
/// takes it once.
///
/// In [raw](crate::Sse::raw) nothing can be sent: an attempt ends the link.
///
/// # Cancel safety
///
/// A `send` or `flush` that is dropped half way may have been taken or not: drop the half with it.
pub struct SseSender<N: Net> {
    up: Option<Up<N>>,
    closed: bool,
}

pub(crate) struct Up<N: Net> {
    pub(crate) site: Site<N>,
    pub(crate) connection: Option<Exchange<Bare<N>>>,
    pub(crate) link: HeaderValue,
    /// How many batches have been taken.
    pub(crate) taken: u64,
    pub(crate) outbox: BytesMut,
}

impl<N: Net> SseSender<N> {
    pub(crate) fn new(up: Option<Up<N>>) -> Self {
        Self { up, closed: false }
    }

    fn up(&mut self) -> Result<&mut Up<N>, TransportError> {
        if self.closed {
            return Err(TransportError::closed());
        }
        self.up.as_mut().ok_or_else(only_read)
    }
}

impl<N: Net> Up<N> {
    async fn flush(&mut self) -> Result<(), TransportError> {
        if self.outbox.is_empty() {
            return Ok(());
        }
        // Memory that a burst has made large is not kept.
        let batch = std::mem::take(&mut self.outbox).freeze();
        let kept = self.connection.is_some();
        match self.post(batch.clone()).await {
            Err(error) if kept && error.kind() == TransportErrorKind::Broken => {
                self.post(batch).await?;
            }
            other => other?,
        }
        self.taken += 1;
        Ok(())
    }

    async fn post(&mut self, batch: Bytes) -> Result<(), TransportError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.site.open().await?,
        };
        let request = self.site.batch(&self.link, self.taken + 1, batch)?;
        let response = connection.ask(request).await?;
        match response.status() {
            StatusCode::NO_CONTENT => {
                self.connection = Some(connection);
                Ok(())
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                let message = "the server knows this link no more";
                Err(TransportError::new(TransportErrorKind::Closed, message))
            }
            _ => Err(refused(&response)),
        }
    }
}

impl<N: Net> Sender for SseSender<N> {
    async fn send(&mut self, frame: Frame) -> Result<(), TransportError> {
        let up = self.up()?;
        if up.outbox.len() >= BATCH {
            up.flush().await?;
        }
        put_frame(&frame, &mut up.outbox);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), TransportError> {
        // In raw there is nothing to flush.
        if self.up.is_none() {
            return Ok(());
        }
        self.up()?.flush().await
    }

    async fn close(&mut self, close: CloseFrame) -> Result<(), TransportError> {
        if self.up.is_none() {
            return Ok(());
        }
        let up = self.up()?;
        put_close(&close, &mut up.outbox);
        let closed = up.flush().await;
        self.closed = true;
        closed
    }
}

impl<N: Net> fmt::Debug for SseSender<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SseSender").finish_non_exhaustive()
    }
}
