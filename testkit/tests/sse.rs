//! Server-sent events with POST upstream keep the whole contract, on every runtime with sockets.

use std::io;
use std::time::Duration;

use moorline_async_std::AsyncStd;
use moorline_core::{Acceptor, Net};
use moorline_smol::Smol;
use moorline_sse::{EventStreams, HttpAcceptor, HttpDoor, Sse, SseAcceptor};
use moorline_testkit::{Report, TransportKit};
use moorline_tokio::Tokio;

async fn contract<R: Net + Clone>(runtime: R) -> Report {
    let (servers, clients, strangers, raws) =
        (runtime.clone(), runtime.clone(), runtime.clone(), runtime.clone());
    let url = |acceptor: &SseAcceptor<R>, path: &str| {
        format!("http://{}{path}", acceptor.local_address().expect("it listens"))
    };
    TransportKit::new(
        runtime,
        move || {
            let door = HttpDoor::new("127.0.0.1:0", servers.clone()).expect("it is an address");
            // The kit flushes each frame by itself.
            HttpAcceptor::of(door.path("/kit"), EventStreams::new().debounce(Duration::ZERO))
        },
        move |acceptor| Sse::new(url(acceptor, "/kit"), clients.clone()).expect("it is one"),
    )
    .refusing(move |acceptor| {
        Sse::new(url(acceptor, "/elsewhere"), strangers.clone()).expect("it is one")
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
    let skipped = [
        "a_ping_comes_back_as_activity",
        "a_frame_that_cannot_be_carried_is_refused",
        "nothing_is_left_behind",
    ];
    assert_eq!(report.skipped(), skipped, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r51_sse_on_tokio() {
    full(&contract(Tokio::current()).await);
}

#[test]
fn r51_sse_on_smol() {
    full(&smol::block_on(contract(Smol)));
}

#[test]
fn r51_sse_on_async_std() {
    full(&async_std::task::block_on(contract(AsyncStd)));
}
