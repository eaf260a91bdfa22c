//! Asks the middleware, and tells the hooks that watch messages.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytestring::ByteString;
use futures_util::FutureExt;
use moorline_core::machine::{Exchange, Refusal};
use moorline_core::wire::Packet;
use moorline_core::{BoxFuture, Message};

use super::{Admission, Core, ServerConnection, Visitor};
use crate::error::panic_text;

/// What is looked at.
pub(super) enum Wish {
    Message(Message),
    Join(ByteString),
}

impl Wish {
    /// What a client wants, if it is anything that is looked at.
    pub(super) fn of(message: &Message, exchange: &Exchange) -> Option<Self> {
        match exchange {
            Exchange::None | Exchange::Request(_) | Exchange::Publish(_) => {
                Some(Self::Message(message.clone()))
            }
            Exchange::State(packet) => match &**packet {
                Packet::Join(join) => Some(Self::Join(join.channel.clone())),
                _ => None,
            },
            Exchange::Response(_) | Exchange::Failure(..) => None,
        }
    }
}

/// Asks whether that may be.
pub(super) fn ask(
    core: Arc<Core>,
    connection: ServerConnection,
    wish: Wish,
) -> BoxFuture<'static, Result<(), Refusal>> {
    Box::pin(async move {
        let asked = async {
            for middleware in &core.middleware {
                match &wish {
                    Wish::Message(message) => middleware.message(&connection, message).await?,
                    Wish::Join(channel) => middleware.join(&connection, channel).await?,
                }
            }
            if let Wish::Message(message) = &wish {
                core.hooks.messages(&core.runtime, &connection, message).await;
            }
            Ok(())
        };
        caught(&core, asked).await
    })
}

/// Asks whether a client may come in.
pub(super) async fn admit(
    core: &Arc<Core>,
    visitor: &Visitor,
    admission: &mut Admission,
) -> Result<(), Refusal> {
    let asked = async {
        for middleware in &core.middleware {
            middleware.connect(visitor, admission).await?;
        }
        Ok(())
    };
    caught(core, asked).await
}

/// Asks whether a client may ask that query.
pub(super) async fn query(
    core: &Arc<Core>,
    connection: &ServerConnection,
    query: &str,
) -> Result<(), Refusal> {
    let asked = async {
        for middleware in &core.middleware {
            middleware.query(connection, query).await?;
        }
        Ok(())
    };
    caught(core, asked).await
}

async fn caught(
    core: &Arc<Core>,
    asked: impl Future<Output = Result<(), Refusal>>,
) -> Result<(), Refusal> {
    AssertUnwindSafe(asked).catch_unwind().await.unwrap_or_else(|panic| {
        core.hooks.failed(&core.runtime, format!("the middleware: {}", panic_text(&*panic)));
        Err(Refusal::for_now("internal", "the server failed", super::role::RETRY_AFTER_FAULT))
    })
}
