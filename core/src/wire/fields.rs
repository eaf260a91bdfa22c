//! The parts that binary packets are made of: varints, strings, pairs.

use bytes::Bytes;
use bytestring::ByteString;

use super::{DecodeError, Pairs, Secret, limits};

/// Where a packet is written: first into a `usize`, which counts, then into a buffer of just that size.
pub(super) trait Put {
    fn put(&mut self, bytes: &[u8]);

    fn byte(&mut self, byte: u8) {
        self.put(&[byte]);
    }

    /// LEB128: seven bits a byte, the lowest first, the high bit set on all but the last.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.byte(value as u8 | 0x80);
            value >>= 7;
        }
        self.byte(value as u8);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u64);
        self.put(bytes);
    }

    fn pairs(&mut self, pairs: &Pairs) {
        self.varint(pairs.len() as u64);
        for (name, value) in pairs {
            self.bytes(name.as_bytes());
            self.bytes(value.as_bytes());
        }
    }
}

impl Put for usize {
    fn put(&mut self, bytes: &[u8]) {
        *self += bytes.len();
    }
}

impl Put for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Reads a frame from its start to its end. What it gives out are slices of the frame.
pub(super) struct Reader {
    rest: Bytes,
}

impl Reader {
    pub(super) const fn new(frame: Bytes) -> Self {
        Self { rest: frame }
    }

    pub(super) fn byte(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        Ok(self.take(1, field)?[0])
    }

    pub(super) fn varint(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        let mut value = 0;
        for (at, &byte) in self.rest.iter().take(10).enumerate() {
            if at == 9 && byte > 1 {
                return Err(DecodeError::Invalid {
                    field,
                    expected: "a varint of at most 64 bits",
                });
            }
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                if byte == 0 && at > 0 {
                    return Err(DecodeError::Invalid {
                        field,
                        expected: "a varint in its shortest form",
                    });
                }
                self.take(at as u64 + 1, field)?;
                return Ok(value);
            }
        }
        Err(DecodeError::Truncated { field })
    }

    pub(super) fn bytes(&mut self, field: &'static str) -> Result<Bytes, DecodeError> {
        let len = self.varint(field)?;
        self.take(len, field)
    }

    pub(super) fn text(&mut self, field: &'static str) -> Result<ByteString, DecodeError> {
        ByteString::try_from(self.bytes(field)?)
            .map_err(|_| DecodeError::Invalid { field, expected: "UTF-8" })
    }

    pub(super) fn string(&mut self, field: &'static str) -> Result<String, DecodeError> {
        Ok(self.text(field)?.to_string())
    }

    pub(super) fn json(&mut self, field: &'static str) -> Result<Bytes, DecodeError> {
        let bytes = self.bytes(field)?;
        if limits::json(&bytes).is_none() {
            return Err(DecodeError::Invalid { field, expected: "JSON" });
        }
        Ok(bytes)
    }

    pub(super) fn pairs(&mut self, field: &'static str) -> Result<Pairs, DecodeError> {
        let count = usize::try_from(self.varint(field)?).unwrap_or(usize::MAX);
        limits::pairs(field, count)?;
        (0..count).map(|_| Ok((self.string(field)?, self.string(field)?))).collect()
    }

    pub(super) fn secret(&mut self, field: &'static str) -> Result<Secret, DecodeError> {
        let mut secret = [0; 16];
        secret.copy_from_slice(&self.take(16, field)?);
        Ok(Secret(secret))
    }

    /// A byte of which only the bits in `known` may be set.
    pub(super) fn flags(&mut self, field: &'static str, known: u8) -> Result<u8, DecodeError> {
        let flags = self.byte(field)?;
        if flags & !known != 0 {
            return Err(DecodeError::Invalid { field, expected: "free of unknown bits" });
        }
        Ok(flags)
    }

    /// What later versions add at the end, (tag, length, bytes) each: skipped, since this one knows none.
    pub(super) fn extensions(&mut self, field: &'static str) -> Result<(), DecodeError> {
        while !self.rest.is_empty() {
            self.varint(field)?;
            self.bytes(field)?;
        }
        Ok(())
    }

    /// Everything up to the frame's end.
    pub(super) fn rest(self) -> Bytes {
        self.rest
    }

    /// That nothing is left.
    pub(super) fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Invalid {
                field: "frame",
                expected: "at its end where its packet ends",
            })
        }
    }

    fn take(&mut self, len: u64, field: &'static str) -> Result<Bytes, DecodeError> {
        match usize::try_from(len) {
            Ok(len) if len <= self.rest.len() => Ok(self.rest.split_to(len)),
            Ok(_) | Err(_) => Err(DecodeError::Truncated { field }),
        }
    }
}
