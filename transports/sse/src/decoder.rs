//! An event stream, taken apart (WHATWG HTML, section 9.2, "Server-sent events").

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use memchr::{memchr, memchr2};
use moorline_core::TransportError;

/// Takes an event stream apart, without I/O: give it what was read ([`push`](Self::push)), and ask for what that says
/// ([`next`](Self::next)) until it says no more.
///
/// It follows the standard to the letter: line ends of all three kinds wherever they are split, one byte order mark, comments,
/// unknown fields, ids with NUL, `retry` of digits only, events without data, and an unfinished event at the end, which is none.
/// UTF-8 is left to whoever reads the [event](Event): replacing what is wrong in each field gives what replacing it in the whole
/// stream gives, since a line's end is never a part of a longer character.
///
/// What one read holds is not copied. What is kept over is bounded by the limit; each byte is looked at once.
///
/// ```
/// use moorline_sse::{EventDecoder, Item};
///
/// let mut decoder = EventDecoder::new(1024);
/// decoder.push("event: tea\ndata: one\ndata: two\n\n: a comm".into());
/// let Some(Item::Event(event)) = decoder.next()? else { panic!("an event is whole") };
/// assert_eq!((&event.name[..], &event.data[..]), (&b"tea"[..], &b"one\ntwo"[..]));
/// assert_eq!(decoder.next()?, None);
/// decoder.push("ent\n".into());
/// assert_eq!(decoder.next()?, Some(Item::Comment));
/// # Ok::<_, moorline_core::TransportError>(())
/// ```
#[derive(Debug)]
pub struct EventDecoder {
    limit: usize,
    /// Read, and not looked at.
    chunk: Bytes,
    /// The beginning of the line, of what was read before.
    line: BytesMut,
    /// The line is a comment, of which nothing is kept.
    comment: bool,
    /// A line feed would belong to the end of the last line.
    after_return: bool,
    /// Nothing was read yet.
    first: bool,
    name: Bytes,
    data: Data,
    id: Bytes,
    new_id: bool,
    last_id: Bytes,
}

/// What an event stream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// An event.
    Event(Event),
    /// A comment's line: proof of life.
    Comment,
    /// How long to wait before connecting again.
    Retry(Duration),
}

/// An event. Nothing says that its parts are UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its type; empty is `message`.
    pub name: Bytes,
    /// Its lines, with line feeds between them.
    pub data: Bytes,
}

#[derive(Debug, Default)]
enum Data {
    #[default]
    None,
    One(Bytes),
    Many(BytesMut),
}

impl Data {
    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(data) => data.len(),
            Self::Many(data) => data.len(),
        }
    }

    fn push(&mut self, line: Bytes) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(line),
            Self::One(data) => {
                let mut both = BytesMut::with_capacity(2 * (data.len() + line.len() + 1));
                both.extend_from_slice(&data);
                both.extend_from_slice(b"\n");
                both.extend_from_slice(&line);
                Self::Many(both)
            }
            Self::Many(mut data) => {
                data.extend_from_slice(b"\n");
                data.extend_from_slice(&line);
                Self::Many(data)
            }
        };
    }
}

/// One byte order mark may stand in front.
const MARK: &[u8] = b"\xef\xbb\xbf";

impl EventDecoder {
    /// A decoder that keeps at most `limit` bytes of an event.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            chunk: Bytes::new(),
            line: BytesMut::new(),
            comment: false,
            after_return: false,
            first: true,
            name: Bytes::new(),
            data: Data::None,
            id: Bytes::new(),
            new_id: false,
            last_id: Bytes::new(),
        }
    }

    /// The id that the last event left, for `Last-Event-ID`; empty without one.
    #[must_use]
    pub fn last_event_id(&self) -> &Bytes {
        &self.last_id
    }

    /// Begins with the id that an earlier stream left.
    pub fn set_last_event_id(&mut self, id: Bytes) {
        self.id = id.clone();
        self.last_id = id;
    }

    /// Takes what was read. All that was read before must have been taken apart.
    ///
    /// # Panics
    ///
    /// When [`next`](Self::next) has more to say of what was read before.
    pub fn push(&mut self, chunk: Bytes) {
        assert!(self.chunk.is_empty(), "next() says `None` before the next push");
        self.chunk = chunk;
    }

    /// What comes next; `None` until more was read.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](moorline_core::TransportErrorKind::TooLarge) when an event, or a line, is longer than the limit.
    #[allow(clippy::should_implement_trait, reason = "after `None` there may be more")]
    pub fn next(&mut self) -> Result<Option<Item>, TransportError> {
        loop {
            if self.chunk.is_empty() {
                return Ok(None);
            }
            if std::mem::take(&mut self.after_return) && self.chunk[0] == b'\n' {
                self.chunk.advance(1);
                continue;
            }
            if self.first && self.line.is_empty() {
                // Usually there is no mark, or it lies in one piece.
                self.first = self.chunk.len() < MARK.len() && MARK.starts_with(&self.chunk);
                if self.chunk.starts_with(MARK) {
                    self.chunk.advance(MARK.len());
                    continue;
                }
            }
            let Some(end) = memchr2(b'\n', b'\r', &self.chunk) else {
                self.keep()?;
                return Ok(None);
            };
            if let Some(item) = self.line(end)? {
                return Ok(Some(item));
            }
        }
    }

    /// Keeps the beginning of a line for what is read next.
    fn keep(&mut self) -> Result<(), TransportError> {
        let chunk = std::mem::take(&mut self.chunk);
        if self.comment {
            return Ok(());
        }
        if self.line.is_empty() && !self.first && chunk[0] == b':' {
            self.comment = true;
            return Ok(());
        }
        self.check(chunk.len())?;
        self.line.extend_from_slice(&chunk);
        Ok(())
    }

    /// Whether there is room for that much more.
    fn check(&self, more: usize) -> Result<(), TransportError> {
        let size = self.line.len() + self.data.len() + self.name.len() + more;
        if size > self.limit { Err(TransportError::too_large(size, self.limit)) } else { Ok(()) }
    }

    /// The line that ends there.
    fn line(&mut self, end: usize) -> Result<Option<Item>, TransportError> {
        let whole = self.line.is_empty() && !self.first;
        let comment = std::mem::take(&mut self.comment) || (whole && self.chunk[0] == b':');
        // Most lines: an event's end, or its data.
        if whole && end == 0 && !comment {
            self.skip(end);
            return Ok(self.dispatch());
        }
        if whole && !comment && self.chunk.starts_with(b"data:") {
            self.check(end)?;
            let value = b"data:".len();
            let space = usize::from(end > value && self.chunk[value] == b' ');
            self.data.push(self.chunk.slice(value + space..end));
            self.skip(end);
            return Ok(None);
        }
        let line = if comment {
            Bytes::from_static(b":")
        } else if whole {
            self.check(end)?;
            self.chunk.slice(..end)
        } else {
            self.check(end)?;
            self.line.extend_from_slice(&self.chunk[..end]);
            let mut line = std::mem::take(&mut self.line).freeze();
            if std::mem::take(&mut self.first) && line.starts_with(MARK) {
                line.advance(MARK.len());
            }
            line
        };
        self.skip(end);
        Ok(self.field(&line))
    }

    /// Goes on behind the line that ends there.
    fn skip(&mut self, end: usize) {
        self.after_return = self.chunk[end] == b'\r';
        self.chunk.advance(end + 1);
    }

    fn field(&mut self, line: &Bytes) -> Option<Item> {
        if line.is_empty() {
            return self.dispatch();
        }
        let (name, value) = match memchr(b':', line) {
            Some(0) => return Some(Item::Comment),
            Some(colon) => {
                let space = usize::from(line.get(colon + 1) == Some(&b' '));
                (&line[..colon], colon + 1 + space)
            }
            None => (&line[..], line.len()),
        };
        match name {
            b"data" => self.data.push(line.slice(value..)),
            b"event" => self.name = line.slice(value..),
            b"id" if memchr(0, &line[value..]).is_none() => {
                // Kept for long, and so apart from what it was read with.
                self.id = Bytes::copy_from_slice(&line[value..]);
                self.new_id = true;
            }
            b"retry" => return retry(&line[value..]),
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Item> {
        if self.new_id {
            self.new_id = false;
            self.last_id.clone_from(&self.id);
        }
        let name = std::mem::take(&mut self.name);
        let data = match std::mem::take(&mut self.data) {
            Data::None => return None,
            Data::One(data) => data,
            Data::Many(data) => data.freeze(),
        };
        Some(Item::Event(Event { name, data }))
    }
}

/// A time in milliseconds. More than any clock counts is for ever.
fn retry(value: &[u8]) -> Option<Item> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let time = std::str::from_utf8(value).ok()?.parse().unwrap_or(u64::MAX);
    Some(Item::Retry(Duration::from_millis(time)))
}
