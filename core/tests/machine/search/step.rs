//! What can happen to a machine.

use std::time::Duration;

use moorline_core::wire::{Ack, Close, ErrorPacket, Packet};
use moorline_core::{
    AppState, AppStateMode, Backoff, Class, Config, Heartbeat, Message, NetworkHint,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::support::{codecs, hello_with_window, ready_with_window};

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) what: What,
    /// Whether the outputs are looked at before the next one.
    pub(crate) polled: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    /// What a good world does next on the way to an open connection.
    GoOn,
    Connect,
    Disconnect(u16),
    Send(Class, usize),
    /// The application takes what came, or half of it.
    Take {
        all: bool,
    },
    Ping,
    App(AppState),
    Network(NetworkHint),
    LinkUp {
        pings: bool,
    },
    LinkFailed {
        retryable: bool,
        retry_after: Option<Duration>,
    },
    LinkLost(Loss),
    Packet(Packet),
    /// The peer acknowledges what was sent, or all but one.
    Ack {
        all: bool,
    },
    Bytes {
        text: bool,
        bytes: Vec<u8>,
    },
    Activity,
    Suspended(bool),
    Written,
    Accept {
        properties: usize,
    },
    Refuse {
        retry_after: Option<Duration>,
    },
    /// The deadline comes.
    Deadline,
    Sleep(Duration),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    Closed(u16),
    Ended,
    Broken,
}

pub(crate) fn steps() -> impl Strategy<Value = Step> {
    (whats(), prop::bool::weighted(0.8)).prop_map(|(what, polled)| Step { what, polled })
}

fn whats() -> impl Strategy<Value = What> {
    prop_oneof![
        12 => Just(What::GoOn),
        2 => Just(What::Connect),
        1 => codes().prop_map(What::Disconnect),
        10 => (classes(), 0..300usize).prop_map(|(class, size)| What::Send(class, size)),
        5 => any::<bool>().prop_map(|all| What::Take { all }),
        2 => Just(What::Ping),
        1 => prop_oneof![Just(AppState::Foreground), Just(AppState::Background)].prop_map(What::App),
        1 => hints().prop_map(What::Network),
        2 => any::<bool>().prop_map(|pings| What::LinkUp { pings }),
        2 => (any::<bool>(), delays())
            .prop_map(|(retryable, retry_after)| What::LinkFailed { retryable, retry_after }),
        1 => losses().prop_map(What::LinkLost),
        12 => packets().prop_map(What::Packet),
        4 => any::<bool>().prop_map(|all| What::Ack { all }),
        1 => (any::<bool>(), vec(any::<u8>(), 0..8))
            .prop_map(|(text, bytes)| What::Bytes { text, bytes }),
        1 => Just(What::Activity),
        1 => any::<bool>().prop_map(What::Suspended),
        10 => Just(What::Written),
        1 => prop_oneof![Just(0), Just(100usize)]
            .prop_map(|properties| What::Accept { properties }),
        1 => delays().prop_map(|retry_after| What::Refuse { retry_after }),
        6 => Just(What::Deadline),
        2 => (0..40_000u64).prop_map(|millis| What::Sleep(Duration::from_millis(millis))),
    ]
}

/// What a peer may say once it is open, and what it should not.
fn packets() -> impl Strategy<Value = Packet> {
    prop_oneof![
        8 => (classes(), 0..300usize).prop_map(|(class, size)| {
            Packet::Message(Message::from("x".repeat(size)).class(class))
        }),
        1 => (0..4u64, 0..4u64)
            .prop_map(|(numbered, unnumbered)| Packet::Ack(Ack { numbered, unnumbered })),
        2 => (0..3u64).prop_map(Packet::Ping),
        2 => (0..3u64).prop_map(Packet::Pong),
        1 => Just(Packet::Error(ErrorPacket {
            code: "busy".to_owned(),
            message: String::new(),
            details: None
        })),
        1 => (codes(), delays(), delays()).prop_map(|(code, retry_after, spread)| {
            Packet::Close(Close { code, reason: String::new(), retry_after, spread })
        }),
        1 => (0..3usize).prop_map(hello_with_window),
        1 => (0..3usize).prop_map(ready_with_window),
    ]
}

fn hints() -> impl Strategy<Value = NetworkHint> {
    prop_oneof![Just(NetworkHint::Online), Just(NetworkHint::Offline), Just(NetworkHint::Changed)]
}

fn losses() -> impl Strategy<Value = Loss> {
    prop_oneof![codes().prop_map(Loss::Closed), Just(Loss::Ended), Just(Loss::Broken)]
}

fn classes() -> impl Strategy<Value = Class> {
    prop_oneof![Just(Class::AtLeastOnce), Just(Class::AtMostOnce), Just(Class::Volatile)]
}

fn codes() -> impl Strategy<Value = u16> {
    prop_oneof![Just(1000), Just(1002), Just(1008), Just(1012), Just(4000), any::<u16>()]
}

fn delays() -> impl Strategy<Value = Option<Duration>> {
    option::of((0..100_000u64).prop_map(Duration::from_millis))
}

/// How the machine is configured.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) seed: u64,
    /// Whether the connection is open before the first step.
    pub(crate) open: bool,
    /// Binary, JSON or raw.
    pub(crate) codec: usize,
    pub(crate) reconnect: bool,
    pub(crate) retry_first: bool,
    pub(crate) attempts: Option<u32>,
    pub(crate) heartbeat: bool,
}

pub(crate) fn setups() -> impl Strategy<Value = Setup> {
    let often = || prop::bool::weighted(0.8);
    let attempts = prop_oneof![3 => Just(None), 1 => (0..3u32).prop_map(Some)];
    (any::<u64>(), often(), 0..3usize, often(), often(), attempts, often()).prop_map(
        |(seed, open, codec, reconnect, retry_first, attempts, heartbeat)| Setup {
            seed,
            open,
            codec,
            reconnect,
            retry_first,
            attempts,
            heartbeat,
        },
    )
}

impl Setup {
    pub(crate) fn client(&self) -> Config {
        let mut config = self.with(crate::support::forgetful_client());
        config.reconnect = self.reconnect;
        config.retry_first = self.retry_first;
        config.app_state = AppStateMode::Manual;
        if let Some(most) = self.attempts {
            config.backoff = Backoff::default().attempts(most);
        }
        config
    }

    pub(crate) fn server(&self) -> Config {
        self.with(crate::support::forgetful_server())
    }

    fn with(&self, mut config: Config) -> Config {
        config.codecs = vec![codecs()[self.codec].clone()];
        // A few of the messages that the peer sends.
        config.window = 1000;
        if !self.heartbeat {
            config.heartbeat = Heartbeat::off();
        }
        config
    }
}
