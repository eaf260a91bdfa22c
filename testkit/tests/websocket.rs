//! WebSockets keep the whole contract, on every runtime with sockets.

use std::io;

use moorline_async_std::AsyncStd;
use moorline_core::{Acceptor, Net};
use moorline_smol::Smol;
use moorline_testkit::{Report, TransportKit};
use moorline_tokio::Tokio;
use moorline_websocket::{HttpDoor, WebSocket, WebSocketAcceptor};

async fn contract<R: Net + Clone>(runtime: R) -> Report {
    let (servers, clients, strangers, raws) =
        (runtime.clone(), runtime.clone(), runtime.clone(), runtime.clone());
    let url = |acceptor: &WebSocketAcceptor<R>, path: &str| {
        format!("ws://{}{path}", acceptor.local_address().expect("it listens"))
    };
    TransportKit::new(
        runtime,
        move || {
            let door = HttpDoor::new("127.0.0.1:0", servers.clone()).expect("it is an address");
            WebSocketAcceptor::at(door.path("/kit"))
        },
        move |acceptor| WebSocket::new(url(acceptor, "/kit"), clients.clone()).expect("it is one"),
    )
    .refusing(move |acceptor| {
        WebSocket::new(url(acceptor, "/elsewhere"), strangers.clone()).expect("it is one")
    })
    .raw(move |acceptor| {
        let (address, net) = (acceptor.local_address(), raws.clone());
        async move {
            let address = address.and_then(|address| address.parse().ok());
            net.connect(address.ok_or(io::ErrorKind::NotFound)?).await
        }
    })
    .run()
    .await
}

fn full(report: &Report) {
    println!("{report}");
    report.assert();
    let skipped = ["a_frame_that_cannot_be_carried_is_refused", "nothing_is_left_behind"];
    assert_eq!(report.skipped(), skipped, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r50_websocket_on_tokio() {
    full(&contract(Tokio::current()).await);
}

#[test]
fn r50_websocket_on_smol() {
    full(&smol::block_on(contract(Smol)));
}

#[test]
fn r50_websocket_on_async_std() {
    full(&async_std::task::block_on(contract(AsyncStd)));
}
