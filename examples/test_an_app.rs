//! An application of about sixty lines, a shop and its tills, and the unit tests of it.
//!
//! ```text
//! cargo test --example test_an_app --features sim    # the tests
//! cargo run  --example test_an_app --features sim    # one of them as a scene, told line by line
//! ```
//!
//! The application does not know that it is tested: it takes a transport and a runtime, as every application on moorline
//! can. In production these are a WebSocket and tokio; here they are the in-memory network and virtual time, in which
//! an hour passes as soon as nobody has anything to do.

use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{StreamExt, future};
use moorline::{
    Acceptor, Client, Connection, Event, Events, Network, Runtime, SendError, Server, Sim,
    Transport,
};
use serde::{Deserialize, Serialize};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What a till orders. Till and number together name it, so that the shop knows it when it comes twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Order {
    till: String,
    number: u64,
    item: String,
}

/// The server: books each order once, and confirms it each time.
#[derive(Clone)]
struct Shop {
    server: Server,
    booked: Arc<Mutex<Vec<Order>>>,
}

impl Shop {
    fn new(acceptor: impl Acceptor, runtime: impl Runtime) -> Self {
        let server = Server::builder().acceptor(acceptor).runtime(runtime).build();
        let booked = Arc::new(Mutex::new(Vec::new()));
        let shop = Self { server, booked: booked.clone() };
        shop.server.on_connect(async move |connection| {
            while let Some(message) = connection.next_message().await {
                let order: Order = message.json()?;
                let number = order.number;
                {
                    let mut booked = booked.lock().expect("no panic under the lock");
                    if !booked.contains(&order) {
                        booked.push(order);
                    }
                }
                connection.send_json("confirmed", &number).await?;
            }
            Ok(())
        });
        shop
    }

    /// The items booked, in order.
    fn items(&self) -> Vec<String> {
        let booked = self.booked.lock().expect("no panic under the lock");
        booked.iter().map(|order| order.item.clone()).collect()
    }
}

/// The client: orders, and does not give up until the shop has confirmed.
struct Till {
    name: String,
    ordered: u64,
    connection: Connection,
}

impl Till {
    fn new(name: &str, transport: impl Transport, runtime: impl Runtime) -> Self {
        let client = Client::builder().transport(transport).runtime(runtime).build();
        Self { name: name.into(), ordered: 0, connection: client.start() }
    }

    /// Orders, through outages of any length. Gives the number of times that it had to be sent.
    async fn order(&mut self, item: &str) -> Result<u32> {
        self.ordered += 1;
        let order = Order { till: self.name.clone(), number: self.ordered, item: item.into() };
        let mut sent = 0;
        loop {
            // A message that is sent in an outage waits for two minutes; an order waits longer.
            self.connection.opened().await?;
            let events = self.connection.events();
            match self.connection.send_json("orders", &order).await {
                Ok(_) => sent += 1,
                Err(SendError::NotConnected) => continue, // lost just now
                Err(error) => return Err(error.into()),
            }
            // Nobody knows what became of an order whose connection was lost: order it again.
            if confirmed(order.number, events).await {
                return Ok(sent);
            }
        }
    }
}

/// Waits until that order is confirmed; false when the connection is lost before.
async fn confirmed(number: u64, mut events: Events) -> bool {
    while let Some(event) = events.next().await {
        match event {
            Event::Message(message) if message.json::<u64>().is_ok_and(|n| n == number) => {
                return true;
            }
            Event::Disconnect(_) => break,
            _ => {}
        }
    }
    false
}

// The application ends here.

/// The scene that `cargo run` plays: an outage of an hour.
fn main() {
    let started = std::time::Instant::now();
    Sim::seeded(7).run(async |sim| {
        let say =
            |line: &str| println!("{:>8.1} s  {line}", sim.now().since_origin().as_secs_f64());
        let (network, shop) = open_shop(&sim);
        let mut till = Till::new("door", network.transport("shop"), sim.runtime());

        let sent = till.order("coffee").await.expect("the till is open");
        say(&format!("coffee is confirmed; sent: {sent}"));

        network.cut("shop");
        say("the network is cut, and somebody orders tea");
        let healing = async {
            sim.sleep(HOUR).await;
            network.heal("shop");
            say("the network is back");
        };
        let (sent, ()) = future::join(till.order("tea"), healing).await;
        say(&format!("tea is confirmed; sent: {}", sent.expect("the till is open")));
        say(&format!("the shop has booked {:?}", shop.items()));
    });
    println!("all of it took {:?} of real time", started.elapsed());
}

const HOUR: Duration = Duration::from_secs(3600);

/// A network, and a shop that is open in it.
fn open_shop(sim: &Sim) -> (Network, Shop) {
    let network = Network::new(sim.runtime());
    let shop = Shop::new(network.acceptor("shop"), sim.runtime());
    let server = shop.server.clone();
    sim.spawn(async move { server.run().await.expect("nobody else listens there") });
    (network, shop)
}

#[cfg(test)]
mod tests {
    use moorline::{Direction, NotAcknowledged, Status};

    use super::*;

    #[test]
    fn an_order_is_booked_and_confirmed() -> Result<()> {
        Sim::seeded(1).run(async |sim| {
            let (network, shop) = open_shop(&sim);
            let mut till = Till::new("door", network.transport("shop"), sim.runtime());
            assert_eq!(till.order("tea").await?, 1);
            assert_eq!(shop.items(), ["tea"]);
            Ok(())
        })
    }

    #[test]
    fn an_order_outlasts_an_hour_of_outage() -> Result<()> {
        Sim::seeded(7).run(async |sim| {
            let (network, shop) = open_shop(&sim);
            let mut till = Till::new("door", network.transport("shop"), sim.runtime());
            till.order("coffee").await?;

            network.cut("shop");
            let hour_later = async {
                sim.sleep(HOUR).await;
                assert_eq!(shop.items(), ["coffee"]);
                network.heal("shop");
            };
            let (sent, ()) = future::join(till.order("tea"), hour_later).await;

            sent?;
            assert_eq!(shop.items(), ["coffee", "tea"]);
            // The back-off's longest delay is 5 s, so the till was back soon after the network.
            assert!(sim.now().since_origin() < HOUR + Duration::from_secs(10));
            Ok(())
        })
    }

    #[test]
    fn a_message_does_not_outlast_an_hour_of_outage() -> Result<()> {
        Sim::seeded(7).run(async |sim| {
            let (network, _shop) = open_shop(&sim);
            let till = Till::new("door", network.transport("shop"), sim.runtime());
            till.connection.opened().await?;

            network.cut("shop");
            sim.sleep(Duration::from_millis(1)).await;
            assert_eq!(till.connection.status(), Status::Connecting);
            let receipt = till.connection.send("is it raining?").await?;

            // Two minutes later nobody wants to know any more, and its sender is told.
            sim.sleep(HOUR).await;
            assert_eq!(receipt.acknowledged().await, Err(NotAcknowledged::Expired));
            Ok(())
        })
    }

    #[test]
    fn an_order_whose_confirmation_is_lost_is_booked_once() -> Result<()> {
        Sim::seeded(7).run(async |sim| {
            let (network, shop) = open_shop(&sim);
            let mut till = Till::new("door", network.transport("shop"), sim.runtime());
            till.connection.opened().await?;

            // The next frame to the client breaks the link instead of arriving: the confirmation.
            network.cut_before("shop", Direction::ToClient, 1);
            assert_eq!(till.order("tea").await?, 2, "the till had to send it again");
            assert_eq!(shop.items(), ["tea"]);
            Ok(())
        })
    }

    #[test]
    fn three_tills_lose_nothing_on_a_bad_day() -> Result<()> {
        (0..5).try_for_each(|seed| Sim::seeded(seed).run(a_bad_day))
    }

    async fn a_bad_day(sim: Sim) -> Result<()> {
        let (network, shop) = open_shop(&sim);
        sim.spawn(trouble(sim.clone(), network.clone()));
        let tills = ["door", "hall", "yard"].map(|name| {
            let mut till = Till::new(name, network.transport("shop"), sim.runtime());
            let sim = sim.clone();
            async move {
                for order in 0..100 {
                    till.order(&format!("{order} from the {name}")).await?;
                    sim.sleep(HOUR / 4).await;
                }
                Result::Ok(())
            }
        });
        future::try_join_all(tills).await?;
        assert_eq!(shop.items().len(), 300, "each order once");
        Ok(())
    }

    /// Breaks links, and cuts the network off for some minutes, over and over.
    async fn trouble(sim: Sim, network: Network) {
        loop {
            sim.sleep(Duration::from_secs(4_321)).await;
            network.reset("shop");
            sim.sleep(Duration::from_secs(3_210)).await;
            network.cut("shop");
            sim.sleep(Duration::from_secs(1_234)).await;
            network.heal("shop");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_run() {
        let run = |seed| {
            Sim::seeded(seed).run(async |sim| {
                let (network, _shop) = open_shop(&sim);
                let mut till = Till::new("door", network.transport("shop"), sim.runtime());
                network.cut("shop");
                let healing = async {
                    sim.sleep(HOUR).await;
                    network.heal("shop");
                };
                future::join(till.order("tea"), healing).await.0.expect("it ends");
                sim.fingerprint()
            })
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
    }
}
