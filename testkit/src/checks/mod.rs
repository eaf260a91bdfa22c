//! The checks, and the list of them: each sentence with a MUST, and the function that looks after it.
//!
//! A check of a *link* gets a link's two ends, and runs twice: what comes from the client, and what comes from the server. A
//! check of a *site* gets an acceptor that listens, and its transport.

mod accepting;
mod backpressure;
mod closing;
mod connecting;
mod dropping;
mod frames;
mod idle;
mod leaks;
mod limits;
mod strangers;

use std::pin::pin;

use futures_util::future::{Either, pending, select};
use moorline_core::{Acceptor, BoxFuture, Transport};

use crate::failure::{Failure, Verdict};
use crate::link::{End, Link};
use crate::play::Play;
use crate::site::Site;

/// What must have been declared for a check to run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Need {
    Nothing,
    Binary,
    Ping,
    CloseCodes,
    Largest,
    Utf8,
    Refusal,
    Raw,
    Gauge,
}

type Opening<A, T> = BoxFuture<'static, Result<Site<A, T>, Failure>>;

/// Opens a site. May be called more than once.
pub(crate) type Open<A, T> = Box<dyn Fn() -> Opening<A, T> + Send>;

type RunCheck<A, T> = Box<dyn FnOnce(Open<A, T>) -> BoxFuture<'static, Verdict> + Send>;

pub(crate) struct Check<A, T> {
    pub(crate) name: &'static str,
    pub(crate) must: &'static str,
    pub(crate) needs: Need,
    pub(crate) run: RunCheck<A, T>,
}

/// A check of a link.
type OfLink = fn(Play, End, End) -> BoxFuture<'static, Verdict>;

/// Plays a check of a link from both ends.
async fn both_ways<A: Acceptor, T: Transport>(open: Open<A, T>, check: OfLink) -> Verdict {
    for (from, way) in [(0, "from the client"), (1, "from the server")] {
        let mut site = open().await?;
        let Link { client, server } = site.link().await?;
        let play = site.play.clone();
        let checking =
            if from == 0 { check(play, client, server) } else { check(play, server, client) };
        // A server goes on accepting all the while.
        let accepting = async {
            while site.acceptor.accept().await.is_ok() {}
            pending::<()>().await;
        };
        let verdict = match select(checking, pin!(accepting)).await {
            Either::Left((verdict, _)) => verdict,
            Either::Right(_) => unreachable!("it waits for ever"),
        };
        verdict.map_err(|Failure(why)| Failure(format!("{way}: {why}")))?;
    }
    Ok(())
}

macro_rules! checks {
    ($(
        $must:literal
        $kind:ident $module:ident::$name:ident $([$need:ident])?
    )*) => {
        /// All checks, in the order in which they run: the simple ones first, so that the first failure names the fault.
        pub(crate) fn all<A: Acceptor, T: Transport>() -> Vec<Check<A, T>> {
            vec![$(Check {
                name: stringify!($name),
                must: $must,
                needs: checks!(@need $($need)?),
                run: checks!(@$kind $module::$name),
            }),*]
        }
    };
    (@need) => { Need::Nothing };
    (@need $need:ident) => { Need::$need };
    (@link $module:ident::$name:ident) => {
        Box::new(|open| {
            let check: OfLink = |play, from, to| Box::pin($module::$name(play, from, to));
            Box::pin(both_ways(open, check))
        })
    };
    (@site $module:ident::$name:ident) => {
        Box::new(|open| Box::pin(async move { $module::$name(open().await?).await }))
    };
}

checks! {
    "A transport MUST deliver: a link is made, and carries a frame each way."
    link frames::a_frame_arrives
    "What arrives MUST be an unmodified prefix of the frames sent: none merged or split."
    link frames::frames_are_not_merged_or_split
    "What arrives MUST be an unmodified prefix of the frames sent: none modified."
    link frames::frames_are_not_altered
    "What arrives MUST be an unmodified prefix of the frames sent: none reordered."
    link frames::frames_arrive_in_order
    "What arrives MUST be an unmodified prefix of the frames sent: none doubled."
    link frames::no_frame_is_doubled
    "What arrives MUST be an unmodified prefix of the frames sent: none missing from the middle."
    link frames::no_frame_is_missing
    "Empty frames are frames: they MUST be delivered."
    link frames::empty_frames_arrive
    "Frames up to `max_frame` are carried, whatever their size."
    link frames::frames_of_every_size_arrive
    "`Capabilities::binary`: binary frames travel as binary, and text as text."
    link frames::text_stays_text_and_binary_binary [Binary]
    "A transport MUST refuse what it receives as text and is not UTF-8, if its protocol tells the two apart."
    link frames::text_that_is_not_utf8_is_refused [Utf8]

    "`flush` sends on what `send` has held back; `receive` MUST NOT hold what has arrived back."
    link idle::a_flush_is_enough
    "`receive` MUST wait without work when there is nothing."
    link idle::an_idle_receive_does_no_work
    "`ping`: its answer MUST come out of the `Receiver` as `Incoming::Activity`."
    link idle::a_ping_comes_back_as_activity [Ping]

    "`close` says that nothing more will be sent: the peer's receiver gives `Incoming::Close`, or its end."
    link closing::a_close_arrives
    "`close` MUST come after all frames sent, and MUST flush."
    link closing::a_close_comes_after_all_frames
    "`Capabilities::close_codes`: a close arrives with its code and reason."
    link closing::a_close_says_its_code_and_reason [CloseCodes]

    "`receive` MUST fail with `TooLarge` beyond `ConnectRequest::max_frame`."
    site limits::a_frame_over_the_limit_is_refused
    "`ConnectRequest::max_frame` is the largest frame that will be taken: one of that size is."
    site limits::a_frame_at_the_limit_arrives
    "`send` fails when the frame is larger than the transport can carry."
    link limits::a_frame_that_cannot_be_carried_is_refused [Largest]

    "A peer that does not read MUST make `send` or `flush` wait, and MUST NOT make memory grow."
    link backpressure::a_reader_that_stops_stops_the_writer
    "A send that waits goes on when the peer reads, and nothing of it is lost."
    link backpressure::a_reader_that_goes_on_frees_the_writer
    "The halves are apart because reads go on while a write is stuck."
    link backpressure::a_stuck_writer_does_not_stop_the_reader
    "Both ends may send at once, each more than the link holds, while both read."
    link backpressure::both_directions_flow_at_once

    "A link MUST end, for both halves, when both halves have been dropped."
    link dropping::a_link_ends_when_both_halves_are_dropped
    "A link may end at any point, but MUST NOT lose, double, merge or reorder a frame in the middle."
    link dropping::a_link_dropped_in_the_middle_gives_a_prefix
    "A link of which one half is dropped (half-open) still gives a prefix, and hangs nobody."
    link dropping::a_half_open_link_gives_a_prefix
    "Dropping a begun future with its half MUST release everything, at once and without blocking."
    link dropping::dropping_a_stuck_send_releases_everything
    "Dropping a begun future with its half MUST release everything: a `receive` that waits, too."
    link dropping::dropping_a_waiting_receive_releases_everything

    "Each call of `connect` MUST make a new link, independent of every other one."
    site connecting::links_are_independent
    "Calls of `connect` MAY overlap."
    site connecting::connects_may_overlap
    "`connect` MUST NOT retry by itself: where nobody listens it fails."
    site connecting::a_connect_to_nobody_fails
    "An error MUST say by its kind whether another attempt can help: where nobody listens, it can."
    site connecting::nobody_there_is_worth_another_attempt
    "An error MUST say by its kind whether another attempt can help: after a refusal for good, it cannot."
    site connecting::a_refusal_is_final [Refusal]
    "Dropping the future of `connect` MUST release everything that it holds."
    site connecting::dropping_a_connect_releases_everything

    "`accept` MUST NOT wait for anything that a peer does after its link has come in."
    site accepting::a_slow_handshake_blocks_nobody
    "A future of `accept` may be dropped and called again: no link may get lost by that."
    site accepting::a_dropped_accept_loses_no_link
    "Dropping a `Pending` MUST end the link and release everything."
    site accepting::dropping_a_pending_link_ends_it
    "Dropping the future of `handshake` MUST end the link and release everything."
    site accepting::dropping_a_begun_handshake_ends_it
    "After `close` new links MUST be refused."
    site accepting::after_a_close_links_are_refused
    "After `close` new links MUST be refused, until `listen`."
    site accepting::it_listens_again_after_a_close
    "`close` stops listening; links that have come in live on."
    site accepting::links_outlive_the_acceptors_close

    "Nothing that a peer sends may make it panic; and whoever comes next is served."
    site strangers::noise_harms_nobody [Raw]
    "What a `Pending` reads before the handshake is over MUST be bounded."
    site strangers::a_handshake_reads_a_bounded_amount [Raw]

    "Dropping MUST release everything: whatever was counted before is counted again."
    site leaks::nothing_is_left_behind [Gauge]
}
