//! Which tables there are, and which of them a compiled statement opens.

use std::collections::BTreeMap;

use rusqlite::{Connection, Result, params};

use crate::rights::lower;
use crate::watch::Tables;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Table,
    View,
    Virtual,
}

impl Kind {
    pub(crate) fn is_plain(self) -> bool {
        self != Self::Virtual
    }
}

/// The main database's tables and views.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    kinds: BTreeMap<String, Kind>,
    /// The table of each b-tree: its own, and those of its indexes.
    roots: BTreeMap<i64, String>,
}

impl Schema {
    /// Reads it, within the transaction that the query is then evaluated in.
    pub(crate) fn read(connection: &Connection) -> Result<Self> {
        let mut schema = Self::default();
        let mut statement = connection.prepare(
            "SELECT type, lower(name), lower(tbl_name), rootpage FROM main.sqlite_schema",
        )?;
        let mut rows = statement.query(params![])?;
        while let Some(row) = rows.next()? {
            let (kind, name, table): (String, String, String) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            let root: i64 = row.get::<_, Option<i64>>(3)?.unwrap_or(0);
            match kind.as_str() {
                "table" if root == 0 => schema.kinds.insert(name, Kind::Virtual),
                "table" => schema.kinds.insert(name, Kind::Table),
                "view" => schema.kinds.insert(name, Kind::View),
                _ => None,
            };
            if root != 0 {
                schema.roots.insert(root, table);
            }
        }
        Ok(schema)
    }

    /// All tables and views.
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.kinds.keys()
    }

    pub(crate) fn kind(&self, name: &str) -> Option<Kind> {
        self.kinds.get(name).copied()
    }
}

/// What a statement opens: all that its answer can depend on. It is read from the compiled program, since SQLite's authorizer is
/// not asked for a table of which nothing but the columns of a join by USING is read.
pub(crate) struct Opened {
    pub(crate) tables: Tables,
}

impl Opened {
    /// Compiles `sql` once more and looks.
    pub(crate) fn by(connection: &Connection, sql: &str, schema: &Schema) -> Result<Self> {
        let mut tables = Tables::NONE;
        let mut statement = connection.prepare(&format!("EXPLAIN {sql}"))?;
        let mut rows = statement.query(params![])?;
        while let Some(row) = rows.next()? {
            match row.get_ref("opcode")?.as_str()? {
                "OpenRead" | "ReopenIdx" | "OpenWrite" => {
                    let (root, database): (i64, i64) = (row.get("p2")?, row.get("p3")?);
                    match schema.roots.get(&root).filter(|_| database == 0) {
                        Some(table) => tables.add(lower(table)),
                        None => tables = Tables::All,
                    }
                }
                // A virtual table, by a view: what it reads in turn is not to be seen.
                "VOpen" => tables = Tables::All,
                _ => {}
            }
        }
        Ok(Self { tables })
    }

    /// Whether that holds for each table.
    pub(crate) fn all(&self, holds: impl Fn(&str) -> bool) -> bool {
        match &self.tables {
            Tables::All => false,
            Tables::Some(tables) => tables.iter().all(|table| holds(table)),
        }
    }
}
