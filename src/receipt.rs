//! What became of a message that was sent (R46).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use moorline_core::machine::{self, Dropped, Outcome};

use crate::shared::{Shared, State};
use crate::stats::Drops;
use crate::sync::wait_for;

/// How many messages that went neither way are remembered, for receipts that are asked late.
const MAX_SETTLED: usize = 8192;

/// A message that was accepted by [`send`](crate::Handle::send). Ignore it, or ask what became of the message:
/// a receipt that nobody asks costs nothing.
///
/// ```
/// # async fn order(connection: &moorline::Handle) -> Result<(), Box<dyn std::error::Error>> {
/// connection.send("one tea").await?.acknowledged().await?;
/// # Ok(())
/// # }
/// ```
pub struct Receipt<'a> {
    owner: Owner<'a>,
    ticket: u64,
    numbered: bool,
}

enum Owner<'a> {
    Borrowed(&'a Arc<Shared>),
    Owned(Arc<Shared>),
}

/// Why a message was not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAcknowledged {
    /// It was handed to the link, and messages of its class are not acknowledged; nor are those in raw.
    #[error("sent, and never acknowledged: choose `Class::AtLeastOnce` and a codec with a session")]
    Sent,
    /// Its time to live was over first.
    #[error("its time to live was over before it was sent")]
    Expired,
    /// It never left.
    #[error("it was dropped before it was sent: {}", why(.0))]
    Dropped(Dropped),
    /// It was handed to the link, and the session ended first: it may have arrived.
    #[error("the session ended before it was acknowledged: it may have arrived")]
    Unconfirmed,
}

const fn why(dropped: &Dropped) -> &'static str {
    match dropped {
        Dropped::NoRoom => "there was no room",
        Dropped::Replaced => "a newer one took its place",
        Dropped::Cancelled => "it was taken back",
        Dropped::Disconnected => "the connection was lost or closed",
        _ => "for another reason",
    }
}

impl<'a> Receipt<'a> {
    pub(crate) const fn new(shared: &'a Arc<Shared>, ticket: u64, numbered: bool) -> Self {
        Self { owner: Owner::Borrowed(shared), ticket, numbered }
    }

    /// The same receipt without a borrow, for another task.
    #[must_use]
    pub fn into_owned(self) -> Receipt<'static> {
        let shared = self.shared().clone();
        Receipt { owner: Owner::Owned(shared), ticket: self.ticket, numbered: self.numbered }
    }

    /// Waits until the other end's application has taken the message.
    ///
    /// That is not the same as written to a disk there: it tells that a listener has run, or that
    /// `next_message` has given it out.
    ///
    /// # Errors
    ///
    /// When it will not be acknowledged, and why.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time; the message goes its way.
    pub async fn acknowledged(self) -> Result<(), NotAcknowledged> {
        match self.outcome().await {
            Outcome::Acknowledged => Ok(()),
            Outcome::Sent => Err(NotAcknowledged::Sent),
            Outcome::Expired => Err(NotAcknowledged::Expired),
            Outcome::Dropped(dropped) => Err(NotAcknowledged::Dropped(dropped)),
            _ => Err(NotAcknowledged::Unconfirmed),
        }
    }

    /// Waits for what becomes of the message: of one that is not numbered, whether it was handed to the link.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time.
    pub async fn outcome(&self) -> Outcome {
        let (ticket, numbered) = (self.ticket, self.numbered);
        wait_for(
            &self.shared().state,
            |state| &mut state.receipts,
            move |state: &mut State| state.outcomes.of(ticket, numbered, state.driver_gone),
        )
        .await
    }

    pub(crate) const fn ticket(&self) -> u64 {
        self.ticket
    }

    const fn shared(&self) -> &Arc<Shared> {
        match &self.owner {
            Owner::Borrowed(shared) => shared,
            Owner::Owned(shared) => shared,
        }
    }
}

/// Two receipts are equal when they are for the same message.
impl PartialEq for Receipt<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.ticket == other.ticket && Arc::ptr_eq(self.shared(), other.shared())
    }
}

impl Eq for Receipt<'_> {}

impl fmt::Debug for Receipt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt").field("ticket", &self.ticket).finish_non_exhaustive()
    }
}

/// What became of a connection's messages.
#[derive(Default)]
pub(crate) struct Outcomes {
    handed_over: u64,
    acknowledged: u64,
    pub(crate) drops: Drops,
    settled: BTreeMap<u64, Outcome>,
    /// Of what was settled up to this one, some is forgotten.
    forgotten: u64,
}

impl Outcomes {
    pub(crate) fn note(&mut self, news: machine::Outcomes) {
        self.handed_over = news.handed_over;
        self.acknowledged = news.acknowledged;
        for (ticket, outcome) in news.settled {
            self.settle(ticket, outcome);
        }
    }

    pub(crate) fn settle(&mut self, ticket: u64, outcome: Outcome) {
        self.drops.count(outcome);
        self.settled.insert(ticket, outcome);
        if self.settled.len() > MAX_SETTLED {
            if let Some((oldest, _)) = self.settled.pop_first() {
                self.forgotten = oldest;
            }
        }
    }

    fn of(&self, ticket: u64, numbered: bool, gone: bool) -> Option<Outcome> {
        if let Some(outcome) = self.settled.get(&ticket) {
            return Some(*outcome);
        }
        let passed = if numbered { self.acknowledged } else { self.handed_over };
        match (ticket <= passed, numbered) {
            // It may be one of those that went neither way.
            (true, true) if ticket <= self.forgotten => Some(Outcome::Unconfirmed),
            (true, true) => Some(Outcome::Acknowledged),
            (true, false) => Some(Outcome::Sent),
            (false, _) if !gone => None,
            (false, _) if ticket <= self.handed_over => Some(Outcome::Unconfirmed),
            (false, _) => Some(Outcome::Dropped(Dropped::Disconnected)),
        }
    }
}
