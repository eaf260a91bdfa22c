//! A client's way to an open connection, and what it does where there is none.

use moorline_core::machine::{Failure, Input, Loss};
use moorline_core::wire::{Close, ErrorPacket, Json, Packet, Raw};
use moorline_core::{Backoff, Capabilities, Config, Status};

use crate::support::{End, client_in, closed, disconnect, garbage, link_up, message, ready, secs};

/// No second try, so that a refusal shows at once.
fn one_try() -> Config {
    let mut config = crate::support::forgetful_client();
    config.retry_first = false;
    config
}

fn connecting(config: Config) -> End {
    let mut client = End::client(config);
    client.input(Input::Connect);
    client
}

fn greeting(config: Config) -> End {
    let mut client = connecting(config);
    client.input(link_up());
    client
}

fn error(code: &str) -> Packet {
    Packet::Error(ErrorPacket { code: code.to_owned(), message: String::new(), details: None })
}

#[test]
fn it_greets_and_opens_when_the_server_is_ready() {
    let mut client = End::client(crate::support::forgetful_client());
    assert_eq!(client.input(Input::Connect), ["Connecting", "connect(1)"]);
    assert_eq!(client.input(link_up()), ["> hello"]);
    assert_eq!(client.machine.status(), Status::Connecting);
    assert_eq!(client.packet(ready()), ["Connect"]);
    assert_eq!(client.machine.id().unwrap().as_str(), "c1");
}

#[test]
fn raw_is_open_as_soon_as_its_link_is() {
    let mut client = connecting(client_in(Raw));
    assert_eq!(client.input(link_up()), ["Connect"]);
    assert_eq!(client.machine.id(), None);
}

#[test]
fn to_connect_twice_changes_nothing() {
    let mut client = greeting(crate::support::forgetful_client());
    assert!(client.input(Input::Connect).is_empty());
    client.packet(ready());
    assert!(client.input(Input::Connect).is_empty());
}

#[test]
fn an_attempt_without_a_link_ends_by_its_limit() {
    let mut client = connecting(one_try());
    assert_eq!(client.until_deadline(), Config::ATTEMPT_TIMEOUT);
    assert_eq!(client.wait(), ["Error(timed_out)", "drop link", "closed(timed_out)"]);
    assert_eq!(client.machine.status(), Status::Closed);
}

#[test]
fn the_limit_of_an_attempt_covers_the_handshake_too() {
    let mut client = connecting(one_try());
    client.pass(secs(15));
    client.input(link_up());
    assert_eq!(client.until_deadline(), Config::ATTEMPT_TIMEOUT - secs(15));
    assert_eq!(client.wait(), ["Error(timed_out)", "drop link", "closed(timed_out)"]);
}

#[test]
fn a_first_connect_that_fails_is_tried_again() {
    let mut client = connecting(crate::support::forgetful_client());
    let failure = Failure::retryable("unreachable", "nobody there");
    assert_eq!(client.input(Input::LinkFailed(failure)), ["Error(unreachable)", "drop link"]);
    assert_eq!(client.machine.status(), Status::Connecting);
    assert_eq!(client.wait(), ["ReconnectAttempt(1)", "connect(2)"]);
    assert_eq!(client.open_link(), ["> hello", "Connect", "Reconnect(1)"]);
}

#[test]
fn a_first_connect_that_fails_is_the_end_where_no_retry_is_wanted() {
    let mut client = connecting(one_try());
    let failure = Failure::retryable("unreachable", "nobody there");
    assert_eq!(
        client.input(Input::LinkFailed(failure)),
        ["Error(unreachable)", "drop link", "closed(unreachable)"]
    );
}

#[test]
fn a_failure_for_good_ends_the_tries() {
    let mut client = connecting(crate::support::forgetful_client());
    let failure = Failure::for_good("configuration", "no such address");
    assert_eq!(
        client.input(Input::LinkFailed(failure.clone())),
        ["Error(configuration)", "drop link", "closed(configuration)"]
    );
    assert_eq!(client.failure, Some(failure));
}

#[test]
fn credentials_that_fail_for_now_are_asked_for_again() {
    let mut client = connecting(crate::support::forgetful_client());
    let failure = Failure::retryable("credentials", "the token service is down");
    client.input(Input::LinkFailed(failure));
    assert_eq!(client.wait(), ["ReconnectAttempt(1)", "connect(2)"]);
}

#[test]
fn a_failure_that_names_a_delay_is_not_retried_before() {
    let mut client = connecting(crate::support::forgetful_client());
    let mut failure = Failure::retryable("unavailable", "busy");
    failure.retry_after = Some(secs(60));
    client.input(Input::LinkFailed(failure));
    assert_eq!(client.until_deadline(), secs(60));
}

#[test]
fn a_final_code_ends_the_tries() {
    for code in [1008, 4000, 4321, 4999] {
        let mut client = greeting(crate::support::forgetful_client());
        assert_eq!(client.input(closed(code)), ["Error(refused)", "drop link", "closed(refused)"]);
        let mut client = greeting(crate::support::forgetful_client());
        assert_eq!(
            client.packet(Packet::Close(Close::new(code, "no"))),
            ["Error(refused)", "drop link", "closed(refused)"]
        );
    }
}

#[test]
fn any_other_code_is_worth_another_try() {
    for code in [1000, 1001, 1002, 1006, 1009, 1011, 1012, 1013, 3000] {
        let mut client = greeting(crate::support::forgetful_client());
        assert_eq!(client.input(closed(code)), ["Error(refused)", "drop link"], "{code}");
        assert_eq!(client.machine.status(), Status::Connecting);
    }
}

#[test]
fn a_refusal_is_told_by_its_own_code() {
    let mut client = greeting(crate::support::forgetful_client());
    assert!(client.packet(error("unauthorized")).is_empty());
    assert_eq!(
        client.input(closed(1008)),
        ["Error(unauthorized)", "drop link", "closed(unauthorized)"]
    );
}

#[test]
fn a_refusal_for_now_is_not_retried_before_its_time() {
    let mut client = greeting(crate::support::forgetful_client());
    client.packet(error("busy"));
    let mut close = Close::new(1013, "busy");
    close.retry_after = Some(secs(90));
    assert_eq!(client.packet(Packet::Close(close)), ["Error(busy)", "drop link"]);
    assert_eq!(client.until_deadline(), secs(90));
    assert_eq!(client.wait(), ["ReconnectAttempt(1)", "connect(2)"]);
}

#[test]
fn an_error_of_an_earlier_attempt_is_not_blamed_for_the_next() {
    let mut client = greeting(crate::support::forgetful_client());
    client.packet(error("busy"));
    client.input(Input::LinkLost(Loss::Ended));
    client.wait();
    client.input(link_up());
    assert_eq!(client.input(Input::LinkLost(Loss::Ended)), ["Error(closed)", "drop link"]);
}

#[test]
fn a_server_that_says_something_else_first_is_tried_again() {
    let mut client = greeting(crate::support::forgetful_client());
    let hi = message(Default::default(), "hi");
    assert_eq!(client.packet(hi), ["Error(bad_packet)", "drop link"]);
    client.wait();
    client.input(link_up());
    assert_eq!(client.input(garbage()), ["Error(bad_packet)", "drop link"]);
}

#[test]
fn a_server_of_another_version_ends_the_tries() {
    let mut client = greeting(client_in(Json));
    let ready = r#"{"type":"ready","version":2,"id":"c1","window":1,"max_frame":1}"#;
    assert_eq!(
        client.input(Input::Frame(moorline_core::Frame::text(ready))),
        ["Error(unsupported_version)", "drop link", "closed(unsupported_version)"]
    );
}

#[test]
fn a_binary_codec_over_a_transport_of_text_is_a_mistake_that_no_retry_mends() {
    let mut client = connecting(crate::support::forgetful_client());
    let mut text_only = Capabilities::default();
    text_only.binary = false;
    assert_eq!(
        client.input(Input::LinkUp(text_only, None)),
        ["Error(configuration)", "drop link", "closed(configuration)"]
    );
}

#[test]
fn it_gives_up_after_as_many_tries_as_it_was_given() {
    let mut config = crate::support::forgetful_client();
    config.backoff = Backoff::default().attempts(2);
    let mut client = connecting(config);
    let failure = || Input::LinkFailed(Failure::retryable("unreachable", ""));
    for _ in 0..2 {
        client.input(failure());
        client.wait();
    }
    assert_eq!(
        client.input(failure()),
        ["Error(unreachable)", "drop link", "ReconnectFailed", "closed(unreachable)"]
    );
    assert_eq!(client.input(Input::Connect), ["Connecting", "connect(1)"]);
}

#[test]
fn a_disconnect_ends_an_attempt_at_once() {
    let ended = ["drop link", "closed"];
    assert_eq!(connecting(crate::support::forgetful_client()).input(disconnect()), ended);
    assert_eq!(greeting(crate::support::forgetful_client()).input(disconnect()), ended);

    let mut waiting = connecting(crate::support::forgetful_client());
    waiting.input(Input::LinkFailed(Failure::retryable("unreachable", "")));
    assert_eq!(waiting.input(disconnect()), ended);
    assert!(waiting.pass(secs(60)).is_empty());
}

#[test]
fn a_link_that_comes_too_late_is_dropped() {
    let mut client = connecting(crate::support::forgetful_client());
    client.input(disconnect());
    assert_eq!(client.input(link_up()), ["drop link"]);

    let mut client = connecting(crate::support::forgetful_client());
    client.wait();
    assert_eq!(client.input(link_up()), ["drop link"]);
}

#[test]
fn credentials_too_large_for_a_hello_are_told_at_once() {
    let mut client = connecting(crate::support::forgetful_client());
    let token = format!("\"{}\"", "x".repeat(20_000));
    let told = client.input(Input::LinkUp(Capabilities::default(), Some(token.into())));
    assert_eq!(told, ["Error(configuration)", "drop link", "closed(configuration)"]);
}
