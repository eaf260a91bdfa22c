//! A client and the server's ends of its links, joined by a network in virtual time.
//!
//! The network is without I/O too: what one end transmits is posted to the other and delivered when its time has
//! come. Every run is the same for the same seed and calls.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use moorline_core::machine::{
    Failure, Grant, Input, Loss, Outgoing, Output, Refusal, Taken, Transmit,
};
use moorline_core::wire::{Codec, Packet};
use moorline_core::{
    Capabilities, Class, CloseFrame, Config, Disconnect, Event, Machine, Message, Status, Time,
};

use crate::support::{Mouth, Said, id, millis, tell};

/// One client, and one server's connection for each link that it ever had.
pub(crate) struct Pair {
    pub(crate) now: Time,
    pub(crate) client: Node,
    pub(crate) servers: Vec<Node>,
    /// How long a frame travels.
    pub(crate) latency: Duration,
    /// What becomes of new links, and of frames.
    pub(crate) network: Network,
    /// What the server's application says of a client.
    pub(crate) welcome: Welcome,
    config: Arc<Config>,
    seed: u64,
    post: BTreeMap<(Time, u64), Letter>,
    posted: u64,
}

/// The state of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    Up,
    /// New links are refused.
    Down,
    /// Whatever is sent is lost, and nobody is told.
    Silent,
}

/// What the server's application says of a client.
#[derive(Clone, Debug)]
pub(crate) enum Welcome {
    Accept,
    Refuse(Refusal),
    Never,
}

/// One end and its application.
pub(crate) struct Node {
    pub(crate) machine: Machine,
    mouth: Mouth,
    wakes: Time,
    /// The link it has: its place among the servers.
    link: Option<usize>,
    /// The attempt to make one that is under way.
    attempt: Option<usize>,
    codec: Arc<dyn Codec>,
    /// Whether the application takes each message as it comes.
    pub(crate) takes: bool,
    received: Taken,
    taken: Taken,
    /// When the last letter to this end arrives, so that none overtakes it.
    last_arrival: Time,
    /// All that it put out, and when, in words.
    pub(crate) story: Vec<(Time, String)>,
    /// The messages that came over the link it has or had last.
    pub(crate) messages: Vec<String>,
    /// Messages that were accepted on that link, and not dropped.
    sent: u64,
    /// The link it has or had last.
    latest: usize,
    pub(crate) disconnects: Vec<Disconnect>,
    /// For each of those: which link it was, and how many messages were accepted on it.
    accepted: Vec<(usize, u64)>,
    pub(crate) pings_waiting: u32,
    pub(crate) round_trips: Vec<Option<Duration>>,
}

/// Who a letter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    Client,
    Server,
}

struct Letter {
    to: To,
    link: usize,
    input: Input,
}

impl Pair {
    pub(crate) fn new(client: Config, server: Config, seed: u64) -> Self {
        let codec = client.codecs[0].clone();
        let machine = Machine::client(Arc::new(client), seed);
        Self {
            now: Time::ZERO,
            client: Node::new(machine, codec),
            servers: Vec::new(),
            latency: millis(20),
            network: Network::Up,
            welcome: Welcome::Accept,
            config: Arc::new(server),
            seed,
            post: BTreeMap::new(),
            posted: 0,
        }
    }

    /// A pair whose client has connected.
    pub(crate) fn open(client: Config, server: Config, seed: u64) -> Self {
        let mut pair = Self::new(client, server, seed);
        pair.at_client(Input::Connect);
        pair.run(millis(200));
        assert!(pair.is_open(), "{:?}", pair.client.story);
        pair
    }

    pub(crate) fn is_open(&self) -> bool {
        self.client.machine.status().is_connected() && self.server().machine.status().is_connected()
    }

    /// The server's end of the newest link.
    pub(crate) fn server(&self) -> &Node {
        self.servers.last().unwrap()
    }

    pub(crate) fn server_mut(&mut self) -> &mut Node {
        self.servers.last_mut().unwrap()
    }

    /// Tells the client's machine.
    pub(crate) fn at_client(&mut self, input: Input) {
        self.tell(To::Client, 0, input);
    }

    /// Tells the machine of the newest link's server.
    pub(crate) fn at_server(&mut self, input: Input) {
        if let Some(newest) = self.servers.len().checked_sub(1) {
            self.tell(To::Server, newest, input);
        }
    }

    pub(crate) fn client_sends(&mut self, class: Class, text: &str) {
        let input = self.client.outgoing(class, text);
        self.at_client(input);
    }

    pub(crate) fn server_sends(&mut self, class: Class, text: &str) {
        if let Some(server) = self.servers.last_mut() {
            let input = server.outgoing(class, text);
            self.at_server(input);
        }
    }

    /// Breaks the client's link, and both ends notice at once.
    pub(crate) fn break_link(&mut self) {
        let Some(link) = self.client.link.take() else { return };
        let broken = || Input::LinkLost(Loss::Broken(Failure::retryable("broken", "")));
        self.tell(To::Client, link, broken());
        if self.servers[link].link.take().is_some() {
            self.tell(To::Server, link, broken());
        }
    }

    /// Whether both applications take each message as it comes.
    pub(crate) fn take_at_both_ends(&mut self, takes: bool) {
        self.client.takes = takes;
        self.servers.iter_mut().for_each(|server| server.takes = takes);
        if takes {
            let taken = self.client.take_all();
            self.at_client(taken);
            for link in 0..self.servers.len() {
                let taken = self.servers[link].take_all();
                self.tell(To::Server, link, taken);
            }
        }
    }

    /// Each message that the client accepted was delivered, or is counted as lost.
    pub(crate) fn check_counts(&self) {
        for (end, &(link, accepted)) in self.client.disconnects.iter().zip(&self.client.accepted) {
            let delivered = self.servers[link].messages.len() as u64;
            let handed_over = accepted - end.unsent;
            assert!(delivered <= handed_over, "{delivered} of {handed_over}: {end:?}");
            if self.client.codec.has_session() {
                let confirmed = handed_over - end.unconfirmed;
                assert!(delivered >= confirmed, "{delivered} of {confirmed}: {end:?}");
            }
        }
    }

    /// Lets time pass: letters arrive and deadlines come, in order.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..1_000_000 {
            let Some(next) = self.next().filter(|next| *next <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            self.step();
        }
        panic!(
            "time stands still: {:?} {:?}",
            self.client.machine,
            self.servers.last().map(|s| &s.machine)
        );
    }

    fn next(&self) -> Option<Time> {
        let post = self.post.keys().next().map(|(time, _)| *time);
        let nodes = self.servers.iter().map(|node| node.wakes);
        nodes.chain([self.client.wakes]).chain(post).min().filter(|time| *time != Time::MAX)
    }

    fn step(&mut self) {
        if let Some(entry) = self.post.first_entry() {
            if entry.key().0 <= self.now {
                let letter = entry.remove();
                return self.deliver(letter);
            }
        }
        if self.client.wakes <= self.now {
            return self.at_client(Input::Tick);
        }
        for link in 0..self.servers.len() {
            if self.servers[link].wakes <= self.now {
                return self.tell(To::Server, link, Input::Tick);
            }
        }
    }

    fn deliver(&mut self, Letter { to, link, input }: Letter) {
        let answers_close = matches!(input, Input::LinkLost(Loss::Closed(_)));
        match (to, &input) {
            (To::Client, Input::LinkUp(..) | Input::LinkFailed(_)) => {
                // The attempt was given up, and the driver has dropped it.
                if self.client.attempt != Some(link) {
                    return;
                }
                self.client.attempt = None;
                if let Input::LinkUp(..) = input {
                    self.client.begin_link(link);
                }
            }
            _ => {
                let node = self.node(to, link);
                if node.link != Some(link) {
                    return;
                }
                if let Input::LinkLost(_) = input {
                    node.link = None;
                    if answers_close {
                        let close = Input::LinkLost(Loss::Closed(CloseFrame::new(1000, "")));
                        self.post(to.other(), link, close);
                    }
                }
            }
        }
        self.tell(to, link, input);
    }

    fn node(&mut self, to: To, link: usize) -> &mut Node {
        match to {
            To::Client => &mut self.client,
            To::Server => &mut self.servers[link],
        }
    }

    fn tell(&mut self, to: To, link: usize, input: Input) {
        let now = self.now;
        let node = self.node(to, link);
        let dropped = node.machine.dropped_volatile();
        node.note(&input);
        node.machine.handle(now, input);
        node.sent -= node.machine.dropped_volatile() - dropped;
        self.drain(to, link);
    }

    /// Does what a machine says until it waits.
    fn drain(&mut self, to: To, link: usize) {
        for _ in 0..10_000 {
            let now = self.now;
            let node = self.node(to, link);
            let output = node.mouth.poll(&mut node.machine);
            let link = node.link.unwrap_or(link);
            if !matches!(output, Said::Other(Output::Wait(_))) {
                node.story.extend(tell(&*node.codec, &output).map(|word| (now, word)));
            }
            let answer = match output {
                Said::Other(Output::Wait(deadline)) => {
                    node.wakes = deadline;
                    return;
                }
                Said::Other(Output::Connect { .. }) => {
                    self.connect();
                    None
                }
                Said::Other(Output::Authenticate(_)) => match &self.welcome {
                    Welcome::Accept => {
                        let id = id(&format!("c{link}"));
                        Some(Input::Accept(Grant { id, properties: Vec::new(), session: None }))
                    }
                    Welcome::Refuse(refusal) => Some(Input::Refuse(refusal.clone())),
                    Welcome::Never => None,
                },
                Said::Transmit(transmit) => {
                    self.transmit(to, link, transmit);
                    None
                }
                Said::Flush => Some(Input::Written),
                Said::Other(Output::DropLink) => {
                    node.attempt = None;
                    if node.link.take().is_some() {
                        self.post(to.other(), link, Input::LinkLost(Loss::Ended));
                    }
                    None
                }
                Said::Message(message) => {
                    node.messages.push(message.message.to_string());
                    node.received.add(message.numbered, message.cost);
                    node.takes.then(|| node.take_all())
                }
                Said::Other(other) => {
                    node.remember(other);
                    None
                }
            };
            if let Some(answer) = answer {
                self.node(to, link).machine.handle(now, answer);
            }
        }
        panic!("it never waits: {:?}", self.node(to, link).machine);
    }

    /// Answers an attempt: the link is its place among the servers.
    fn connect(&mut self) {
        assert_eq!((self.client.attempt, self.client.link), (None, None), "two links alive");
        let link = self.servers.len();
        self.client.attempt = Some(link);
        match self.network {
            Network::Up => {
                let seed = self.seed ^ link as u64;
                let machine = Machine::server(self.config.clone(), self.now, seed);
                let mut server = Node::new(machine, self.client.codec.clone());
                server.begin_link(link);
                server.last_arrival = self.now;
                self.servers.push(server);
                self.tell(To::Server, link, link_up());
                self.post(To::Client, link, link_up());
            }
            Network::Down => {
                let failure = Failure::retryable("unreachable", "");
                self.post(To::Client, link, Input::LinkFailed(failure));
            }
            Network::Silent => {}
        }
    }

    fn transmit(&mut self, from: To, link: usize, transmit: Transmit) {
        if self.node(from, link).link.is_none() {
            return;
        }
        match transmit {
            Transmit::Frame(frame) => self.post(from.other(), link, Input::Frame(frame)),
            Transmit::Close(close) => {
                self.post(from.other(), link, Input::LinkLost(Loss::Closed(close)));
            }
            Transmit::Ping if self.node(from.other(), link).link != Some(link) => {}
            Transmit::Ping => {
                self.latency *= 2;
                self.post(from, link, Input::Activity);
                self.latency /= 2;
            }
        }
    }

    fn post(&mut self, to: To, link: usize, input: Input) {
        if self.network == Network::Silent {
            return;
        }
        let arrival = self.now + self.latency;
        let node = self.node(to, link);
        node.last_arrival = node.last_arrival.max(arrival);
        let key = (node.last_arrival, self.posted);
        self.posted += 1;
        self.post.insert(key, Letter { to, link, input });
    }
}

impl Node {
    fn new(machine: Machine, codec: Arc<dyn Codec>) -> Self {
        Self {
            machine,
            mouth: Mouth::default(),
            wakes: Time::MAX,
            link: None,
            attempt: None,
            codec,
            takes: true,
            received: Taken::default(),
            taken: Taken::default(),
            last_arrival: Time::ZERO,
            story: Vec::new(),
            messages: Vec::new(),
            sent: 0,
            latest: 0,
            disconnects: Vec::new(),
            accepted: Vec::new(),
            pings_waiting: 0,
            round_trips: Vec::new(),
        }
    }

    fn begin_link(&mut self, link: usize) {
        self.link = Some(link);
        self.latest = link;
        (self.received, self.taken) = Default::default();
        self.messages.clear();
        self.sent = 0;
    }

    pub(crate) fn outgoing(&self, class: Class, text: &str) -> Input {
        let message = Message::from(text).class(class);
        let frame = self.codec.encode(Packet::Message(message)).unwrap();
        Input::Send(Outgoing::new(frame, class))
    }

    /// All that came is taken now.
    pub(crate) fn take_all(&mut self) -> Input {
        self.taken = self.received;
        Input::Taken(self.taken)
    }

    /// Whether it ever put that out.
    pub(crate) fn has_said(&self, word: &str) -> bool {
        self.story.iter().any(|(_, said)| said == word)
    }

    pub(crate) fn status(&self) -> Status {
        self.machine.status()
    }

    fn note(&mut self, input: &Input) {
        match input {
            Input::Send(_) if matches!(self.status(), Status::Open | Status::Closing) => {
                self.sent += 1;
            }
            Input::Ping => self.pings_waiting += 1,
            _ => {}
        }
    }

    fn remember(&mut self, output: Output) {
        match output {
            Output::Event(Event::Disconnect(end)) => {
                self.disconnects.push(end);
                self.accepted.push((self.latest, self.sent));
            }
            Output::RoundTrip(time) => {
                self.pings_waiting = 0;
                self.round_trips.push(time);
            }
            _ => {}
        }
    }
}

impl To {
    const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

fn link_up() -> Input {
    let mut capabilities = Capabilities::default();
    capabilities.ping = true;
    Input::LinkUp(capabilities, None)
}
