//! Queries on their way to the server: as few packets as they fit into.

use moorline_core::wire::{Asked, Codec, EncodeError, Packet, Query};
use moorline_core::{Frame, QueryError};

/// Writes what is asked in one packet, or in several where it is too much for one. What cannot be asked at all is told with why.
pub(super) fn encode(
    codec: &dyn Codec,
    limit: usize,
    query: Query,
    frames: &mut Vec<Frame>,
    untold: &mut Vec<(Asked, QueryError)>,
) {
    if query.ask.is_empty() && query.end.is_empty() {
        return;
    }
    let error = match codec.encode(Packet::Query(Box::new(query.clone()))) {
        Ok(frame) if frame.len() <= limit => return frames.push(frame),
        Ok(frame) => too_large(format!("it takes {} bytes, limit {limit}", frame.len())),
        Err(error @ EncodeError::Unsupported { .. }) => {
            QueryError::new("query_unsupported", error.to_string())
        }
        Err(error) => too_large(error.to_string()),
    };
    let Query { mut ask, mut end } = query;
    if ask.len() + end.len() > 1 {
        let rest =
            Query { ask: ask.split_off(ask.len() / 2), end: end.split_off(end.len().div_ceil(2)) };
        encode(codec, limit, Query { ask, end }, frames, untold);
        encode(codec, limit, rest, frames, untold);
    } else {
        // What the server was never asked it need not end.
        untold.extend(ask.into_iter().map(|ask| (ask.asked, error.clone())));
    }
}

fn too_large(message: String) -> QueryError {
    QueryError::new("query_too_large", message)
}
