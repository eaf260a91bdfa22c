//! The mistakes that the campaign has to find.

use crate::edit::Edit;

/// A change that breaks a promise.
pub(super) struct Mutation {
    pub(super) name: &'static str,
    pub(super) edits: &'static [Edit],
}

pub(super) const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "an acknowledgement dropped",
        edits: &[Edit {
            file: "core/src/machine/outbound.rs",
            old: "self.acknowledged += fresh;",
            new: "",
        }],
    },
    Mutation {
        name: "a replay doubled",
        edits: &[Edit {
            file: "core/src/machine/client.rs",
            old: "received: self.inbound.numbers(),",
            new: "received: self.inbound.numbers().saturating_sub(1),",
        }],
    },
    Mutation {
        name: "the window forgotten",
        edits: &[Edit {
            file: "core/src/machine/outbound.rs",
            old: "if self.in_flight > 0 && self.in_flight + cost as u64 > window {",
            new: "if window == 0 {",
        }],
    },
    Mutation {
        name: "a class numbered on one end only",
        edits: &[Edit {
            file: "core/src/wire/mod.rs",
            old: "Packet::Message(message) => matches!(message.class, Class::AtLeastOnce),",
            new: "Packet::Message(message) => !matches!(message.class, Class::Volatile),",
        }],
    },
    Mutation {
        name: "an old attempt accepted",
        edits: &[Edit {
            file: "src/server/sessions.rs",
            old: "if client.attempt <= session.client.attempt {",
            new: "if client.attempt == 0 {",
        }],
    },
    Mutation {
        name: "unread frames of the old link delivered",
        edits: &[
            Edit {
                file: "src/driver/mod.rs",
                old: "    link: Option<Link>,
",
                new: "    link: Option<Link>,
    old: Option<Link>,
",
            },
            Edit {
                file: "src/driver/mod.rs",
                old: "            link: None,
",
                new: "            link: None,
            old: None,
",
            },
            Edit {
                file: "src/driver/mod.rs",
                old: "    fn drop_link(&mut self) {
        self.link = None;
",
                new: "    fn drop_link(&mut self) {
        self.old = self.link.take();
",
            },
            Edit {
                file: "src/driver/reading.rs",
                old: "    pub(super) fn poll_link(&mut self) {
",
                new: "    pub(super) fn poll_link(&mut self) {
        let read = self.parts.read.clone();
        let context = &mut Context::from_waker(&read);
        while let Some(Poll::Ready(Ok(Some(incoming)))) =
            self.old.as_mut().map(|old| old.incoming.as_mut().poll_read(context))
        {
            if let Incoming::Frame(frame) = incoming {
                self.tell(Input::Frame(frame));
            }
        }
",
            },
        ],
    },
    Mutation {
        name: "an offline message flushed after its age",
        edits: &[Edit {
            file: "core/src/machine/session.rs",
            old: "outgoing.waits_until = now + self.config.buffer.age;",
            new: "",
        }],
    },
    Mutation {
        name: "a gap not told",
        edits: &[Edit {
            file: "core/src/machine/transmit.rs",
            old: "Next::Gap(count) => self.push_packet(Packet::Gap(count)),",
            new: "Next::Gap(count) => self.push_packet(Packet::Skip(count)),",
        }],
    },
    Mutation {
        name: "a skip not counted",
        edits: &[Edit {
            file: "core/src/machine/open.rs",
            old: "Ok(Packet::Skip(count)) => self.inbound.skip(now, count),",
            new: "Ok(Packet::Skip(_)) => {}",
        }],
    },
    Mutation {
        name: "what is new before the replay",
        edits: &[Edit {
            file: "core/src/machine/outbound.rs",
            old: "if self.sent < self.retained.len() {
            return self.replay(now);
        }",
            new: "if self.sent < self.retained.len() && self.queue.is_empty() {
            return self.replay(now);
        }",
        }],
    },
    Mutation {
        name: "at most once sent again",
        edits: &[Edit {
            file: "core/src/machine/outbound.rs",
            old: "Class::Volatile | Class::AtMostOnce => self.unnumbered.costs.push_back(cost),",
            new: "Class::Volatile | Class::AtMostOnce => {
                    self.unnumbered.costs.push_back(cost);
                    self.queued += cost;
                    self.waiting += 1;
                    let again = Outgoing::new(frame.clone(), class);
                    self.queue.push_back(Queued::Message(again));
                    return frame;
                }",
        }],
    },
    Mutation {
        name: "a session that is forgotten and called recovered",
        edits: &[Edit {
            file: "core/src/machine/session.rs",
            old: "recovery: wire::Recovery::Recovered { received: self.inbound.numbers() },",
            new: "recovery: wire::Recovery::Recovered { received: 0 },",
        }],
    },
    Mutation {
        name: "a resumed member stays away",
        edits: &[Edit {
            file: "src/server/hub/mod.rs",
            old: "    pub(super) fn back(&self, attendee: &Arc<Attendee>) {
        attendee.set_away(false);
        for key in attendee.keys(Kind::Channel) {
",
            new: "    pub(super) fn back(&self, attendee: &Arc<Attendee>) {
        for key in attendee.keys(Kind::Channel).into_iter().take(0) {
",
        }],
    },
    Mutation {
        name: "the leave of an ended connection not told",
        edits: &[Edit {
            file: "src/server/hub/presence.rs",
            old: "wakes.extend(delta(hub, key, roll, MembersKind::Left, member, None));",
            new: "if echo != Some(false) {
            wakes.extend(delta(hub, key, roll, MembersKind::Left, member, None));
        }",
        }],
    },
    Mutation {
        name: "what stands not told anew after a gap",
        edits: &[Edit { file: "src/driver/tell.rs", old: "self.role.missed();", new: "" }],
    },
    Mutation {
        name: "a snapshot without the last member",
        edits: &[Edit {
            file: "src/server/hub/presence.rs",
            old: "packets.push(told);
    packets",
            new: "told.members.pop();
    packets.push(told);
    packets",
        }],
    },
    Mutation {
        name: "a profile told to those who come alone",
        edits: &[Edit {
            file: "src/server/hub/mod.rs",
            old: "presence::updated(self, &key, attendee, profile.echo);",
            new: "let _ = key;",
        }],
    },
    Mutation {
        name: "a channel not joined again in a new session",
        edits: &[Edit {
            file: "src/client/standing/channels.rs",
            old: "filter(|(_, one)| untold(one) || all)",
            new: "filter(|(_, one)| untold(one))",
        }],
    },
    Mutation {
        name: "a leave never told",
        edits: &[Edit {
            file: "src/client/standing/channels.rs",
            old: "packets.push(Packet::Leave(Box::new(Leave { channel, echo, error: None })));",
            new: "let _ = (channel, echo);",
        }],
    },
    Mutation {
        name: "an ended connection left on its channels",
        edits: &[Edit {
            file: "src/server/hub/attendee.rs",
            old: "std::mem::take(&mut state.keys)",
            new: "state.keys.split_off(&(Kind::Room, ByteString::default()))",
        }],
    },
    Mutation {
        name: "a message on a channel twice to its publisher",
        edits: &[Edit {
            file: "src/server/hub/mod.rs",
            old: "if own.is_none() && echo {",
            new: "if echo {",
        }],
    },
    Mutation {
        name: "a change before the late joiner's rows",
        edits: &[Edit {
            file: "src/client/standing/queries.rs",
            old: "one.subscribe && !one.awaits_rows",
            new: "one.subscribe",
        }],
    },
    Mutation {
        name: "old rows kept over a change",
        edits: &[Edit {
            file: "src/server/queries/live.rs",
            old: "kept = None;
        roster.tell",
            new: "roster.tell",
        }],
    },
    Mutation {
        name: "rows after the changes that follow them",
        edits: &[Edit {
            file: "src/server/queries/live.rs",
            old:
                "            } else if let Some(rows) = all_rows(core, live, roster, query).await? {
                roster.serve(Some(&rows));
",
            new:
                "            } else if let Some(rows) = all_rows(core, live, roster, query).await? {
                let next = poll_fn(|context| Poll::Ready(query.change().poll_unpin(context)));
                if let Poll::Ready(Ok(change)) = next.await {
                    roster.tell(&change);
                }
                roster.serve(Some(&rows));
",
        }],
    },
    Mutation {
        name: "a query that nobody wants not ended",
        edits: &[Edit {
            file: "src/client/standing/queries.rs",
            old: "        if shared.subscribed || shared.lingers || shared.asking {
            self.ended.push(asked.clone());
        }",
            new: "",
        }],
    },
    Mutation {
        name: "a query not asked again in a new session",
        edits: &[Edit {
            file: "src/client/standing/queries.rs",
            old: "        if all {
            self.missed();
",
            new: "        if all {
",
        }],
    },
];
