//! moorline's queries over SQLite: the rows of a SELECT, and then what changes.
//!
//! An application opens a [`SqliteEngine`], says [who may read what](Rights), writes through it, and gives it to its server as
//! the [`QueryEngine`](moorline_core::QueryEngine).
//!
//! ```
//! use moorline_core::{Asker, QueryEngine};
//! use moorline_sqlite::{Rights, SqliteEngine};
//! use moorline_tokio::Tokio;
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let engine = SqliteEngine::in_memory(Tokio::current())?
//!         .rights(|_asker| Rights::none().table("orders", ["id", "item"]));
//!     engine.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, item, card)", []).await?;
//!
//!     let mut query = engine.prepare("SELECT id, item FROM orders", &Asker::default()).await?.live;
//!     assert_eq!(&query.rows().await?.json[..], b"[]");
//!
//!     engine.execute("INSERT INTO orders VALUES (1, ?1, '4111')", ["tea"]).await?;
//!     let change = query.change().await?;
//!     assert_eq!(&change.json[..], br#"[{"change":"added","row":{"id":1,"item":"tea"}}]"#);
//!     Ok(())
//! }
//! ```
//!
//! # What a client gets
//!
//! A row is an object of its columns by name; a query with two columns of one name is refused. A change is an array of
//! `{"change":"removed","row":…}` and `{"change":"added","row":…}`, removed ones first; a row that is updated is both. Rows are
//! compared by all their columns, and equal ones counted, so that no key is needed. A change of their order alone is none.
//!
//! | SQLite | JSON |
//! |---|---|
//! | NULL | `null` |
//! | INTEGER | a number, with all its digits also beyond 2^53 |
//! | REAL | a number; infinity is `null` |
//! | TEXT | a string; what is no UTF-8 is replaced by U+FFFD |
//! | BLOB | a string of base64, with padding |
//!
//! # What it costs
//!
//! Queries of equal text and rights are one for the server. Each is evaluated when it is first asked for, and again 20 ms after
//! one of its tables was written, on a connection that can only read; nothing is evaluated while nothing is written. The rows of
//! each live query are held once, as JSON. In a file, evaluations and writes do not wait for each other (by SQLite's write-ahead
//! log); in memory they do. Evaluations take turns by who asks, by identity or else by connection: of two who ask one waits for one of the
//! other's at most, however many those are.
//!
//! # What may be asked
//!
//! One SELECT over the tables, columns and functions that its asker has [`Rights`] for: no other statement, no second one, no
//! parameters, no other database, no table of SQLite's own, no virtual table. Views are as tables. Each query is limited in length,
//! time, rows and bytes: see [`SqliteBuilder`]. A refused query's message does not tell what is missing from what is forbidden.
//!
//! Sorting, recursion and joins take memory and temporary files of SQLite's for up to the time limit.

mod builder;
mod connection;
mod engine;
mod error;
mod evaluate;
mod guard;
mod json;
mod live;
mod poll;
mod pool;
mod rights;
mod schema;
mod table;
mod text;
mod watch;
mod writer;

pub use builder::SqliteBuilder;
pub use engine::{SqliteEngine, Stats};
pub use error::SqliteError;
pub use rights::{FUNCTIONS, Rights};
/// SQLite for Rust, as this crate uses it.
pub use rusqlite;
