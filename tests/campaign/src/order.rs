//! What is promised of messages on channels: the order is one for all, none comes twice, and none is lost without a word.
//!
//! Nobody sees the server's own order. So what each client has heard is held against what each other has heard, against what
//! the server published, and against what the client itself published and the server took.

use std::collections::{BTreeMap, BTreeSet};

use moorline::{Class, Recovery, SendOutcome, Time};

use crate::channels::Published;
use crate::log::Entry;

/// A letter, and how many messages the client was told to be lost before it.
type Heard = (Published, u64);

/// What a client heard on one channel, of one class, one after another.
#[derive(Default)]
struct Stay {
    heard: Vec<Heard>,
    /// It was on the channel all the time: what lies between two of these is promised. Not so from when it wants to leave until it
    /// has been told who is there: the server may have let it go, and let it in again.
    whole: bool,
}

#[derive(Default)]
struct Model {
    /// By channel, class and client.
    stays: BTreeMap<(usize, u8, usize), Vec<Stay>>,
    /// What the server published, by channel and class.
    announced: BTreeMap<(usize, u8), Vec<Published>>,
    /// What each client published at least once, and the server took.
    taken: BTreeMap<(usize, usize), BTreeSet<Published>>,
    classes: BTreeMap<Published, Class>,
    heard: BTreeSet<(usize, Published)>,
    gaps: BTreeMap<usize, u64>,
    /// Who wants to be on which channel.
    wanted: BTreeSet<(usize, usize)>,
    /// Who was on which channel in the end.
    settled: Vec<(usize, usize)>,
    violations: Vec<String>,
}

/// Everything that was wrong.
pub(crate) fn check(entries: &[(Time, Entry)]) -> Vec<String> {
    let mut model = Model::default();
    for (at, entry) in entries {
        model.see(*at, entry);
    }
    model.finish();
    model.violations
}

impl Model {
    fn see(&mut self, at: Time, entry: &Entry) {
        match *entry {
            Entry::Told { client, recovery: Recovery::Gap { from, to } } => {
                *self.gaps.entry(client).or_default() += to.saturating_sub(from);
            }
            // It has joined, or was told anew: between this and what was before, anything may have passed.
            Entry::Presence { client, channel, all: true } => {
                self.begins(client, channel, self.wanted.contains(&(client, channel)));
            }
            Entry::Wants { client, channel, joins: true } => {
                self.wanted.insert((client, channel));
            }
            Entry::Wants { client, channel, joins: false } => {
                self.wanted.remove(&(client, channel));
                self.begins(client, channel, false);
            }
            Entry::Published { letter, class } => {
                self.classes.insert(letter, class);
                if letter.by.is_none() {
                    let announced = self.announced.entry((letter.channel, class as u8));
                    announced.or_default().push(letter);
                }
            }
            Entry::PublishOutcome { letter, outcome: SendOutcome::Acknowledged } => {
                if let Some(client) = letter.by {
                    self.taken.entry((letter.channel, client)).or_default().insert(letter);
                }
            }
            Entry::OnChannel { client, letter, class } => self.hears(at, client, letter, class),
            Entry::Settled { client, channel } => self.settled.push((client, channel)),
            _ => {}
        }
    }

    fn begins(&mut self, client: usize, channel: usize, whole: bool) {
        for class in [Class::Volatile, Class::AtMostOnce, Class::AtLeastOnce] {
            let stays = self.stays.entry((channel, class as u8, client)).or_default();
            stays.push(Stay { heard: Vec::new(), whole });
        }
    }

    fn hears(&mut self, at: Time, client: usize, letter: Published, class: Class) {
        if self.classes.get(&letter) != Some(&class) {
            self.violations.push(format!("{at:?}: {client} hears {letter:?}, never published so"));
        }
        if !self.heard.insert((client, letter)) {
            self.violations.push(format!("{at:?}: {client} hears {letter:?} twice"));
        }
        let gaps = self.gaps.get(&client).copied().unwrap_or(0);
        let stays = self.stays.entry((letter.channel, class as u8, client)).or_default();
        if stays.is_empty() {
            stays.push(Stay::default());
        }
        stays.last_mut().expect("there is one").heard.push((letter, gaps));
    }

    fn finish(&mut self) {
        let mut wrong = Vec::new();
        for ((channel, class, client), stays) in &self.stays {
            let numbered = *class == Class::AtLeastOnce as u8;
            let mut against = |whose: &str, others: &[Vec<Published>]| {
                let places = places(others);
                for stay in stays {
                    let found = compare(stay, &places, numbered && stay.whole);
                    wrong.extend(found.map(|what| format!("{client}, {whose}: {what}")));
                }
            };
            let announced = self.announced.get(&(*channel, *class)).cloned();
            against("against the server", announced.as_slice());
            if numbered {
                let taken = self.taken.get(&(*channel, *client));
                let taken = taken.map(|taken| taken.iter().copied().collect());
                against("against what it published", taken.as_slice());
            }
            let company = self.stays.range((*channel, *class, 0)..=(*channel, *class, usize::MAX));
            for ((_, _, other), theirs) in company.filter(|((_, _, other), _)| other != client) {
                let letters = |stay: &Stay| stay.heard.iter().map(|(letter, _)| *letter).collect();
                let theirs: Vec<Vec<_>> = theirs.iter().map(letters).collect();
                against(&format!("against {other}"), &theirs);
            }
        }
        for (client, channel) in &self.settled {
            let class = Class::AtLeastOnce as u8;
            let last = self.announced.get(&(*channel, class)).and_then(|all| all.last());
            let stays = self.stays.get(&(*channel, class, *client));
            let heard = stays.and_then(|stays| stays.last()?.heard.last());
            if last != heard.map(|(letter, _)| letter) {
                wrong.push(format!("{client} heard {heard:?} last, published was {last:?}"));
            }
        }
        self.violations.extend(wrong);
    }
}

/// Where each letter stands: in which sequence, and at which place of it.
fn places(sequences: &[Vec<Published>]) -> BTreeMap<Published, (usize, usize)> {
    let mut places = BTreeMap::new();
    for (of, sequence) in sequences.iter().enumerate() {
        places.extend(sequence.iter().enumerate().map(|(at, letter)| (*letter, (of, at))));
    }
    places
}

/// What of a stay has another order than there; and, where it has to be `whole`, what is missing without a word.
fn compare(
    stay: &Stay,
    places: &BTreeMap<Published, (usize, usize)>,
    whole: bool,
) -> Option<String> {
    let mut before: Option<((usize, usize), Heard)> = None;
    for heard @ (letter, gaps) in stay.heard.iter().copied() {
        let Some(place @ (of, at)) = places.get(&letter).copied() else { continue };
        if let Some(((last_of, last_at), (last, told))) = before.replace((place, heard)) {
            if last_of != of {
                continue;
            }
            if at <= last_at {
                return Some(format!("{letter:?} after {last:?}"));
            }
            let missing = (at - last_at - 1) as u64;
            if whole && missing > gaps - told {
                return Some(format!(
                    "{missing} missing from {last:?} to {letter:?}, told of {}",
                    gaps - told
                ));
            }
        }
    }
    None
}
