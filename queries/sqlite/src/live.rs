//! A query that is being answered.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use moorline_core::{BoxFuture, LiveQuery, QueryError, Rows};

use crate::engine::Inner;
use crate::error::{failed, refused};
use crate::evaluate::evaluate;
use crate::guard::Question;
use crate::poll::poll;
use crate::pool::Who;
use crate::table::{Table, steps};
use crate::watch::{Watch, Watching};

pub(crate) struct SqliteQuery {
    inner: Arc<Inner>,
    question: Arc<Question>,
    /// Who asked first: evaluations are theirs.
    who: Who,
    /// From the first call on.
    watching: Option<Watching>,
    /// The rows as they have been given, with the changes since.
    given: Option<Table>,
    /// Changes that have been found and not been given yet, and the rows after each.
    ahead: VecDeque<(Rows, Table)>,
    /// The evaluation under way. It stays here when a call is dropped, and the next one goes on with it.
    work: Option<BoxFuture<'static, Result<Table, QueryError>>>,
    over: Option<QueryError>,
}

impl SqliteQuery {
    pub(crate) fn new(inner: Arc<Inner>, question: Arc<Question>, who: Who) -> Self {
        let (watching, given, work, over) = (None, None, None, None);
        Self { inner, question, who, watching, given, ahead: VecDeque::new(), work, over }
    }

    /// The rows that have been given; first of all those that there are now.
    async fn given(&mut self) -> Result<&mut Table, QueryError> {
        if let Some(error) = &self.over {
            return Err(error.clone());
        }
        if self.given.is_none() {
            let table = self.evaluated(false).await?;
            self.given = Some(table);
        }
        Ok(self.given.as_mut().expect("it has just been put in"))
    }

    /// The rows that there are now, or after a pause. When there are none, the query is over.
    async fn evaluated(&mut self, pause: bool) -> Result<Table, QueryError> {
        if self.work.is_none() {
            let watch = self.watch()?;
            self.work = Some(Box::pin(work(
                Arc::clone(&self.inner),
                Arc::clone(&self.question),
                self.who.clone(),
                watch,
                pause,
            )));
        }
        let work = self.work.as_mut().expect("it has just been put in");
        let result = work.await;
        self.work = None;
        if let Err(error) = &result {
            self.over = Some(error.clone());
            self.watching = None;
        }
        result
    }

    fn watch(&mut self) -> Result<Arc<Watch>, QueryError> {
        if let Some(watching) = &self.watching {
            return Ok(Arc::clone(&watching.watch));
        }
        let most = self.inner.settings.max_queries;
        let Some((watching, start)) = self.inner.registry.watch(most) else {
            return Err(refused(format!("there are {most} live queries, as many as there may be")));
        };
        let interval = self.inner.settings.poll;
        if let Some(stopped) = start.filter(|_| self.inner.source.is_file() && !interval.is_zero())
        {
            let runtime = Arc::clone(&self.inner.runtime);
            let polling = poll(Arc::downgrade(&self.inner), runtime, interval, stopped);
            self.inner.runtime.spawn("sqlite polling", Box::pin(polling));
        }
        Ok(Arc::clone(&self.watching.insert(watching).watch))
    }
}

#[async_trait]
impl LiveQuery for SqliteQuery {
    async fn rows(&mut self) -> Result<Rows, QueryError> {
        Ok(self.given().await?.rows())
    }

    async fn change(&mut self) -> Result<Rows, QueryError> {
        self.given().await?;
        loop {
            if let Some((change, then)) = self.ahead.pop_front() {
                self.given = Some(then);
                return Ok(change);
            }
            if self.work.is_none() {
                self.watch()?.dirty().await;
            }
            let table = self.evaluated(true).await?;
            let most = self.inner.settings.max_bytes;
            let given = self.given().await?;
            let ahead = steps(given, &table, most);
            if ahead.is_empty() {
                // The same rows, perhaps in another order, which whoever comes next may as well see.
                *given = table;
            }
            self.ahead = ahead;
        }
    }
}

async fn work(
    inner: Arc<Inner>,
    question: Arc<Question>,
    who: Who,
    watch: Arc<Watch>,
    pause: bool,
) -> Result<Table, QueryError> {
    if pause {
        let mut timer = inner.runtime.timer();
        timer.as_mut().reset(inner.runtime.now() + inner.settings.pause);
        timer.await;
    }
    let mut slot = inner.readers.lease(&who).await;
    let holder = Arc::clone(&inner);
    let evaluation = inner.blocking(move || {
        watch.begin();
        let settings = &holder.settings;
        holder.evaluations.fetch_add(1, Ordering::Relaxed);
        let result = slot.with(&holder.source, settings, |connection| {
            evaluate(connection, &question, settings, &watch)
        });
        let (table, reads) = result.map_err(|_| failed("the database cannot be opened"))??;
        watch.end(reads);
        Ok(table)
    });
    evaluation.await.unwrap_or_else(|| Err(failed("the server is going away")))
}
