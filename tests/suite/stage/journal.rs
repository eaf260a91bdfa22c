//! What a test has seen, in order.

use std::sync::{Arc, Mutex};

use moorline::{Event, Handle, Recovery, event};

use super::Stage;

/// A list of words that listeners write and the test reads. Clones are the same list.
#[derive(Clone, Default)]
pub(crate) struct Journal(Arc<Mutex<Vec<String>>>);

impl Journal {
    /// Writes down every event of a connection but changes of its status.
    pub(crate) fn of(connection: &Handle) -> Self {
        let journal = Self::default();
        let pen = journal.clone();
        connection.on_any(move |event| {
            if !matches!(event, Event::Status(_)) {
                pen.write(word(&event));
            }
        });
        journal
    }

    /// Writes down what happens to the connection, and leaves the messages to `next_message`.
    pub(crate) fn of_losses(connection: &Handle) -> Self {
        let journal = Self::default();
        let pen = || {
            let pen = journal.clone();
            move |event: Event| pen.write(word(&event))
        };
        let (connecting, connect, end) = (pen(), pen(), pen());
        let (reconnect, recovery, missed, error) = (pen(), pen(), pen(), pen());
        connection.on(event::Connecting, move |()| connecting(Event::Connecting));
        connection.on(event::Connect, move |connected| connect(Event::Connect(connected)));
        connection.on(event::Disconnect, move |why| end(Event::Disconnect(why)));
        connection.on(event::Reconnect, move |attempts| reconnect(Event::Reconnect(attempts)));
        connection.on(event::Recovery, move |what| recovery(Event::Recovery(what)));
        connection.on(event::Missed, move |count| missed(Event::Missed(count)));
        connection.on(event::Error, move |what| error(Event::Error(what)));
        journal
    }

    pub(crate) fn write(&self, word: impl Into<String>) {
        self.0.lock().unwrap().push(word.into());
    }

    pub(crate) fn words(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// What was written since the last time.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    pub(crate) fn has(&self, word: &str) -> bool {
        self.0.lock().unwrap().iter().any(|own| own == word)
    }

    pub(crate) fn count(&self, word: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|own| *own == word).count()
    }
}

impl Stage {
    /// Waits until the journal holds that word.
    pub(crate) async fn reads(&self, journal: &Journal, word: &str) {
        self.until(&format!("the journal says `{word}`"), || journal.has(word)).await;
    }
}

/// An event as one word or a few.
pub(crate) fn word(event: &Event) -> String {
    match event {
        Event::Status(status) => format!("status {status:?}"),
        Event::Connecting => "connecting".to_owned(),
        Event::Connect(_) => "connect".to_owned(),
        Event::Message(message) => format!("message {message}"),
        Event::MessageError(error) => format!("message error {}", error.message),
        Event::Disconnect(end) => format!("disconnect {:?}", end.reason),
        Event::Error(error) => format!("error {:?} {}", error.origin, error.code),
        Event::ReconnectAttempt(attempt) => format!("attempt {attempt}"),
        Event::Recovery(Recovery::Fresh { .. }) => "fresh".to_owned(),
        Event::Recovery(Recovery::Gap { from, to }) => format!("gap {from}..{to}"),
        Event::Recovery(_) => "recovered".to_owned(),
        Event::Missed(count) => format!("missed {count}"),
        Event::Reconnect(attempts) => format!("reconnect {attempts}"),
        Event::ReconnectFailed => "reconnect failed".to_owned(),
        Event::Unheard(count) => format!("unheard {count}"),
        Event::Lagged(count) => format!("lagged {count}"),
        Event::Throttled(features) => format!("throttled [{}]", features.join(" ")),
        other => format!("{other:?}"),
    }
}
