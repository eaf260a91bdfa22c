//! The hooks that hear what is held back.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use moorline_core::BoxFuture;

use super::Core;
use crate::error::panic_text;
use crate::listeners::Outcome;
use crate::sync::lock;

type Hook = Arc<dyn Fn(Vec<String>) -> Option<BoxFuture<'static, ()>> + Send + Sync>;

/// They run in a task of their own, one call after another. Changes while they do are told as one.
#[derive(Default)]
pub(in crate::server) struct Listeners {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    hooks: Vec<Hook>,
    /// What they have heard last.
    told: Arc<Vec<String>>,
    /// There is a task that tells them.
    telling: bool,
}

impl Listeners {
    pub(super) fn add<F, R, M>(&self, hook: F)
    where
        F: Fn(Vec<String>) -> R + Send + Sync + 'static,
        R: Outcome<M>,
    {
        lock(&self.state).hooks.push(Arc::new(move |features| hook(features).into_future()));
    }

    /// It has changed.
    pub(super) fn tell(&self, core: &Arc<Core>) {
        let mut state = lock(&self.state);
        if state.hooks.is_empty() || std::mem::replace(&mut state.telling, true) {
            return;
        }
        drop(state);
        core.runtime.spawn("throttle hooks", Box::pin(run(core.clone())));
    }
}

async fn run(core: Arc<Core>) {
    let listeners = &core.throttling.listeners;
    loop {
        let (hooks, features) = {
            let mut state = lock(&listeners.state);
            let features = core.throttling.features();
            if state.told == features {
                state.telling = false;
                return;
            }
            state.told = features.clone();
            (state.hooks.clone(), features)
        };
        for hook in hooks {
            let called = async {
                if let Some(future) = hook((*features).clone()) {
                    future.await;
                }
            };
            if let Err(panic) = AssertUnwindSafe(called).catch_unwind().await {
                core.hooks.failed(&core.runtime, panic_text(&*panic));
            }
        }
    }
}
