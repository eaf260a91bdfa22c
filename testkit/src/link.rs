//! The two ends of a link, and what checks do with one.

use moorline_core::{
    BoxReceiver, BoxSender, CloseFrame, Frame, Incoming, Receiver, Sender, TransportError,
};

use crate::failure::{Failure, Verdict};
use crate::play::Play;

/// One end of a link.
pub(crate) struct End {
    pub(crate) sender: BoxSender,
    pub(crate) receiver: BoxReceiver,
}

/// Both ends of a link.
pub(crate) struct Link {
    pub(crate) client: End,
    pub(crate) server: End,
}

/// How a link has ended.
#[derive(Debug)]
pub(crate) enum Ending {
    Close(CloseFrame),
    Silent,
    Broken(TransportError),
}

impl End {
    pub(crate) fn new(sender: impl Sender, receiver: impl Receiver) -> Self {
        Self { sender: BoxSender::new(sender), receiver: BoxReceiver::new(receiver) }
    }

    /// Sends a frame and flushes.
    pub(crate) async fn send(&mut self, play: &Play, frame: Frame) -> Verdict {
        let what = format!("a send of {frame:?}");
        let sent = async {
            self.sender.send(frame).await?;
            self.sender.flush().await
        };
        play.within(&what, sent)
            .await?
            .map_err(|error| Failure::new(format!("{what} failed: {error}")))
    }

    /// The next frame, which must come.
    pub(crate) async fn frame(&mut self, play: &Play) -> Result<Frame, Failure> {
        play.within("a frame comes", next_frame(&mut self.receiver)).await?.map_err(|ending| {
            Failure::new(format!("a frame was to come, and the link ended: {ending:?}"))
        })
    }

    /// The frames up to the end, which must come, and how that came.
    pub(crate) async fn rest(&mut self, play: &Play) -> Result<(Vec<Frame>, Ending), Failure> {
        let mut frames = Vec::new();
        loop {
            match play.within("the link ends", next_frame(&mut self.receiver)).await? {
                Ok(frame) => frames.push(frame),
                Err(ending) => return Ok((frames, ending)),
            }
        }
    }
}

/// The next frame, or the end of the link.
pub(crate) async fn next_frame(receiver: &mut BoxReceiver) -> Result<Frame, Ending> {
    loop {
        match receiver.receive().await {
            Ok(Some(Incoming::Frame(frame))) => return Ok(frame),
            Ok(Some(Incoming::Activity)) => {}
            Ok(Some(Incoming::Close(close))) => return Err(Ending::Close(close)),
            Ok(None) => return Err(Ending::Silent),
            Err(error) => return Err(Ending::Broken(error)),
        }
    }
}
