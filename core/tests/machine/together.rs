//! Client and server, joined by a network.

use moorline_core::machine::{Input, Refusal};
use moorline_core::wire::{Close, Json, Raw};
use moorline_core::{Class, Config, Reason, Status};

use crate::pair::{Network, Pair, Welcome};
use crate::support::{SEED, client_in, disconnect, millis, secs, server_in};

fn open() -> Pair {
    Pair::open(crate::support::forgetful_client(), crate::support::forgetful_server(), SEED)
}

#[test]
fn a_client_is_open_after_two_round_trips_in_every_codec() {
    let pairs = [
        (crate::support::forgetful_client(), crate::support::forgetful_server()),
        (client_in(Json), crate::support::forgetful_server()),
        (client_in(Raw), server_in(Raw)),
    ];
    for (client, server) in pairs {
        let mut pair = Pair::new(client, server, SEED);
        pair.at_client(Input::Connect);
        pair.run(pair.latency * 3);
        assert!(pair.is_open());
    }
}

#[test]
fn both_ends_know_the_connection_by_the_same_id() {
    let pair = open();
    assert_eq!(pair.client.machine.id(), pair.server().machine.id());
}

#[test]
fn messages_arrive_in_order_both_ways() {
    let mut pair = open();
    let texts: Vec<_> = (0..500).map(|n| format!("{n}")).collect();
    for text in &texts {
        pair.client_sends(Class::AtLeastOnce, text);
        pair.server_sends(Class::AtMostOnce, text);
    }
    pair.run(secs(1));
    assert_eq!(pair.server().messages, texts);
    assert_eq!(pair.client.messages, texts);
    assert_eq!((pair.client.machine.in_flight(), pair.server().machine.in_flight()), (0, 0));
}

#[test]
fn far_more_than_a_window_gets_through_while_the_peer_takes() {
    let mut server = crate::support::forgetful_server();
    server.window = 2000;
    let mut pair = Pair::open(crate::support::forgetful_client(), server, SEED);
    for n in 0..500 {
        pair.client_sends(Class::AtLeastOnce, &format!("{n}"));
    }
    pair.run(secs(20));
    assert_eq!(pair.server().messages.len(), 500);
    assert!(pair.is_open());
}

#[test]
fn a_peer_that_takes_nothing_is_sent_one_window_and_stays_connected() {
    let mut server = crate::support::forgetful_server();
    server.window = 2000;
    let mut pair = Pair::open(crate::support::forgetful_client(), server, SEED);
    pair.server_mut().takes = false;
    for n in 0..500 {
        pair.client_sends(Class::AtLeastOnce, &format!("{n}"));
    }
    pair.run(secs(300));
    assert!(pair.is_open());
    let stalled = pair.server().messages.len();
    assert!(stalled < 2000 / 64, "{stalled}");

    pair.server_mut().takes = true;
    let taken = pair.server_mut().take_all();
    pair.at_server(taken);
    pair.run(secs(20));
    assert_eq!(pair.server().messages.len(), 500);
}

#[test]
fn an_idle_connection_lives_for_a_day_on_the_clients_pings() {
    for (client, server) in [
        (crate::support::forgetful_client(), crate::support::forgetful_server()),
        (client_in(Raw), server_in(Raw)),
    ] {
        let mut pair = Pair::open(client, server, SEED);
        pair.run(secs(24 * 3600));
        assert!(pair.is_open());
        assert_eq!(pair.servers.len(), 1);
    }
}

#[test]
fn where_sessions_are_the_servers_pings_stay_unused() {
    let mut pair = open();
    pair.run(secs(3600));
    assert!(!pair.server().has_said("> ping"));
}

#[test]
fn a_network_that_swallows_everything_is_noticed_and_survived() {
    let mut pair = open();
    pair.network = Network::Silent;
    pair.run(secs(50));
    assert_eq!(pair.client.disconnects[0].reason, Reason::PingTimeout);
    assert_eq!(pair.server().disconnects[0].reason, Reason::PingTimeout);
    pair.run(secs(600));
    pair.network = Network::Up;
    pair.run(Config::ATTEMPT_TIMEOUT + secs(6));
    assert!(pair.is_open());
}

#[test]
fn an_outage_of_an_hour_is_over_within_the_cap() {
    let mut pair = open();
    pair.network = Network::Down;
    pair.break_link();
    pair.run(secs(3600));
    assert_eq!(pair.client.status(), Status::Connecting);
    pair.network = Network::Up;
    pair.run(secs(6));
    assert!(pair.is_open());
}

#[test]
fn a_client_that_disconnects_ends_both_sides_in_a_round_trip() {
    let mut pair = open();
    pair.client_sends(Class::AtLeastOnce, "last words");
    pair.at_client(disconnect());
    pair.run(pair.latency * 2);
    assert_eq!(pair.server().messages, ["last words"]);
    assert_eq!(pair.client.status(), Status::Closed);
    assert_eq!(pair.server().status(), Status::Closed);
    assert_eq!(pair.client.disconnects[0].reason, Reason::ClientDisconnect);
    assert_eq!(pair.server().disconnects[0].reason, Reason::ClientDisconnect);
    pair.run(secs(600));
    assert_eq!(pair.servers.len(), 1);
}

#[test]
fn a_client_that_the_server_disconnects_stays_away() {
    let mut pair = open();
    pair.at_server(Input::Disconnect(Close::new(4000, "go")));
    pair.run(secs(600));
    assert_eq!(pair.client.status(), Status::Closed);
    assert_eq!(pair.client.disconnects[0].reason, Reason::ServerDisconnect);
    assert_eq!(pair.servers.len(), 1);
}

#[test]
fn clients_of_a_server_that_stops_come_back_when_they_were_asked_to() {
    let mut pair = open();
    let stop = Close {
        code: 1012,
        reason: String::new(),
        retry_after: Some(secs(30)),
        spread: Some(secs(10)),
    };
    pair.at_server(Input::Disconnect(stop));
    pair.run(secs(29));
    assert_eq!((pair.client.status(), pair.servers.len()), (Status::Connecting, 1));
    pair.run(secs(12));
    assert!(pair.is_open());
}

#[test]
fn two_disconnects_that_cross_end_both_sides() {
    let mut pair = open();
    pair.at_client(disconnect());
    pair.at_server(Input::Disconnect(Close::new(1012, "")));
    pair.run(Config::CLOSE_TIMEOUT);
    assert_eq!(pair.client.status(), Status::Closed);
    assert_eq!(pair.server().status(), Status::Closed);
    pair.run(secs(60));
    assert_eq!(pair.servers.len(), 1);
}

#[test]
fn a_client_that_is_refused_for_good_does_not_come_back() {
    let mut pair =
        Pair::new(crate::support::forgetful_client(), crate::support::forgetful_server(), SEED);
    pair.welcome = Welcome::Refuse(Refusal::for_good("unauthorized", ""));
    pair.at_client(Input::Connect);
    pair.run(secs(600));
    assert_eq!(pair.servers.len(), 1);
    assert_eq!(pair.client.story.last().unwrap().1, "closed(unauthorized)");
}

#[test]
fn a_client_that_is_refused_for_now_comes_back_in_time() {
    let mut pair =
        Pair::new(crate::support::forgetful_client(), crate::support::forgetful_server(), SEED);
    pair.welcome = Welcome::Refuse(Refusal::for_now("busy", "", secs(60)));
    pair.at_client(Input::Connect);
    pair.run(secs(59));
    assert_eq!(pair.servers.len(), 1);
    pair.welcome = Welcome::Accept;
    pair.run(secs(2));
    assert!(pair.is_open());
}

#[test]
fn an_authenticator_that_hangs_sends_the_client_away_for_a_while() {
    let mut pair =
        Pair::new(crate::support::forgetful_client(), crate::support::forgetful_server(), SEED);
    pair.welcome = Welcome::Never;
    pair.at_client(Input::Connect);
    pair.run(secs(11));
    assert!(pair.client.has_said("Error(unavailable)"));
    pair.welcome = Welcome::Accept;
    pair.run(secs(5));
    assert!(pair.is_open());
}

#[test]
fn the_round_trip_time_is_twice_the_latency() {
    for (client, server) in [
        (crate::support::forgetful_client(), crate::support::forgetful_server()),
        (client_in(Raw), server_in(Raw)),
    ] {
        let mut pair = Pair::open(client, server, SEED);
        pair.at_client(Input::Ping);
        pair.at_server(Input::Ping);
        pair.run(millis(100));
        assert_eq!(pair.client.round_trips, [Some(millis(40))]);
        assert_eq!(pair.server().round_trips, [Some(millis(40))]);
    }
}

#[test]
fn a_run_is_the_same_each_time() {
    let run = |seed| {
        let mut pair = Pair::open(
            crate::support::forgetful_client(),
            crate::support::forgetful_server(),
            seed,
        );
        pair.break_link();
        pair.run(secs(7));
        pair.network = Network::Down;
        pair.break_link();
        pair.run(secs(100));
        pair.client.story
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}
