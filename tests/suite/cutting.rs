//! A link that is cut at any frame: what arrived is a prefix, and the counts of the end are true.

use std::sync::{Arc, Mutex};

use moorline_memory::Direction;

use crate::stage::{Journal, Pair, SECOND, Virtual};

in_virtual_time![
    seeds: 4;
    a_cut_after_any_frame_leaves_a_prefix_and_true_counts,
    a_cut_in_place_of_any_frame_leaves_a_prefix_and_true_counts,
    a_handshake_that_is_cut_at_any_frame_is_made_again,
];

/// Messages of the conversation, one way.
const COUNT: usize = 8;

async fn a_cut_after_any_frame_leaves_a_prefix_and_true_counts(stage: Virtual) {
    for frames in 1..=2 * COUNT as u64 {
        for direction in [Direction::ToServer, Direction::ToClient] {
            stage.network.cut_after(Virtual::PLACE, direction, 2 + frames);
            converse(&stage).await;
        }
    }
}

async fn a_cut_in_place_of_any_frame_leaves_a_prefix_and_true_counts(stage: Virtual) {
    for frames in 1..=2 * COUNT as u64 {
        for direction in [Direction::ToServer, Direction::ToClient] {
            stage.network.cut_before(Virtual::PLACE, direction, 2 + frames);
            converse(&stage).await;
        }
    }
}

/// Sends both ways until the link is cut, or all is said.
async fn converse(stage: &Virtual) {
    let Pair { server, connection, guest } = stage.pair().await;
    let up = Side::of(&connection, &guest);
    let down = Side::of(&guest, &connection);
    for n in 0..COUNT {
        // One of the two may have heard of the cut already.
        up.send(n, connection.send(n.to_string()).await.is_ok());
        down.send(n, guest.send(n.to_string()).await.is_ok());
        stage.sleep(SECOND / 20).await;
    }
    stage.sleep(SECOND).await;
    stage.network.reset(Virtual::PLACE);
    stage.until("both ends have heard of it", || up.over() && down.over()).await;
    up.check();
    down.check();
    stage.within("it comes back", connection.opened()).await.unwrap();
    stage.heal();
    drop(connection);
    stage.until("it is gone", || stage.links() == 0).await;
    stage.within("the server stops", server.stop()).await.unwrap();
}

/// One direction of a conversation.
struct Side {
    accepted: Mutex<usize>,
    heard: Journal,
    end: Arc<Mutex<Option<(usize, usize)>>>,
}

impl Side {
    fn of(sender: &moorline::Handle, receiver: &moorline::Handle) -> Self {
        let heard = Journal::default();
        let pen = heard.clone();
        receiver.on_message(move |message| pen.write(message.to_string()));
        let end = Arc::new(Mutex::new(None));
        let note = end.clone();
        sender.on_disconnect(move |end| {
            // Of the first link only: the client comes back.
            let counts = (end.unsent as usize, end.unconfirmed as usize);
            note.lock().unwrap().get_or_insert(counts);
        });
        Self { accepted: Mutex::default(), heard, end }
    }

    fn send(&self, n: usize, accepted: bool) {
        let mut count = self.accepted.lock().unwrap();
        // What is sent over the next link is another story.
        if accepted && *count == n && !self.over() {
            *count += 1;
        }
    }

    fn over(&self) -> bool {
        self.end.lock().unwrap().is_some()
    }

    fn check(&self) {
        let accepted = *self.accepted.lock().unwrap();
        let (unsent, unconfirmed) = self.end.lock().unwrap().unwrap();
        let heard = self.heard.words();
        let numbers: Vec<_> = (0..heard.len()).map(|n| n.to_string()).collect();
        assert_eq!(heard, numbers, "a prefix");
        assert!(heard.len() <= accepted - unsent, "what was unsent did not arrive");
        assert!(heard.len() >= accepted - unsent - unconfirmed, "what was confirmed did");
    }
}

async fn a_handshake_that_is_cut_at_any_frame_is_made_again(stage: Virtual) {
    let _server = stage.echo().await;
    for frames in 0..3 {
        for direction in [Direction::ToServer, Direction::ToClient] {
            stage.network.cut_after(Virtual::PLACE, direction, frames);
            let connection = stage.client().connect().await;
            stage.until("it is open", || connection.is_connected()).await;
            stage.heal();
            connection.send("echo").await.unwrap();
            let echo = stage.within("the echo", connection.next_message()).await.unwrap();
            assert_eq!(echo.text(), Some("echo"));
        }
    }
}
