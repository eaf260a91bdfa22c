//! Frames go to the link in batches that are whole, bounded, and one at a time.

use moorline_core::Class;
use moorline_core::machine::{Input, Transmit};
use moorline_core::wire::Packet;

use crate::support::{End, Said};

/// The batches that an output list holds: the frames' lengths between two flushes.
fn batches(outputs: &[Said]) -> Vec<Vec<usize>> {
    let mut batches = Vec::new();
    let mut batch = Vec::new();
    for output in outputs {
        match output {
            Said::Transmit(Transmit::Frame(frame)) => batch.push(frame.len()),
            Said::Flush => batches.push(std::mem::take(&mut batch)),
            _ => {}
        }
    }
    assert!(batch.is_empty(), "a batch without a flush");
    batches
}

/// The batches in which so many messages of that size leave once the link takes them.
fn leave(count: usize, size: usize) -> Vec<Vec<usize>> {
    let mut config = crate::support::forgetful_server();
    config.window = usize::MAX;
    let mut server = End::server(config);
    server.packet(crate::support::hello_with_window(1 << 30));
    server.input(crate::support::accept());
    let text = "x".repeat(size);
    let sends: Vec<_> = (0..count).map(|_| server.outgoing(Class::AtLeastOnce, &text)).collect();
    let now = server.now;
    sends.into_iter().for_each(|send| server.machine.handle(now, send));
    batches(&server.outputs(Input::Tick))
}

#[test]
fn a_batch_has_at_most_64_frames() {
    let counts: Vec<_> = leave(200, 10).iter().map(Vec::len).collect();
    assert_eq!(counts, [64, 64, 64, 8]);
}

#[test]
fn a_batch_ends_with_the_frame_that_passes_128_kib() {
    for batch in leave(100, 10_000) {
        let before_the_last: usize = batch[..batch.len() - 1].iter().sum();
        assert!(before_the_last < 128 * 1024, "{batch:?}");
    }
    assert_eq!(leave(3, 200_000).len(), 3);
}

#[test]
fn what_fits_goes_with_one_flush() {
    assert_eq!(leave(64, 10).len(), 1);
}

#[test]
fn nothing_goes_out_before_the_last_batch_is_written() {
    let mut server = End::open_server(crate::support::forgetful_server());
    server.stuck = true;
    assert_eq!(server.send(Class::AtLeastOnce, "a"), ["> message(a)"]);
    assert_eq!(server.send(Class::AtLeastOnce, "b"), [""; 0]);
    assert_eq!(server.packet(Packet::Ping(1)), [""; 0]);
    assert_eq!(server.unstick(), ["> pong(1)", "> message(b)"]);
}

#[test]
fn a_pong_waits_for_one_batch_at_most() {
    let mut server = End::open_server(crate::support::forgetful_server());
    server.stuck = true;
    for _ in 0..200 {
        server.send(Class::AtLeastOnce, "x");
    }
    server.packet(Packet::Ping(1));
    assert_eq!(server.unstick()[0], "> pong(1)");
}
