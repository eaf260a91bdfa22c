//! Messages on a channel, read into the listener's own type (R24, R25).

use moorline::{Handle, Message, SendError, event};
use serde::{Deserialize, Serialize};

use crate::stage::{Journal, Pair, Stage};

behaviours![
    r24_a_listener_hears_exactly_its_channel,
    r24_what_no_listener_hears_waits_for_the_reader,
    r24_on_a_dead_connection_a_send_fails,
    r25_what_cannot_be_read_is_told_and_nothing_else_happens,
    r23_channel_and_type_arrive_with_the_message,
    r24_a_message_that_says_nothing_is_an_empty_object,
];

#[derive(Debug, Deserialize, Serialize)]
struct Price {
    item: String,
    cents: u64,
}

fn price(item: &str, cents: u64) -> Price {
    Price { item: item.to_owned(), cents }
}

fn listen(connection: &Handle, channel: &'static str) -> Journal {
    let journal = Journal::default();
    let pen = journal.clone();
    connection.on_channel(channel, move |price: Price| {
        pen.write(format!("{} {}", price.item, price.cents));
    });
    journal
}

async fn r24_a_listener_hears_exactly_its_channel(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let (prices, offers) = (listen(&connection, "prices"), listen(&connection, "offers"));
    guest.send_json("prices", &price("tea", 250)).await.unwrap();
    guest.send_json("Prices", &price("wrong case", 0)).await.unwrap();
    guest.send_json("offers", &price("cake", 300)).await.unwrap();
    guest.send_json("prices", &price("milk", 100)).await.unwrap();
    stage.reads(&prices, "milk 100").await;
    assert_eq!(prices.words(), ["tea 250", "milk 100"]);
    assert_eq!(offers.words(), ["cake 300"]);
}

async fn r24_what_no_listener_hears_waits_for_the_reader(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let prices = listen(&connection, "prices");
    guest.send("on no channel").await.unwrap();
    guest.send_json("prices", &price("tea", 250)).await.unwrap();
    guest.send(Message::from("on another").on("news")).await.unwrap();
    assert_eq!(stage.texts(&connection, 2).await, ["on no channel", "on another"]);
    stage.reads(&prices, "tea 250").await;
}

async fn r24_on_a_dead_connection_a_send_fails(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    connection.close();
    stage.until("it is dead", || !guest.is_alive()).await;
    for dead in [&*connection as &Handle, &guest] {
        let sent = dead.send(Message::from("too late").on("prices")).await;
        assert_eq!(sent, Err(SendError::NotConnected));
        assert_eq!(dead.send_json("prices", &1).await, Err(SendError::NotConnected));
    }
}

async fn r25_what_cannot_be_read_is_told_and_nothing_else_happens(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let prices = listen(&connection, "prices");
    let journal = Journal::default();
    let pen = journal.clone();
    connection.on(event::MessageError, move |error| {
        assert!(!error.cause.is_empty());
        pen.write(error.message.to_string());
    });
    let all = Journal::of(&connection);
    guest.send(Message::from("no JSON").on("prices")).await.unwrap();
    guest.send_json("prices", &["another type"]).await.unwrap();
    guest.send_json("prices", &price("tea", 250)).await.unwrap();
    stage.reads(&prices, "tea 250").await;
    assert_eq!(prices.words().len(), 1);
    stage.reads(&journal, "[\"another type\"]").await;
    assert_eq!(journal.words(), ["no JSON", "[\"another type\"]"]);
    stage.reads(&all, "message error no JSON").await;
    assert!(!all.words().iter().any(|word| word.starts_with("disconnect")));
    assert!(stage.within("a pong", connection.ping()).await.is_ok());
}

async fn r23_channel_and_type_arrive_with_the_message(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let sent = Message::from("hi").on("chat").event("greeting");
    connection.send(sent.clone()).await.unwrap();
    let message = stage.message(&guest).await;
    assert_eq!(message, sent);
    assert_eq!(message.channel.as_deref(), Some("chat"));
    assert_eq!(message.event.as_deref(), Some("greeting"));
}

async fn r24_a_message_that_says_nothing_is_an_empty_object(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    guest.send(Message::default().on("doorbell")).await.unwrap();
    let message = stage.message(&connection).await;
    assert_eq!(message.channel.as_deref(), Some("doorbell"));
    assert_eq!(message.json::<serde_json::Value>().unwrap(), serde_json::json!({}));
}
