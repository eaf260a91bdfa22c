//! What an asker may read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The functions that every query may call: they depend on their arguments alone, and none makes a large value of a small one.
///
/// `like` and `glob` are what those operators call.
pub const FUNCTIONS: [&str; 24] = [
    "abs",
    "avg",
    "coalesce",
    "count",
    "glob",
    "ifnull",
    "iif",
    "instr",
    "length",
    "like",
    "lower",
    "ltrim",
    "max",
    "min",
    "nullif",
    "round",
    "rtrim",
    "sign",
    "substr",
    "substring",
    "sum",
    "total",
    "trim",
    "upper",
];

/// What an asker may read: nothing but what is named here.
///
/// Names are those of the main database; case makes no difference, as in SQL.
///
/// ```
/// use moorline_sqlite::Rights;
///
/// let rights = Rights::none().table("orders", ["id", "item"]).table_all("menu").function("group_concat");
/// assert!(rights.may_read("Orders", "item"));
/// assert!(!rights.may_read("orders", "card"));
/// ```
///
/// # Views
///
/// A view is named like a table, and whoever may read it sees what it gives, though not the tables beneath it: a view is how to
/// show some of the rows. Two things do not go through a view: a query that says `WITH`, and a view that itself says `WITH`; both
/// need rights for the tables beneath. And a view over a virtual table that has tables of its own, as those of FTS5, is not answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rights {
    /// By lower-case name; `None` is each column.
    tables: BTreeMap<String, Option<BTreeSet<String>>>,
    functions: BTreeSet<String>,
    recursive: bool,
}

impl Rights {
    /// Nothing may be read.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Those columns of a table or a view may be read, besides what else is named. The rowid is a column named `rowid`.
    #[must_use]
    pub fn table<C: AsRef<str>>(
        mut self,
        name: impl AsRef<str>,
        columns: impl IntoIterator<Item = C>,
    ) -> Self {
        let known = self.tables.entry(lower(name)).or_insert_with(|| Some(BTreeSet::new()));
        if let Some(known) = known {
            known.extend(columns.into_iter().map(lower));
        }
        self
    }

    /// A whole table or view may be read, also columns that it is given later.
    #[must_use]
    pub fn table_all(mut self, name: impl AsRef<str>) -> Self {
        self.tables.insert(lower(name), None);
        self
    }

    /// A function may be called, besides [`FUNCTIONS`].
    ///
    /// Not one that gives something else each time, as `random` or `date('now')` do: a query is evaluated again when tables are
    /// written, and not because time has passed.
    #[must_use]
    pub fn function(mut self, name: impl AsRef<str>) -> Self {
        self.functions.insert(lower(name));
        self
    }

    /// Queries may be recursive (`WITH RECURSIVE`). One that never ends costs the whole time limit.
    #[must_use]
    pub fn recursive(mut self) -> Self {
        self.recursive = true;
        self
    }

    /// Whether that column may be read. The empty column stands for the mere number of rows.
    #[must_use]
    pub fn may_read(&self, table: &str, column: &str) -> bool {
        match self.tables.get(&lower(table)) {
            None => false,
            Some(None) => true,
            Some(Some(columns)) => column.is_empty() || columns.contains(&lower(column)),
        }
    }

    /// Whether a table may be read with all its columns.
    pub(crate) fn may_read_all(&self, table: &str) -> bool {
        matches!(self.tables.get(table), Some(None))
    }

    pub(crate) fn names(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    pub(crate) fn may_call(&self, function: &str) -> bool {
        let function = lower(function);
        FUNCTIONS.contains(&function.as_str()) || self.functions.contains(&function)
    }

    pub(crate) fn may_recurse(&self) -> bool {
        self.recursive
    }

    /// For a refusal: what may be read, which tells the asker nothing that it may not know.
    pub(crate) fn describe(&self) -> String {
        if self.tables.is_empty() {
            return "nothing".into();
        }
        let mut text = String::new();
        for (table, columns) in &self.tables {
            if text.len() > DESCRIPTION {
                text.push_str(", …");
                break;
            }
            let comma = if text.is_empty() { "" } else { ", " };
            let _ = write!(text, "{comma}{table}");
            if let Some(columns) = columns {
                let columns: Vec<_> = columns.iter().map(String::as_str).collect();
                let _ = write!(text, " ({})", columns.join(", "));
            }
        }
        text
    }
}

/// How much a refusal says of what may be read, in bytes: a few tables. It goes over the wire.
const DESCRIPTION: usize = 256;

pub(crate) fn lower(name: impl AsRef<str>) -> String {
    name.as_ref().to_ascii_lowercase()
}
