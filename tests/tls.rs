//! TLS on every runtime with sockets (R50), and proxies: a client and a server over real ones.
#![cfg(all(
    feature = "async-std",
    feature = "http-server",
    feature = "rustls",
    feature = "smol",
    feature = "sse",
    feature = "tokio",
    feature = "websocket"
))]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails; the lint knows only #[test]")]

#[path = "support/authority.rs"]
mod authority;
#[path = "support/proxies.rs"]
mod proxies;

use std::time::Duration;

use moorline::{
    AsyncStd, BoxTransport, Client, ConnectError, Connection, EventStreams, HttpAcceptor, HttpDoor,
    Proxy, Server, Smol, Sse, TlsClient, TlsServer, Tokio, WebSocket, WebSockets,
};
use moorline_core::Net;

use crate::authority::{Authority, Signed};
use crate::proxies::{Behind, HttpProxy, SocksProxy};

/// Plays it on each runtime.
macro_rules! on_every_runtime {
    ($($name:ident),* $(,)?) => {
        mod on_tokio {
            $(#[test] fn $name() { super::on_tokio(super::$name) })*
        }
        mod on_smol {
            $(#[test] fn $name() { smol::block_on(super::$name(super::Smol)) })*
        }
        mod on_async_std {
            $(#[test] fn $name() { async_std::task::block_on(super::$name(super::AsyncStd)) })*
        }
    };
}

fn on_tokio<F: Future<Output = ()>>(test: impl FnOnce(Tokio) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async { test(Tokio::current()).await });
}

on_every_runtime![
    r50_a_message_goes_there_and_back_over_tls,
    r50_another_hosts_certificate_is_refused,
    r50_an_expired_certificate_is_refused,
    r50_an_unknown_authority_is_refused,
    r50_a_client_shows_its_certificate,
    r50_a_client_without_tls_gets_nowhere_and_harms_nobody,
    r50_an_http_proxy_is_gone_through,
    r50_a_socks_proxy_is_gone_through,
    r50_a_proxy_refuses_wrong_credentials,
];

/// How to get there: a WebSocket, and server-sent events.
#[derive(Clone, Default)]
struct Way {
    tls: Option<TlsClient>,
    proxy: Option<Proxy>,
}

impl Way {
    fn trusting(authority: &Authority) -> Self {
        let tls = TlsClient::own_roots(&authority.certificate).unwrap();
        Self { tls: Some(tls), proxy: None }
    }

    /// By either transport to a place, such as `host:port/path`; with TLS if any is given, or `secure`.
    fn transports<R: Net + Clone>(
        &self,
        runtime: &R,
        place: &str,
        secure: bool,
    ) -> [BoxTransport; 2] {
        let s = if secure { "s" } else { "" };
        let mut websocket = WebSocket::new(format!("ws{s}://{place}"), runtime.clone()).unwrap();
        let mut sse = Sse::new(format!("http{s}://{place}"), runtime.clone()).unwrap();
        if let Some(tls) = &self.tls {
            (websocket, sse) = (websocket.tls(tls.clone()), sse.tls(tls.clone()));
        }
        if let Some(proxy) = &self.proxy {
            (websocket, sse) = (websocket.proxy(proxy.clone()), sse.proxy(proxy.clone()));
        }
        [BoxTransport::new(websocket), BoxTransport::new(sse)]
    }

    /// Messages go there and back by either.
    async fn goes<R: Net + Clone>(&self, runtime: &R, place: &str, secure: bool) {
        for transport in self.transports(runtime, place, secure) {
            echoes(&connect(runtime, transport).await.unwrap()).await;
        }
    }

    /// What a client says that is let in by neither.
    async fn refusals<R: Net + Clone>(
        &self,
        runtime: &R,
        place: &str,
        secure: bool,
    ) -> [String; 2] {
        let [websocket, sse] = self.transports(runtime, place, secure);
        let said = async |transport| connect(runtime, transport).await.unwrap_err().to_string();
        [said(websocket).await, said(sse).await]
    }
}

/// A server that echoes, with TLS; its address.
async fn serve<R: Net + Clone>(runtime: &R, tls: TlsServer) -> (Server, String) {
    let door = HttpDoor::new("127.0.0.1:0", runtime.clone()).unwrap().tls(tls);
    serve_at(runtime, door).await
}

async fn serve_at<R: Net + Clone>(runtime: &R, door: HttpDoor<R>) -> (Server, String) {
    let acceptor = HttpAcceptor::of(door, (WebSockets::new(), EventStreams::new()));
    let server = Server::builder().acceptor(acceptor).runtime(runtime.clone()).build();
    server.on_connect(async |connection| {
        while let Some(message) = connection.next_message().await {
            connection.send(message).await?;
        }
        Ok(())
    });
    server.start().await.unwrap();
    let address = server.local_address().unwrap();
    (server, address)
}

fn server_of(signed: &Signed) -> TlsServer {
    TlsServer::from_pem(&signed.certificate, &signed.key).unwrap()
}

async fn connect<R: Net + Clone>(
    runtime: &R,
    transport: BoxTransport,
) -> Result<Connection, ConnectError> {
    let client = Client::builder()
        .transport(transport)
        .runtime(runtime.clone())
        .retry_first(false)
        .attempt_timeout(Duration::from_secs(10))
        .build();
    client.connect().await
}

async fn echoes(connection: &Connection) {
    for size in [0, 1, 1_000, 100_000, 1 << 20] {
        connection.send(vec![7; size]).await.unwrap();
        assert_eq!(connection.next_message().await.unwrap().bytes().len(), size);
    }
    connection.close();
}

async fn r50_a_message_goes_there_and_back_over_tls<R: Net + Clone>(runtime: R) {
    let authority = Authority::new();
    let (server, address) = serve(&runtime, server_of(&authority.sign("127.0.0.1"))).await;
    Way::trusting(&authority).goes(&runtime, &address, true).await;
    server.stop().await.unwrap();
}

async fn r50_another_hosts_certificate_is_refused<R: Net + Clone>(runtime: R) {
    let authority = Authority::new();
    let (server, address) = serve(&runtime, server_of(&authority.sign("elsewhere.example"))).await;
    for said in Way::trusting(&authority).refusals(&runtime, &address, true).await {
        assert!(said.contains("not trusted") && said.contains("127.0.0.1"), "{said}");
    }
    server.stop().await.unwrap();
}

async fn r50_an_expired_certificate_is_refused<R: Net + Clone>(runtime: R) {
    let authority = Authority::new();
    let (server, address) = serve(&runtime, server_of(&authority.sign_expired("127.0.0.1"))).await;
    for said in Way::trusting(&authority).refusals(&runtime, &address, true).await {
        assert!(said.contains("not trusted") && said.contains("expired"), "{said}");
    }
    server.stop().await.unwrap();
}

async fn r50_an_unknown_authority_is_refused<R: Net + Clone>(runtime: R) {
    let (authority, other) = (Authority::new(), Authority::new());
    let (server, address) = serve(&runtime, server_of(&authority.sign("127.0.0.1"))).await;
    // Also by default, whose roots are those of browsers: an error, no panic.
    for way in [Way::trusting(&other), Way::default()] {
        for said in way.refusals(&runtime, &address, true).await {
            assert!(said.contains("not trusted"), "{said}");
        }
    }
    server.stop().await.unwrap();
}

async fn r50_a_client_shows_its_certificate<R: Net + Clone>(runtime: R) {
    let authority = Authority::new();
    let tls = TlsServer::from_config(authority.demanding(&authority.sign("127.0.0.1")));
    let (server, address) = serve(&runtime, tls).await;
    let known = authority.sign("ali.example");
    let mut way = Way::trusting(&authority);
    way.tls = way.tls.map(|tls| tls.certificate(&known.certificate, &known.key).unwrap());
    way.goes(&runtime, &address, true).await;
    // Without one it is told so by the first thing that it reads.
    for said in Way::trusting(&authority).refusals(&runtime, &address, true).await {
        assert!(said.contains("CertificateRequired"), "{said}");
    }
    server.stop().await.unwrap();
}

async fn r50_a_client_without_tls_gets_nowhere_and_harms_nobody<R: Net + Clone>(runtime: R) {
    let authority = Authority::new();
    let (server, address) = serve(&runtime, server_of(&authority.sign("127.0.0.1"))).await;
    Way::default().refusals(&runtime, &address, false).await;
    Way::trusting(&authority).goes(&runtime, &address, true).await;
    server.stop().await.unwrap();
}

async fn r50_an_http_proxy_is_gone_through<R: Net + Clone>(runtime: R) {
    let proxy = HttpProxy::start(Some(("ali", "sesame")));
    let way = Proxy::new(&format!("http://{}", proxy.address)).unwrap();
    go_through(runtime, way.credentials("ali", "sesame").unwrap(), &proxy).await;
}

async fn r50_a_socks_proxy_is_gone_through<R: Net + Clone>(runtime: R) {
    let proxy = SocksProxy::start(Some(("ali", "sesame")));
    let way = Proxy::new(&format!("socks5://{}", proxy.address)).unwrap();
    go_through(runtime.clone(), way.credentials("ali", "sesame").unwrap(), &proxy).await;
    let open = SocksProxy::start(None);
    let way = Proxy::new(&format!("socks5://{}", open.address)).unwrap();
    go_through(runtime, way, &open).await;
}

/// Plain and with TLS, to a name that only the proxy knows.
async fn go_through<R: Net + Clone>(runtime: R, proxy: Proxy, behind: &impl Behind) {
    let authority = Authority::new();
    let door = HttpDoor::new("127.0.0.1:0", runtime.clone()).unwrap();
    let (server, address) = serve_at(&runtime, door).await;
    behind.knows("shop.internal", &address);
    let way = Way { proxy: Some(proxy), ..Way::trusting(&authority) };
    way.goes(&runtime, "shop.internal/a", false).await;
    server.stop().await.unwrap();

    let (server, address) = serve(&runtime, server_of(&authority.sign("shop.internal"))).await;
    behind.knows("shop.internal", &address);
    way.goes(&runtime, "shop.internal/a", true).await;
    server.stop().await.unwrap();

    for said in way.refusals(&runtime, "nobody.internal/", false).await {
        assert!(said.contains("the proxy"), "{said}");
    }
}

async fn r50_a_proxy_refuses_wrong_credentials<R: Net + Clone>(runtime: R) {
    let http = HttpProxy::start(Some(("ali", "sesame")));
    let socks = SocksProxy::start(Some(("ali", "sesame")));
    for way in [format!("http://{}", http.address), format!("socks5://{}", socks.address)] {
        let proxy = Proxy::new(&way).unwrap();
        for proxy in [proxy.clone().credentials("ali", "simsim").unwrap(), proxy] {
            let way = Way { proxy: Some(proxy), tls: None };
            for said in way.refusals(&runtime, "shop.internal/", false).await {
                assert!(said.contains("credentials") && !said.contains("simsim"), "{said}");
            }
        }
    }
}
