//! What an application hears when a link is lost, and in which order (R18).

use moorline_core::machine::{Failure, Input, Loss};
use moorline_core::{Backoff, Reason, Status};

use crate::support::{End, broken, closed};

fn unreachable() -> Input {
    Input::LinkFailed(Failure::retryable("unreachable", ""))
}

#[test]
fn a_loss_is_told_in_order_up_to_the_reconnect() {
    let mut client = End::open_client(crate::support::forgetful_client());
    assert_eq!(
        client.input(Input::LinkLost(Loss::Ended)),
        ["drop link", "Disconnect(TransportClose)", "Connecting"]
    );
    assert_eq!(client.wait(), ["ReconnectAttempt(1)", "connect(1)"]);
    assert_eq!(client.input(unreachable()), ["Error(unreachable)", "drop link"]);
    assert_eq!(client.wait(), ["ReconnectAttempt(2)", "connect(2)"]);
    assert_eq!(client.open_link(), ["> hello", "Connect", "Reconnect(2)"]);
}

#[test]
fn the_count_of_attempts_starts_again_with_each_loss() {
    let mut client = End::open_client(crate::support::forgetful_client());
    for _ in 0..3 {
        client.input(broken());
        assert_eq!(client.wait(), ["ReconnectAttempt(1)", "connect(1)"]);
        assert_eq!(client.open_link(), ["> hello", "Connect", "Reconnect(1)"]);
    }
}

#[test]
fn a_broken_link_is_told_as_an_error_first() {
    let mut client = End::open_client(crate::support::forgetful_client());
    assert_eq!(
        client.input(broken()),
        ["Error(broken)", "drop link", "Disconnect(TransportError)", "Connecting"]
    );
}

#[test]
fn a_client_has_no_id_between_two_links() {
    let mut client = End::open_client(crate::support::forgetful_client());
    client.input(broken());
    assert_eq!(client.machine.id(), None);
    assert_eq!(client.machine.status(), Status::Connecting);
}

#[test]
fn a_final_code_ends_it_for_good() {
    for code in [1008, 4000, 4999] {
        let mut client = End::open_client(crate::support::forgetful_client());
        assert_eq!(
            client.input(closed(code)),
            ["drop link", "Disconnect(ServerDisconnect)", "closed"]
        );
        let end = client.disconnect.clone().unwrap();
        assert_eq!((end.close.unwrap().code, end.reconnects), (code, false));
        assert_eq!(client.input(Input::Connect), ["Connecting", "connect(1)"]);
    }
}

#[test]
fn where_no_reconnect_is_wanted_a_loss_is_the_end() {
    let mut config = crate::support::forgetful_client();
    config.reconnect = false;
    let mut client = End::open_client(config);
    assert_eq!(client.input(broken()).last().unwrap(), "closed");
    assert!(!client.disconnect.unwrap().reconnects);
}

#[test]
fn where_no_attempt_is_allowed_a_loss_is_the_end() {
    let mut config = crate::support::forgetful_client();
    config.backoff = Backoff::default().attempts(0);
    let mut client = End::open_client(config);
    assert_eq!(
        client.input(closed(1001)),
        ["drop link", "Disconnect(TransportClose)", "ReconnectFailed", "closed"]
    );
    assert!(!client.disconnect.unwrap().reconnects);
}

#[test]
fn it_gives_up_when_its_attempts_are_used_up() {
    let mut config = crate::support::forgetful_client();
    config.backoff = Backoff::default().attempts(2);
    let mut client = End::open_client(config);
    client.input(broken());
    client.wait();
    client.input(unreachable());
    client.wait();
    assert_eq!(
        client.input(unreachable()),
        ["Error(unreachable)", "drop link", "ReconnectFailed", "closed(unreachable)"]
    );
}

#[test]
fn a_servers_connection_is_over_with_its_link() {
    let mut server = End::open_server(crate::support::forgetful_server());
    assert_eq!(server.input(closed(1000)), ["drop link", "Disconnect(ClientDisconnect)", "closed"]);
    assert_eq!(server.disconnect.unwrap().reason, Reason::ClientDisconnect);
    assert_eq!(server.machine.id().unwrap().as_str(), "c1");
}
