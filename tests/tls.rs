//! TLS on every runtime with sockets (R50), and proxies: a client and a server over real ones.
#![cfg(all(
    feature = "async-std",
    feature = "http-server",
    feature = "rustls",
    feature = "smol",
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
    AsyncStd, Client, ConnectError, Connection, HttpDoor, Proxy, Server, Smol, TlsClient,
    TlsServer, Tokio, WebSocket, WebSocketAcceptor,
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

/// A server that echoes, at `wss://`; its address.
async fn serve<R: Net + Clone>(runtime: &R, tls: TlsServer) -> (Server, String) {
    let door = HttpDoor::new("127.0.0.1:0", runtime.clone()).unwrap().tls(tls);
    serve_at(runtime, door).await
}

async fn serve_at<R: Net + Clone>(runtime: &R, door: HttpDoor<R>) -> (Server, String) {
    let server =
        Server::builder().acceptor(WebSocketAcceptor::at(door)).runtime(runtime.clone()).build();
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
    transport: WebSocket<R>,
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

/// What a client says that trusts this authority, and is let in nowhere.
async fn refusal<R: Net + Clone>(runtime: &R, url: String, authority: &Authority) -> String {
    let tls = TlsClient::own_roots(&authority.certificate).unwrap();
    let transport = WebSocket::new(url, runtime.clone()).unwrap().tls(tls);
    connect(runtime, transport).await.unwrap_err().to_string()
}

async fn r50_a_message_goes_there_and_back_over_tls<R: Net + Clone>(runtime: R) {
    let authority = Authority::new();
    let (server, address) = serve(&runtime, server_of(&authority.sign("127.0.0.1"))).await;
    let tls = TlsClient::own_roots(&authority.certificate).unwrap();
    let transport = WebSocket::new(format!("wss://{address}/"), runtime.clone()).unwrap().tls(tls);
    echoes(&connect(&runtime, transport).await.unwrap()).await;
    server.stop().await.unwrap();
}

async fn r50_another_hosts_certificate_is_refused<R: Net + Clone>(runtime: R) {
    let authority = Authority::new();
    let (server, address) = serve(&runtime, server_of(&authority.sign("elsewhere.example"))).await;
    let said = refusal(&runtime, format!("wss://{address}/"), &authority).await;
    assert!(said.contains("not trusted") && said.contains("127.0.0.1"), "{said}");
    server.stop().await.unwrap();
}

async fn r50_an_expired_certificate_is_refused<R: Net + Clone>(runtime: R) {
    let authority = Authority::new();
    let (server, address) = serve(&runtime, server_of(&authority.sign_expired("127.0.0.1"))).await;
    let said = refusal(&runtime, format!("wss://{address}/"), &authority).await;
    assert!(said.contains("not trusted") && said.contains("expired"), "{said}");
    server.stop().await.unwrap();
}

async fn r50_an_unknown_authority_is_refused<R: Net + Clone>(runtime: R) {
    let (authority, other) = (Authority::new(), Authority::new());
    let (server, address) = serve(&runtime, server_of(&authority.sign("127.0.0.1"))).await;
    let said = refusal(&runtime, format!("wss://{address}/"), &other).await;
    assert!(said.contains("not trusted"), "{said}");
    // And so it is by default, whose roots are those of browsers: an error, no panic.
    let transport = WebSocket::new(format!("wss://{address}/"), runtime.clone()).unwrap();
    let said = connect(&runtime, transport).await.unwrap_err().to_string();
    assert!(said.contains("not trusted"), "{said}");
    server.stop().await.unwrap();
}

async fn r50_a_client_shows_its_certificate<R: Net + Clone>(runtime: R) {
    let authority = Authority::new();
    let tls = TlsServer::from_config(authority.demanding(&authority.sign("127.0.0.1")));
    let (server, address) = serve(&runtime, tls).await;
    let url = format!("wss://{address}/");
    let known = authority.sign("ali.example");
    let tls = TlsClient::own_roots(&authority.certificate)
        .unwrap()
        .certificate(&known.certificate, &known.key)
        .unwrap();
    let transport = WebSocket::new(&url, runtime.clone()).unwrap().tls(tls);
    echoes(&connect(&runtime, transport).await.unwrap()).await;
    // Without one it is told so by the first thing that it reads.
    let said = refusal(&runtime, url, &authority).await;
    assert!(said.contains("CertificateRequired"), "{said}");
    server.stop().await.unwrap();
}

async fn r50_a_client_without_tls_gets_nowhere_and_harms_nobody<R: Net + Clone>(runtime: R) {
    let authority = Authority::new();
    let (server, address) = serve(&runtime, server_of(&authority.sign("127.0.0.1"))).await;
    let plain = WebSocket::new(format!("ws://{address}/"), runtime.clone()).unwrap();
    assert!(connect(&runtime, plain).await.is_err());
    let tls = TlsClient::own_roots(&authority.certificate).unwrap();
    let transport = WebSocket::new(format!("wss://{address}/"), runtime.clone()).unwrap().tls(tls);
    echoes(&connect(&runtime, transport).await.unwrap()).await;
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
async fn go_through<R: Net + Clone>(runtime: R, way: Proxy, proxy: &impl Behind) {
    let authority = Authority::new();
    let door = HttpDoor::new("127.0.0.1:0", runtime.clone()).unwrap();
    let (server, address) = serve_at(&runtime, door).await;
    proxy.knows("shop.internal", &address);
    let transport = WebSocket::new("ws://shop.internal/a", runtime.clone()).unwrap();
    echoes(&connect(&runtime, transport.proxy(way.clone())).await.unwrap()).await;
    server.stop().await.unwrap();

    let (server, address) = serve(&runtime, server_of(&authority.sign("shop.internal"))).await;
    proxy.knows("shop.internal", &address);
    let tls = TlsClient::own_roots(&authority.certificate).unwrap();
    let transport = WebSocket::new("wss://shop.internal/a", runtime.clone()).unwrap();
    let transport = transport.proxy(way.clone()).tls(tls);
    echoes(&connect(&runtime, transport).await.unwrap()).await;
    server.stop().await.unwrap();

    let unknown = WebSocket::new("ws://nobody.internal/", runtime.clone()).unwrap().proxy(way);
    let said = connect(&runtime, unknown).await.unwrap_err().to_string();
    assert!(said.contains("the proxy"), "{said}");
}

async fn r50_a_proxy_refuses_wrong_credentials<R: Net + Clone>(runtime: R) {
    let http = HttpProxy::start(Some(("ali", "sesame")));
    let socks = SocksProxy::start(Some(("ali", "sesame")));
    for way in [format!("http://{}", http.address), format!("socks5://{}", socks.address)] {
        let way = Proxy::new(&way).unwrap();
        for way in [way.clone().credentials("ali", "simsim").unwrap(), way] {
            let transport = WebSocket::new("ws://shop.internal/", runtime.clone()).unwrap();
            let said = connect(&runtime, transport.proxy(way)).await.unwrap_err().to_string();
            assert!(said.contains("credentials") && !said.contains("simsim"), "{said}");
        }
    }
}
