//! Requests and answers, both ways (R46).

use moorline::{Buffer, Message, Raw, RequestError};

use crate::stage::{A_MINUTE, Journal, Pair, RETENTION, SECOND, Stage};

behaviours![
    r46_a_listener_may_ask_for_more_than_the_window_holds,
    r46_a_slow_answer_holds_up_no_message,
    r46_a_request_is_answered_both_ways,
    r46_requests_are_typed,
    r46_answers_overtake_each_other,
    r46_a_request_times_out_and_its_late_answer_is_counted,
    r46_a_request_that_nobody_answers_is_refused,
    r46_an_answer_that_fails_says_so,
    r46_an_answer_that_panics_says_so_and_the_next_one_works,
    r46_a_request_survives_an_outage_and_is_asked_once,
    r46_a_request_that_is_dropped_is_taken_back,
    r46_a_request_on_a_connection_that_closes_ends,
    r46_raw_has_no_requests,
];

async fn pair(stage: &Stage) -> Pair {
    let client = stage.client().buffer(Buffer::default());
    stage.pair_of(stage.server().retention(RETENTION), client).await
}

async fn ask(stage: &Stage, pair: &Pair, text: &str) -> Result<String, RequestError> {
    let answer = stage.within("an answer", pair.connection.request(text)).await?;
    Ok(answer.to_string())
}

async fn r46_a_request_is_answered_both_ways(stage: Stage) {
    let pair = pair(&stage).await;
    pair.guest.on_request(async |asked| Ok::<_, String>(format!("server: {}", asked.message)));
    pair.connection.on_request(async |asked| Ok::<_, String>(format!("client: {}", asked.message)));
    assert_eq!(ask(&stage, &pair, "who?").await.unwrap(), "server: who?");
    let answer = stage.within("an answer", pair.guest.request("who?")).await.unwrap();
    assert_eq!(answer.text(), Some("client: who?"));
    stage.until("all is taken", || pair.connection.stats().counts.held == 0).await;
}

async fn r46_requests_are_typed(stage: Stage) {
    let Pair { connection, guest, .. } = pair(&stage).await;
    guest.on_request(async |asked| {
        let (a, b): (u32, u32) = asked.json()?;
        assert_eq!(asked.message.channel.as_deref(), Some("sum"));
        Message::from_json(&(a + b))
    });
    let sum = connection.request_json::<u32>("sum", &(2, 3));
    assert_eq!(stage.within("an answer", sum).await, Ok(5));
    let wrong = connection.request_json::<u32>("sum", "two and three");
    let wrong = stage.within("an answer", wrong).await;
    assert!(matches!(wrong, Err(RequestError::Failed { .. })), "{wrong:?}");
    let text = connection.request_json::<String>("sum", &(2, 3));
    let text = stage.within("an answer", text).await;
    assert!(matches!(text, Err(RequestError::Unreadable(_))), "{text:?}");
}

async fn r46_answers_overtake_each_other(stage: Stage) {
    let Pair { connection, guest, .. } = pair(&stage).await;
    let (slow, gate) = (stage.clone(), Journal::default());
    let door = gate.clone();
    guest.on_request(move |asked| {
        let (stage, door) = (slow.clone(), door.clone());
        async move {
            if asked.message.text() == Some("slow") {
                stage.reads(&door, "open").await;
            }
            Ok::<_, String>(asked.message)
        }
    });
    let mut first = Box::pin(connection.request("slow"));
    assert!(stage.waits(&mut first).await);
    let quick = stage.within("it overtakes", connection.request("quick")).await.unwrap();
    assert_eq!(quick.text(), Some("quick"));
    gate.write("open");
    assert_eq!(stage.within("it comes", first).await.unwrap().text(), Some("slow"));
}

async fn r46_a_request_times_out_and_its_late_answer_is_counted(stage: Stage) {
    let Pair { connection, guest, .. } = pair(&stage).await;
    let slow = stage.clone();
    guest.on_request(move |_| {
        let stage = slow.clone();
        async move {
            stage.sleep(A_MINUTE).await;
            Ok::<_, String>("too late")
        }
    });
    let limit = stage.time(2 * SECOND);
    let answer = connection.request_within("?", limit).await;
    assert_eq!(answer, Err(RequestError::TimedOut(limit)));
    assert_eq!(connection.stats().late, 0);
    stage.until("it has come", || connection.stats().late == 1).await;
    stage.until("it is taken", || connection.stats().counts.held == 0).await;
}

async fn r46_a_request_that_nobody_answers_is_refused(stage: Stage) {
    let server = stage.server().unheard_after(5 * SECOND);
    let pair = stage.pair_of(server, stage.client()).await;
    let refused = ask(&stage, &pair, "?").await;
    let Err(RequestError::Failed { code, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(code, "no_handler");
}

async fn r46_an_answer_that_fails_says_so(stage: Stage) {
    let pair = pair(&stage).await;
    pair.guest.on_request(async |_| Err::<String, _>("sold out"));
    let failed = ask(&stage, &pair, "?").await;
    let expected = RequestError::Failed {
        code: "failed".into(),
        message: "sold out".into(),
        retry_after: None,
    };
    assert_eq!(failed, Err(expected));
}

async fn r46_an_answer_that_panics_says_so_and_the_next_one_works(stage: Stage) {
    let pair = pair(&stage).await;
    pair.guest.on_request(async |asked| {
        assert_ne!(asked.message.text(), Some("bad"), "a bad request");
        Ok::<_, String>("fine")
    });
    let failed = ask(&stage, &pair, "bad").await;
    assert!(matches!(failed, Err(RequestError::Failed { .. })), "{failed:?}");
    assert_eq!(ask(&stage, &pair, "good").await.unwrap(), "fine");
}

async fn r46_a_request_survives_an_outage_and_is_asked_once(stage: Stage) {
    let Pair { connection, guest, .. } = pair(&stage).await;
    let (asked, gate) = (Journal::default(), Journal::default());
    let (pen, door, slow) = (asked.clone(), gate.clone(), stage.clone());
    guest.on_request(move |request| {
        pen.write(request.message.to_string());
        let (stage, door) = (slow.clone(), door.clone());
        async move {
            stage.reads(&door, "open").await;
            Ok::<_, String>("here")
        }
    });
    let mut answer = Box::pin(connection.request("are you there?"));
    assert!(stage.waits(&mut answer).await);
    stage.cut();
    gate.write("open");
    assert!(stage.waits(&mut answer).await);
    stage.heal();
    assert_eq!(stage.within("it comes", answer).await.unwrap().text(), Some("here"));
    assert_eq!(asked.words(), ["are you there?"]);
}

async fn r46_a_request_that_is_dropped_is_taken_back(stage: Stage) {
    let Pair { connection, guest, .. } = pair(&stage).await;
    let asked = Journal::default();
    let pen = asked.clone();
    guest.on_request(move |request| {
        pen.write(request.message.to_string());
        async { Ok::<_, String>("yes") }
    });
    stage.cut();
    stage.until("it knows", || !connection.is_connected()).await;
    {
        let mut dropped = Box::pin(connection.request("never mind"));
        assert!(stage.waits(&mut dropped).await);
    }
    stage.heal();
    stage.within("an answer", connection.request("this one")).await.unwrap();
    assert_eq!(asked.words(), ["this one"]);
}

async fn r46_a_request_on_a_connection_that_closes_ends(stage: Stage) {
    let Pair { connection, guest, .. } = pair(&stage).await;
    let mut waiting = Box::pin(connection.request("?"));
    assert!(stage.waits(&mut waiting).await);
    guest.disconnect(None).unwrap();
    assert_eq!(stage.within("it ends", waiting).await, Err(RequestError::Closed));
}

async fn r46_raw_has_no_requests(stage: Stage) {
    let pair = stage.pair_of(stage.server().codec(Raw), stage.client().codec(Raw)).await;
    let refused = ask(&stage, &pair, "?").await;
    assert!(matches!(refused, Err(RequestError::Send(_))), "{refused:?}");
}

async fn r46_a_listener_may_ask_for_more_than_the_window_holds(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    guest.on_request(async |_| Ok::<_, String>(vec![7; 60_000]));
    let done = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (count, asker) = (done.clone(), connection.downgrade());
    connection.on_message(move |_| {
        let (count, asker) = (count.clone(), asker.clone());
        async move {
            let connection = asker.upgrade().unwrap();
            for _ in 0..12 {
                let answer = connection.request("more").await.unwrap();
                count.fetch_add(answer.bytes().len(), std::sync::atomic::Ordering::Relaxed);
            }
        }
    });
    guest.send("ask").await.unwrap();
    let all = || done.load(std::sync::atomic::Ordering::Relaxed) == 12 * 60_000;
    stage.until("all is answered", all).await;
}

async fn r46_a_slow_answer_holds_up_no_message(stage: Stage) {
    let Pair { connection, guest, .. } = stage.pair().await;
    let (slow, gate) = (stage.clone(), Journal::default());
    let door = gate.clone();
    guest.on_request(move |_| {
        let (stage, door) = (slow.clone(), door.clone());
        async move {
            stage.reads(&door, "open").await;
            Ok::<_, String>("at last")
        }
    });
    let asked = connection.request("slow");
    let sent = async {
        for _ in 0..20 {
            connection.send(vec![7; 50_000]).await.unwrap();
            assert_eq!(stage.message(&guest).await.bytes().len(), 50_000);
        }
        gate.write("open");
    };
    let (answer, ()) = futures_util::future::join(asked, sent).await;
    assert_eq!(answer.unwrap().text(), Some("at last"));
}
