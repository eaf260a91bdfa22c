//! Which order of events is legal, written from the promises (R17, R18) and apart from the implementation.
//!
//! One life of a connection that connects by itself and is closed at the end:
//!
//! ```text
//! Connecting  ReconnectAttempt(1..)*  Connect  [Reconnect(n)]  Message*
//! Disconnect  Connecting  ReconnectAttempt(1..)*  Connect  Reconnect(n)  Recovery  Message*  …  Disconnect
//! ```
//!
//! An error may come at any time. A status comes before the event that goes with it.

use moorline::{Event, Status};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Closed,
    Connecting {
        attempts: u32,
    },
    /// It is open again, and that must be told next.
    Opened {
        attempts: u32,
    },
    Open,
}

/// Looks at events one by one.
#[derive(Debug)]
pub(crate) struct Legal {
    at: At,
    status: Status,
    /// A loss before: the next connect must follow at least one attempt.
    again: bool,
}

impl Legal {
    pub(crate) const fn new() -> Self {
        Self { at: At::Closed, status: Status::Closed, again: false }
    }

    /// # Errors
    ///
    /// What is wrong with the event at this point.
    pub(crate) fn next(&mut self, event: &Event) -> Result<(), String> {
        let at = match (self.at, event) {
            (at, Event::Error(_)) => at,
            (at, Event::Status(status)) => {
                self.change(*status)?;
                at
            }
            (At::Closed, Event::Connecting) => {
                self.is(Status::Connecting)?;
                At::Connecting { attempts: 0 }
            }
            (At::Connecting { attempts }, Event::ReconnectAttempt(n)) if *n == attempts + 1 => {
                self.is(Status::Connecting)?;
                At::Connecting { attempts: *n }
            }
            (At::Connecting { attempts: 0 }, Event::Connect(_)) if !self.again => {
                self.is(Status::Open)?;
                At::Open
            }
            (At::Connecting { attempts: attempts @ 1.. }, Event::Connect(_)) => {
                self.is(Status::Open)?;
                At::Opened { attempts }
            }
            (At::Opened { attempts }, Event::Reconnect(n)) if *n == attempts => At::Open,
            (At::Open, Event::Message(_) | Event::Recovery(_) | Event::Missed(_)) => At::Open,
            (At::Open, Event::Throttled(features)) => {
                self.is(if features.is_empty() { Status::Open } else { Status::Throttled })?;
                At::Open
            }
            (At::Open, Event::Disconnect(end)) => {
                let expected = if end.reconnects { Status::Connecting } else { Status::Closed };
                self.is(expected)?;
                self.again = end.reconnects;
                At::Closed
            }
            (at, event) => return Err(format!("{event:?} at {at:?}")),
        };
        self.at = at;
        Ok(())
    }

    fn is(&self, status: Status) -> Result<(), String> {
        let (own, at) = (self.status, self.at);
        if own == status {
            return Ok(());
        }
        Err(format!("its status is {own:?}, not {status:?}, at {at:?}"))
    }

    fn change(&mut self, to: Status) -> Result<(), String> {
        use Status::{Closed, Closing, Connecting, Open, Throttled};
        let legal = matches!(
            (self.status, to),
            (Closed, Connecting)
                | (Connecting, Open | Closed | Closing)
                | (Open | Throttled, Connecting | Closing | Closed)
                | (Open, Throttled)
                | (Throttled, Open)
                | (Closing, Connecting | Closed)
        );
        if !legal {
            return Err(format!("its status goes from {:?} to {to:?}", self.status));
        }
        self.status = to;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use moorline_core::Connected;

    use super::*;

    /// Whether all but the last are legal, and whether the last one is.
    fn last_of(events: &[Event]) -> Result<(), String> {
        let mut legal = Legal::new();
        let (last, first) = events.split_last().unwrap();
        for event in first {
            legal.next(event).unwrap();
        }
        legal.next(last)
    }

    fn connect() -> Event {
        Event::Connect(Connected::new(None, Vec::new()))
    }

    /// A client that comes in at the second attempt.
    fn late() -> Vec<Event> {
        let (connecting, open) = (Event::Status(Status::Connecting), Event::Status(Status::Open));
        vec![connecting, Event::Connecting, Event::ReconnectAttempt(1), open, connect()]
    }

    #[test]
    fn what_is_promised_is_legal() {
        let reconnect = [late(), vec![Event::Reconnect(1)]].concat();
        assert_eq!(last_of(&reconnect), Ok(()));
        let message = [reconnect, vec![Event::Message("hello".into())]].concat();
        assert_eq!(last_of(&message), Ok(()));
    }

    #[test]
    fn what_breaks_a_promise_is_not() {
        for wrong in [Event::Reconnect(2), Event::Message("hello".into()), connect()] {
            assert!(last_of(&[late(), vec![wrong]].concat()).is_err());
        }
        let mut late = late();
        late[2] = Event::ReconnectAttempt(2);
        assert!(last_of(&late[..3]).is_err());
        assert!(last_of(&[Event::Connecting]).is_err(), "the status comes first");
    }
}
