//! Many peers, in a few groups that work beside each other.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::peer::Peer;

/// How many peers do something at the same time.
const GROUPS: usize = 32;

pub(crate) struct Crowd {
    groups: Vec<Group>,
}

struct Group {
    server: SocketAddr,
    session: bool,
    rng: Rng,
    peers: Vec<Peer>,
}

/// How many have left, and how.
#[derive(Clone, Copy, Default)]
pub(crate) struct Churned {
    pub(crate) closed: usize,
    pub(crate) ended: usize,
    pub(crate) reset: usize,
}

impl Crowd {
    /// So many peers, open.
    pub(crate) async fn gather(server: SocketAddr, session: bool, size: usize, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let groups = (0..GROUPS.min(size))
            .map(|_| Group { server, session, rng: rng.fork(), peers: Vec::new() })
            .collect();
        let mut crowd = Self { groups };
        let shares = crowd.shares(size);
        crowd
            .all(shares, async |group, share| {
                for _ in 0..share {
                    group.join().await;
                }
            })
            .await;
        crowd
    }

    /// Lets one leave and another one come, over and over.
    pub(crate) async fn churn(&mut self, span: Duration) -> Churned {
        let begun = Instant::now();
        let churned = self.all(vec![0; self.groups.len()], async move |group, _| {
            let mut churned = Churned::default();
            while begun.elapsed() < span {
                let peer = group.peers.swap_remove(group.rng.usize(..group.peers.len()));
                group.part(peer, &mut churned).await;
                group.join().await;
            }
            churned
        });
        sum(churned.await)
    }

    /// One echo of that size on each of so many.
    pub(crate) async fn echo(&mut self, count: usize, size: usize) {
        let shares = self.shares(count);
        self.all(shares, async move |group, share| {
            for peer in &mut group.peers[..share] {
                peer.echo(size).await.expect("every connection that is held echoes");
            }
        })
        .await;
    }

    /// Lets all leave.
    pub(crate) async fn leave(mut self) {
        self.all(vec![0; self.groups.len()], async |group, _| {
            let mut churned = Churned::default();
            while let Some(peer) = group.peers.pop() {
                group.part(peer, &mut churned).await;
            }
        })
        .await;
    }

    /// How many of so many are each group's.
    fn shares(&self, count: usize) -> Vec<usize> {
        let groups = self.groups.len();
        (0..groups).map(|n| count / groups + usize::from(n < count % groups)).collect()
    }

    /// Has each group do its share, all at once.
    async fn all<T>(
        &mut self,
        shares: Vec<usize>,
        work: impl AsyncFn(&mut Group, usize) -> T,
    ) -> Vec<T> {
        let work = &work;
        let works = self.groups.iter_mut().zip(shares);
        let works = works.map(|(group, share)| async move { work(group, share).await });
        futures_util::future::join_all(works).await
    }
}

impl Group {
    async fn join(&mut self) {
        let mut peer = Peer::connect(self.server, self.session).await.expect("a connect succeeds");
        peer.echo(16).await.expect("a new connection echoes");
        self.peers.push(peer);
    }

    /// A fifth of them reset, another fifth end without a close.
    async fn part(&mut self, peer: Peer, churned: &mut Churned) {
        match self.rng.u8(..5) {
            0 => {
                peer.reset().expect("it is open");
                churned.reset += 1;
            }
            1 => {
                peer.end();
                churned.ended += 1;
            }
            _ => {
                peer.close().await.expect("the server answers a close");
                churned.closed += 1;
            }
        }
    }
}

fn sum(all: Vec<Churned>) -> Churned {
    all.into_iter().fold(Churned::default(), |sum, one| Churned {
        closed: sum.closed + one.closed,
        ended: sum.ended + one.ended,
        reset: sum.reset + one.reset,
    })
}
