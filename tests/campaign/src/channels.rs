//! Channels: clients come, go, change their profiles and publish; once all is quiet everybody agrees who is where.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use moorline::{Class, Connection, Member, Message, Sim};

use crate::client::{PATIENCE, any_class};
use crate::log::{Entry, Log};
use crate::world::{CLIENTS, SECOND, World};

/// Fewer than clients, so that most have company.
const CHANNELS: [&str; 3] = ["a", "b", "c"];

/// Which of them it is.
pub(crate) fn number(name: &str) -> usize {
    CHANNELS.iter().position(|known| *known == name).expect("there are no others")
}

/// What is published says who has, and counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Published {
    pub(crate) channel: usize,
    /// A client; the server where there is none.
    pub(crate) by: Option<usize>,
    pub(crate) n: u64,
}

impl Published {
    fn write(&self, padding: usize) -> Message {
        Message::from(format!("{self}{:padding$}", ""))
    }

    pub(crate) fn read(message: &Message) -> Self {
        let channel = number(message.channel.as_deref().expect("it came on a channel"));
        let text = message.text().expect("it was published as text");
        let (by, n) = text.trim_end().split_once(' ').expect("there are two words");
        Self { channel, by: by.parse().ok(), n: n.parse().unwrap() }
    }
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.by {
            Some(client) => write!(f, "{client} {}", self.n),
            None => write!(f, "server {}", self.n),
        }
    }
}

/// What one client wants of the channels.
pub(crate) struct Attendance {
    client: usize,
    on: [bool; CHANNELS.len()],
    /// How often it has changed its profile.
    revision: u64,
    published: u64,
}

impl Attendance {
    /// Its profile tells the others who it is.
    pub(crate) fn new(client: usize, connection: &Connection) -> Self {
        connection.update_profile(&(client, 0)).unwrap();
        Self { client, on: [false; CHANNELS.len()], revision: 0, published: 0 }
    }

    /// Joins or leaves a channel, or changes its profile.
    pub(crate) fn comes_or_goes(&mut self, connection: &Connection, log: &Log, rng: &mut Rng) {
        let (client, channel) = (self.client, rng.usize(..CHANNELS.len()));
        match rng.u32(..8) {
            0..4 => {
                // It is wanted from the call on: nobody waits for the answer.
                drop(connection.channel(CHANNELS[channel]).join());
                self.on[channel] = true;
                log.write(Entry::Wants { client, channel, joins: true });
            }
            4..6 => {
                connection.channel(CHANNELS[channel]).leave();
                self.on[channel] = false;
                log.write(Entry::Wants { client, channel, joins: false });
            }
            _ => {
                self.revision += 1;
                connection.update_profile(&(client, self.revision)).unwrap();
            }
        }
    }

    /// Publishes on a channel; now and then on one that it is not on, which the server refuses.
    pub(crate) async fn publishes(
        &mut self,
        sim: &Sim,
        connection: &Connection,
        log: &Log,
        rng: &mut Rng,
    ) {
        let channel = rng.usize(..CHANNELS.len());
        if !self.on[channel] && rng.u32(..4) > 0 {
            return;
        }
        for _ in 0..rng.u32(1..6) {
            let letter = Published { channel, by: Some(self.client), n: self.published };
            self.published += 1;
            let class = any_class(rng);
            let message = letter.write(rng.usize(..100)).class(class);
            let publish = connection.channel(CHANNELS[channel]).publish(message);
            let Ok(Ok(receipt)) = sim.timeout(PATIENCE, publish).await else { return };
            log.write(Entry::Published { letter, class });
            let (receipt, log) = (receipt.into_owned(), log.clone());
            sim.spawn(async move {
                let outcome = receipt.outcome().await;
                log.write(Entry::PublishOutcome { letter, outcome });
            });
        }
    }

    /// All is quiet: it is on the channels that it wants and on no others, and sees there whom the server sees.
    pub(crate) fn agrees(&self, world: &World, connection: &Connection) {
        let World { log, server, .. } = world;
        let client = self.client;
        for (channel, name) in CHANNELS.into_iter().enumerate() {
            let wrong = |what: String| log.write(Entry::Accused(format!("channel {name}: {what}")));
            let truth = server.channel(name).members();
            let who: Vec<_> = truth.iter().map(profile).collect();
            let own: Vec<_> = who.iter().flatten().filter(|(who, _)| *who == client).collect();
            let expected = (client, self.revision);
            let right = if self.on[channel] { own == [&expected] } else { own.is_empty() };
            if !right {
                wrong(format!("{client} wants it: {}, the server has {who:?}", self.on[channel]));
            }
            // Whoever is nobody's, or is away although it is not.
            if who.contains(&None) || server.channel(name).count() != who.len() {
                wrong(format!("there are ghosts among {who:?}"));
            }
            let seen = connection.channel(name).present();
            if seen != self.on[channel].then(|| sorted(truth)) {
                let seen = seen.map(|seen| seen.iter().map(profile).collect::<Vec<_>>());
                wrong(format!("{client} sees {seen:?}, the server {who:?}"));
            }
            if self.on[channel] {
                log.write(Entry::Settled { client, channel });
            }
        }
    }
}

/// Who it is, and with which revision of its profile.
fn profile(member: &Member) -> Option<(usize, u64)> {
    member.profile().unwrap().filter(|(client, _)| *client < CLIENTS)
}

fn sorted(mut members: Vec<Member>) -> Vec<Member> {
    members.sort_by(|one, other| one.id.cmp(&other.id));
    members
}

/// The server publishes on each channel, now and then in floods; once all is quiet, a last time.
pub(crate) async fn announce(world: World, mut rng: Rng) {
    let World { sim, log, server, until, .. } = &world;
    let mut counts = [0; CHANNELS.len()];
    let mut publish = |channel: usize, padding: usize, class: Class| {
        let letter = Published { channel, by: None, n: counts[channel] };
        counts[channel] += 1;
        log.write(Entry::Published { letter, class });
        let message = letter.write(padding).class(class);
        let _nobody_is_there = server.channel(CHANNELS[channel]).emit(message);
    };
    while sim.now() < *until {
        sim.sleep(Duration::from_millis(rng.u64(..12_000))).await;
        let channel = rng.usize(..CHANNELS.len());
        let (count, padding) = match rng.u32(..40) {
            0 => (40, 2_000),
            _ => (rng.u32(1..4), rng.usize(..200)),
        };
        for _ in 0..count {
            publish(channel, padding, any_class(&mut rng));
        }
    }
    world.settled().await;
    sim.sleep(SECOND).await;
    (0..CHANNELS.len()).for_each(|channel| publish(channel, 0, Class::AtLeastOnce));
}

/// All have gone: nobody is on any channel.
pub(crate) fn are_gone(world: &World) {
    let left = world.server.channels();
    if !left.is_empty() {
        world.log.write(Entry::Accused(format!("channels outlive their members: {left:?}")));
    }
}
