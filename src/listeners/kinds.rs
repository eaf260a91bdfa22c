//! The events one can listen for, as values: `connection.on(event::Disconnect, |end| …)`.

use moorline_core as core;

use crate::{ErrorEvent, Event, Status};

/// An event that can be listened for.
///
/// The types of this module are the only ones: the trait cannot be implemented elsewhere.
pub trait EventKind: Copy + Send + Sync + 'static + private::Sealed {
    /// What a listener is given.
    type Payload: Send + 'static;

    #[doc(hidden)]
    const KIND: Kind;

    #[doc(hidden)]
    fn payload(event: Event) -> Option<Self::Payload>;
}

mod private {
    #[allow(unnameable_types, reason = "so that nobody else implements `EventKind`")]
    pub trait Sealed {}
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident: $payload:ty = $pattern:pat => $value:expr;)*) => {
        /// Which event it is, without what it carries.
        #[doc(hidden)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind { $($name,)* Any, Object }

        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
            pub struct $name;

            impl private::Sealed for $name {}

            impl EventKind for $name {
                type Payload = $payload;
                const KIND: Kind = Kind::$name;
                fn payload(event: Event) -> Option<$payload> {
                    match event { $pattern => Some($value), _ => None }
                }
            }
        )*
    };
}

kinds! {
    /// [`Event::Status`].
    StatusChange: Status = Event::Status(status) => status;
    /// [`Event::Connecting`].
    Connecting: () = Event::Connecting => ();
    /// [`Event::Connect`].
    Connect: core::Connected = Event::Connect(connected) => connected;
    /// [`Event::Message`].
    Message: core::Message = Event::Message(message) => message;
    /// [`Event::MessageError`].
    MessageError: core::MessageError = Event::MessageError(error) => error;
    /// [`Event::Disconnect`].
    Disconnect: core::Disconnect = Event::Disconnect(end) => end;
    /// [`Event::Error`].
    Error: ErrorEvent = Event::Error(error) => error;
    /// [`Event::ReconnectAttempt`].
    ReconnectAttempt: u32 = Event::ReconnectAttempt(attempt) => attempt;
    /// [`Event::Reconnect`].
    Reconnect: u32 = Event::Reconnect(attempts) => attempts;
    /// [`Event::Recovery`].
    Recovery: core::Recovery = Event::Recovery(recovery) => recovery;
    /// [`Event::Missed`].
    Missed: u64 = Event::Missed(count) => count;
    /// [`Event::ReconnectFailed`].
    ReconnectFailed: () = Event::ReconnectFailed => ();
    /// [`Event::Unheard`].
    Unheard: u64 = Event::Unheard(count) => count;
    /// [`Event::Lagged`].
    Lagged: u64 = Event::Lagged(count) => count;
    /// [`Event::Properties`].
    Properties: Vec<(String, String)> = Event::Properties(pairs) => pairs;
    /// [`Event::Throttled`].
    Throttled: Vec<String> = Event::Throttled(features) => features;
    /// [`Event::Presence`].
    Presence: core::Presence = Event::Presence(presence) => presence;
    /// [`Event::QueryError`].
    QueryError: core::QueryFailure = Event::QueryError(failure) => failure;
}

impl Kind {
    pub(crate) const fn of(event: &Event) -> Self {
        match event {
            Event::Status(_) => Self::StatusChange,
            Event::Connecting => Self::Connecting,
            Event::Connect(_) => Self::Connect,
            Event::Message(_) => Self::Message,
            Event::MessageError(_) => Self::MessageError,
            Event::Disconnect(_) => Self::Disconnect,
            Event::Error(_) => Self::Error,
            Event::ReconnectAttempt(_) => Self::ReconnectAttempt,
            Event::Reconnect(_) => Self::Reconnect,
            Event::Recovery(_) => Self::Recovery,
            Event::Missed(_) => Self::Missed,
            Event::ReconnectFailed => Self::ReconnectFailed,
            Event::Unheard(_) => Self::Unheard,
            Event::Lagged(_) => Self::Lagged,
            Event::Properties(_) => Self::Properties,
            Event::Throttled(_) => Self::Throttled,
            Event::Presence(_) => Self::Presence,
            Event::QueryError(_) => Self::QueryError,
            _ => Self::Any,
        }
    }
}
