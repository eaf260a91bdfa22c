//! WebSockets and server-sent events keep the contract inside somebody else's HTTP server, too: axum's, and bare hyper's.

use std::net::{SocketAddr, TcpListener};

use hyper_util::rt::TokioIo;
use moorline_core::{Acceptor, BoxTransport, Capabilities, TransportError};
use moorline_http::{HttpService, Mount, MountedAcceptor, MountedPending};
use moorline_sse::{EventStreams, Sse};
use moorline_testkit::{Report, TransportKit};
use moorline_tokio::Tokio;
use moorline_websocket::{WebSocket, WebSockets};

type Routes = (WebSockets, EventStreams);

/// An acceptor that knows where the server around it is.
struct At {
    acceptor: MountedAcceptor<Routes>,
    address: SocketAddr,
}

impl Acceptor for At {
    type Pending = MountedPending<Routes>;

    async fn listen(&mut self) -> Result<(), TransportError> {
        self.acceptor.listen().await
    }

    async fn accept(&mut self) -> Result<MountedPending<Routes>, TransportError> {
        self.acceptor.accept().await
    }

    fn close(&mut self) {
        self.acceptor.close();
    }

    fn local_address(&self) -> Option<String> {
        Some(self.address.to_string())
    }

    fn capabilities(&self) -> Capabilities {
        self.acceptor.capabilities()
    }
}

/// Serves the routes at a free port, for as long as the test's runtime lives.
fn mounted(serve: fn(TcpListener, HttpService<Routes>)) -> At {
    let streams = EventStreams::new().debounce(std::time::Duration::ZERO);
    let (service, acceptor) = Mount::new(Tokio::current()).build((WebSockets::new(), streams));
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.set_nonblocking(true).expect("it is a socket");
    let address = listener.local_addr().expect("it listens");
    serve(listener, service);
    At { acceptor, address }
}

fn in_axum(listener: TcpListener, service: HttpService<Routes>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a tokio runtime");
    let router = axum::Router::new().route_service("/kit", service);
    tokio::spawn(async move { axum::serve(listener, router).await });
}

fn in_hyper(listener: TcpListener, service: HttpService<Routes>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a tokio runtime");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let http = hyper::server::conn::http1::Builder::new();
            let connection = http.serve_connection(TokioIo::new(stream), service.clone());
            tokio::spawn(connection.with_upgrades());
        }
    });
}

async fn contract(
    serve: fn(TcpListener, HttpService<Routes>),
    transport: fn(&str) -> BoxTransport,
) -> Report {
    let to = move |acceptor: &At, path: &str| transport(&format!("{}{path}", acceptor.address));
    TransportKit::new(Tokio::current(), move || mounted(serve), move |at| to(at, "/kit"))
        .run()
        .await
}

fn websocket(place: &str) -> BoxTransport {
    let url = format!("ws://{place}");
    BoxTransport::new(WebSocket::new(url, Tokio::current()).expect("it is an address"))
}

fn sse(place: &str) -> BoxTransport {
    let url = format!("http://{place}");
    BoxTransport::new(Sse::new(url, Tokio::current()).expect("it is an address"))
}

fn full(report: &Report) {
    println!("{report}");
    report.assert();
    // The routes share one server, so what one of them lacks both do; strangers are the other server's affair.
    let skipped = [
        "a_ping_comes_back_as_activity",
        "a_frame_that_cannot_be_carried_is_refused",
        "a_refusal_is_final",
        "noise_harms_nobody",
        "a_handshake_reads_a_bounded_amount",
        "nothing_is_left_behind",
    ];
    assert_eq!(report.skipped(), skipped, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r33_websocket_in_axum() {
    full(&contract(in_axum, websocket).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r33_sse_in_axum() {
    full(&contract(in_axum, sse).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r33_websocket_in_hyper() {
    full(&contract(in_hyper, websocket).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r33_sse_in_hyper() {
    full(&contract(in_hyper, sse).await);
}
