//! One evaluation, from the text to the rows.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use moorline_core::QueryError;
use rusqlite::{Connection, Statement};

use crate::builder::Settings;
use crate::error::{Complaint, failed, invalid, refused, timed_out, too_large};
use crate::guard::{Guard, Question, unreadable};
use crate::json;
use crate::schema::{Opened, Schema};
use crate::table::{Draft, Table};
use crate::watch::{Tables, Watch};

/// How many steps of SQLite's machine pass between two looks at the clock: some ten microseconds.
const STEPS: i32 = 1_000;

/// Whether a question is answered.
pub(crate) fn check(
    connection: &Connection,
    question: &Arc<Question>,
    settings: &Settings,
) -> Result<(), QueryError> {
    compiled(connection, question, settings, None, |_, _| Ok(()))
}

/// The rows, and the tables that they come from.
pub(crate) fn evaluate(
    connection: &Connection,
    question: &Arc<Question>,
    settings: &Settings,
    watch: &Arc<Watch>,
) -> Result<(Table, Tables), QueryError> {
    let watch = Some(Arc::clone(watch));
    compiled(connection, question, settings, watch, |statement, tables| {
        Ok((table(statement, settings)?, tables))
    })
}

/// What goes wrong: here, or in SQLite.
enum Trouble {
    Ours(QueryError),
    Sqlite(rusqlite::Error),
}

impl From<QueryError> for Trouble {
    fn from(error: QueryError) -> Self {
        Self::Ours(error)
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Compiles a question within the limits, in a transaction that sees one state of the database, and does something with it.
///
/// It is compiled anew each time, and so asked anew whether it is allowed: tables and views may have changed.
fn compiled<T>(
    connection: &Connection,
    question: &Arc<Question>,
    settings: &Settings,
    watch: Option<Arc<Watch>>,
    then: impl FnOnce(&mut Statement<'_>, Tables) -> Result<T, Trouble>,
) -> Result<T, QueryError> {
    let text = &question.text;
    let sqlite = |error, denial| complain(error, denial, question, settings);
    let _limit =
        TimeLimit::start(connection, settings.time_limit, watch).map_err(|e| sqlite(e, None))?;
    // Dropped, it is rolled back, after the guard has gone.
    let transaction = connection.unchecked_transaction().map_err(|e| sqlite(e, None))?;
    // This reading begins the transaction, and lets the connection learn of another schema.
    let schema = Schema::read(&transaction).map_err(|e| sqlite(e, None))?;
    let guard = Guard::new(&transaction, question).map_err(|e| sqlite(e, None))?;
    let answer = || {
        let mut statement = transaction.prepare(&text.sql)?;
        form(&statement)?;
        let opened = Opened::by(&transaction, &text.sql, &schema)?;
        guard.judge(question, &schema, &opened)?;
        then(&mut statement, opened.tables)
    };
    answer().map_err(|trouble| match trouble {
        Trouble::Ours(error) => error,
        Trouble::Sqlite(error) => sqlite(error, guard.denial()),
    })
}

/// Whether it is a query at all, and one whose rows can be objects.
fn form(statement: &Statement<'_>) -> Result<(), QueryError> {
    if statement.is_explain() != 0 || !statement.readonly() || statement.column_count() == 0 {
        return Err(refused("a query is one SELECT, and nothing else"));
    }
    if statement.parameter_count() > 0 {
        return Err(invalid("a query has no parameters: write the values into it"));
    }
    let mut names = BTreeSet::new();
    match statement.column_names().into_iter().find(|name| !names.insert(*name)) {
        Some(twice) => Err(invalid(format!("two columns are named {twice}: rename one by AS"))),
        None => Ok(()),
    }
}

fn table(statement: &mut Statement<'_>, settings: &Settings) -> Result<Table, Trouble> {
    let columns: Vec<_> = statement.column_names().into_iter().map(json::string).collect();
    let (most_rows, most_bytes) = (settings.max_rows, settings.max_bytes);
    let mut draft = Draft::new();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if draft.rows() >= most_rows {
            return Err(too_large(format!("there are more than {most_rows} rows")).into());
        }
        draft.row(|json| {
            json::row(json, &columns, most_bytes, |at| {
                row.get_ref(at).expect("a row has a value for each of its statement's columns")
            });
        });
        if draft.bytes() > most_bytes {
            return Err(
                too_large(format!("the rows are more than {most_bytes} bytes of JSON")).into()
            );
        }
    }
    Ok(draft.done())
}

/// What the asker is told of SQLite's error.
fn complain(
    error: rusqlite::Error,
    denial: Option<String>,
    question: &Question,
    settings: &Settings,
) -> QueryError {
    if let Some(denial) = denial {
        return refused(denial);
    }
    let limit = settings.time_limit;
    match Complaint::of(&error) {
        Complaint::Name => refused(unreadable(&question.rights)),
        Complaint::Interrupted => timed_out(format!("the query takes longer than {limit:?}")),
        Complaint::Busy => timed_out(format!("the database is locked for longer than {limit:?}")),
        Complaint::Large => {
            let most = settings.value_limit();
            too_large(format!("a value is more than {most} bytes, or there is no memory for it"))
        }
        Complaint::Invalid(message) => invalid(message),
        Complaint::Other => failed("the database cannot be read"),
    }
}

/// Interrupts a connection's work, from when it is made until it is dropped.
struct TimeLimit<'c>(&'c Connection);

impl<'c> TimeLimit<'c> {
    /// It also ends what nobody waits for any more.
    #[allow(
        clippy::disallowed_methods,
        reason = "work takes real time, also where time is virtual"
    )]
    fn start(
        connection: &'c Connection,
        limit: Duration,
        watch: Option<Arc<Watch>>,
    ) -> rusqlite::Result<Self> {
        let start = std::time::Instant::now();
        let abandoned =
            move || watch.as_ref().is_some_and(|watch| watch.abandoned.load(Ordering::Relaxed));
        let over = move || start.elapsed() >= limit || abandoned();
        connection.progress_handler(STEPS, Some(over))?;
        Ok(Self(connection))
    }
}

impl Drop for TimeLimit<'_> {
    fn drop(&mut self) {
        // Fails only on a connection that is not its own, which none here is.
        let _ = self.0.progress_handler(0, None::<fn() -> bool>);
    }
}
