//! One registered callback, sync or async, with its types erased.

use std::future::Future;

use bytestring::ByteString;
use moorline_core::{BoxFuture, Message, MessageError};
use serde::de::DeserializeOwned;

use super::kinds::{EventKind, Kind};
use super::object::{self, ConnectionListener};
use crate::Event;

/// What a callback gives back: nothing, or a future that is awaited before the next callback runs.
///
/// `M` only tells the two apart; it is inferred. Implemented for `()` and for every future of `()`.
pub trait Outcome<M>: Send {
    #[doc(hidden)]
    fn into_future(self) -> Option<BoxFuture<'static, ()>>;
}

/// Marks a callback that is done when it returns.
#[derive(Debug)]
#[allow(unnameable_types, reason = "inferred, never written")]
pub enum Done {}

/// Marks a callback that returns a future.
#[derive(Debug)]
#[allow(unnameable_types, reason = "inferred, never written")]
pub enum Later {}

impl Outcome<Done> for () {
    fn into_future(self) -> Option<BoxFuture<'static, ()>> {
        None
    }
}

impl<F: Future<Output = ()> + Send + 'static> Outcome<Later> for F {
    fn into_future(self) -> Option<BoxFuture<'static, ()>> {
        Some(Box::pin(self))
    }
}

/// What running a callback came to.
pub(crate) enum Ran {
    Done,
    Later(BoxFuture<'static, ()>),
    Unreadable(MessageError),
}

impl From<Option<BoxFuture<'static, ()>>> for Ran {
    fn from(future: Option<BoxFuture<'static, ()>>) -> Self {
        future.map_or(Self::Done, Self::Later)
    }
}

/// A callback, and what it wants to hear.
pub(crate) struct Callback {
    pub(crate) kind: Kind,
    /// Only messages, or members, of that channel.
    pub(crate) channel: Option<ByteString>,
    /// Only messages of that event.
    event: Option<&'static str>,
    /// A listener object's own (R20).
    pub(crate) id: Option<String>,
    run: Box<dyn Fn(Event) -> Ran + Send + Sync>,
}

impl Callback {
    pub(crate) fn of_kind<E, F, R, M>(_: E, f: F) -> Self
    where
        E: EventKind,
        F: Fn(E::Payload) -> R + Send + Sync + 'static,
        R: Outcome<M>,
    {
        let run =
            move |event| E::payload(event).and_then(|payload| f(payload).into_future()).into();
        Self { kind: E::KIND, channel: None, event: None, id: None, run: Box::new(run) }
    }

    pub(crate) fn of_any<F, R, M>(f: F) -> Self
    where
        F: Fn(Event) -> R + Send + Sync + 'static,
        R: Outcome<M>,
    {
        let run = move |event| f(event).into_future().into();
        Self { kind: Kind::Any, channel: None, event: None, id: None, run: Box::new(run) }
    }

    pub(crate) fn of_channel<T, F, R, M>(channel: ByteString, f: F) -> Self
    where
        T: DeserializeOwned,
        F: Fn(T) -> R + Send + Sync + 'static,
        R: Outcome<M>,
    {
        Self::of_json(f).on(channel)
    }

    pub(crate) fn of_event<T, F, R, M>(event: &'static str, f: F) -> Self
    where
        T: DeserializeOwned,
        F: Fn(T) -> R + Send + Sync + 'static,
        R: Outcome<M>,
    {
        Self { event: Some(event), ..Self::of_json(f) }
    }

    fn of_json<T, F, R, M>(f: F) -> Self
    where
        T: DeserializeOwned,
        F: Fn(T) -> R + Send + Sync + 'static,
        R: Outcome<M>,
    {
        let run = move |event| match event {
            Event::Message(message) => match message.json() {
                Ok(value) => f(value).into_future().into(),
                Err(cause) => Ran::Unreadable(MessageError::new(message, cause.to_string())),
            },
            _ => Ran::Done,
        };
        Self { kind: Kind::Message, channel: None, event: None, id: None, run: Box::new(run) }
    }

    pub(crate) fn of_object(id: String, listener: impl ConnectionListener) -> Self {
        let run = move |event: Event| {
            object::tell(&listener, &event);
            Ran::Done
        };
        Self { kind: Kind::Object, channel: None, event: None, id: Some(id), run: Box::new(run) }
    }

    /// The same, of that channel alone.
    pub(crate) fn on(mut self, channel: ByteString) -> Self {
        self.channel = Some(channel);
        self
    }

    pub(crate) fn run(&self, event: Event) -> Ran {
        (self.run)(event)
    }

    pub(crate) fn hears(&self, event: &Event) -> bool {
        match (self.kind, event) {
            (Kind::Any, _) => true,
            (Kind::Object, event) => object::hears(event),
            (Kind::Message, Event::Message(message)) => self.hears_message(message),
            (Kind::Presence, Event::Presence(presence)) => {
                self.channel.as_ref().is_none_or(|own| presence.channel == own)
            }
            (kind, event) => kind == Kind::of(event),
        }
    }

    pub(crate) fn hears_message(&self, message: &Message) -> bool {
        match self.kind {
            Kind::Any => true,
            Kind::Message => {
                self.channel.as_ref().is_none_or(|own| message.channel.as_ref() == Some(own))
                    && self.event.is_none_or(|own| {
                        message.channel.is_none() && message.event.as_deref() == Some(own)
                    })
            }
            _ => false,
        }
    }
}
