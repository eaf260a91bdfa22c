//! What is there for tests keeps its promises below the whole product: the network in memory, a transport of one's own, the
//! simulated runtime (R52, R53, R54).

use moorline::{Buffer, Client, Network, Server, Sim};
use moorline_core::{
    Acceptor, CloseFrame, ConnectRequest, Frame, Incoming, Peer, Pending, Receiver, Sender,
    Transport, TransportError, TransportErrorKind,
};
use tokio::sync::mpsc;

use crate::stage::journal::word;
use crate::stage::{A_WHILE, Journal, MS, RETENTION, SECOND, Virtual, echo};

in_virtual_time![
    r52_endpoints_of_one_network_fail_apart,
    r53_a_session_outlasts_the_links_of_a_transport_of_ones_own,
];

async fn r52_endpoints_of_one_network_fail_apart(stage: Virtual) {
    let network = &stage.network;
    let mut clients = Vec::new();
    for place in ["tea", "milk"] {
        let server = Server::builder().acceptor(network.acceptor(place)).runtime(stage.runtime());
        let server = server.build();
        echo(&server);
        stage.run(&server).await;
        clients.push(stage.client().over(network.transport(place)).connect().await);
    }
    let [tea, milk] = &clients[..] else { panic!("there are two") };
    network.cut("tea");
    stage.until("it is lost", || !tea.is_connected()).await;
    stage.sleep(A_WHILE).await;
    assert!(milk.is_connected() && !tea.is_connected());
    assert_eq!((network.links("tea"), network.links("milk")), (0, 1));
    milk.send("still here").await.unwrap();
    assert_eq!(stage.texts(milk, 1).await, ["still here"]);
    network.heal("tea");
    stage.within("it is back", tea.opened()).await.unwrap();
    tea.send("here again").await.unwrap();
    assert_eq!(stage.texts(tea, 1).await, ["here again"]);
}

/// A transport of one's own: two queues of this process, and a link breaks after so many frames of a client's.
struct Worn {
    arrivals: mpsc::UnboundedSender<WornPending>,
    frames: usize,
}

struct WornSender {
    queue: mpsc::Sender<Incoming>,
    left: usize,
}

struct WornReceiver(mpsc::Receiver<Incoming>);
struct WornAcceptor(mpsc::UnboundedReceiver<WornPending>);
struct WornPending(WornSender, WornReceiver);

impl Worn {
    fn new(frames: usize) -> (Self, WornAcceptor) {
        let (arrivals, arrive) = mpsc::unbounded_channel();
        (Self { arrivals, frames }, WornAcceptor(arrive))
    }
}

impl Transport for Worn {
    type Sender = WornSender;
    type Receiver = WornReceiver;

    async fn connect(
        &self,
        _: &ConnectRequest,
    ) -> Result<(WornSender, WornReceiver), TransportError> {
        let ((up, up_end), (down, down_end)) = (mpsc::channel(16), mpsc::channel(16));
        let theirs =
            WornPending(WornSender { queue: down, left: usize::MAX }, WornReceiver(up_end));
        self.arrivals.send(theirs).map_err(|_| TransportError::unreachable("nobody listens"))?;
        Ok((WornSender { queue: up, left: self.frames }, WornReceiver(down_end)))
    }
}

impl WornSender {
    async fn put(&mut self, incoming: Incoming) -> Result<(), TransportError> {
        self.queue.send(incoming).await.map_err(|_| TransportError::closed())
    }
}

impl Sender for WornSender {
    async fn send(&mut self, frame: Frame) -> Result<(), TransportError> {
        let worn = || TransportError::new(TransportErrorKind::Broken, "worn");
        self.left = self.left.checked_sub(1).ok_or_else(worn)?;
        self.put(Incoming::Frame(frame)).await
    }

    async fn close(&mut self, close: CloseFrame) -> Result<(), TransportError> {
        self.put(Incoming::Close(close)).await
    }
}

impl Receiver for WornReceiver {
    async fn receive(&mut self) -> Result<Option<Incoming>, TransportError> {
        Ok(self.0.recv().await)
    }
}

impl Acceptor for WornAcceptor {
    type Pending = WornPending;

    async fn accept(&mut self) -> Result<WornPending, TransportError> {
        self.0.recv().await.ok_or_else(TransportError::closed)
    }

    fn close(&mut self) {}
}

impl Pending for WornPending {
    type Sender = WornSender;
    type Receiver = WornReceiver;

    async fn handshake(self) -> Result<(WornSender, WornReceiver, Peer), TransportError> {
        Ok((self.0, self.1, Peer::new("worn")))
    }
}

async fn r53_a_session_outlasts_the_links_of_a_transport_of_ones_own(stage: Virtual) {
    let (worn, acceptor) = Worn::new(10);
    let server = stage.server().retention(RETENTION).buffer(Buffer::default());
    let server = server.add_acceptor(acceptor).build();
    echo(&server);
    stage.run(&server).await;
    let connection = stage.client().over(worn).buffer(Buffer::default()).connect().await;
    let (journal, session) = (Journal::of_losses(&connection), connection.session());
    for n in (0..50).step_by(2) {
        let both = [n.to_string(), (n + 1).to_string()];
        for number in &both {
            connection.send(number.clone()).await.unwrap();
        }
        assert_eq!(stage.texts(&connection, 2).await, both);
    }
    assert!(journal.count("recovered") >= 3, "{:?}", journal.words());
    assert_eq!((connection.session(), server.count()), (session, 1));
}

/// What a client hears whose network fails and heals, with the times.
fn played(seed: u64) -> Vec<String> {
    Sim::seeded(seed).run(async |sim| {
        let network = Network::builder(sim.runtime()).seed(seed).latency(5 * MS..=50 * MS).build();
        let server = Server::builder().acceptor(network.acceptor("shop")).runtime(sim.runtime());
        let server = server.build();
        echo(&server);
        server.start().await.unwrap();
        let client = Client::builder().transport(network.transport("shop")).runtime(sim.runtime());
        let connection = client.build().closed();
        let journal = Journal::default();
        let (pen, clock) = (journal.clone(), sim.clone());
        connection.on_any(move |event| {
            let what = if matches!(event, moorline::Event::Connect(_)) {
                // With its id, which is drawn too.
                format!("{event:?}")
            } else {
                word(&event)
            };
            pen.write(format!("{:?} {what}", clock.now()));
        });
        connection.connect().await.unwrap();
        for n in 0..3 {
            network.cut("shop");
            sim.sleep(10 * SECOND).await;
            network.heal("shop");
            connection.opened().await.unwrap();
            connection.send(n.to_string()).await.unwrap();
            sim.sleep(SECOND).await;
        }
        connection.disconnect();
        server.stop().await.unwrap();
        journal.words()
    })
}

#[test]
fn r54_the_same_seed_gives_the_same_run_of_the_whole_product() {
    let run = played(7);
    assert!(run.iter().any(|line| line.ends_with("message 2")), "{run:?}");
    assert_eq!(run, played(7));
    assert_ne!(run, played(8));
}
