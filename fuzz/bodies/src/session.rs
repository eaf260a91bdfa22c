//! A session against any peer: losses, resumes that count wrongly, gaps, skips, broadcasts without room.

use std::sync::Arc;
use std::time::Duration;

use moorline_core::machine::{Grant, Input, Loss, Outgoing, Output, Return, Taken};
use moorline_core::wire::{
    self, Ack, Close, Codec, ErrorPacket, Hello, Packet, Ready, Request, Response, Secret,
    SessionGrant, VERSION,
};
use moorline_core::{
    Buffer, Capabilities, Class, Config, ConnectionId, Machine, Message, Overflow, Side, Status,
    Time,
};

use crate::bytes_in::{Choices, bit};
use crate::support::{BESIDE, beside_messages, codecs};

const STEPS: usize = 300;

/// A few messages.
const WINDOW: usize = 1000;
const QUEUE: usize = 1000;

/// The largest message that is sent here, with what it costs beside its bytes.
const LARGEST: usize = 400;

/// The first byte says which end it is, in which codec, and what becomes of what the buffer has no room for; each further one
/// is what happens next, with what it needs behind it.
pub fn session(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut world = World::new(choices.byte());
    for _ in 0..STEPS {
        if choices.is_empty() {
            break;
        }
        world.step(&mut choices);
        world.drain();
        world.check();
    }
    world.end();
}

/// What the driver and the application know.
struct World {
    machine: Machine,
    side: Side,
    codec: Arc<dyn Codec>,
    now: Time,
    wakes: Time,
    link: Link,
    asked: bool,
    writing: bool,
    received: Taken,
    taken: Taken,
    tickets: u64,
    /// Nobody knows of a server's connection before that.
    known: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Link {
    None,
    Attempt,
    Up,
}

impl World {
    fn new(setup: u8) -> Self {
        let side = if bit(setup, 0) { Side::Client } else { Side::Server };
        let codec = codecs()[usize::from(setup >> 1) % 2].clone();
        let overflow = [Overflow::Reject, Overflow::DropOldest, Overflow::DropNewest];
        let mut config = if side == Side::Client { Config::client() } else { Config::server() };
        config.codecs = vec![codec.clone()];
        (config.window, config.queue) = (WINDOW, QUEUE);
        config.retention = Duration::from_secs(60);
        config.stalled_after = Duration::from_secs(20);
        config.buffer = Buffer::default()
            .count(8)
            .bytes(QUEUE)
            .age(Duration::from_secs(30))
            .overflow(overflow[usize::from(setup >> 2) % 3]);
        let config = Arc::new(config);
        let now = Time::ZERO;
        let machine = match side {
            Side::Client => Machine::client(config, 1),
            Side::Server => Machine::server(config, now, 1),
        };
        let mut world = Self {
            machine,
            side,
            codec,
            now,
            wakes: Time::MAX,
            link: if side == Side::Server { Link::Up } else { Link::None },
            asked: false,
            writing: false,
            received: Taken::default(),
            taken: Taken::default(),
            tickets: 0,
            known: side == Side::Client,
        };
        match side {
            Side::Client => world.tell(Input::Connect),
            Side::Server => world.tell(Input::LinkUp(Capabilities::default(), None)),
        }
        world.drain();
        world
    }

    fn tell(&mut self, input: Input) {
        self.machine.handle(self.now, input);
    }

    /// Carries out what the machine says.
    fn drain(&mut self) {
        let mut batch = Vec::new();
        for outputs in 0.. {
            assert!(outputs < 10_000, "it never ends");
            match self.machine.poll() {
                Output::Wait(deadline) => {
                    self.wakes = deadline;
                    return;
                }
                Output::Write => {
                    assert!(!self.writing, "a batch before the last one was written");
                    self.machine.take_batch(&mut batch);
                    batch.clear();
                    self.writing = self.link == Link::Up;
                }
                Output::Opened(resumed) => {
                    self.known = true;
                    self.restore(resumed);
                    for counted in [&mut self.received, &mut self.taken] {
                        let numbered = if resumed { *counted } else { Taken::default() };
                        (counted.unnumbered, counted.unnumbered_cost) = (0, 0);
                        counted.numbered = numbered.numbered;
                        counted.numbered_cost = numbered.numbered_cost;
                    }
                }
                Output::Messages(count) => {
                    for message in self.machine.take_messages(count) {
                        self.received.add(message.numbered, message.cost);
                    }
                }
                Output::Connect { .. } => self.link = Link::Attempt,
                Output::Authenticate(_) => self.asked = true,
                Output::DropLink => self.lose(),
                _ => {}
            }
        }
    }

    /// The machine is told what stands for this client. No application has any number of changes at once.
    fn restore(&mut self, resumed: bool) {
        if self.side == Side::Client {
            let fits = self.machine.counts().queued <= QUEUE;
            let state = if fits { vec![self.state()] } else { Vec::new() };
            self.tell(Input::Restore(state, resumed));
        }
    }

    /// Something that stands beside the messages.
    fn state(&self) -> Outgoing {
        let packet = beside_messages(0);
        let frame = self.codec.encode(packet).expect("it is within the limits");
        let mut outgoing = Outgoing::new(frame, Class::AtLeastOnce);
        outgoing.state = true;
        outgoing
    }

    fn lose(&mut self) {
        self.link = Link::None;
        (self.writing, self.asked) = (false, false);
    }

    /// What is held is bounded, whatever the peer says: a queue and a message, a window each way.
    fn check(&mut self) {
        let counts = self.machine.counts();
        assert!(counts.queued <= QUEUE + 2 * LARGEST, "{counts:?}");
        assert!(counts.held <= (WINDOW + LARGEST) as u64, "{counts:?}");
        let _ = self.machine.take_outcomes();
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        let what = choices.byte();
        match what & 0x1f {
            0..=3 => self.go_on(),
            4..=9 if !self.known => {}
            4..=6 => self.send(what >> 5, choices),
            7 => self.tell(Input::Lost(1 + u64::from(what >> 5))),
            8 => match what >> 5 {
                0..=2 => self.tell(Input::Lagged(1)),
                3 => self.tell(Input::Report(ErrorPacket::new("busy", ""))),
                4 if self.machine.counts().queued <= QUEUE => {
                    let state = self.state();
                    self.tell(Input::Send(state));
                }
                features => {
                    let features = (5..features).map(|feature| feature.to_string());
                    self.tell(Input::Throttle(features.collect()));
                }
            },
            9 => {
                let back = u64::from(what >> 5);
                self.tell(Input::Cancel(self.tickets.saturating_sub(back)));
            }
            10 => {
                self.taken = self.received;
                self.tell(Input::Taken(self.taken));
            }
            11 => self.tell(Input::Ping),
            12 | 13 if self.link == Link::Up => {
                self.lose();
                self.tell(Input::LinkLost(Loss::Ended));
            }
            14 | 15 => {
                self.now += Duration::from_millis(u64::from(choices.two()));
                self.tell(Input::Tick);
            }
            16 if self.wakes != Time::MAX => {
                self.now = self.now.max(self.wakes);
                self.tell(Input::Tick);
            }
            17 => self.resume(choices),
            _ => {
                let packet = packet(what, choices);
                self.hear(packet);
            }
        }
    }

    fn hear(&mut self, packet: Packet) {
        if self.link == Link::Up && self.machine.reads() {
            if let Ok(frame) = self.codec.encode(packet) {
                self.tell(Input::Frame(frame));
            }
        }
    }

    /// What a good world does next on the way to an open connection.
    fn go_on(&mut self) {
        if self.writing {
            self.writing = false;
            return self.tell(Input::Written);
        }
        match (self.machine.status(), self.side, self.link) {
            (Status::Connecting, Side::Client, Link::Attempt) => {
                self.link = Link::Up;
                self.tell(Input::LinkUp(Capabilities::default(), None));
            }
            (Status::Connecting, Side::Client, Link::Up) => {
                let received = self.machine.counts().acknowledged;
                self.hear(ready(wire::Recovery::Recovered { received }));
            }
            (Status::Connecting, Side::Server, Link::Up) if self.asked => {
                self.asked = false;
                let session = Some(grant());
                self.tell(Input::Accept(Grant { id: id(), properties: Vec::new(), session }));
            }
            (Status::Connecting, Side::Server, Link::Up) => self.hear(hello()),
            (Status::Connecting, Side::Server, _) => {
                let received = self.machine.counts().acknowledged;
                self.come_back(received);
            }
            (Status::Closed, Side::Client, _) => self.tell(Input::Connect),
            _ => {}
        }
    }

    /// A client comes back, to a server's session, with any count.
    fn resume(&mut self, choices: &mut Choices<'_>) {
        let received = match choices.byte() {
            255 => u64::MAX,
            count => u64::from(count) / 4,
        };
        match self.side {
            Side::Server => self.come_back(received),
            Side::Client => self.hear(ready(wire::Recovery::Recovered { received })),
        }
    }

    fn come_back(&mut self, received: u64) {
        if !self.machine.can_resume() {
            return;
        }
        self.tell(Input::LinkLost(Loss::Ended));
        self.lose();
        self.drain();
        self.link = Link::Up;
        let back = Return {
            capabilities: Capabilities::default(),
            window: WINDOW as u64,
            max_frame: 1 << 20,
            received,
            id: id(),
            properties: Vec::new(),
        };
        self.tell(Input::Resume(Box::new(back)));
    }

    /// As an application may: within the bounds that the handle keeps, or as a broadcast.
    fn send(&mut self, how: u8, choices: &mut Choices<'_>) {
        let class = [Class::AtLeastOnce, Class::AtMostOnce, Class::Volatile][usize::from(how) % 3];
        let text = "x".repeat(choices.below(256));
        let packet = Packet::Message(Message::from(text).class(class));
        let Ok(frame) = self.codec.encode(packet) else { return };
        self.tickets += 1;
        let mut outgoing = Outgoing::new(frame, class);
        outgoing.ticket = self.tickets;
        let extra = choices.byte();
        if bit(extra, 0) {
            outgoing.expires = self.now + Duration::from_secs(u64::from(extra >> 4));
        }
        if bit(extra, 1) {
            outgoing.key = Some(u64::from(extra >> 6));
        }
        outgoing.broadcast = bit(extra, 2);
        let counts = self.machine.counts();
        let full = counts.queued + wire::cost(&outgoing.frame) > QUEUE && counts.queued > 0;
        let makes_room = outgoing.broadcast && class != Class::AtLeastOnce;
        if full && !makes_room {
            return;
        }
        outgoing.pushes_out = full;
        self.tell(Input::Send(outgoing));
    }

    /// It closes, whatever was.
    fn end(mut self) {
        self.tell(Input::Disconnect(Close::new(1000, "")));
        self.drain();
        for _ in 0..8 {
            if self.machine.status() == Status::Closed {
                break;
            }
            self.now = self.now.max(self.wakes.min(self.now + Duration::from_secs(60)));
            self.tell(Input::Tick);
            self.drain();
        }
        assert_eq!(self.machine.status(), Status::Closed, "it never closes");
        let counts = self.machine.counts();
        assert_eq!((counts.queued, counts.retained), (0, 0), "nothing is kept");
    }
}

/// What a peer may say, and what it should not.
fn packet(what: u8, choices: &mut Choices<'_>) -> Packet {
    let count = match choices.byte() {
        255 => u64::MAX,
        254 => (1 << 53) - 1,
        count => u64::from(count) / 8,
    };
    let class =
        [Class::AtLeastOnce, Class::AtMostOnce, Class::Volatile][usize::from(what >> 5) % 3];
    let message = |size: usize| Message::from("x".repeat(size)).class(class);
    match what & 0x1f {
        18 | 19 => Packet::Message(message(usize::from(what >> 5) * 40)),
        20 => beside_messages(choices.below(BESIDE)),
        21 => Packet::Request(Request { id: count, message: message(10) }),
        22 => Packet::Response(Box::new(Response { id: count, result: Ok(message(10)) })),
        23 => {
            let unnumbered = u64::from(what >> 5);
            Packet::Ack(Ack { numbered: count, unnumbered })
        }
        24 => Packet::Skip(count),
        25 => Packet::Gap(count),
        26 => Packet::Lagged(count),
        27 => Packet::Ping(count),
        28 => Packet::Pong(count),
        29 => {
            let error = ErrorPacket { code: "busy".into(), message: String::new(), details: None };
            Packet::Response(Box::new(Response { id: count, result: Err(error) }))
        }
        30 => ready(wire::Recovery::Fresh),
        _ => Packet::Close(Close::new(1000 + u16::from(what >> 5), "")),
    }
}

fn hello() -> Packet {
    Packet::Hello(Box::new(Hello {
        version: VERSION,
        attempt: 1,
        window: WINDOW as u64,
        max_frame: 1 << 20,
        ..Hello::default()
    }))
}

fn ready(recovery: wire::Recovery) -> Packet {
    let session = (recovery == wire::Recovery::Fresh).then(grant);
    Packet::Ready(Box::new(Ready {
        version: VERSION,
        id: id(),
        window: WINDOW as u64,
        max_frame: 1 << 20,
        properties: Vec::new(),
        session,
        recovery,
    }))
}

fn grant() -> SessionGrant {
    SessionGrant { id: "s1".to_owned(), secret: Secret([7; 16]) }
}

fn id() -> ConnectionId {
    ConnectionId::new("c1").expect("it is a good one")
}
