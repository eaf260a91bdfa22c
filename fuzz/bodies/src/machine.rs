//! The session machine under any sequence of inputs.

use std::time::Duration;

use moorline_core::wire::{Ack, Close, ErrorPacket, Packet};
use moorline_core::{Class, Message, Side};

use crate::bytes_in::{Choices, bit};
use crate::search::driver::{Driver, Law};
use crate::search::step::{Loss, Setup, Step, What};
use crate::support::{BESIDE, beside_messages, hello_with_window, ready_with_window};

/// The longest sequence: enough to open, fill a window, lose the link and come back, a few times.
const STEPS: usize = 200;

/// The first two bytes say how the machine is configured, and whether its driver keeps the law; each further one is a step,
/// with what it needs behind it. The model of the machine's own tests checks every promise.
pub fn machine(data: &[u8]) {
    let mut choices = Choices::new(data);
    let (first, second) = (choices.byte(), choices.byte());
    let side = if bit(first, 0) { Side::Client } else { Side::Server };
    let law = if bit(first, 1) { Law::Any } else { Law::Kept };
    let setup = Setup {
        seed: u64::from(second >> 4),
        open: !bit(first, 2),
        codec: usize::from(first >> 3) % 3,
        reconnect: !bit(first, 6),
        retry_first: !bit(first, 7),
        attempts: [None, Some(0), Some(1), Some(2)][usize::from(second & 3)],
        heartbeat: !bit(second, 2),
    };
    let mut driver = Driver::new(side, law, &setup);
    for _ in 0..STEPS {
        if choices.is_empty() {
            break;
        }
        let byte = choices.byte();
        let what = what(byte & 0x1f, &mut choices);
        driver.take(&Step { what, polled: !bit(byte, 7) });
        // That is the target `session`'s.
        if driver.has_session() {
            return;
        }
    }
    driver.end();
}

fn what(kind: u8, choices: &mut Choices<'_>) -> What {
    match kind {
        0 => What::GoOn,
        1 => What::Connect,
        2 => What::Disconnect(code(choices)),
        3 => What::Send(class(choices), choices.below(300)),
        4 => What::Take { all: true },
        5 => What::Take { all: false },
        6 => What::Ping,
        7 => What::LinkUp { pings: true },
        8 => What::LinkUp { pings: false },
        9 => What::LinkFailed { retryable: true, retry_after: delay(choices) },
        10 => What::LinkFailed { retryable: false, retry_after: delay(choices) },
        11 => What::LinkLost(Loss::Closed(code(choices))),
        12 => What::LinkLost(Loss::Ended),
        13 => What::LinkLost(Loss::Broken),
        14 => What::Ack { all: true },
        15 => What::Ack { all: false },
        16 | 17 => {
            let count = choices.below(64);
            What::Bytes { text: kind == 16, bytes: choices.bytes(count).to_vec() }
        }
        18 => What::Activity,
        19 => What::Suspended(choices.below(2) == 0),
        20 => match choices.below(4) {
            0 | 1 => What::State(choices.below(256)),
            2 => What::Throttle(choices.below(3)),
            _ => What::Report,
        },
        21 => What::Written,
        22 => What::Accept { properties: choices.below(100) },
        23 => What::Refuse { retry_after: delay(choices) },
        24 => What::Deadline,
        25 => What::Sleep(Duration::from_millis(choices.two().into())),
        _ => What::Packet(packet(kind, choices)),
    }
}

fn packet(kind: u8, choices: &mut Choices<'_>) -> Packet {
    match kind {
        26 | 27 => {
            let class = class(choices);
            // Up to a few windows' worth.
            let size = if kind == 26 { choices.below(256) } else { choices.two().into() };
            Packet::Message(Message::from("x".repeat(size)).class(class))
        }
        28 => Packet::Ack(Ack {
            numbered: choices.below(8) as u64,
            unnumbered: choices.below(8) as u64,
        }),
        29 => Packet::Ping(choices.below(3) as u64),
        30 => Packet::Pong(choices.below(3) as u64),
        _ => match choices.below(5) {
            0 => Packet::Error(ErrorPacket {
                code: "busy".to_owned(),
                message: String::new(),
                details: None,
            }),
            1 => Packet::Close(Close {
                code: code(choices),
                reason: String::new(),
                retry_after: delay(choices),
                spread: delay(choices),
            }),
            2 => hello_with_window(choices.below(3)),
            3 => beside_messages(choices.below(BESIDE)),
            _ => ready_with_window(choices.below(3)),
        },
    }
}

fn class(choices: &mut Choices<'_>) -> Class {
    match choices.below(3) {
        0 => Class::AtLeastOnce,
        1 => Class::AtMostOnce,
        _ => Class::Volatile,
    }
}

fn code(choices: &mut Choices<'_>) -> u16 {
    match choices.byte() {
        0 => 1000,
        1 => 1002,
        2 => 1008,
        3 => 1012,
        4 => 4000,
        _ => choices.two(),
    }
}

/// None, or up to a hundred seconds.
fn delay(choices: &mut Choices<'_>) -> Option<Duration> {
    match choices.byte() {
        0 => None,
        units => Some(Duration::from_millis(u64::from(units) * 400)),
    }
}
