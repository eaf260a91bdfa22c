//! Looking for what other connections have written, of which SQLite tells nobody.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_channel::oneshot;
use futures_util::future::{Either, select};
use moorline_core::Runtime;

use crate::engine::Inner;
use crate::pool::Who;
use crate::watch::Tables;

/// Looks until the last live query has gone. Those hold the engine; this task does not.
pub(crate) async fn poll(
    inner: Weak<Inner>,
    runtime: Arc<dyn Runtime>,
    interval: Duration,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut timer = runtime.timer();
    loop {
        timer.as_mut().reset(runtime.now() + interval);
        if let Either::Right(_) = select(timer.as_mut(), &mut stopped).await {
            return;
        }
        let Some(inner) = inner.upgrade() else { return };
        look(&inner).await;
    }
}

async fn look(inner: &Arc<Inner>) {
    let mut writer = inner.writer.lease(&Who::Own).await;
    let wrote = inner.blocking(move || writer.others_wrote()).await;
    // A database that is locked just now is looked at the next time.
    if let Some(Ok(true)) = wrote {
        inner.registry.mark(&Tables::All);
    }
}
