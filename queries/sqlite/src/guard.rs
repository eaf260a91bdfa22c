//! What stands between a client's query and the database: what the query may read is asked as SQLite compiles it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use moorline_core::QueryError;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, Result};

use crate::error::refused;
use crate::rights::{Rights, lower};
use crate::schema::{Kind, Opened, Schema};
use crate::text::Text;
use crate::watch::lock;

/// What an asker asks.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) text: Text,
    pub(crate) rights: Rights,
}

/// Looks on while a question is compiled.
pub(crate) struct Guard<'c> {
    connection: &'c Connection,
    notes: Arc<Mutex<Notes>>,
}

/// What was asked for.
#[derive(Default)]
struct Notes {
    /// Tables and views that the question reads itself.
    direct: BTreeSet<String>,
    /// Names that may be parts of the question, or tables that may not be read.
    unknown: BTreeSet<String>,
    /// Tables and views that are read by a view, with the view's name.
    through: BTreeSet<(String, String)>,
    /// Tables of which no column is asked for: a view's, or the question counts their rows.
    counted: BTreeSet<String>,
    /// Views that call functions which the question may not call.
    calling: BTreeSet<String>,
    denial: Option<String>,
}

impl<'c> Guard<'c> {
    /// From now on that connection compiles nothing but what the question's rights allow.
    pub(crate) fn new(connection: &'c Connection, question: &Arc<Question>) -> Result<Self> {
        let notes = Arc::new(Mutex::new(Notes::default()));
        let guard = Self { connection, notes: Arc::clone(&notes) };
        let question = Arc::clone(question);
        connection.authorizer(Some(move |context: AuthContext<'_>| {
            let mut notes = lock(&notes);
            match notes.ask(&question, &context) {
                Ok(()) => Authorization::Allow,
                Err(denial) => {
                    notes.denial.get_or_insert(denial);
                    Authorization::Deny
                }
            }
        }))?;
        Ok(guard)
    }

    /// Why the question was not compiled.
    pub(crate) fn denial(&self) -> Option<String> {
        lock(&self.notes).denial.clone()
    }

    /// Decides what could not be decided during compilation.
    pub(crate) fn judge(
        &self,
        question: &Question,
        schema: &Schema,
        opened: &Opened,
    ) -> Result<(), QueryError> {
        let notes = lock(&self.notes);
        let rights = &question.rights;
        let hidden = || Err(refused(unreadable(rights)));
        // What is read by its name is a table or a view: virtual ones have no changes that can be told.
        if notes.direct.iter().any(|name| !schema.kind(name).is_some_and(Kind::is_plain)) {
            return hidden();
        }
        // A virtual table that is there without being made is none of these, and is found by what is opened.
        if notes.unknown.iter().any(|name| schema.kind(name).is_some()) {
            return hidden();
        }
        let trusted = notes.trusted(rights, schema);
        let mut accessors = notes.through.iter().map(|(view, _)| view).chain(&notes.calling);
        if accessors.any(|view| !trusted.contains(view)) {
            return hidden();
        }
        // They are a view's, if no name in the question is of anything else that may not be read.
        let forbidden = |name: &String| question.text.may_name(name) && !rights.names(name);
        if !notes.counted.is_empty() && schema.names().chain(&notes.counted).any(forbidden) {
            return hidden();
        }
        // SQLite does not ask for the columns that such a join compares.
        if question.text.says_using && !opened.all(|table| rights.may_read_all(table)) {
            return Err(refused(
                "USING and NATURAL need rights for whole tables: join with ON instead",
            ));
        }
        // Nor may anything else be opened that was not asked for. What a view opens is the view's.
        let named = |table: &str| rights.names(table) || notes.direct.contains(table);
        if notes.through.is_empty() && !opened.all(named) {
            return hidden();
        }
        Ok(())
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        // Fails only on a connection that is not its own, which none here is.
        let _ = self.connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>);
    }
}

impl Notes {
    fn ask(&mut self, question: &Question, context: &AuthContext<'_>) -> Result<(), String> {
        let rights = &question.rights;
        // SQLite names a view as the accessor, and just so a part of the query that WITH has named: the client chooses that name.
        let view = context.accessor.filter(|_| !question.text.says_with).map(lower);
        match context.action {
            AuthAction::Select => Ok(()),
            AuthAction::Recursive if rights.may_recurse() || !question.text.says_with => Ok(()),
            AuthAction::Recursive => Err("recursive queries are not allowed".into()),
            AuthAction::Function { function_name } if rights.may_call(function_name) => Ok(()),
            AuthAction::Function { function_name } => {
                let denial = || format!("the function {function_name}() is not allowed");
                self.calling.insert(view.ok_or_else(denial)?);
                Ok(())
            }
            AuthAction::Read { table_name, column_name } => {
                let table = lower(table_name);
                let elsewhere = context.database_name.is_some_and(|name| name != "main");
                if elsewhere || table.starts_with("sqlite_") {
                    return Err(unreadable(rights));
                }
                if let Some(view) = view {
                    self.through.insert((view, table));
                } else if rights.may_read(&table, column_name) {
                    self.direct.insert(table);
                } else if !column_name.is_empty() || rights.names(&table) {
                    return Err(unreadable(rights));
                } else if question.text.says_with {
                    self.unknown.insert(table);
                } else {
                    // Where SQLite puts a view's tables in its place, it asks for them as if the question had named them.
                    self.counted.insert(table);
                }
                Ok(())
            }
            _ => Err("a query is one SELECT, and nothing else".into()),
        }
    }

    /// The views that may be read, and those which they read in turn. For a view's own columns SQLite asks as for a table's, but
    /// not where a question only counts its rows.
    fn trusted(&self, rights: &Rights, schema: &Schema) -> BTreeSet<String> {
        let is_view = |name: &str| schema.kind(name) == Some(Kind::View);
        let views = self.through.iter().map(|(view, _)| view).chain(&self.calling);
        let mut trusted: BTreeSet<_> =
            views.filter(|view| is_view(view) && rights.names(view)).cloned().collect();
        loop {
            let known = trusted.len();
            for (view, read) in &self.through {
                if trusted.contains(view) && is_view(read) {
                    trusted.insert(read.clone());
                }
            }
            if trusted.len() == known {
                return trusted;
            }
        }
    }
}

/// The same words for what is missing and for what may not be read, so that nobody learns which names there are.
pub(crate) fn unreadable(rights: &Rights) -> String {
    format!(
        "the query reads something that does not exist or that may not be read: {} may be read",
        rights.describe()
    )
}
