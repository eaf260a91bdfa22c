//! What a client makes of its device's hints: the background, and the network (R49).

use std::time::Duration;

use moorline_core::machine::{Failure, Input};
use moorline_core::wire::{Close, Packet, Raw, Ready, Secret, SessionGrant, VERSION};
use moorline_core::{
    AppState, AppStateMode, Backoff, Class, Config, Event, Heartbeat, NetworkHint, Recovery,
    Status, Time, wire,
};

use crate::support::{End, broken, client_in, closed, disconnect, id, link_up, millis, secs};

const GRACE: Duration = Config::BACKGROUND_GRACE;

fn manual(mut config: Config) -> Config {
    config.app_state = AppStateMode::Manual;
    config
}

fn manual_client() -> End {
    End::open_client(manual(crate::support::forgetful_client()))
}

fn background() -> Input {
    Input::AppState(AppState::Background)
}

fn foreground() -> Input {
    Input::AppState(AppState::Foreground)
}

const fn online() -> Input {
    Input::Network(NetworkHint::Online)
}

const fn changed() -> Input {
    Input::Network(NetworkHint::Changed)
}

const fn offline() -> Input {
    Input::Network(NetworkHint::Offline)
}

fn unreachable() -> Input {
    Input::LinkFailed(Failure::retryable("unreachable", ""))
}

/// Delays of 1, 2, 4 and 5 s, and 5 s after a loss.
fn steady() -> Config {
    let mut config = crate::support::forgetful_client();
    config.backoff = Backoff::default().jitter(false);
    config
}

/// Lets time pass for a client whose peer answers its pings.
fn pass_alive(client: &mut End, time: Duration) -> Vec<String> {
    let end = client.now + time;
    let mut said = Vec::new();
    while client.wakes <= end {
        let words = client.wait();
        if words.iter().any(|word| word == "> ping") {
            client.input(Input::Activity);
        }
        said.extend(words.into_iter().filter(|word| word != "> ping"));
    }
    client.now = end;
    said
}

const LET_GO: [&str; 3] = ["drop link", "Disconnect(TransportClose)", "Connecting"];

#[test]
fn r49_in_automatic_mode_the_background_changes_nothing() {
    let mut client = End::open_client(crate::support::forgetful_client());
    assert_eq!(client.input(background()), [""; 0]);
    assert_eq!(pass_alive(&mut client, secs(600)), [""; 0]);
    assert_eq!(client.input(foreground()), [""; 0]);
    assert!(client.is_open());
}

#[test]
fn r49_in_manual_mode_it_is_let_go_after_the_grace_and_comes_back_in_the_foreground() {
    let mut client = manual_client();
    assert_eq!(client.input(background()), [""; 0]);
    assert_eq!(pass_alive(&mut client, GRACE - millis(1)), [""; 0]);
    assert!(client.is_open());
    assert_eq!(pass_alive(&mut client, millis(1)), LET_GO);
    assert!(client.disconnect.as_ref().unwrap().reconnects);
    assert_eq!((client.machine.status(), client.wakes), (Status::Connecting, Time::MAX));
    client.now += secs(3600);
    assert_eq!(client.input(foreground()), ["ReconnectAttempt(1)", "connect(1)"]);
    assert_eq!(client.open_link(), ["> hello", "Connect", "Reconnect(1)"]);
    assert_eq!(pass_alive(&mut client, secs(600)), [""; 0], "the foreground has no limit");
}

#[test]
fn r49_the_grace_can_be_chosen_and_may_be_none() {
    let mut config = manual(crate::support::forgetful_client());
    config.background_grace = Duration::ZERO;
    let mut client = End::open_client(config);
    assert_eq!(client.input(background()), [""; 0]);
    assert_eq!(client.until_deadline(), Duration::ZERO);
    assert_eq!(client.wait(), LET_GO);
}

#[test]
fn r49_to_say_background_twice_extends_nothing() {
    let mut client = manual_client();
    client.input(background());
    client.pass(secs(20));
    client.input(background());
    assert_eq!(pass_alive(&mut client, secs(10)), LET_GO);
}

#[test]
fn r49_the_foreground_within_the_grace_ends_it() {
    let mut client = manual_client();
    client.input(background());
    pass_alive(&mut client, secs(29));
    assert_eq!(client.input(foreground()), [""; 0]);
    assert_eq!(pass_alive(&mut client, secs(600)), [""; 0]);
    client.input(background());
    assert_eq!(pass_alive(&mut client, GRACE), LET_GO, "and the next one is whole");
}

#[test]
fn r49_a_ping_by_hand_gives_another_grace_and_a_heartbeat_does_not() {
    let mut client = manual_client();
    client.input(background());
    for _ in 0..5 {
        pass_alive(&mut client, secs(20));
        assert_eq!(client.input(Input::Ping), ["> ping"]);
        // The pong, so that the next ping is a new one.
        for token in 0..20 {
            client.packet(Packet::Pong(token));
        }
    }
    assert!(client.is_open());
    assert_eq!(pass_alive(&mut client, GRACE - millis(1)), [""; 0]);
    assert_eq!(pass_alive(&mut client, millis(1)), LET_GO);
}

#[test]
fn r49_a_ping_in_the_foreground_sets_no_limit() {
    let mut client = manual_client();
    client.input(Input::Ping);
    for token in 0..20 {
        client.packet(Packet::Pong(token));
    }
    assert_eq!(pass_alive(&mut client, secs(600)), [""; 0]);
}

#[test]
fn r49_attempts_end_with_the_grace_too() {
    // The first ones: while it connects, while it greets, while it waits.
    let steps: [&[fn() -> Input]; 3] = [&[], &[link_up], &[unreachable]];
    for step in steps {
        let mut config = manual(steady());
        config.attempt_timeout = secs(100);
        config.backoff = Backoff::custom(|| [secs(100)]).jitter(false);
        let mut client = End::client(config);
        client.input(background());
        client.input(Input::Connect);
        step.iter().for_each(|input| _ = client.input(input()));
        let said = client.pass(GRACE);
        assert!(said.iter().all(|word| word == "drop link"), "{said:?}");
        assert_eq!((client.machine.status(), client.wakes), (Status::Connecting, Time::MAX));
        assert_eq!(client.input(foreground())[0], "ReconnectAttempt(1)");
        client.open_link();
    }
}

#[test]
fn r49_what_is_lost_in_the_background_waits_for_the_foreground_after_the_grace() {
    let mut client = End::open_client(manual(steady()));
    client.input(background());
    client.input(broken());
    client.pass(secs(10));
    client.input(unreachable());
    // The second attempt hangs.
    client.pass(secs(100));
    assert_eq!(client.wakes, Time::MAX);
    assert_eq!(client.input(foreground()), ["ReconnectAttempt(3)", "connect(3)"]);
    client.input(unreachable());
    assert_eq!(client.until_deadline(), secs(1), "the back-off has begun again");
}

#[test]
fn r49_who_was_disconnected_by_hand_stays_closed_in_the_foreground() {
    let mut client = manual_client();
    client.input(background());
    client.input(disconnect());
    client.input(closed(1000));
    assert_eq!((client.machine.status(), client.wakes), (Status::Closed, Time::MAX));
    client.now += secs(100);
    assert_eq!(client.input(foreground()), [""; 0]);

    let mut client = manual_client();
    client.input(background());
    client.pass(GRACE);
    assert_eq!(client.input(disconnect()), ["drop link", "closed"], "also once it rests");
    assert_eq!(client.input(foreground()), [""; 0]);
    assert_eq!(client.machine.status(), Status::Closed);
}

#[test]
fn r49_a_connect_by_hand_in_the_background_has_a_grace_of_its_own() {
    let mut client = End::client(manual(crate::support::forgetful_client()));
    client.input(background());
    client.now += secs(100);
    client.input(Input::Tick);
    assert_eq!(client.input(Input::Connect), ["Connecting", "connect(1)"]);
    client.open_link();
    assert_eq!(pass_alive(&mut client, GRACE - millis(1)), [""; 0]);
    assert_eq!(pass_alive(&mut client, millis(1)), LET_GO);
}

#[test]
fn r49_a_glimpse_of_the_foreground_opens_it_for_another_grace() {
    let mut client = manual_client();
    client.input(background());
    pass_alive(&mut client, GRACE);
    assert_eq!(client.input(Input::Connect), [""; 0], "it is connecting already");
    client.inputs([foreground(), background()]);
    client.open_link();
    assert_eq!(pass_alive(&mut client, GRACE - millis(1)), [""; 0]);
    assert_eq!(pass_alive(&mut client, millis(1)), LET_GO);
}

#[test]
fn r49_it_comes_back_where_losses_are_not_followed_by_attempts() {
    for (reconnect, attempts) in [(false, u32::MAX), (true, 0)] {
        let mut config = manual(crate::support::forgetful_client());
        config.reconnect = reconnect;
        config.backoff = Backoff::default().attempts(attempts);
        let mut client = End::open_client(config);
        client.input(background());
        assert_eq!(pass_alive(&mut client, GRACE), LET_GO);
        client.input(foreground());
        client.open_link();
    }
}

#[test]
fn r49_an_end_under_way_is_waited_for() {
    let mut client = manual_client();
    client.input(background());
    client.pass(GRACE - secs(2));
    client.stuck = true;
    client.send(Class::default(), "last words");
    let close = Close { code: 1012, reason: String::new(), retry_after: None, spread: None };
    client.packet(Packet::Close(close));
    assert_eq!(client.machine.status(), Status::Closing);
    // The link ends by the closing time-out, and then it rests at once.
    client.pass(secs(10));
    assert_eq!((client.machine.status(), client.wakes), (Status::Connecting, Time::MAX));
    assert_eq!(client.input(foreground())[1], "connect(1)");
}

#[test]
fn r49_the_session_goes_on_in_the_foreground() {
    let ready = |session, recovery| {
        Packet::Ready(Box::new(Ready {
            version: VERSION,
            id: id("c1"),
            window: 1000,
            max_frame: 1 << 20,
            properties: Vec::new(),
            session,
            recovery,
        }))
    };
    let mut client = End::client(manual(crate::support::forgetful_client()));
    client.input(Input::Connect);
    client.input(link_up());
    let grant = SessionGrant { id: "s1".into(), secret: Secret([7; 16]) };
    client.packet(ready(Some(grant), wire::Recovery::Fresh));
    client.send(Class::AtLeastOnce, "kept");
    client.input(background());
    pass_alive(&mut client, GRACE);
    assert_eq!(client.machine.session(), Some("s1"));
    client.input(foreground());
    client.input(link_up());
    let said = client.packet(ready(None, wire::Recovery::Recovered { received: 0 }));
    let recovered = format!("{:?}", Event::Recovery(Recovery::Recovered));
    assert_eq!(said, ["Connect", "Reconnect(1)", recovered.as_str(), "> message(kept)"]);
}

#[test]
fn r49_a_server_has_no_background() {
    let mut config = crate::support::forgetful_server();
    config.app_state = AppStateMode::Manual;
    let mut server = End::open_server(config);
    assert_eq!(server.inputs([background(), online(), changed()]), [""; 0]);
    assert_eq!(pass_alive(&mut server, secs(100)), [""; 0]);
    assert!(server.is_open());
}

#[test]
fn r49_when_the_network_is_back_it_tries_at_once_with_a_new_back_off() {
    for hint in [online, changed] {
        let mut client = End::open_client(steady());
        client.input(broken());
        for _ in 0..4 {
            client.wait();
            client.input(unreachable());
        }
        assert_eq!(client.until_deadline(), secs(5));
        assert_eq!(client.input(hint()), ["ReconnectAttempt(5)", "connect(5)"]);
        client.input(unreachable());
        assert_eq!(client.until_deadline(), secs(1));
    }
}

#[test]
fn r49_a_hint_while_it_connects_leaves_the_attempt_and_resets_the_back_off() {
    let mut client = End::open_client(steady());
    client.input(broken());
    for _ in 0..4 {
        client.wait();
        client.input(unreachable());
    }
    client.wait();
    assert_eq!(client.input(changed()), [""; 0]);
    client.input(unreachable());
    assert_eq!(client.until_deadline(), secs(1));
}

#[test]
fn r49_a_hint_counts_as_an_attempt_where_they_are_limited() {
    let mut config = steady();
    config.backoff = config.backoff.attempts(2);
    let mut client = End::open_client(config);
    client.input(broken());
    for _ in 0..2 {
        assert_eq!(client.input(online()).last().unwrap().split('(').next(), Some("connect"));
        client.input(unreachable());
    }
    assert_eq!(client.machine.status(), Status::Closed);
    assert_eq!(client.input(online()), [""; 0], "it has given up");
}

#[test]
fn r49_no_hint_makes_a_delay_shorter_that_the_server_has_asked_for() {
    let mut client = End::open_client(manual(steady()));
    let close = Close {
        code: 1012,
        reason: String::new(),
        retry_after: Some(secs(100)),
        spread: Some(Duration::ZERO),
    };
    client.packet(Packet::Close(close));
    client.input(closed(1012));
    client.pass(secs(10));
    assert_eq!(client.input(online()), [""; 0]);
    assert_eq!(client.until_deadline(), secs(90));
    client.input(background());
    client.pass(GRACE);
    assert_eq!(client.wakes, Time::MAX);
    assert_eq!(client.input(foreground()), [""; 0], "nor does the foreground");
    assert_eq!(client.until_deadline(), secs(60));
    assert_eq!(client.wait(), ["ReconnectAttempt(1)", "connect(1)"]);
    client.input(unreachable());
    assert_eq!(client.input(online()), ["ReconnectAttempt(2)", "connect(2)"], "it was asked once");
}

#[test]
fn r49_no_network_is_no_reason_to_try_nor_to_stop_trying() {
    let mut client = End::open_client(steady());
    client.input(broken());
    client.wait();
    client.input(unreachable());
    assert_eq!(client.input(offline()), [""; 0]);
    assert_eq!(client.until_deadline(), secs(1));
    assert_eq!(client.wait(), ["ReconnectAttempt(2)", "connect(2)"]);
}

#[test]
fn r49_an_open_connection_is_pinged_at_once_and_a_dead_one_found_sooner() {
    for hint in [online, changed, offline] {
        let mut client = End::open_client(crate::support::forgetful_client());
        client.pass(secs(1));
        assert_eq!(client.input(hint()), ["> ping"]);
        assert_eq!(client.input(hint()), [""; 0], "one is on its way");
        let gone = ["drop link", "Disconnect(PingTimeout)", "Connecting"];
        assert_eq!(client.pass(Heartbeat::TIMEOUT), gone);
    }
    let mut client = End::open_client(crate::support::forgetful_client());
    client.input(changed());
    client.packet(Packet::Pong(1));
    assert_eq!(client.pass(Heartbeat::TIMEOUT), [""; 0]);
}

#[test]
fn r49_where_silence_says_nothing_a_hint_asks_nothing() {
    let mut config = crate::support::forgetful_client();
    config.heartbeat = Heartbeat::off();
    assert_eq!(End::open_client(config).input(changed()), [""; 0]);
    assert_eq!(End::open_client(client_in(Raw)).input(changed()), [""; 0]);
    let mut suspended = End::open_client(crate::support::forgetful_client());
    suspended.input(Input::Suspended(true));
    assert_eq!(suspended.input(changed()), [""; 0]);
}

#[test]
fn r49_a_hint_in_the_background_extends_nothing_and_wakes_nobody() {
    let mut client = manual_client();
    client.input(background());
    client.pass(secs(20));
    client.input(changed());
    client.input(Input::Activity);
    assert_eq!(pass_alive(&mut client, secs(10)), LET_GO);
    assert_eq!(client.inputs([online(), changed()]), [""; 0]);
    assert_eq!(client.wakes, Time::MAX);
}
