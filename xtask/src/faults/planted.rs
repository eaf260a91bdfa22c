//! The faults, each a mistake that somebody once made in a library like this one.

use crate::edit::Edit;

/// A change that makes the machine wrong.
pub(super) struct Fault {
    pub(super) name: &'static str,
    /// In the folder `core`.
    pub(super) edit: Edit,
}

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "an acknowledgement makes no room",
        edit: Edit {
            file: "src/machine/outbound.rs",
            old: "self.in_flight -= kept.cost as u64;",
            new: "let _ = kept.cost;",
        },
    },
    Fault {
        name: "the window is looked at one message too late",
        edit: Edit {
            file: "src/machine/outbound.rs",
            old: "if self.in_flight > 0 && self.in_flight + cost as u64 > window {",
            new: "if self.in_flight > window {",
        },
    },
    Fault {
        name: "the two ends disagree about which messages are numbered",
        edit: Edit {
            file: "src/machine/outbound.rs",
            old: "Class::AtLeastOnce => self.retain(frame.clone(), cost, ticket, expires, state),
                Class::Volatile | Class::AtMostOnce =>",
            new: "Class::AtLeastOnce | Class::AtMostOnce => {
                    self.retain(frame.clone(), cost, ticket, expires, state);
                }
                Class::Volatile =>",
        },
    },
    Fault {
        name: "what was never sent is miscounted",
        edit: Edit {
            file: "src/machine/outbound.rs",
            old: "dropped += 1;
                }
            }
        }
        self.queued = 0;",
            new: "dropped += cost(&message.frame) as u64;
                }
            }
        }
        self.queued = 0;",
        },
    },
    Fault {
        name: "a volatile message over the window is queued",
        edit: Edit {
            file: "src/machine/outbound.rs",
            old: "if !open || self.window.is_some_and(|room| under_way > room) {",
            new: "if !open || under_way == u64::MAX {",
        },
    },
    Fault {
        name: "an attempt has no limit",
        edit: Edit {
            file: "src/machine/mod.rs",
            old: "State::Connecting { deadline }
            | State::Greeting { deadline }",
            new: "State::Connecting { .. } => Time::MAX,
            State::Greeting { deadline }",
        },
    },
    Fault {
        name: "closing has no limit",
        edit: Edit {
            file: "src/machine/closing.rs",
            old: "if self.drains() { self.drain_until } else { self.deadline }",
            new: "if self.drains() { self.drain_until } else { Time::MAX }",
        },
    },
    Fault {
        name: "a client comes back after the server has disconnected it",
        edit: Edit {
            file: "src/machine/closing.rs",
            old: "self.side == Side::Client && reason.reconnects() && self.config.reconnect",
            new: "self.side == Side::Client && self.config.reconnect",
        },
    },
    Fault {
        name: "the back-off goes on where the last outage left it",
        edit: Edit {
            file: "src/machine/closing.rs",
            old: "self.outage = Outage::new(true);",
            new: "self.outage.after_loss = true;",
        },
    },
    Fault {
        name: "the spread that a server asks for is ignored",
        edit: Edit {
            file: "src/machine/backoff.rs",
            old: "let spread = asked.spread.unwrap_or(policy.spread);",
            new: "let spread = policy.spread;",
        },
    },
    Fault {
        name: "two links are alive at once",
        edit: Edit {
            file: "src/machine/client.rs",
            old: "self.outputs.push_back(Output::DropLink);
        self.control = Control::default();",
            new: "self.control = Control::default();",
        },
    },
    Fault {
        name: "a silent peer is waited for for ever",
        edit: Edit {
            file: "src/machine/heartbeat.rs",
            old: "Some(ping) => ping.at + self.timeout(),",
            new: "Some(ping) => ping.at + self.timeout() + Duration::MAX,",
        },
    },
    Fault {
        name: "`Connecting` is told before `Disconnect`",
        edit: Edit {
            file: "src/machine/closing.rs",
            old: "self.event(Event::Disconnect(end));
        }
        match delay {
            Some(_) => self.event(Event::Connecting),",
            new: "if delay.is_some() {
                self.event(Event::Connecting);
            }
            self.event(Event::Disconnect(end));
        }
        match delay {
            Some(_) => {}",
        },
    },
    Fault {
        name: "a client that was refused is heard all the same",
        edit: Edit {
            file: "src/machine/open.rs",
            old: "(State::Closing(closing), _) if closing.listens =>",
            new: "(State::Closing(_), _) if self.codec.is_some() =>",
        },
    },
    Fault {
        name: "what is held back is not told again on the next link",
        edit: Edit {
            file: "src/machine/open.rs",
            old: "Side::Server => self.control.throttle = !self.throttled.is_empty(),",
            new: "Side::Server => {}",
        },
    },
    Fault {
        name: "any number of errors waits to be reported",
        edit: Edit {
            file: "src/machine/transmit.rs",
            old: "if self.errors.len() < MAX_ERRORS {",
            new: "if self.errors.len() < 1000 {",
        },
    },
    Fault {
        name: "what stands beside the messages is restored behind them",
        edit: Edit {
            file: "src/machine/outbound.rs",
            old: "map_or(0, |last| last + 1)",
            new: "map_or(self.queue.len(), |last| last + 1)",
        },
    },
    Fault {
        name: "what stands beside the messages outlives its session",
        edit: Edit {
            file: "src/machine/outbound.rs",
            old: "let unconfirmed = self.forget_retained();
        self.forget_state();",
            new: "let unconfirmed = self.forget_retained();",
        },
    },
    Fault {
        name: "what stands beside the messages waits no longer than they do",
        edit: Edit {
            file: "src/machine/outbound.rs",
            old: "if !message.state {
                    message.waits_until = message.waits_until.min(limit);
                }",
            new: "message.waits_until = message.waits_until.min(limit);",
        },
    },
    Fault {
        name: "a full buffer drops what stands beside the messages",
        edit: Edit {
            file: "src/machine/outbound.rs",
            old: "let message = |queued: &Queued| matches!(queued, Queued::Message(m) if !m.state);",
            new: "let message = |queued: &Queued| matches!(queued, Queued::Message(_));",
        },
    },
    Fault {
        name: "a receipt is moved by what has none",
        edit: Edit {
            file: "src/machine/outcome.rs",
            old: "if ticket > 0 {
            self.acknowledged = ticket;
            self.changed = true;
        }",
            new: "self.acknowledged = ticket;
        self.changed = true;",
        },
    },
    Fault {
        name: "a server takes what only a server says",
        edit: Edit {
            file: "src/machine/open.rs",
            old: "matches!(members.kind, MembersKind::Ask) == matches!(receiver, Side::Server)",
            new: "matches!(members.kind, MembersKind::Ask) || matches!(receiver, Side::Server)",
        },
    },
    Fault {
        name: "a client loses its session with its credentials",
        edit: Edit {
            file: "src/machine/closing.rs",
            old: "Side::Server if close.code == close_code::EXPIRED => Reason::TransportClose,",
            new: "Side::Server if close.code == close_code::EXPIRED => Reason::ServerDisconnect,",
        },
    },
    Fault {
        name: "expired credentials save the session of a peer that broke the protocol",
        edit: Edit {
            file: "src/machine/closing.rs",
            old: "if closing.ending.reason.reconnects() && !reason.reconnects() =>",
            new: "if closing.ending.reason.reconnects() =>",
        },
    },
    Fault {
        name: "a pong follows the close",
        edit: Edit {
            file: "src/machine/transmit.rs",
            old: "if self.control.writable && !self.has_closed() {",
            new: "if self.control.writable {",
        },
    },
    Fault {
        name: "a batch does not wait for the one before",
        edit: Edit {
            file: "src/machine/transmit.rs",
            old: "self.control.writable = false;",
            new: "",
        },
    },
];
