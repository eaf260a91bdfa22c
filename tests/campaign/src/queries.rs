//! Queries: tables of numbers that the world changes, and clients that see them as they are.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use fastrand::Rng;
use moorline::{Connection, QueryError, QueryOptions, QueryResult, QuerySet, Sim};
use moorline_core::{Asker, LiveQuery, Prepared, QueryEngine, Rows};

use crate::log::{Entry, Log};
use crate::world::World;

/// How many tables there are. A query asks for all of one.
const TABLES: usize = 4;
/// Several sets of one client ask the same.
const SETS: usize = 2;
/// Few, so that most are changed and removed.
const KEYS: u64 = 30;

/// A number that was set; removed where there is none. In results the first stands for the number of changes before.
type Change = (u64, Option<u64>);

/// The tables. Clones are the same ones.
#[derive(Clone)]
pub(crate) struct Tables {
    sim: Sim,
    all: Arc<Mutex<[Table; TABLES]>>,
}

#[derive(Default)]
struct Table {
    /// All changes that ever were.
    log: Vec<Change>,
    now: BTreeMap<u64, u64>,
    /// Queries that are being answered.
    live: usize,
    waiting: Vec<Waker>,
    /// Which client asks by which text, and by how many of its sets.
    asked: BTreeMap<(usize, String), usize>,
}

impl Tables {
    pub(crate) fn new(sim: &Sim) -> Self {
        Self { sim: sim.clone(), all: Arc::default() }
    }

    fn set(&self, table: usize, change: Change) {
        let waiting = {
            let table = &mut self.all.lock().unwrap()[table];
            table.log.push(change);
            apply(&mut table.now, change);
            std::mem::take(&mut table.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    fn note(&self, table: usize, client: usize, text: &str, asks: bool) {
        let asked = &mut self.all.lock().unwrap()[table].asked;
        let sets = asked.entry((client, text.to_owned())).or_default();
        if asks {
            *sets += 1;
        } else {
            *sets -= 1;
        }
        asked.retain(|_, sets| *sets > 0);
    }
}

fn apply(rows: &mut BTreeMap<u64, u64>, (key, value): Change) {
    match value {
        Some(value) => drop(rows.insert(key, value)),
        None => drop(rows.remove(&key)),
    }
}

/// The world changes the tables, now and then all at once or many times one after another.
pub(crate) async fn change(world: World, mut rng: Rng) {
    let World { sim, tables, until, .. } = &world;
    while sim.now() < *until {
        sim.sleep(Duration::from_millis(rng.u64(..6_000))).await;
        let table = rng.usize(..TABLES);
        let (count, pause) = match rng.u32(..40) {
            0 => (200, 0),
            1 => (60, 20),
            _ => (rng.u32(1..4), rng.u64(..2) * 5),
        };
        for _ in 0..count {
            let value = (rng.u32(..3) > 0).then(|| rng.u64(..1_000));
            tables.set(table, (rng.u64(..KEYS), value));
            if pause > 0 {
                sim.sleep(Duration::from_millis(pause)).await;
            }
        }
    }
}

#[async_trait]
impl QueryEngine for Tables {
    async fn prepare(&self, query: &str, _: &Asker) -> Result<Prepared, QueryError> {
        self.sim.sleep(Duration::from_millis(5)).await;
        let key = query.to_lowercase();
        let of: usize = key.trim_start_matches("table ").parse().unwrap();
        self.all.lock().unwrap()[of].live += 1;
        Ok(Prepared { key, live: Box::new(Live { tables: self.clone(), of, seen: None }) })
    }
}

/// A query for one table.
struct Live {
    tables: Tables,
    of: usize,
    /// How many changes it has given, and the rows as of the last one.
    seen: Option<(usize, BTreeMap<u64, u64>)>,
}

impl Live {
    fn begin(&mut self) -> &mut (usize, BTreeMap<u64, u64>) {
        let table = &self.tables.all.lock().unwrap()[self.of];
        self.seen.get_or_insert_with(|| (table.log.len(), table.now.clone()))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.tables.all.lock().unwrap()[self.of].live -= 1;
    }
}

#[async_trait]
impl LiveQuery for Live {
    async fn rows(&mut self) -> Result<Rows, QueryError> {
        self.begin();
        // Others come meanwhile, and the table changes.
        self.tables.sim.sleep(Duration::from_millis(50)).await;
        let (given, rows) = self.begin();
        Ok(written(*given, rows.iter().map(|(key, value)| (*key, Some(*value)))))
    }

    async fn change(&mut self) -> Result<Rows, QueryError> {
        self.begin();
        let (tables, of) = (self.tables.clone(), self.of);
        let (given, rows) = self.begin();
        poll_fn(|context| {
            let table = &mut tables.all.lock().unwrap()[of];
            let (before, new) = (*given, &table.log[*given..]);
            if new.is_empty() {
                table.waiting.push(context.waker().clone());
                return Poll::Pending;
            }
            new.iter().for_each(|change| apply(rows, *change));
            *given = table.log.len();
            Poll::Ready(Ok(written(before, new.iter().copied())))
        })
        .await
    }
}

fn written(before: usize, changes: impl Iterator<Item = Change>) -> Rows {
    let (mut json, mut count) = (format!("[[{before},null]"), 1);
    for (key, value) in changes {
        let value = value.map_or("null".to_owned(), |value| value.to_string());
        write!(json, ",[{key},{value}]").expect("a string takes all");
        count += 1;
    }
    json.push(']');
    Rows::new(count, json.into())
}

/// What a client was told of a query: its rows, with their changes.
#[derive(Default)]
struct View {
    rows: BTreeMap<u64, u64>,
    /// The number of the next change; none before the rows.
    next: Option<u64>,
}

impl View {
    fn hear(&mut self, log: &Log, (client, query): (usize, usize), result: &QueryResult) {
        let told: Vec<Change> = result.read().unwrap();
        let [(from, _), changes @ ..] = &*told else { return };
        let count = changes.len() as u64;
        let told = (!result.retrieve).then_some(count);
        log.write(Entry::Rows { client, query, from: *from, changes: told });
        if result.retrieve {
            self.rows.clear();
            self.next = Some(*from);
        } else if self.next != Some(*from) {
            let text = format!("{client} waits for {:?} of {query}, is told {from}", self.next);
            log.write(Entry::Accused(text));
        } else {
            self.next = Some(from + count);
        }
        changes.iter().for_each(|change| apply(&mut self.rows, *change));
    }
}

/// What one client asks.
pub(crate) struct Questions {
    client: usize,
    sets: [QuerySet; SETS],
    views: BTreeMap<(usize, usize), Arc<Mutex<View>>>,
}

impl Questions {
    pub(crate) fn new(client: usize, connection: &Connection) -> Self {
        let sets = std::array::from_fn(|_| connection.query_set());
        Self { client, sets, views: BTreeMap::new() }
    }

    /// Asks a query that is not asked, or ends one that is.
    pub(crate) fn begin_or_end(&mut self, tables: &Tables, log: &Log, rng: &mut Rng) {
        let (client, set, query) = (self.client, rng.usize(..SETS), rng.usize(..TABLES));
        // To the server both texts are one query, to the client they are two.
        let text =
            if set == client % SETS { format!("table {query}") } else { format!("TABLE {query}") };
        let text = if query == 0 { "table 0".to_owned() } else { text };
        let asks = !self.views.contains_key(&(set, query));
        log.write(Entry::Query { client, query, asks });
        tables.note(query, client, &text, asks);
        if !asks {
            self.sets[set].unsubscribe(&text);
            self.views.remove(&(set, query));
            return;
        }
        let view = Arc::<Mutex<View>>::default();
        self.views.insert((set, query), view.clone());
        let (own, failed) = (log.clone(), log.clone());
        self.sets[set].retrieve_and_subscribe(
            text,
            move |result| view.lock().unwrap().hear(&own, (client, query), &result),
            move |error: QueryError| failed.write(Entry::Accused(format!("{client}: {error}"))),
            QueryOptions::default(),
        );
    }

    /// All is quiet: it sees the tables as they are.
    pub(crate) fn agree(&self, world: &World) {
        let (tables, client) = (world.tables.all.lock().unwrap(), self.client);
        for ((set, query), view) in &self.views {
            let (view, table) = (view.lock().unwrap(), &tables[*query]);
            if view.next != Some(table.log.len() as u64) || view.rows != table.now {
                let text = format!(
                    "{client} sees {query} by {set} as of {:?}, it is at {}",
                    view.next,
                    table.log.len()
                );
                world.log.write(Entry::Accused(text));
            }
        }
    }
}

/// All is quiet: just what somebody asks is answered.
pub(crate) async fn are_answered(world: World) {
    world.settled().await;
    let (tables, stats) = (world.tables.all.lock().unwrap(), world.server.queries());
    let asked: usize = tables.iter().map(|table| table.asked.len()).sum();
    let live: Vec<_> = tables.iter().map(|table| (table.live, table.asked.len())).collect();
    let right = live.iter().all(|(live, asked)| *live == usize::from(*asked > 0));
    if !right || stats.subscribers != asked {
        let text =
            format!("{} are told of queries; live and asked are {live:?}", stats.subscribers);
        world.log.write(Entry::Accused(text));
    }
}

/// All have gone: no query is answered any more.
pub(crate) fn are_over(world: &World) {
    let live: Vec<_> = world.tables.all.lock().unwrap().iter().map(|table| table.live).collect();
    if live.iter().any(|live| *live > 0) {
        world.log.write(Entry::Accused(format!("queries are answered for nobody: {live:?}")));
    }
}
