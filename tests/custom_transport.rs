//! The example's transport keeps the whole contract.
#![cfg(all(unix, feature = "tokio"))]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails; the lint knows only #[test]")]

#[path = "../examples/custom_transport.rs"]
mod example;

use std::sync::atomic::{AtomicUsize, Ordering};

use example::{Unix, UnixAcceptor};
use moorline::Tokio;
use moorline_testkit::TransportKit;
use tokio::net::UnixStream;
use tokio_util::compat::TokioAsyncReadCompatExt;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r53_the_examples_transport_keeps_the_contract() {
    let folder = std::env::temp_dir().join(format!("moorline-kit-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (count, places) = (AtomicUsize::new(0), folder.clone());
    let acceptor = move || {
        let number = count.fetch_add(1, Ordering::Relaxed);
        UnixAcceptor(places.join(number.to_string()), None)
    };
    let report = TransportKit::new(Tokio::current(), acceptor, |acceptor| Unix(acceptor.0.clone()))
        .raw(|acceptor| {
            let path = acceptor.0.clone();
            async move { Ok(UnixStream::connect(path).await?.compat()) }
        })
        .run()
        .await;
    let _ = std::fs::remove_dir_all(&folder);
    println!("{report}");
    report.assert();
}
