//! What is sent is what arrives, with every codec, in order, both ways (R23).

use moorline::{Binary, Class, Codec, Data, Json, Message};
use serde_json::json;

use crate::stage::{Pair, Stage};

behaviours![
    r23_every_kind_of_data_makes_the_round_trip_in_binary,
    r23_every_kind_of_data_makes_the_round_trip_in_json,
    messages_stay_in_order_in_both_directions_at_once,
    clients_of_both_codecs_share_a_server,
];

fn samples() -> Vec<Message> {
    let long = "long ".repeat(20_000);
    let mut all: Vec<Message> =
        vec!["text".into(), "".into(), "ünïcödé 🫖 \u{0}\"\\\n".into(), long.into()];
    let values = [json!(null), json!({}), json!([1, 2.5, "x", {"deep": [true]}]), json!("text")];
    all.extend(values.iter().map(|value| Message::from_json(value).unwrap()));
    all.extend([vec![], vec![0], (0..=255).collect(), vec![0xff; 100_000]].map(Message::from));
    let classes = [Class::Volatile, Class::AtMostOnce, Class::AtLeastOnce];
    all.extend(classes.map(|class| Message::from("classed").class(class)));
    all.push(Message::from("everything").on("a channel").event("an event"));
    all
}

async fn round_trip(stage: Stage, codec: impl Codec) {
    let client = stage.client().codec(codec);
    let Pair { connection, guest, .. } = stage.pair_of(stage.server(), client).await;
    for message in samples() {
        connection.send(message.clone()).await.unwrap();
        let up = stage.message(&guest).await;
        assert_eq!(up, message);
        guest.send(up).await.unwrap();
        assert_eq!(stage.message(&connection).await, message);
    }
    let value: Vec<u32> = vec![1, 2, 3];
    connection.send_json("numbers", &value).await.unwrap();
    let message = stage.message(&guest).await;
    assert!(matches!(message.data, Data::Json(_)));
    assert_eq!(message.json::<Vec<u32>>().unwrap(), value);
}

async fn r23_every_kind_of_data_makes_the_round_trip_in_binary(stage: Stage) {
    round_trip(stage, Binary).await;
}

async fn r23_every_kind_of_data_makes_the_round_trip_in_json(stage: Stage) {
    round_trip(stage, Json).await;
}

async fn messages_stay_in_order_in_both_directions_at_once(stage: Stage) {
    const COUNT: usize = 300;
    let Pair { connection, guest, .. } = stage.pair().await;
    let (up, down) = (connection.clone(), guest.clone());
    stage.spawn(async move {
        for n in 0..COUNT {
            up.send(n.to_string()).await.unwrap();
        }
    });
    stage.spawn(async move {
        for n in 0..COUNT {
            down.send(n.to_string()).await.unwrap();
        }
    });
    let numbers: Vec<_> = (0..COUNT).map(|n| n.to_string()).collect();
    assert_eq!(stage.texts(&guest, COUNT).await, numbers);
    assert_eq!(stage.texts(&connection, COUNT).await, numbers);
}

async fn clients_of_both_codecs_share_a_server(stage: Stage) {
    let server = stage.echo().await;
    let binary = stage.client().codec(Binary).connect().await;
    let json = stage.client().codec(Json).connect().await;
    for client in [&binary, &json] {
        client.send("echo").await.unwrap();
        assert_eq!(stage.texts(client, 1).await, ["echo"]);
    }
    let emitted = server.emit(Message::from("to all").on("news")).unwrap();
    assert_eq!((emitted.sent, emitted.skipped), (2, 0));
    for client in [&binary, &json] {
        assert_eq!(stage.message(client).await, Message::from("to all").on("news"));
    }
}
