//! A client is in only after the server's ready (R35).

use moorline::{ServerConnection, Status};
use moorline_core::wire::Packet;

use crate::stage::stranger::Heard;
use crate::stage::{Journal, SECOND, Stage};

behaviours![
    r35_a_client_is_not_connected_before_ready,
    r35_ready_comes_before_anything_that_a_hook_sends,
    r35_connect_is_heard_before_the_first_message,
    r35_several_hooks_all_run,
];

async fn r35_a_client_is_not_connected_before_ready(stage: Stage) {
    let mut host = stage.host().await;
    let connection = stage.client().build().closed();
    let journal = Journal::of(&connection);
    connection.open();
    let mut link = host.accept().await;
    stage.sleep(5 * SECOND).await;
    assert_eq!(connection.status(), Status::Connecting);
    assert_eq!(journal.words(), ["connecting"]);
    link.welcome().await;
    stage.within("it opens", connection.opened()).await.unwrap();
    assert_eq!(connection.id().unwrap().as_str(), "guest");
}

async fn r35_ready_comes_before_anything_that_a_hook_sends(stage: Stage) {
    let server = stage.server().build();
    server.on_connect(async |guest| {
        guest.send("from the hook").await?;
        Ok(())
    });
    stage.run(&server).await;
    let mut stranger = stage.stranger().await;
    // Sees that ready is the first packet.
    stranger.greet(1 << 18).await;
    let next = stranger.hear().await;
    assert!(matches!(next, Heard::Packet(Packet::Message(_))), "{next:?}");
}

async fn r35_connect_is_heard_before_the_first_message(stage: Stage) {
    let server = stage.server().build();
    server.on_connect(async |guest| {
        guest.send("welcome").await?;
        Ok(())
    });
    stage.run(&server).await;
    let connection = stage.client().build().closed();
    let journal = Journal::of(&connection);
    connection.open();
    stage.reads(&journal, "message welcome").await;
    assert_eq!(journal.words(), ["connecting", "connect", "message welcome"]);
}

async fn r35_several_hooks_all_run(stage: Stage) {
    let server = stage.server().build();
    for name in ["a", "b", "c"] {
        server.on_connect(async move |guest: ServerConnection| {
            guest.send(name).await?;
            // One that does not return holds up no other.
            guest.next_message().await;
            Ok(())
        });
    }
    stage.run(&server).await;
    let connection = stage.client().connect().await;
    let mut texts = stage.texts(&connection, 3).await;
    texts.sort();
    assert_eq!(texts, ["a", "b", "c"]);
}
