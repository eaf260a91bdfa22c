//! One machine, driven by hand, and its outputs told in words.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use moorline_core::machine::{
    Failure, Grant, Input, Loss, Outgoing, Output, Received, Taken, Transmit,
};
use moorline_core::wire::{
    self, Ack, Answer, AnswerBody, Asked, Binary, Close, Codec, Hello, Join, Leave, Members,
    MembersKind, Packet, Profile, Publish, Raw, Ready, VERSION,
};
use moorline_core::{
    Buffer, Capabilities, Class, CloseFrame, Config, ConnectionId, Disconnect, Event, Frame,
    Machine, Message, Recovery, Time,
};

/// The seed where none matters.
pub(crate) const SEED: u64 = 1;

/// One machine whose peer is the test.
///
/// What comes out is told in words: `connect(1)` and `drop link` are the driver's work, `> hello` goes to the
/// peer, `Connect` is an event. See [`tell`].
pub(crate) struct End {
    pub(crate) machine: Machine,
    pub(crate) now: Time,
    /// The deadline that the machine named last.
    pub(crate) wakes: Time,
    /// Its link takes nothing: what is flushed is never written.
    pub(crate) stuck: bool,
    /// The last events of their kind.
    pub(crate) disconnect: Option<Disconnect>,
    pub(crate) failure: Option<Failure>,
    codec: Arc<dyn Codec>,
    received: Taken,
    taken: Taken,
    unwritten: bool,
}

impl End {
    /// A client that was told nothing yet.
    pub(crate) fn client(config: Config) -> Self {
        Self::seeded_client(config, SEED)
    }

    pub(crate) fn seeded_client(config: Config, seed: u64) -> Self {
        let codec = config.codecs[0].clone();
        Self::new(Machine::client(Arc::new(config), seed), codec)
    }

    /// A server's connection whose link is up, in the codec that the configuration names first.
    pub(crate) fn server(config: Config) -> Self {
        let codec = config.codecs[0].clone();
        let mut end = Self::new(Machine::server(Arc::new(config), Time::ZERO, SEED), codec);
        end.outputs(link_up());
        end
    }

    fn new(machine: Machine, codec: Arc<dyn Codec>) -> Self {
        Self {
            machine,
            now: Time::ZERO,
            wakes: Time::MAX,
            stuck: false,
            disconnect: None,
            failure: None,
            codec,
            received: Taken::default(),
            taken: Taken::default(),
            unwritten: false,
        }
    }

    /// A client that is open, to a peer with the default window.
    pub(crate) fn open_client(config: Config) -> Self {
        let mut client = Self::client(config);
        client.input(Input::Connect);
        client.open_link();
        client
    }

    /// A server's connection that is open, to a peer with the default window.
    pub(crate) fn open_server(config: Config) -> Self {
        let mut server = Self::server(config);
        if server.codec.has_session() {
            server.packet(hello());
        }
        server.input(accept());
        assert!(server.is_open());
        server
    }

    /// Answers a client's attempt with a link and, where there are sessions, `ready`.
    pub(crate) fn open_link(&mut self) -> Vec<String> {
        self.received = Taken::default();
        self.taken = Taken::default();
        let mut said = self.input(link_up());
        if self.codec.has_session() {
            said.extend(self.packet(ready()));
        }
        assert!(self.is_open(), "{said:?}");
        said
    }

    pub(crate) fn is_open(&self) -> bool {
        self.machine.status().is_connected()
    }

    /// Hands in an input; what came of it, in words.
    pub(crate) fn input(&mut self, input: Input) -> Vec<String> {
        let outputs = self.outputs(input);
        self.words(&outputs)
    }

    /// Hands in many inputs before it looks at any output.
    pub(crate) fn inputs(&mut self, inputs: impl IntoIterator<Item = Input>) -> Vec<String> {
        inputs.into_iter().for_each(|input| self.machine.handle(self.now, input));
        let outputs = self.drain();
        self.words(&outputs)
    }

    /// Hands in an input; what came of it, all but the wait.
    pub(crate) fn outputs(&mut self, input: Input) -> Vec<Said> {
        self.machine.handle(self.now, input);
        self.drain()
    }

    /// What the link says once it is no longer stuck.
    pub(crate) fn unstick(&mut self) -> Vec<String> {
        self.stuck = false;
        self.unwritten = false;
        self.input(Input::Written)
    }

    /// A packet from the peer.
    pub(crate) fn packet(&mut self, packet: Packet) -> Vec<String> {
        let frame = self.codec.encode(packet.clone()).unwrap();
        self.input(Input::Frame(frame))
    }

    /// The application sends a text.
    pub(crate) fn send(&mut self, class: Class, text: &str) -> Vec<String> {
        let input = self.outgoing(class, text);
        self.input(input)
    }

    pub(crate) fn outgoing(&self, class: Class, text: &str) -> Input {
        let message = Message::from(text).class(class);
        let frame = self.codec.encode(Packet::Message(message)).unwrap();
        Input::Send(Outgoing::new(frame, class))
    }

    /// Something that stands beside the messages.
    pub(crate) fn state(&self, packet: Packet) -> Outgoing {
        let mut outgoing = Outgoing::new(self.codec.encode(packet).unwrap(), Class::AtLeastOnce);
        outgoing.state = true;
        outgoing
    }

    /// The application takes all that came.
    pub(crate) fn take(&mut self) -> Vec<String> {
        self.taken = self.received;
        self.input(Input::Taken(self.taken))
    }

    /// Goes on to the deadline that the machine named.
    pub(crate) fn wait(&mut self) -> Vec<String> {
        assert_ne!(self.wakes, Time::MAX, "it waits for ever: {:?}", self.machine);
        self.now = self.now.max(self.wakes);
        self.input(Input::Tick)
    }

    /// Lets time pass, with a tick at each deadline.
    pub(crate) fn pass(&mut self, time: Duration) -> Vec<String> {
        let end = self.now + time;
        let mut said = Vec::new();
        while self.wakes <= end {
            assert!(said.len() < 10_000, "time stands still: {:?}", self.machine);
            said.extend(self.wait());
        }
        self.now = end;
        said
    }

    /// How long until the deadline that the machine named.
    pub(crate) fn until_deadline(&self) -> Duration {
        self.wakes.since(self.now)
    }

    /// Takes every output, and answers each flush at once unless the link is stuck. On the way it watches
    /// that a batch is whole before it is written and that none comes before the last one is.
    fn drain(&mut self) -> Vec<Said> {
        let (mut outputs, mut mouth) = (Vec::new(), Mouth::default());
        let mut batch = 0;
        loop {
            assert!(outputs.len() < 10_000, "it never waits: {:?}", self.machine);
            let output = mouth.poll(&mut self.machine);
            match &output {
                Said::Other(Output::Wait(deadline)) => {
                    assert_eq!(batch, 0, "a batch without a flush");
                    if self.unwritten && !self.stuck {
                        self.unwritten = false;
                        self.machine.handle(self.now, Input::Written);
                        continue;
                    }
                    self.wakes = *deadline;
                    return outputs;
                }
                Said::Transmit(_) => {
                    assert!(!self.unwritten, "a batch before the last one was written");
                    batch += 1;
                }
                Said::Flush => {
                    assert_ne!(batch, 0, "a flush of nothing");
                    (self.unwritten, batch) = (true, 0);
                }
                Said::Other(Output::DropLink) => self.unwritten = false,
                Said::Message(message) => self.received.add(message.numbered, message.cost),
                Said::Other(Output::Event(Event::Disconnect(end))) => {
                    self.disconnect = Some(end.clone());
                }
                Said::Other(Output::Closed(failure)) => self.failure.clone_from(failure),
                Said::Other(_) => {}
            }
            outputs.push(output);
        }
    }

    fn words(&self, outputs: &[Said]) -> Vec<String> {
        outputs.iter().filter_map(|output| tell(&*self.codec, output)).collect()
    }
}

/// What a machine says, with its batches and messages taken out one by one.
#[derive(Debug)]
pub(crate) enum Said {
    /// Of the batch of an [`Output::Write`].
    Transmit(Transmit),
    /// The batch is whole.
    Flush,
    /// Of an [`Output::Messages`].
    Message(Received),
    /// Any other output.
    Other(Output),
}

/// Takes out what a machine says.
#[derive(Debug, Default)]
pub(crate) struct Mouth {
    said: VecDeque<Said>,
}

impl Mouth {
    pub(crate) fn poll(&mut self, machine: &mut Machine) -> Said {
        if let Some(said) = self.said.pop_front() {
            return said;
        }
        match machine.poll() {
            Output::Write => {
                let mut batch = Vec::new();
                machine.take_batch(&mut batch);
                self.said.extend(batch.into_iter().map(Said::Transmit));
                self.said.push_back(Said::Flush);
                self.poll(machine)
            }
            Output::Messages(count) => {
                let messages = machine.take_messages(count);
                self.said.extend(messages.map(Said::Message));
                self.poll(machine)
            }
            other => Said::Other(other),
        }
    }
}

/// What a machine says in a word or two. A flush, and that a new session begins, goes without saying.
pub(crate) fn tell(codec: &dyn Codec, said: &Said) -> Option<String> {
    let output = match said {
        Said::Other(
            Output::Opened(_) | Output::Event(Event::Recovery(Recovery::Fresh { unconfirmed: 0 })),
        ) => return None,
        Said::Transmit(Transmit::Frame(frame)) => {
            return Some(match codec.decode(frame.clone()) {
                Ok(packet) => format!("> {}", tell_packet(&packet)),
                Err(error) => format!("> nonsense: {error}"),
            });
        }
        Said::Transmit(Transmit::Ping) => return Some("> link ping".to_owned()),
        Said::Transmit(Transmit::Close(close)) => {
            return Some(format!("> link close({})", close.code));
        }
        Said::Flush => return None,
        Said::Message(received) => return Some(format!("message({})", received.message)),
        Said::Other(output) => output,
    };
    Some(match output {
        Output::Connect { attempt, .. } => format!("connect({attempt})"),
        Output::Authenticate(_) => "authenticate".to_owned(),
        Output::DropLink => "drop link".to_owned(),
        Output::Event(event) => tell_event(event),
        Output::RoundTrip(Some(time)) => format!("round trip({time:?})"),
        Output::RoundTrip(None) => "no round trip".to_owned(),
        Output::Closed(Some(failure)) => format!("closed({})", failure.code),
        Output::Closed(None) => "closed".to_owned(),
        other => format!("{other:?}"),
    })
}

fn tell_packet(packet: &Packet) -> String {
    match packet {
        Packet::Message(message) => format!("message({message})"),
        Packet::Ack(ack) => format!("ack({},{})", ack.numbered, ack.unnumbered),
        Packet::Ping(_) => "ping".to_owned(),
        Packet::Pong(token) => format!("pong({token})"),
        Packet::Error(error) => format!("error({})", error.code),
        Packet::Close(close) => format!("close({})", close.code),
        other => other.name().to_owned(),
    }
}

fn tell_event(event: &Event) -> String {
    match event {
        Event::Connecting => "Connecting".to_owned(),
        Event::Connect(_) => "Connect".to_owned(),
        Event::Disconnect(end) => format!("Disconnect({:?})", end.reason),
        Event::Error(error) => format!("Error({})", error.code),
        other => format!("{other:?}"),
    }
}

/// A client that keeps nothing for the time after a loss.
pub(crate) fn forgetful_client() -> Config {
    forgetful(Config::client())
}

/// A server's configuration of that kind.
pub(crate) fn forgetful_server() -> Config {
    forgetful(Config::server())
}

fn forgetful(mut config: Config) -> Config {
    config.buffer = Buffer::off();
    config.stalled_after = Duration::ZERO;
    config
}

/// What a peer says first.
pub(crate) fn hello() -> Packet {
    hello_with_window(Config::WINDOW)
}

pub(crate) fn hello_with_window(window: usize) -> Packet {
    Packet::Hello(Box::new(Hello {
        version: VERSION,
        attempt: 1,
        window: window as u64,
        max_frame: 1 << 20,
        ..Hello::default()
    }))
}

/// What a server says first.
pub(crate) fn ready() -> Packet {
    ready_with_window(Config::WINDOW)
}

pub(crate) fn ready_with_window(window: usize) -> Packet {
    Packet::Ready(Box::new(Ready {
        version: VERSION,
        id: id("c1"),
        window: window as u64,
        max_frame: 1 << 20,
        properties: Vec::new(),
        session: None,
        recovery: wire::Recovery::Fresh,
    }))
}

pub(crate) fn message(class: Class, text: &str) -> Packet {
    Packet::Message(Message::from(text).class(class))
}

/// How many kinds of packets there are that are no messages and are said beside them.
pub(crate) const BESIDE: usize = 14;

/// One of each: the first five are for a server, the sixth for both, those behind it for a client.
pub(crate) fn beside_messages(which: usize) -> Packet {
    let channel = || "chat".into();
    let members = |kind| {
        let (id, more, members) = (None, false, Vec::new());
        Packet::Members(Box::new(Members { channel: channel(), id, kind, more, members }))
    };
    match which {
        0 => Packet::Join(Join { channel: channel(), echo: true, presence: true }),
        1 => Packet::Profile(Profile { data: None, echo: None }),
        2 => Packet::Query(Box::default()),
        3 => members(MembersKind::Ask),
        4 => {
            let message = Message::from("x").on("chat");
            Packet::Publish(Box::new(Publish { message, echo: None }))
        }
        5 => Packet::Leave(Box::new(Leave { channel: channel(), echo: None, error: None })),
        6 => members(MembersKind::All),
        7 => members(MembersKind::Joined),
        8 => members(MembersKind::Left),
        9 => members(MembersKind::Updated),
        10 => members(MembersKind::Hidden),
        11 => Packet::Properties(Vec::new()),
        12 => {
            let asked = Some(Asked { query: String::new(), compress: false });
            let body = AnswerBody::Named;
            Packet::Answer(Box::new(Answer { id: Some(1), asked, body }))
        }
        _ => Packet::Throttle(vec!["presence".to_owned()]),
    }
}

pub(crate) const fn ack(numbered: u64, unnumbered: u64) -> Packet {
    Packet::Ack(Ack { numbered, unnumbered })
}

pub(crate) fn id(id: &str) -> ConnectionId {
    ConnectionId::new(id).unwrap()
}

pub(crate) fn link_up() -> Input {
    Input::LinkUp(Capabilities::default(), None)
}

pub(crate) fn accept() -> Input {
    Input::Accept(Grant { id: id("c1"), properties: Vec::new(), session: None })
}

/// The peer closes the link with that code.
pub(crate) fn closed(code: u16) -> Input {
    Input::LinkLost(Loss::Closed(CloseFrame::new(code, "")))
}

pub(crate) fn disconnect() -> Input {
    Input::Disconnect(Close::new(1000, ""))
}

pub(crate) fn broken() -> Input {
    Input::LinkLost(Loss::Broken(Failure::retryable("broken", "the cable is out")))
}

/// A frame that no codec reads.
pub(crate) fn garbage() -> Input {
    Input::Frame(Frame::binary(vec![0xff; 8]))
}

/// A client's configuration in that codec.
pub(crate) fn client_in(codec: impl Codec) -> Config {
    let mut config = forgetful_client();
    config.codecs = vec![Arc::new(codec)];
    config
}

/// A server's configuration in that codec alone.
pub(crate) fn server_in(codec: impl Codec) -> Config {
    let mut config = forgetful_server();
    config.codecs = vec![Arc::new(codec)];
    config
}

/// Each codec once, for what has to hold in all of them.
pub(crate) fn codecs() -> [Arc<dyn Codec>; 3] {
    [Arc::new(Binary), Arc::new(wire::Json), Arc::new(Raw)]
}

pub(crate) const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(crate) const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}
