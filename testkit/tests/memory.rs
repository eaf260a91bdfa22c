//! The transport in memory keeps the whole contract.

use moorline_memory::{MemoryAcceptor, MemoryTransport, Network};
use moorline_sim::Sim;
use moorline_testkit::{Report, TransportKit};
use moorline_tokio::Tokio;

const PLACE: &str = "kit";

fn kit(
    runtime: impl moorline_core::Runtime,
    network: &Network,
) -> TransportKit<MemoryAcceptor, MemoryTransport> {
    let (servers, clients, links) = (network.clone(), network.clone(), network.clone());
    TransportKit::new(
        runtime,
        move || servers.acceptor(PLACE),
        move |_acceptor| clients.transport(PLACE),
    )
    .refusing({
        let network = network.clone();
        move |_acceptor| {
            network.refuse("shut", moorline_core::TransportErrorKind::Refused);
            network.transport("shut")
        }
    })
    .gauge("links", move || links.links(PLACE))
    .trusts_text("both ends are one process")
    // What a link holds, and one frame.
    .bound(2 * Network::CAPACITY)
}

fn full(report: &Report) {
    println!("{report}");
    report.assert();
    assert_eq!(
        report.skipped(),
        [
            "text_that_is_not_utf8_is_refused",
            "a_frame_that_cannot_be_carried_is_refused",
            "noise_harms_nobody",
            "a_handshake_reads_a_bounded_amount"
        ]
    );
}

#[test]
fn r54_memory_on_the_simulated_runtime() {
    Sim::new().run(async |sim| {
        let network = Network::new(sim.runtime());
        let tasks = sim.clone();
        full(&kit(sim.runtime(), &network).gauge("tasks", move || tasks.tasks()).run().await);
    });
}

#[test]
fn memory_with_latency() {
    Sim::seeded(3).run(async |sim| {
        let ms = std::time::Duration::from_millis;
        let network = Network::builder(sim.runtime()).latency(ms(20)..=ms(80)).build();
        full(&kit(sim.runtime(), &network).quiet(ms(1000)).run().await);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r54_memory_on_tokio() {
    let network = Network::new(Tokio::current());
    full(&kit(Tokio::current(), &network).run().await);
}

#[test]
fn r54_memory_on_smol() {
    smol::block_on(async {
        let network = Network::new(moorline_smol::Smol);
        full(&kit(moorline_smol::Smol, &network).run().await);
    });
}

#[test]
fn r54_memory_on_async_std() {
    async_std::task::block_on(async {
        let network = Network::new(moorline_async_std::AsyncStd);
        full(&kit(moorline_async_std::AsyncStd, &network).run().await);
    });
}
