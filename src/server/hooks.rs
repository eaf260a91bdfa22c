//! What a server's application hears.

use std::error::Error;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use futures_util::FutureExt;
use moorline_core::wire::Close;
use moorline_core::{BoxFuture, Message, Runtime, close_code};

use super::ServerConnection;
use crate::error::panic_text;
use crate::listeners::Outcome;
use crate::shared::Command;
use crate::sync::lock;
use crate::{Disconnect, ErrorEvent, Event, Origin};

/// What a connect hook may fail with: any error.
pub type HookError = Box<dyn Error + Send + Sync>;

type OnConnect =
    Arc<dyn Fn(ServerConnection) -> BoxFuture<'static, Result<(), HookError>> + Send + Sync>;
type OnDisconnect =
    Arc<dyn Fn(ServerConnection, Disconnect) -> Option<BoxFuture<'static, ()>> + Send + Sync>;
type OnMessage =
    Arc<dyn Fn(ServerConnection, Message) -> Option<BoxFuture<'static, ()>> + Send + Sync>;
type OnError = Arc<dyn Fn(ErrorEvent) -> Option<BoxFuture<'static, ()>> + Send + Sync>;

/// The hooks of one server. No call holds up another connection.
#[derive(Default)]
pub(super) struct Hooks {
    on_connect: Mutex<Vec<OnConnect>>,
    on_disconnect: Mutex<Vec<OnDisconnect>>,
    on_message: Mutex<Vec<OnMessage>>,
    /// There is one of those.
    watches: AtomicBool,
    on_error: Mutex<Vec<OnError>>,
}

impl Hooks {
    pub(super) fn on_connect<F, Fut>(&self, hook: F)
    where
        F: FnOnce(ServerConnection) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<(), HookError>> + Send + 'static,
    {
        let hook: OnConnect = Arc::new(move |connection| Box::pin((hook.clone())(connection)));
        lock(&self.on_connect).push(hook);
    }

    pub(super) fn on_disconnect<F, R, M>(&self, hook: F)
    where
        F: Fn(ServerConnection, Disconnect) -> R + Send + Sync + 'static,
        R: Outcome<M>,
    {
        lock(&self.on_disconnect)
            .push(Arc::new(move |connection, end| hook(connection, end).into_future()));
    }

    pub(super) fn on_message<F, R, M>(&self, hook: F)
    where
        F: Fn(ServerConnection, Message) -> R + Send + Sync + 'static,
        R: Outcome<M>,
    {
        lock(&self.on_message)
            .push(Arc::new(move |connection, message| hook(connection, message).into_future()));
        self.watches.store(true, Ordering::Release);
    }

    /// Whether messages are watched.
    pub(super) fn watch_messages(&self) -> bool {
        self.watches.load(Ordering::Acquire)
    }

    /// A message has come.
    pub(super) async fn messages(
        &self,
        runtime: &Arc<dyn Runtime>,
        connection: &ServerConnection,
        message: &Message,
    ) {
        let hooks = lock(&self.on_message).clone();
        for hook in hooks {
            let called = async {
                if let Some(future) = hook(connection.clone(), message.clone()) {
                    future.await;
                }
            };
            if let Err(panic) = AssertUnwindSafe(called).catch_unwind().await {
                self.failed(runtime, panic_text(&*panic));
            }
        }
    }

    pub(super) fn on_error<F, R, M>(&self, hook: F)
    where
        F: Fn(ErrorEvent) -> R + Send + Sync + 'static,
        R: Outcome<M>,
    {
        lock(&self.on_error).push(Arc::new(move |error| hook(error).into_future()));
    }

    /// The first hook is given back, to run in the connection's own task; the others get one each.
    pub(super) fn connected(
        &self,
        runtime: &Arc<dyn Runtime>,
        connection: &ServerConnection,
    ) -> Option<BoxFuture<'static, ()>> {
        let hooks = lock(&self.on_connect).clone();
        let mut tasks = hooks.into_iter().map(|hook| run(hook, connection.clone()));
        let first = tasks.next();
        for task in tasks {
            runtime.spawn("connect hook", task);
        }
        first
    }

    pub(super) fn disconnected(
        &self,
        runtime: &Arc<dyn Runtime>,
        connection: ServerConnection,
        end: Disconnect,
    ) {
        let hooks = lock(&self.on_disconnect).clone();
        if hooks.is_empty() {
            return;
        }
        let task = async move {
            for hook in hooks {
                let called = async {
                    if let Some(future) = hook(connection.clone(), end.clone()) {
                        future.await;
                    }
                };
                if let Err(panic) = AssertUnwindSafe(called).catch_unwind().await {
                    fail(&connection, panic_text(&*panic));
                }
            }
        };
        runtime.spawn("disconnect hook", Box::pin(task));
    }

    /// Something failed that belongs to no open connection.
    pub(super) fn failed(&self, runtime: &Arc<dyn Runtime>, message: String) {
        self.error(runtime, ErrorEvent::new(Origin::Application, "hook_failed", message));
    }

    pub(super) fn error(&self, runtime: &Arc<dyn Runtime>, error: ErrorEvent) {
        let hooks = lock(&self.on_error).clone();
        if hooks.is_empty() {
            return;
        }
        let task = async move {
            for hook in hooks {
                let called = async {
                    if let Some(future) = hook(error.clone()) {
                        future.await;
                    }
                };
                // An error hook that panics has nobody left to tell.
                let _told = AssertUnwindSafe(called).catch_unwind().await;
            }
        };
        runtime.spawn("error hook", Box::pin(task));
    }
}

fn run(hook: OnConnect, connection: ServerConnection) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        // The error is the user's code too, as it is written out and as it is dropped.
        let called = async { hook(connection.clone()).await.map_err(|error| error.to_string()) };
        let failure = match AssertUnwindSafe(called).catch_unwind().await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(panic) => panic_text(&*panic),
        };
        fail(&connection, failure);
    })
}

/// A hook failed: its connection's listeners hear of it, and the client is closed with 1011.
fn fail(connection: &ServerConnection, message: String) {
    let event = ErrorEvent::new(Origin::Application, "hook_failed", message);
    connection.shared.dispatch(Event::Error(event));
    let close = Box::new(Close::new(close_code::INTERNAL, "hook_failed"));
    let mut state = lock(&connection.shared.state);
    if !state.status.is_connected() {
        return;
    }
    let waker = state.command(Command::Disconnect(close));
    drop(state);
    waker.into_iter().for_each(Waker::wake);
}
