//! What was played, in numbers.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use moorline::{Class, Recovery, Time};

use crate::log::Entry;

/// What was played of one seed, or of many, and what was wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub played: Duration,
    /// Messages accepted: at least once, at most once, volatile.
    pub messages: [u64; 3],
    pub requests: u64,
    pub joins: u64,
    pub presence_changes: u64,
    pub publishes: u64,
    pub query_changes: u64,
    pub received: u64,
    pub faults: BTreeMap<&'static str, u64>,
    pub recoveries: u64,
    pub fresh: u64,
    pub gaps: u64,
    /// Each with its seed.
    pub violations: Vec<(u64, String)>,
    /// Of all that was seen, in order.
    pub trace: u64,
}

impl Report {
    pub(crate) fn of(
        seed: u64,
        played: Duration,
        entries: &[(Time, Entry)],
        violations: Vec<String>,
    ) -> Self {
        let mut report = Self { played, ..Self::default() };
        for (at, entry) in entries {
            report.trace = hash(report.trace, &format!("{at:?} {entry:?}"));
            match entry {
                Entry::Sent { class, .. } => {
                    let class = match class {
                        Class::AtLeastOnce => 0,
                        Class::AtMostOnce => 1,
                        Class::Volatile => 2,
                    };
                    report.messages[class] += 1;
                }
                Entry::Received { .. } | Entry::OnChannel { .. } => report.received += 1,
                Entry::Wants { joins, .. } => report.joins += u64::from(*joins),
                Entry::Presence { .. } => report.presence_changes += 1,
                Entry::Published { .. } => report.publishes += 1,
                Entry::Rows { changes, .. } => report.query_changes += changes.unwrap_or(0),
                Entry::Asked => report.requests += 1,
                Entry::Fault(name) => *report.faults.entry(name).or_default() += 1,
                Entry::Told { recovery, .. } => match recovery {
                    Recovery::Recovered => report.recoveries += 1,
                    Recovery::Fresh { .. } => report.fresh += 1,
                    _ => report.gaps += 1,
                },
                _ => {}
            }
        }
        report.violations = violations.into_iter().map(|text| (seed, text)).collect();
        report
    }

    /// Adds what was played of another seed.
    pub fn add(&mut self, other: Self) {
        self.played += other.played;
        for (own, more) in self.messages.iter_mut().zip(other.messages) {
            *own += more;
        }
        self.requests += other.requests;
        self.joins += other.joins;
        self.presence_changes += other.presence_changes;
        self.publishes += other.publishes;
        self.query_changes += other.query_changes;
        self.received += other.received;
        for (name, count) in other.faults {
            *self.faults.entry(name).or_default() += count;
        }
        self.recoveries += other.recoveries;
        self.fresh += other.fresh;
        self.gaps += other.gaps;
        self.violations.extend(other.violations);
        self.trace = hash(self.trace, &other.trace.to_string());
    }
}

fn hash(before: u64, text: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one((before, text))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.played.as_secs_f64() / 3600.0;
        let [at_least, at_most, volatile] = self.messages;
        let all: u64 = self.faults.values().sum();
        write!(
            f,
            "{hours:.1} hours, {at_least} messages at least once, {at_most} at most once, {volatile} volatile, {} \
             requests, {} joins, {} presence changes, {} publishes, {} query changes, {} received, {all} faults (",
            self.requests,
            self.joins,
            self.presence_changes,
            self.publishes,
            self.query_changes,
            self.received
        )?;
        for (at, (name, count)) in self.faults.iter().enumerate() {
            write!(f, "{}{count} {name}", if at == 0 { "" } else { ", " })?;
        }
        write!(
            f,
            "), {} recoveries, {} new sessions told, {} gaps, {} violations, trace {:016x}",
            self.recoveries,
            self.fresh,
            self.gaps,
            self.violations.len(),
            self.trace
        )
    }
}
