//! What one connection is told by itself.

use std::sync::Arc;
use std::task::Waker;

use moorline_core::machine::Outgoing;
use moorline_core::wire::{EncodeError, ErrorPacket, Packet, cost};
use moorline_core::{Class, Frame};

use super::fanout::Fanout;
use crate::shared::{Command, Shared};
use crate::sync::{lock, wait_until};

/// Whether one could be told.
pub(super) enum Told {
    Yes(Vec<Waker>),
    /// Too much waits for it.
    NoRoom,
    Unfit(ErrorPacket),
}

/// Tells one of something small, which may get lost for want of room: it is then told that.
pub(super) fn tell(shared: &Arc<Shared>, packet: Packet) {
    let mut fanout = Fanout::of_packet(packet);
    fanout.send(shared);
    let _told_if_it_is_missed = fanout.finish();
}

/// Tells one of several things, all or none. They may take more room than there is if there is any, as a single message may:
/// so somebody who asks for much gets it one after another, and nothing of it gets lost.
pub(super) fn tell_all(shared: &Shared, frames: Vec<Result<Frame, EncodeError>>) -> Told {
    let mut state = lock(&shared.state);
    let limit = state.max_frame;
    let mut fitting = Vec::with_capacity(frames.len());
    for frame in frames {
        match fit(frame, limit) {
            Ok(frame) => fitting.push(frame),
            Err(error) => return Told::Unfit(error),
        }
    }
    if !state.has_room() {
        return Told::NoRoom;
    }
    let connected = state.status.is_connected();
    let bytes = fitting.iter().map(cost).sum();
    if !connected && fitting.len() > 1 && !state.buffers_all(fitting.len(), bytes) {
        // A part of it would be taken for all.
        return Told::Yes(state.command(Command::Lost(1)).into_iter().collect());
    }
    let wakes = fitting.into_iter().filter_map(|frame| {
        let outgoing = Outgoing::new(frame, Class::AtLeastOnce);
        if connected { state.overfill(outgoing) } else { state.broadcast(outgoing).1 }
    });
    Told::Yes(wakes.collect())
}

/// The frame, unless that connection cannot be sent it.
pub(super) fn fit(frame: Result<Frame, EncodeError>, limit: usize) -> Result<Frame, ErrorPacket> {
    let size = match frame {
        Ok(frame) if frame.len() <= limit => return Ok(frame),
        Ok(frame) => frame.len(),
        Err(error) => return Err(ErrorPacket::new("query_too_large", error.to_string())),
    };
    let message = format!("a result has {size} bytes, and this client takes frames of {limit}");
    Err(ErrorPacket::new("query_too_large", message))
}

/// Waits until there is room for what one has asked for, or nobody to have it.
pub(super) async fn room(shared: &Shared) {
    wait_until(&shared.state, |state| &mut state.room, |state| state.has_room().then_some(()))
        .await;
}
