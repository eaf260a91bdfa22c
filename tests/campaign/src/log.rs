//! What the applications did and saw, in order. The model reads this and nothing else.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moorline::{
    Class, ErrorEvent, Event, Message, Origin, PresenceChange, Recovery, SendOutcome, Sim, Time,
};

use crate::channels::{self, Published};

/// Messages that have to arrive in order: from one end of one session to the other, or of one client's for all its
/// sessions, or broadcasts to one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stream {
    Up { client: usize },
    Down { client: usize, session: usize },
    Broadcast,
}

#[derive(Clone, Debug)]
#[allow(dead_code, reason = "what no model looks at stands in the trace")]
pub(crate) enum Entry {
    /// A send was accepted. `lost`: while there was no connection.
    Sent {
        stream: Stream,
        n: u64,
        class: Class,
        ttl: Option<Duration>,
        lost: bool,
    },
    Outcome {
        stream: Stream,
        n: u64,
        outcome: SendOutcome,
    },
    /// The listeners of that client, or of a session at the server, heard a message.
    Received {
        stream: Stream,
        client: usize,
        session: Option<usize>,
        n: u64,
        class: Class,
    },
    /// A client was told what became of its session, or that it has opened.
    Connected {
        client: usize,
    },
    Told {
        client: usize,
        recovery: Recovery,
    },
    /// A client's connection was lost, or closed.
    Ended {
        client: usize,
        reconnects: bool,
    },
    /// The same at the server.
    GuestTold {
        session: usize,
        what: GuestEvent,
    },
    /// A request was asked, heard and answered.
    Asked,
    Heard {
        client: usize,
        n: u64,
    },
    Answered {
        client: usize,
        n: u64,
        right: bool,
    },
    /// A client wants to be on a channel, or not any more.
    Wants {
        client: usize,
        channel: usize,
        joins: bool,
    },
    /// A client was told who is on a channel: `all` of them, or of one who came, went or changed.
    Presence {
        client: usize,
        channel: usize,
        all: bool,
    },
    /// A publish was accepted, or has an outcome.
    Published {
        letter: Published,
        class: Class,
    },
    PublishOutcome {
        letter: Published,
        outcome: SendOutcome,
    },
    /// A client has heard what was published.
    OnChannel {
        client: usize,
        letter: Published,
        class: Class,
    },
    /// All is quiet, and a client is on that channel: the last announcement there must reach it.
    Settled {
        client: usize,
        channel: usize,
    },
    /// A client asks a query, or does not want it any more.
    Query {
        client: usize,
        query: usize,
        asks: bool,
    },
    /// A client was told of a query: its rows as of change `from`, or so many changes from that one on.
    Rows {
        client: usize,
        query: usize,
        from: u64,
        changes: Option<u64>,
    },
    /// One end says that the other broke the protocol; or a stranger was let in.
    Accused(String),
    /// A fault begins.
    Fault(&'static str),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GuestEvent {
    Connect,
    Lost,
    Recovery(Recovery),
    Over,
}

#[derive(Clone)]
pub(crate) struct Log {
    sim: Sim,
    entries: Arc<Mutex<Vec<(Time, Entry)>>>,
}

impl Log {
    pub(crate) fn new(sim: &Sim) -> Self {
        Self { sim: sim.clone(), entries: Arc::default() }
    }

    pub(crate) fn write(&self, entry: Entry) {
        self.entries.lock().unwrap().push((self.sim.now(), entry));
    }

    pub(crate) fn take(&self) -> Vec<(Time, Entry)> {
        std::mem::take(&mut self.entries.lock().unwrap())
    }

    /// Writes down what a client was told.
    pub(crate) fn client(&self, client: usize, event: Event) {
        match event {
            Event::Message(message) if message.channel.is_some() => {
                let (letter, class) = (Published::read(&message), message.class);
                self.write(Entry::OnChannel { client, letter, class });
            }
            Event::Message(message) => self.received(client, None, &message),
            Event::Presence(presence) => {
                let channel = channels::number(&presence.channel);
                let all = matches!(presence.change, PresenceChange::Members(_));
                self.write(Entry::Presence { client, channel, all });
            }
            Event::Connect(_) => self.write(Entry::Connected { client }),
            Event::Recovery(recovery) => self.write(Entry::Told { client, recovery }),
            Event::Error(error) => self.accused(&error),
            Event::Disconnect(end) => {
                self.write(Entry::Ended { client, reconnects: end.reconnects });
            }
            _ => {}
        }
    }

    /// Writes down what a session was told at the server.
    pub(crate) fn guest(&self, client: usize, session: usize, event: Event) {
        let what = match event {
            Event::Message(message) => return self.received(client, Some(session), &message),
            Event::Error(error) => return self.accused(&error),
            Event::Connect(_) => GuestEvent::Connect,
            Event::Recovery(recovery) => GuestEvent::Recovery(recovery),
            Event::Disconnect(end) if end.reconnects => GuestEvent::Lost,
            Event::Disconnect(_) | Event::ReconnectFailed => GuestEvent::Over,
            _ => return,
        };
        self.write(Entry::GuestTold { session, what });
    }

    fn accused(&self, error: &ErrorEvent) {
        let told = matches!(error.code.as_ref(), "bad_packet" | "window_exceeded" | "too_large");
        if told || error.origin == Origin::Protocol {
            self.write(Entry::Accused(error.to_string()));
        }
    }

    fn received(&self, client: usize, session: Option<usize>, message: &Message) {
        let Letter { stream, n } = Letter::read(message);
        let class = message.class;
        self.write(Entry::Received { stream, client, session, n, class });
    }
}

/// What a message of the campaign says of itself.
pub(crate) struct Letter {
    pub(crate) stream: Stream,
    pub(crate) n: u64,
}

impl Letter {
    /// A message that says it, with so many bytes behind it.
    pub(crate) fn write(&self, padding: usize) -> Message {
        Message::from(format!("{self}{:padding$}", ""))
    }

    pub(crate) fn read(message: &Message) -> Self {
        let text = message.text().expect("it was sent as text");
        let mut parts = text.trim_end().split(' ');
        let mut number = || parts.next().unwrap().parse::<u64>().unwrap();
        let (kind, client, session, n) = (number(), number(), number(), number());
        let (client, session) = (client as usize, session as usize);
        let stream = match kind {
            0 => Stream::Up { client },
            1 => Stream::Down { client, session },
            _ => Stream::Broadcast,
        };
        Self { stream, n }
    }
}

impl fmt::Display for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.n;
        match self.stream {
            Stream::Up { client } => write!(f, "0 {client} 0 {n}"),
            Stream::Down { client, session } => write!(f, "1 {client} {session} {n}"),
            Stream::Broadcast => write!(f, "2 0 0 {n}"),
        }
    }
}
