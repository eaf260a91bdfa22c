//! Queries as a client asks them (R38 to R41): sets of them, what they give, and what it may fail with.

mod call;
mod set;

use bytes::Bytes;
use moorline_core::QueryError;
use moorline_core::wire::{Answer, AnswerBody};
use serde::de::DeserializeOwned;

pub(crate) use self::call::{call, run_error, run_result};
pub use self::set::{QueryBatch, QueryOptions, QuerySet};
pub(crate) use crate::listeners::Ran;

/// What a query gave (R38).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueryResult {
    /// The query.
    pub query: String,
    /// How many rows or changes there are.
    pub count: u64,
    /// Whether these are its rows (`true`), or what has changed of them.
    pub retrieve: bool,
    /// A JSON array: the rows, or the changes as the server's engine tells them.
    pub rows: Bytes,
}

impl QueryResult {
    pub(crate) const fn new(query: String, count: u64, retrieve: bool, rows: Bytes) -> Self {
        Self { query, count, retrieve, rows }
    }

    /// The rows, read.
    ///
    /// ```
    /// #[derive(serde::Deserialize)]
    /// struct Order { id: u64, item: String }
    ///
    /// # fn read(result: &moorline::query::QueryResult) -> Result<(), serde_json::Error> {
    /// for order in result.read::<Order>()? {
    ///     println!("{}: {}", order.id, order.item);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When they are not of that type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<Vec<T>, serde_json::Error> {
        serde_json::from_slice(&self.rows)
    }
}

/// The largest result that is unpacked, in bytes: what is packed may be a thousand times smaller.
#[cfg(feature = "gzip")]
const MAX_UNPACKED: u64 = 16 << 20;

/// The same answer with rows that are not packed; what was not read, and why.
pub(crate) fn unpacked(mut answer: Answer) -> Result<Answer, Box<(Answer, QueryError)>> {
    if let AnswerBody::Rows { rows, packed: packed @ true, .. } = &mut answer.body {
        match unpack(rows) {
            Ok(unpacked) => (*rows, *packed) = (unpacked, false),
            Err(error) => return Err(Box::new((answer, error))),
        }
    }
    Ok(answer)
}

#[cfg(feature = "gzip")]
fn unpack(rows: &Bytes) -> Result<Bytes, QueryError> {
    use std::io::Read;

    let mut unpacked = Vec::new();
    let mut reader = flate2::read::GzDecoder::new(&**rows).take(MAX_UNPACKED + 1);
    reader
        .read_to_end(&mut unpacked)
        .map_err(|error| QueryError::new("query_unreadable", format!("not gzip: {error}")))?;
    if unpacked.len() as u64 > MAX_UNPACKED {
        let message = format!("a result has more than {MAX_UNPACKED} bytes when unpacked");
        return Err(QueryError::new("query_too_large", message));
    }
    Ok(unpacked.into())
}

#[cfg(not(feature = "gzip"))]
fn unpack(_: &Bytes) -> Result<Bytes, QueryError> {
    let message = "a packed result came, which nobody has asked for: the feature `gzip` is off";
    Err(QueryError::new("query_unreadable", message))
}

/// Rows packed by gzip; as they are where that is not built in.
#[cfg(feature = "gzip")]
pub(crate) fn pack(rows: &Bytes) -> (Bytes, bool) {
    use std::io::Write;

    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    match packer.write_all(rows).and_then(|()| packer.finish()) {
        Ok(packed) => (packed.into(), true),
        Err(_) => (rows.clone(), false),
    }
}

#[cfg(not(feature = "gzip"))]
pub(crate) fn pack(rows: &Bytes) -> (Bytes, bool) {
    (rows.clone(), false)
}
