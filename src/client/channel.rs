//! A channel, as a client uses it.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use bytestring::ByteString;
use futures_util::future::{Either, select};
use moorline_core::{Member, Message, Presence};

use super::Connection;
use super::standing::{Stage, Standing};
use crate::error::{JoinError, MembersError};
use crate::listeners::{Callback, Outcome, Token};
use crate::sync::{lock, wait_for};
use crate::{Receipt, SendError, Status, event};

/// How long an answer about members is waited for (R30).
const MEMBERS_TIMEOUT: Duration = Duration::from_secs(5);

/// A channel, as a client uses it (R26, R29, R30): join it, publish there, see who else is there.
///
/// Channels exist on demand: the first who joins makes one, and with the last it is gone. What is joined is joined again after
/// a reconnect, with the same options, before any message that waits; also after the connection was closed and opened by hand. A
/// client built with `rejoin(false)` joins nothing by itself: with the session its channels are gone.
///
/// ```
/// # async fn chat(connection: &moorline::Connection) -> Result<(), Box<dyn std::error::Error>> {
/// let room = connection.channel("lobby");
/// room.on_message(|message| println!("{message}"));
/// room.join().await?;
/// room.publish("hello, everybody").await?;
/// for member in room.members().await? {
///     println!("{} is here", member.id);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Channel<'a> {
    connection: &'a Connection,
    name: ByteString,
    /// Whatever is asked for here: `None` is as the membership says, or the connection.
    echo: Option<bool>,
    presence: bool,
}

impl<'a> Channel<'a> {
    pub(super) fn new(connection: &'a Connection, name: ByteString) -> Self {
        Self { connection, name, echo: None, presence: true }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &ByteString {
        &self.name
    }

    /// Whether this end hears what it publishes there itself, and of its own coming, going and profile (R27).
    /// With [`join`](Self::join) it holds for the membership, by default as the client was built
    /// ([`ClientBuilder::echo`](crate::ClientBuilder::echo): it hears itself); with a publish or a leave for that one, by default
    /// as the membership says.
    #[must_use]
    pub const fn echo(mut self, echo: bool) -> Self {
        self.echo = Some(echo);
        self
    }

    /// Whether this end wants to be told who is there, for [`join`](Self::join). Default: true. On a large channel it saves a
    /// message for each who comes and goes; the others see this end all the same.
    #[must_use]
    pub const fn presence(mut self, presence: bool) -> Self {
        self.presence = presence;
        self
    }

    /// Joins it, and waits for the server's answer. Joining twice does nothing, unless with other options. While there is no
    /// connection it waits for the next one.
    ///
    /// It is wanted from the call on, whatever becomes of the future: [`leave`](Self::leave) takes it back.
    ///
    /// # Errors
    ///
    /// When the name is empty or too long, the server refuses, or the connection closes for good (it is joined all the same when
    /// it is opened again).
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time.
    pub fn join(&self) -> impl Future<Output = Result<(), JoinError>> + Send + use<'a> {
        let (connection, name) = (self.connection, self.name.clone());
        let wanted = self.check().map(|()| {
            connection.open_if_lazy();
            let echo = self.echo.unwrap_or(connection.config().echo);
            connection.standing().change(&connection.shared, |state| {
                state.channels.join(name.clone(), echo, self.presence);
            });
        });
        async move {
            wanted?;
            wait_for(
                connection.standing().state(),
                |state| &mut state.waiting,
                |state| {
                    let closed = state.closed.then_some(Err(JoinError::Closed));
                    match state.channels.get(&name).map(|one| &one.stage) {
                        Some(Stage::Joined) => Some(Ok(())),
                        Some(Stage::Wanted) => closed,
                        Some(Stage::Refused(error)) => Some(Err(JoinError::Refused {
                            code: error.code.clone(),
                            message: error.message.clone(),
                            retry_after: error.retry_after(),
                        })),
                        Some(Stage::Leaving(_)) | None => Some(Err(JoinError::Left)),
                    }
                },
            )
            .await
        }
    }

    /// Leaves it; whether this end was on it, or wanted to be. The server need not agree.
    #[allow(clippy::must_use_candidate, reason = "most callers only want to leave")]
    pub fn leave(&self) -> bool {
        self.connection
            .standing()
            .change(&self.connection.shared, |state| state.channels.leave(&self.name, self.echo))
    }

    /// Whether the server has let this end on it.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        let state = lock(self.connection.standing().state());
        state.channels.get(&self.name).is_some_and(|one| one.stage == Stage::Joined)
    }

    /// Sends a message to all who are on the channel (R26). By default only those who are on it may: see
    /// [`Channels`](crate::server::Channels). Waits and fails as [`send`](crate::Handle::send).
    ///
    /// ```
    /// # async fn publish(room: &moorline::Channel<'_>) -> Result<(), moorline::SendError> {
    /// room.publish("hello").await?;
    /// room.publish(moorline::Message::from("ann").event("typing").class(moorline::Class::Volatile)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As `send`. What the server does not pass on it tells by an [`Error`](crate::Event::Error) event.
    ///
    /// # Cancel safety
    ///
    /// As `send`.
    pub fn publish<M: Into<Message>>(
        &self,
        message: M,
    ) -> impl Future<Output = Result<Receipt<'a>, SendError>> + Send + use<'a, M> {
        let message = message.into().on(self.name.clone());
        // Where it is not on the channel, no membership says that it does not want to hear itself.
        let silent = !self.connection.config().echo && !self.is_joined();
        self.connection.publish_with(message, self.echo.or(silent.then_some(false)))
    }

    /// Who is on it, asked anew of the server. Empty if nobody is.
    ///
    /// # Errors
    ///
    /// When the server does not tell (this end is not on it, or too many are), the connection closes, or no answer comes within
    /// 5 s.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time.
    pub async fn members(&self) -> Result<Vec<Member>, MembersError> {
        self.check().map_err(|_| MembersError::Hidden)?;
        let (connection, standing) = (self.connection, self.connection.standing());
        connection.open_if_lazy();
        if connection.status() == Status::Closed {
            return Err(MembersError::Closed);
        }
        let question = Question {
            standing,
            id: standing.change(&connection.shared, |state| state.channels.ask(self.name.clone())),
        };
        let runtime = &connection.shared.runtime;
        let mut timer = runtime.timer();
        timer.as_mut().reset(runtime.now() + MEMBERS_TIMEOUT);
        let answer = std::pin::pin!(wait_for(
            standing.state(),
            |state| &mut state.waiting,
            |state| {
                let closed = state.closed;
                match state.channels.asked(question.id).and_then(|asked| asked.answer.take()) {
                    Some(Some(members)) => Some(Ok(members)),
                    Some(None) => Some(Err(MembersError::Hidden)),
                    None => closed.then_some(Err(MembersError::Closed)),
                }
            },
        ));
        match select(answer, timer).await {
            Either::Left((members, _)) => members,
            Either::Right(_) => Err(MembersError::TimedOut(MEMBERS_TIMEOUT)),
        }
    }

    /// Who is on it, as this end has been told; `None` while it is not known: without presence, before the join, or when the
    /// server does not tell. Never waits.
    #[must_use]
    pub fn present(&self) -> Option<Vec<Member>> {
        let state = lock(self.connection.standing().state());
        let members = state.channels.get(&self.name)?.members.as_ref()?;
        Some(members.values().cloned().collect())
    }

    /// Listens for the messages of this channel.
    pub fn on_message<F, R, M>(&self, listener: F) -> Token
    where
        F: Fn(Message) -> R + Send + Sync + 'static,
        R: Outcome<M>,
    {
        let callback = Callback::of_kind(event::Message, listener).on(self.name.clone());
        self.connection.add(callback, false)
    }

    /// Listens for who comes and goes on this channel.
    pub fn on_presence<F, R, M>(&self, listener: F) -> Token
    where
        F: Fn(Presence) -> R + Send + Sync + 'static,
        R: Outcome<M>,
    {
        let callback = Callback::of_kind(event::Presence, listener).on(self.name.clone());
        self.connection.add(callback, false)
    }

    fn check(&self) -> Result<(), JoinError> {
        match self.name.len() {
            0 => Err(JoinError::Name("it is empty".to_owned())),
            len if len > 256 => Err(JoinError::Name(format!("it has {len} bytes, limit 256"))),
            _ if !self.connection.has_session() => Err(JoinError::Unsupported),
            _ => Ok(()),
        }
    }
}

/// A question for members. Forgotten when dropped.
struct Question<'a> {
    standing: &'a Standing,
    id: u64,
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        lock(self.standing.state()).channels.forget(self.id);
    }
}

impl fmt::Debug for Channel<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("name", &self.name).finish_non_exhaustive()
    }
}
