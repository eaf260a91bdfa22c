//! The same search over a client and a server joined by a network that fails.

use std::time::Duration;

use moorline_core::machine::Input;
use moorline_core::wire::Close;
use moorline_core::{Class, Config, Status};
use proptest::collection::vec;
use proptest::prelude::*;

use super::sequences;
use super::step::{Setup, setups};
use crate::pair::{Network, Node, Pair};
use crate::support::{disconnect, millis, secs};

/// The longest that two ends need to be open again once the network is: an attempt that was lost in it, and a
/// spread and a delay at their longest.
const RECOVERY: Duration = secs(20 + 5 + 5 + 1);

#[derive(Clone, Debug)]
enum Step {
    ClientSends(Class, usize),
    ServerSends(Class, usize),
    ClientPings,
    ServerPings,
    ClientConnects,
    ClientDisconnects,
    ServerStops,
    Break,
    Network(Network),
    Latency(u64),
    Takes(bool),
    Run(u64),
}

fn steps() -> impl Strategy<Value = Step> {
    let class =
        || prop_oneof![Just(Class::AtLeastOnce), Just(Class::AtMostOnce), Just(Class::Volatile)];
    let network = prop_oneof![Just(Network::Up), Just(Network::Down), Just(Network::Silent)];
    prop_oneof![
        6 => (class(), 0..2000usize).prop_map(|(class, size)| Step::ClientSends(class, size)),
        6 => (class(), 0..2000usize).prop_map(|(class, size)| Step::ServerSends(class, size)),
        1 => Just(Step::ClientPings),
        1 => Just(Step::ServerPings),
        2 => Just(Step::ClientConnects),
        1 => Just(Step::ClientDisconnects),
        1 => Just(Step::ServerStops),
        1 => Just(Step::Break),
        2 => network.prop_map(Step::Network),
        1 => (0..500u64).prop_map(Step::Latency),
        1 => any::<bool>().prop_map(Step::Takes),
        6 => (0..100u64).prop_map(Step::Run),
        2 => (0..60_000u64).prop_map(Step::Run),
    ]
}

/// A pair whose client tries for ever.
fn pair(setup: &Setup) -> Pair {
    let mut client = setup.client();
    (client.reconnect, client.retry_first) = (true, true);
    client.backoff = crate::support::forgetful_client().backoff;
    let mut pair = Pair::new(client, setup.server(), setup.seed);
    pair.at_client(Input::Connect);
    pair
}

fn take(pair: &mut Pair, step: &Step, sent: &mut u64) {
    let mut text = |size: &usize| {
        *sent += 1;
        format!("{sent} {}", "x".repeat(*size))
    };
    match step {
        Step::ClientSends(class, size) => pair.client_sends(*class, &text(size)),
        Step::ServerSends(class, size) => pair.server_sends(*class, &text(size)),
        Step::ClientPings => pair.at_client(Input::Ping),
        Step::ServerPings => pair.at_server(Input::Ping),
        Step::ClientConnects => pair.at_client(Input::Connect),
        Step::ClientDisconnects => pair.at_client(disconnect()),
        Step::ServerStops => {
            let mut stop = Close::new(1012, "");
            stop.spread = Some(secs(1));
            pair.at_server(Input::Disconnect(stop));
        }
        Step::Break => pair.break_link(),
        Step::Network(network) => pair.network = *network,
        Step::Latency(latency) => pair.latency = millis(*latency),
        Step::Takes(takes) => pair.take_at_both_ends(*takes),
        Step::Run(time) => pair.run(millis(*time)),
    }
    check_order(&pair.client);
    pair.servers.iter().for_each(check_order);
}

/// What came over one link is in order, and nothing came twice.
fn check_order(node: &Node) {
    let number = |text: &String| text.split(' ').next().unwrap().parse::<u64>().unwrap();
    assert!(node.messages.iter().map(number).is_sorted_by(|a, b| a < b), "{:?}", node.messages);
}

/// Lets the network be good, and waits until all is settled.
fn heal(pair: &mut Pair, setup: &Setup) {
    pair.network = Network::Up;
    pair.latency = millis(20);
    pair.take_at_both_ends(true);
    // A link that went silent is found out by a heartbeat alone. Where there is none, somebody breaks it.
    if setup.heartbeat {
        pair.run(secs(50));
    } else {
        pair.run(secs(1));
        pair.break_link();
    }
    pair.run(RECOVERY);
}

proptest! {
    #![proptest_config(sequences(2000))]

    #[test]
    fn a_client_is_open_again_once_the_network_is(setup in setups(), steps in vec(steps(), 0..40)) {
        let mut pair = pair(&setup);
        let mut sent = 0;
        steps.iter().for_each(|step| take(&mut pair, step, &mut sent));
        pair.at_client(Input::Connect);
        heal(&mut pair, &setup);
        pair.at_client(Input::Connect);
        pair.run(secs(1));
        prop_assert!(pair.is_open(), "{:?}", pair.client.machine);
        prop_assert_eq!(pair.client.pings_waiting, 0);
    }

    #[test]
    fn every_message_is_delivered_or_counted(setup in setups(), steps in vec(steps(), 0..40)) {
        let mut pair = pair(&setup);
        let mut sent = 0;
        steps.iter().for_each(|step| take(&mut pair, step, &mut sent));
        pair.at_client(disconnect());
        pair.run(Config::CLOSE_TIMEOUT);
        prop_assert_eq!(pair.client.status(), Status::Closed);
        prop_assert_eq!(pair.client.pings_waiting, 0);
        pair.check_counts();
    }
}
