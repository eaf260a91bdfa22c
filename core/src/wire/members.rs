//! The parts that JSON packets are made of: an object that is written member by member, and the members to read.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{EncodeError, Pairs, limits};

/// An object that is being written.
pub(super) struct Object {
    text: Vec<u8>,
}

impl Object {
    /// A packet's object. It grows no further when `capacity` holds all members but the first.
    pub(super) fn packet(kind: &str, capacity: usize) -> Self {
        let mut text = Vec::with_capacity(kind.len() + 12 + capacity);
        text.push(b'{');
        let mut object = Self { text };
        object.string("type", kind);
        object
    }

    pub(super) fn string(&mut self, name: &str, value: &str) {
        self.name(name);
        self.value(value);
    }

    pub(super) fn number(
        &mut self,
        name: &str,
        value: u64,
        field: &'static str,
    ) -> Result<(), EncodeError> {
        if value > limits::MAX_NUMBER {
            return Err(EncodeError::Invalid { field, expected: A_NUMBER });
        }
        self.name(name);
        self.value(&value);
        Ok(())
    }

    /// An object of its own, that is no packet.
    pub(super) fn plain(capacity: usize) -> Self {
        let mut text = Vec::with_capacity(capacity + 2);
        text.push(b'{');
        Self { text }
    }

    pub(super) fn boolean(&mut self, name: &str, value: bool) {
        self.name(name);
        self.value(&value);
    }

    /// A boolean that is false where it is absent.
    pub(super) fn flag(&mut self, name: &str, value: bool) {
        if value {
            self.boolean(name, value);
        }
    }

    pub(super) fn strings(&mut self, name: &str, values: &[String]) {
        self.name(name);
        self.value(values);
    }

    /// Begins a list of objects within this one.
    pub(super) fn open_list(&mut self, name: &str) {
        self.name(name);
        self.text.push(b'[');
    }

    /// Begins an object in it, which [`close`](Self::close) ends.
    pub(super) fn open_item(&mut self) {
        if self.text.last() != Some(&b'[') {
            self.text.push(b',');
        }
        self.text.push(b'{');
    }

    /// Ends the list.
    pub(super) fn close_list(&mut self) {
        self.text.push(b']');
    }

    /// A value that is JSON already.
    pub(super) fn raw(&mut self, name: &str, json: &str) {
        self.name(name);
        self.text.extend_from_slice(json.as_bytes());
    }

    pub(super) fn base64(&mut self, name: &str, bytes: &[u8]) {
        self.name(name);
        self.text.push(b'"');
        let start = self.text.len();
        self.text.resize(start + base64_len(bytes), 0);
        let written = STANDARD.encode_slice(bytes, &mut self.text[start..]);
        debug_assert_eq!(written, Ok(base64_len(bytes)), "the room was measured for it");
        self.text.push(b'"');
    }

    pub(super) fn pairs(&mut self, name: &str, pairs: &Pairs) {
        if pairs.is_empty() {
            return;
        }
        self.open(name);
        for (name, value) in pairs {
            self.string(name, value);
        }
        self.close();
    }

    /// Begins an object within this one.
    pub(super) fn open(&mut self, name: &str) {
        self.name(name);
        self.text.push(b'{');
    }

    /// Ends it.
    pub(super) fn close(&mut self) {
        self.text.push(b'}');
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.close();
        self.text
    }

    fn name(&mut self, name: &str) {
        // No value ends with it, so it is the start of an object.
        if self.text.last() != Some(&b'{') {
            self.text.push(b',');
        }
        self.value(name);
        self.text.push(b':');
    }

    fn value<T: serde::Serialize + ?Sized>(&mut self, value: &T) {
        serde_json::to_writer(&mut self.text, value)
            .expect("every string and number is JSON, and a Vec takes every byte");
    }
}

/// What a number is refused with.
pub(super) const A_NUMBER: &str = "a whole number of at most 9007199254740991";

/// How long that text is between quotation marks: with it a buffer is allocated once.
pub(super) fn quoted_len(text: &str) -> usize {
    let short = text.bytes().filter(|byte| matches!(byte, b'"' | b'\\' | 8..=10 | 12..=13)).count();
    let long = text.bytes().filter(|byte| matches!(byte, 0..=7 | 11 | 14..=31)).count();
    text.len() + 2 + short + 5 * long
}

/// How long those bytes are in base64.
pub(super) const fn base64_len(bytes: &[u8]) -> usize {
    bytes.len().div_ceil(3) * 4
}

/// A string: a slice of the frame unless it holds escapes.
#[derive(serde::Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// A packet, as far as one look at the frame tells.
pub(super) enum Envelope<'a> {
    /// A message whose type came first, read to its end.
    Message(MessageBody<'a>),
    /// Anything else: its type. Its body is read in a second look.
    Other(Text<'a>),
}

impl<'de> Deserialize<'de> for Envelope<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Look;

        impl<'de> Visitor<'de> for Look {
            type Value = Envelope<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut kind = None;
                let mut first = true;
                while let Some(Text(name)) = map.next_key()? {
                    if name != "type" {
                        map.next_value::<IgnoredAny>()?;
                    } else if kind.is_some() {
                        return Err(A::Error::duplicate_field("type"));
                    } else {
                        let value: Text<'de> = map.next_value()?;
                        if first && value.0 == "message" {
                            let body = MessageBody::deserialize(MapAccessDeserializer::new(map))?;
                            return match body.kind {
                                None => Ok(Envelope::Message(body)),
                                Some(_) => Err(A::Error::duplicate_field("type")),
                            };
                        }
                        kind = Some(value);
                    }
                    first = false;
                }
                kind.map(Envelope::Other).ok_or_else(|| A::Error::missing_field("type"))
            }
        }

        deserializer.deserialize_map(Look)
    }
}

/// The members of a message.
#[derive(serde::Deserialize)]
pub(super) struct MessageBody<'a> {
    #[serde(rename = "type", default, deserialize_with = "present")]
    kind: Option<IgnoredAny>,
    #[serde(borrow)]
    pub(super) channel: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) event: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) class: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) text: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) json: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) binary: Option<Text<'a>>,
}

/// The member of hello and ready that is read first: in another version the rest may look different.
#[derive(serde::Deserialize)]
pub(super) struct VersionBody {
    pub(super) version: u64,
}

/// The members of a hello.
#[derive(serde::Deserialize)]
pub(super) struct HelloBody<'a> {
    pub(super) attempt: Option<u64>,
    pub(super) window: Option<u64>,
    pub(super) max_frame: Option<u64>,
    pub(super) room: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) auth: Option<&'a RawValue>,
    pub(super) query: Option<PairsBody>,
    #[serde(default, deserialize_with = "object")]
    pub(super) resume: Option<ResumeBody>,
}

/// The members of a hello's `resume`.
#[derive(serde::Deserialize)]
pub(super) struct ResumeBody {
    pub(super) session: String,
    pub(super) secret: String,
    pub(super) received: Option<u64>,
}

/// The members of a ready.
#[derive(serde::Deserialize)]
pub(super) struct ReadyBody {
    pub(super) id: String,
    pub(super) window: Option<u64>,
    pub(super) max_frame: Option<u64>,
    pub(super) properties: Option<PairsBody>,
    #[serde(default, deserialize_with = "object")]
    pub(super) session: Option<SessionBody>,
    #[serde(default, deserialize_with = "object")]
    pub(super) recovery: Option<RecoveryBody>,
}

/// The members of a ready's `session`.
#[derive(serde::Deserialize)]
pub(super) struct SessionBody {
    pub(super) id: String,
    pub(super) secret: String,
}

/// The members of a ready's `recovery`.
#[derive(serde::Deserialize)]
pub(super) struct RecoveryBody {
    pub(super) kind: String,
    pub(super) received: Option<u64>,
}

/// The members of an ack.
#[derive(serde::Deserialize)]
pub(super) struct AckBody {
    pub(super) numbered: Option<u64>,
    pub(super) unnumbered: Option<u64>,
}

/// The member of skip, gap and lagged.
#[derive(serde::Deserialize)]
pub(super) struct CountBody {
    pub(super) count: u64,
}

/// The member of a request beside those of its message.
#[derive(serde::Deserialize)]
pub(super) struct IdBody {
    pub(super) id: Option<u64>,
}

/// The members of a publish beside those of its message.
#[derive(serde::Deserialize)]
pub(super) struct PublishBody {
    pub(super) echo: Option<bool>,
}

/// The members of a response beside those of its message.
#[derive(serde::Deserialize)]
pub(super) struct ResponseBody<'a> {
    pub(super) id: u64,
    #[serde(borrow, default, deserialize_with = "object")]
    pub(super) error: Option<ErrorBody<'a>>,
}

/// The member of ping and pong.
#[derive(serde::Deserialize)]
pub(super) struct PingBody {
    pub(super) n: Option<u64>,
}

/// The members of an error.
#[derive(serde::Deserialize)]
pub(super) struct ErrorBody<'a> {
    pub(super) code: String,
    pub(super) message: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) details: Option<&'a RawValue>,
}

/// The members of a close.
#[derive(serde::Deserialize)]
pub(super) struct CloseBody {
    pub(super) code: u64,
    pub(super) reason: Option<String>,
    pub(super) retry_after: Option<u64>,
    pub(super) spread: Option<u64>,
}

/// An object whose values are strings, in its order and with its duplicates.
#[derive(Default)]
pub(super) struct PairsBody {
    /// The first of them, one more than allowed at most.
    pub(super) pairs: Pairs,
    /// How many there are.
    pub(super) count: usize,
}

impl<'de> Deserialize<'de> for PairsBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = PairsBody;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PairsBody, A::Error> {
                let mut body = PairsBody::default();
                while body.count <= limits::MAX_PAIRS {
                    let Some(pair) = map.next_entry()? else {
                        return Ok(body);
                    };
                    body.pairs.push(pair);
                    body.count += 1;
                }
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                    body.count += 1;
                }
                Ok(body)
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

/// A member that is there, `null` included: with serde's own rule a JSON value `null` would count as absent.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// An object or `null`.
pub(super) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Ok(Option::<Entry<T>>::deserialize(deserializer)?.map(|Entry(object)| object))
}

/// An object: serde's own structs would take arrays too.
pub(super) struct Entry<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entry<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Read<T> {
            type Value = Entry<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entry<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Entry)
            }
        }

        deserializer.deserialize_map(Read(PhantomData))
    }
}

/// A list in which `MOST` may stand. A peer that sends more makes nothing grow: the rest is counted only.
pub(super) struct List<T, const MOST: usize> {
    /// The first of them, one more than allowed at most.
    pub(super) items: Vec<T>,
    /// How many there are.
    pub(super) count: usize,
}

impl<T, const MOST: usize> Default for List<T, MOST> {
    fn default() -> Self {
        Self { items: Vec::new(), count: 0 }
    }
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for List<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect<T, const MOST: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Collect<T, MOST> {
            type Value = List<T, MOST>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut list = List::default();
                while list.count <= MOST {
                    let Some(item) = seq.next_element()? else { return Ok(list) };
                    list.items.push(item);
                    list.count += 1;
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    list.count += 1;
                }
                Ok(list)
            }
        }

        deserializer.deserialize_seq(Collect(PhantomData))
    }
}
