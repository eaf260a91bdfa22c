//! The connection status of CometChat, step by step: listener objects by id, and the status at any time.
//!
//! ```text
//! cargo run --example cometchat
//! ```
//!
//! Above each step stands the call of CometChat's SDK that it is the counterpart of. Server and client are in this process, on the
//! in-memory network. It checks what it prints, and ends by itself within a second.

mod said;

use std::error::Error;
use std::time::Duration;

use moorline::server::{HoldBack, Throttle};
use moorline::{
    AppState, AppStateMode, Backoff, Client, Connected, Connection, ConnectionListener, Disconnect,
    ErrorEvent, Network, Server, Status, Tokio,
};
use said::{said, say};

const MS: Duration = Duration::from_millis(1);

// class Class_Name with ConnectionListener {
struct ClassName;

impl ConnectionListener for ClassName {
    // void onConnected() { ... }
    fn on_connected(&self, _: &Connected) {
        say("onConnected");
    }

    // void onConnecting() { ... }
    fn on_connecting(&self) {
        say("onConnecting");
    }

    // void onDisconnected() { ... }
    fn on_disconnected(&self, end: &Disconnect) {
        say(format!("onDisconnected: {}", end.reason));
    }

    // void onFeatureThrottled() { ... }
    fn on_feature_throttled(&self, features: &[String]) {
        say(format!("onFeatureThrottled: {features:?}"));
    }

    fn on_connection_error(&self, error: &ErrorEvent) {
        say(format!("onConnectionError: {error}"));
    }
}

/// Another one, with only what it needs: the rest does nothing.
struct Lamp;

impl ConnectionListener for Lamp {
    fn on_connected(&self, _: &Connected) {
        say("the lamp is green");
    }
}

/// "The above method will return either of the below values".
fn connection_status(comet_chat: &Connection) -> &'static str {
    // String connectionStatus = CometChat.getConnectionStatus();
    match comet_chat.status() {
        Status::Open => "connected",
        Status::Connecting => "connecting",
        Status::Throttled => "featureThrottled",
        _ => "disconnected",
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let network = Network::new(Tokio::current());
    let server = Server::builder()
        .acceptor(network.acceptor("comet"))
        .runtime(Tokio::current())
        // A real server sets marks too, and throttles by its load.
        .throttle(Throttle::new().optional("typing", HoldBack::event("typing")))
        .build();
    server.start().await?;
    let comet_chat = Client::builder()
        .transport(network.transport("comet"))
        .runtime(Tokio::current())
        // A real client keeps the default, which comes back within 5 s.
        .backoff(Backoff::exponential(20 * MS).spread(20 * MS))
        .app_state(AppStateMode::Manual)
        // A real one keeps the default of 30 s.
        .background_grace(50 * MS)
        .build()
        .closed();
    assert_eq!(connection_status(&comet_chat), "disconnected");

    // __CometChat.addConnctionListener("listenerId", this);
    comet_chat.add_connection_listener("listenerId", ClassName)?;

    // "You can add multiple listeners [...] Just make sure you add listeners with unique IDs."
    comet_chat.add_connection_listener("lamp", Lamp)?;
    let taken = comet_chat.add_connection_listener("listenerId", ClassName);
    assert!(taken.is_err_and(|duplicate| duplicate.id == "listenerId"));

    // A network where nothing arrives yet, to see it connecting.
    network.partition("comet");
    comet_chat.open();
    assert_eq!(connection_status(&comet_chat), "connecting");
    said("onConnecting").await;
    network.heal("comet");
    said("onConnected").await;
    said("the lamp is green").await;
    assert_eq!(connection_status(&comet_chat), "connected");

    // "CometChat automatically toggles off certain features to prevent performance loss for end-users under various
    // circumstances". Here by hand, until the load decides again.
    server.throttle_now(["typing"])?;
    said(r#"onFeatureThrottled: ["typing"]"#).await;
    assert_eq!(connection_status(&comet_chat), "featureThrottled");
    server.throttle_by_load();
    said("onFeatureThrottled: []").await;
    assert_eq!(connection_status(&comet_chat), "connected");

    // "Once the connection is broken, the disconnected callback is triggered, the SDK automatically tries to establish the
    // connection again, thus going into the connecting state and triggering the connecting method. Once the attempt to connect
    // is successful, the connected method is triggered."
    network.reset("comet");
    said("onDisconnected: the link broke").await;
    said("onConnecting").await;
    said("onConnected").await;
    said("the lamp is green").await;
    said("onConnectionError: link broken").await;

    // CometChat.removeConnectionListener("lamp");
    assert!(comet_chat.remove_connection_listener("lamp"));
    assert!(!comet_chat.remove_connection_listener("lamp"));

    // The application goes into the background: the connection is closed after the grace time. A ping there would give it more.
    comet_chat.set_app_state(AppState::Background);
    let round_trip = comet_chat.ping().await?;
    assert!(round_trip < Duration::from_secs(1));
    said("onDisconnected: the link was closed").await;
    said("onConnecting").await;
    assert_eq!(connection_status(&comet_chat), "connecting", "it waits for the foreground");

    // And comes back.
    comet_chat.set_app_state(AppState::Foreground);
    said("onConnected").await;
    assert_eq!(connection_status(&comet_chat), "connected");

    comet_chat.disconnect();
    said("onDisconnected: the client disconnected").await;
    server.stop().await?;
    Ok(())
}
