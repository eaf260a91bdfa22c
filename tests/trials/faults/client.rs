//! A client that sends numbers, and writes down all that happens to it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use moorline::{
    Backoff, Binary, Buffer, Codec, Connection, Event, Json, Recovery, Status, Tokio, WebSocket,
};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::legal::Legal;
use crate::payload;
use crate::server::{Logs, WINDOW, buffer, heartbeat};
use crate::trial::until;
use crate::watched::Watched;

pub(crate) struct Client {
    name: usize,
    connection: Connection,
    notes: Arc<Notes>,
    sending: JoinHandle<u64>,
    session: bool,
}

#[derive(Default)]
struct Notes {
    heard: AtomicU64,
    story: Mutex<Story>,
}

struct Story {
    legal: Legal,
    illegal: Option<String>,
    chapters: Vec<Chapter>,
    reconnects: u64,
    recoveries: u64,
    /// What was told of a session that did not go on.
    unrecovered: Option<String>,
}

/// What concerns a check at the end, in order.
enum Chapter {
    Link(String),
    Heard(u64),
    End { unsent: u64, unconfirmed: u64 },
}

impl Default for Story {
    fn default() -> Self {
        Self {
            legal: Legal::new(),
            illegal: None,
            chapters: Vec::new(),
            reconnects: 0,
            recoveries: 0,
            unrecovered: None,
        }
    }
}

impl Story {
    fn tell(&mut self, event: &Event) {
        if let Err(wrong) = self.legal.next(event) {
            self.illegal.get_or_insert(wrong);
        }
        match event {
            Event::Connect(connected) => {
                let id = connected.id.as_ref().expect("it has a session").to_string();
                self.chapters.push(Chapter::Link(id));
            }
            Event::Message(message) => {
                self.chapters.push(Chapter::Heard(payload::number(message)));
            }
            Event::Disconnect(end) => {
                let (unsent, unconfirmed) = (end.unsent, end.unconfirmed);
                self.chapters.push(Chapter::End { unsent, unconfirmed });
            }
            Event::Reconnect(_) => self.reconnects += 1,
            Event::Recovery(Recovery::Recovered) => self.recoveries += 1,
            Event::Recovery(other) => self.unrecovered = Some(format!("{other:?}")),
            _ => {}
        }
    }
}

impl Client {
    /// Every second one speaks JSON.
    pub(crate) fn start(
        name: usize,
        runtime: &Watched,
        server: SocketAddr,
        rng: Rng,
        over: Arc<AtomicBool>,
        session: bool,
    ) -> Self {
        let buffer = if session { buffer() } else { Buffer::off() };
        let connection = if name % 2 == 0 {
            connection(runtime, server, Binary, buffer, &rng)
        } else {
            connection(runtime, server, Json, buffer, &rng)
        };
        let notes = Arc::new(Notes::default());
        let pen = notes.clone();
        connection.on_any(move |event| {
            pen.story.lock().unwrap().tell(&event);
            if matches!(event, Event::Message(_)) {
                pen.heard.fetch_add(1, Ordering::Relaxed);
            }
        });
        connection.open();
        let sending = tokio::spawn(send(connection.clone(), rng, over));
        Self { name, connection, notes, sending, session }
    }

    pub(crate) const fn name(&self) -> usize {
        self.name
    }

    pub(crate) fn is_open(&self) -> bool {
        self.connection.is_connected()
    }

    pub(crate) fn heard(&self) -> u64 {
        self.notes.heard.load(Ordering::Relaxed)
    }

    /// Closes it, and gives its story.
    pub(crate) async fn close(self) -> Told {
        let sent = self.sending.await.unwrap();
        if self.session {
            let heard = || self.notes.heard.load(Ordering::Relaxed) == sent;
            until("all echoes are heard", Duration::from_secs(30), heard).await;
        }
        self.connection.close();
        let closed = || self.connection.status() == Status::Closed;
        until("a client is closed", Duration::from_secs(10), closed).await;
        // The last event may be with its listener still.
        let ended = || {
            let story = self.notes.story.lock().unwrap();
            matches!(story.chapters.last(), Some(Chapter::End { .. }))
        };
        until("a client has heard of its end", Duration::from_secs(10), ended).await;
        let story = std::mem::take(&mut *self.notes.story.lock().unwrap());
        Told { name: self.name, sent, story }
    }
}

fn connection(
    runtime: &Watched,
    server: SocketAddr,
    codec: impl Codec,
    buffer: Buffer,
    rng: &Rng,
) -> Connection {
    let transport = WebSocket::new(format!("ws://{server}/"), Tokio::current()).unwrap();
    let (first, cap) = (Duration::from_millis(20), Duration::from_millis(500));
    moorline::Client::builder()
        .buffer(buffer)
        .transport(transport)
        .runtime(runtime.clone())
        .codec(codec)
        .backoff(Backoff::exponential(first).cap(cap).spread(Duration::from_millis(100)))
        .heartbeat(heartbeat())
        .attempt_timeout(Duration::from_secs(1))
        .close_timeout(Duration::from_millis(500))
        .window(WINDOW)
        .seed(rng.clone().u64(..))
        .build()
        .closed()
}

/// Sends numbers from 0 whenever it is open; how many were accepted.
async fn send(connection: Connection, mut rng: Rng, over: Arc<AtomicBool>) -> u64 {
    let mut next = 0;
    while !over.load(Ordering::Relaxed) {
        // Several at once, now and then.
        let burst = if rng.u8(..10) == 0 { rng.u64(1..20) } else { 1 };
        for _ in 0..burst {
            // A send that waits for room ends with its link; a number that was refused is used again.
            if connection.send(payload::of(next)).await.is_err() {
                break;
            }
            next += 1;
        }
        sleep(Duration::from_millis(rng.u64(1..80))).await;
    }
    next
}

/// The story of a client that is over.
pub(crate) struct Told {
    name: usize,
    sent: u64,
    story: Story,
}

/// What a client has been through.
#[derive(Default)]
pub(crate) struct Sums {
    clients: u64,
    sent: u64,
    taken: u64,
    unsent: u64,
    unconfirmed: u64,
    heard: u64,
    reconnects: u64,
    recoveries: u64,
}

impl Told {
    /// In a session nothing is lost: the echoes are the messages.
    pub(crate) fn check_session(self) -> Sums {
        let Self { name, sent, story } = self.judged();
        assert_eq!(story.unrecovered, None, "client {name}");
        let mut next = 0;
        for chapter in &story.chapters {
            match chapter {
                Chapter::Heard(number) => {
                    assert_eq!(*number, next, "client {name}: echoes come in order");
                    next += 1;
                }
                Chapter::End { unsent, unconfirmed } => assert_eq!((*unsent, *unconfirmed), (0, 0)),
                Chapter::Link(_) => {}
            }
        }
        assert_eq!(next, sent, "client {name}: all come back");
        let Story { reconnects, recoveries, .. } = story;
        Sums {
            clients: 1,
            sent,
            taken: sent,
            heard: sent,
            reconnects,
            recoveries,
            ..Sums::default()
        }
    }

    fn judged(self) -> Self {
        if let Some(wrong) = &self.story.illegal {
            panic!("client {}: an illegal order of events: {wrong}", self.name);
        }
        self
    }

    /// Compares what the client sent and heard with what the server took and sent.
    pub(crate) fn check(self, logs: &Logs) -> Sums {
        let Self { name, sent, story } = self.judged();
        let mut sums = Sums { clients: 1, sent, reconnects: story.reconnects, ..Sums::default() };
        let mut link: Option<&str> = None;
        // Echoes heard over this link.
        let mut heard = 0;
        // The next number that was not taken yet, and how many may be missing before it.
        let mut missing = Missing::default();
        for chapter in &story.chapters {
            match chapter {
                Chapter::Link(id) => {
                    let log = logs.get(id);
                    let taken = log.map_or(&[][..], |log| &log.taken);
                    missing.skip_to(name, taken);
                    sums.taken += taken.len() as u64;
                    (link, heard) = (Some(id.as_str()), 0);
                }
                Chapter::Heard(number) => {
                    let log = &logs[link.expect("a message comes over a link")];
                    let expected = log.taken.get(heard);
                    assert_eq!(Some(number), expected, "client {name}: echoes come in order");
                    heard += 1;
                    sums.heard += 1;
                }
                Chapter::End { unsent, unconfirmed } => {
                    missing.unsent += unsent;
                    missing.unconfirmed += unconfirmed;
                    sums.unsent += unsent;
                    sums.unconfirmed += unconfirmed;
                    // The hook of a connection that the server never let in has not run.
                    let Some(log) = link.and_then(|id| logs.get(id)) else { continue };
                    let (unsent, unconfirmed) = log.end.expect("the server has noticed, too");
                    let heard = heard as u64;
                    assert!(heard <= log.echoed - unsent, "client {name}: {heard} of {log:?}");
                    let least = log.echoed - unsent - unconfirmed;
                    assert!(heard >= least, "client {name}: {heard} of {log:?}");
                }
            }
        }
        missing.skip_to(name, &[sent]);
        sums
    }
}

/// Where a client's numbers stand, as the server took them.
#[derive(Default)]
struct Missing {
    next: u64,
    unsent: u64,
    unconfirmed: u64,
}

impl Missing {
    /// Goes on with the numbers of another link: as many are left out as the ends before have counted.
    fn skip_to(&mut self, name: usize, taken: &[u64]) {
        let Some(first) = taken.first() else { return };
        let lost = first.checked_sub(self.next);
        let lost = lost.unwrap_or_else(|| panic!("client {name}: {first} was taken twice"));
        let (least, most) = (self.unsent, self.unsent + self.unconfirmed);
        assert!(
            (least..=most).contains(&lost),
            "client {name}: {lost} are lost before {first}, and {least} to {most} were counted"
        );
        let gapless = taken.windows(2).all(|pair| pair[1] == pair[0] + 1);
        assert!(gapless, "client {name}: taken over one link: {taken:?}");
        *self = Self { next: first + taken.len() as u64, ..Self::default() };
    }
}

impl Sums {
    pub(crate) fn add(&mut self, other: Self) {
        self.clients += other.clients;
        self.sent += other.sent;
        self.taken += other.taken;
        self.unsent += other.unsent;
        self.unconfirmed += other.unconfirmed;
        self.heard += other.heard;
        self.reconnects += other.reconnects;
        self.recoveries += other.recoveries;
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { clients, sent, taken, unsent, unconfirmed, heard, reconnects, recoveries } =
            self;
        let lost = sent - taken;
        write!(
            f,
            "{clients} clients, {reconnects} reconnects, {recoveries} sessions recovered: {sent} messages sent, {taken} taken, {lost} lost \
             ({unsent} counted unsent, {unconfirmed} unconfirmed), {heard} echoes heard; \
             none doubled, out of order or uncounted"
        )
    }
}
