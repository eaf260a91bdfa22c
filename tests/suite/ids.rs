//! The ids of connections are the application's to draw (R11).

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use moorline::{Buffer, ConnectError, ConnectionId};

use crate::stage::{Journal, RETENTION, Stage};

behaviours![
    r11_an_application_may_draw_its_own_ids,
    r11_an_id_that_is_taken_is_drawn_again,
    r11_the_id_by_which_others_know_a_client_stays_taken,
    r11_a_generator_without_free_ids_refuses_for_now,
    r11_an_id_is_free_again_after_its_connection,
];

fn id(text: impl Into<String>) -> ConnectionId {
    ConnectionId::new(text.into()).unwrap()
}

async fn r11_an_application_may_draw_its_own_ids(stage: Stage) {
    let next = AtomicUsize::new(1);
    let plan = stage.server().ids(move || id(next.fetch_add(1, Ordering::SeqCst).to_string()));
    let server = plan.run().await;
    let one = stage.client().connect().await;
    let two = stage.client().connect().await;
    assert_eq!((one.id(), two.id()), (Some(id("1")), Some(id("2"))));
    assert!(server.exists("1") && server.exists("2"));
}

async fn r11_an_id_that_is_taken_is_drawn_again(stage: Stage) {
    let drawn = Mutex::new(vec!["c", "b", "a", "a", "a", "a"]);
    let plan = stage.server().ids(move || id(drawn.lock().unwrap().pop().unwrap()));
    let server = plan.run().await;
    let one = stage.client().connect().await;
    let two = stage.client().connect().await;
    assert_eq!((one.id(), two.id()), (Some(id("a")), Some(id("b"))));
    assert_eq!(server.count(), 2);
}

async fn r11_the_id_by_which_others_know_a_client_stays_taken(stage: Stage) {
    let drawn = Mutex::new(vec!["d", "c", "a", "b", "a"]);
    let plan = stage.server().retention(RETENTION).buffer(Buffer::default());
    let server = plan.ids(move || id(drawn.lock().unwrap().pop().unwrap())).run().await;
    let ann = stage.client().connect().await;
    stage.within("ann joins", ann.channel("chat").join()).await.unwrap();
    let lost = Journal::of_losses(&ann);
    stage.reset();
    stage.reads(&lost, "recovered").await;
    assert_eq!(ann.id(), Some(id("b")));
    let ben = stage.client().connect().await;
    stage.within("ben joins", ben.channel("chat").join()).await.unwrap();
    assert_eq!(ben.id(), Some(id("c")));
    let members = server.channel("chat").members();
    assert_eq!(members.iter().map(|member| &*member.id).collect::<Vec<_>>(), ["a", "c"]);
}

async fn r11_a_generator_without_free_ids_refuses_for_now(stage: Stage) {
    let server = stage.server().ids(|| id("same")).run().await;
    let one = stage.client().connect().await;
    let client = stage.client().retry_first(false).build();
    let failed = stage.within("it is refused", client.connect()).await.unwrap_err();
    let ConnectError::Failed { code, retryable, retry_after, .. } = failed else {
        panic!("{failed:?}")
    };
    assert_eq!((&*code, retryable, retry_after.is_some()), ("internal", true, true));
    assert!(one.is_connected());
    assert_eq!(server.count(), 1);
}

async fn r11_an_id_is_free_again_after_its_connection(stage: Stage) {
    let server = stage.server().ids(|| id("same")).run().await;
    for _ in 0..3 {
        let connection = stage.client().connect().await;
        assert_eq!(connection.id(), Some(id("same")));
        drop(connection);
        stage.until("it is gone", || server.count() == 0 && stage.links() == 0).await;
    }
}
