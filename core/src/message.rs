//! What applications send to each other.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What is promised about a message's delivery (R46).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Class {
    /// Dropped when it cannot go out at once: positions, typing. Never numbered.
    Volatile,
    /// Sent once, in order, and not again if the link is lost on the way. Never numbered.
    AtMostOnce,
    /// Numbered and acknowledged.
    #[default]
    AtLeastOnce,
}

/// What a message carries. Cloning counts a reference.
#[derive(Clone, PartialEq, Eq)]
pub enum Data {
    /// UTF-8 text. Read it with [`Message::text`], which checks.
    Text(Bytes),
    /// A JSON value in UTF-8. Read it with [`Message::json`].
    Json(Bytes),
    /// Any bytes.
    Binary(Bytes),
}

impl Data {
    /// The bytes, of any kind.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        match self {
            Self::Text(bytes) | Self::Json(bytes) | Self::Binary(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Data {
    /// Says the kind and the length. Payloads stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Text(_) => "Text",
            Self::Json(_) => "Json",
            Self::Binary(_) => "Binary",
        };
        write!(f, "{kind}({} bytes)", self.bytes().len())
    }
}

/// One message: data, and where it belongs.
///
/// Anything that is text or bytes converts into one: `"hello".into()`, `vec![1, 2].into()`.
///
/// ```
/// use moorline_core::{Class, Message};
///
/// let plain = Message::from("hello");
/// let typing = Message::from_json(&["ann"])?.on("room-1").event("typing").class(Class::Volatile);
/// assert_eq!(plain.text(), Some("hello"));
/// assert_eq!(typing.json::<Vec<String>>()?, ["ann"]);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// What is promised about its delivery.
    pub class: Class,
    /// Whether a newer message on the same channel, of the same event, takes its place while it waits to be
    /// sent (R47). Not sent along.
    pub latest: bool,
    /// In milliseconds; 0 is for ever.
    ttl: u32,
    /// The channel it belongs to (R24).
    pub channel: Option<ByteString>,
    /// Its type, or the name of the event that it is (R23, R26).
    pub event: Option<ByteString>,
    /// What it carries.
    pub data: Data,
}

impl Message {
    /// A message of these data, on no channel.
    #[must_use]
    pub const fn new(data: Data) -> Self {
        Self { class: Class::AtLeastOnce, latest: false, ttl: 0, channel: None, event: None, data }
    }

    /// A message of any value that serde can write as JSON.
    ///
    /// # Errors
    ///
    /// When the value cannot be written as JSON (a map whose keys are not strings, say).
    pub fn from_json<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        Ok(Self::new(Data::Json(serde_json::to_vec(value)?.into())))
    }

    /// The same message on that channel.
    #[must_use]
    pub fn on(mut self, channel: impl Into<ByteString>) -> Self {
        self.channel = Some(channel.into());
        self
    }

    /// The same message with that type, or as that event.
    #[must_use]
    pub fn event(mut self, event: impl Into<ByteString>) -> Self {
        self.event = Some(event.into());
        self
    }

    /// The same message in that delivery class.
    #[must_use]
    pub const fn class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }

    /// The same message, of which only the latest on its channel and of its event waits to be sent: prices,
    /// positions.
    #[must_use]
    pub const fn latest(mut self) -> Self {
        self.latest = true;
        self
    }

    /// The same message with a time to live: past it, counted from the send, it is not sent, and not sent
    /// again after a reconnect. Rounded up to whole milliseconds, at most 49 days.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        let millis = ttl.as_nanos().div_ceil(1_000_000).max(1);
        self.ttl = u32::try_from(millis).unwrap_or(u32::MAX);
        self
    }

    /// How long it may wait to be sent; `None` is for ever.
    #[must_use]
    pub fn time_to_live(&self) -> Option<Duration> {
        (self.ttl > 0).then(|| Duration::from_millis(self.ttl.into()))
    }

    /// The text; `None` when it carries something else, or text that is not UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(bytes) => std::str::from_utf8(bytes).ok(),
            Data::Json(_) | Data::Binary(_) => None,
        }
    }

    /// The bytes, of any kind of data.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        self.data.bytes()
    }

    /// The value, read as JSON from any kind of data.
    ///
    /// # Errors
    ///
    /// When the data are not JSON, or not of that type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(self.bytes())
    }
}

impl fmt::Display for Message {
    /// The text or JSON; the length of binary data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.data {
            Data::Text(bytes) | Data::Json(bytes) => f.write_str(&String::from_utf8_lossy(bytes)),
            Data::Binary(bytes) => write!(f, "{} bytes", bytes.len()),
        }
    }
}

impl Default for Message {
    /// The JSON value `{}`: for a channel's message that says nothing but that it came (R24).
    fn default() -> Self {
        Self::new(Data::Json(Bytes::from_static(b"{}")))
    }
}

impl From<Data> for Message {
    fn from(data: Data) -> Self {
        Self::new(data)
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::new(Data::Text(Bytes::copy_from_slice(text.as_bytes())))
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::new(Data::Text(text.into()))
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Self::new(Data::Binary(bytes))
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(Data::Binary(bytes.into()))
    }
}

impl From<&[u8]> for Message {
    fn from(bytes: &[u8]) -> Self {
        Self::new(Data::Binary(Bytes::copy_from_slice(bytes)))
    }
}
