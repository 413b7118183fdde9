//! The seam to the world: clocks, randomness, timers, sockets, names, tasks. tokio is one implementation; the virtual
//! network of the feature `testing` is another.
//!
//! Owns the traits, and which runtime a constructor gets. Must never know QUIC.

mod calendar;
#[cfg(feature = "testing")]
mod entered;
mod seam;
mod tally;
mod tokio;

use std::{sync::Arc, time::SystemTime};

use quic_core::base::Timestamp;

pub(crate) use self::calendar::system_time;
#[cfg(feature = "testing")]
pub(crate) use self::entered::enter;
#[cfg(feature = "testing")]
pub(crate) use self::seam::Runtime;
pub(crate) use self::{
    seam::{BoxFuture, MissingDriver, RuntimeHandle, Timer},
    tally::{Presence, Tally},
};
use crate::waiters::wait;

/// The runtime around the caller, if there is one: every constructor asks here.
pub(crate) fn current() -> Option<RuntimeHandle> {
    #[cfg(feature = "testing")]
    if let Some(entered) = entered::current() {
        return Some(entered);
    }
    tokio::current()
}

/// Waits until all sessions that were made on the runtime around the caller are over: closed, and their last words said and
/// heard, or waited for as long as that is done at all (a few seconds). A client program that closes its sessions and
/// returns from `main` without this takes its last words with it. A session that nobody closes is over when its last handle
/// goes, and every stream of it is one: a stream that a task keeps is waited for without end. Returns at once where there is no session, or no runtime. Cancel safe. It settles, too, when
/// the sessions' runtime goes while it is waited for on another one.
///
/// A server ends with [`Server::shutdown`](crate::Server::shutdown), which says the last words of all its sessions.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use wt_api::{WebTransport, WebTransportOptions};
/// let session = WebTransport::new("https://example.org/app", WebTransportOptions::new())?;
/// session.ready().await?;
/// session.close(Default::default());
/// wt_api::wait_idle().await; // From here on `main` may return.
/// # Ok(())
/// # }
/// ```
pub async fn wait_idle() {
    // The runtime itself is not kept, only its count.
    let tally = current().map(|runtime| Arc::clone(runtime.tally()));
    if let Some(tally) = tally {
        wait(&*tally, (), Tally::poll_empty).await;
    }
}

/// The calendar time around the caller, for certificates that are made outside a runtime as well.
pub(crate) fn wall_clock() -> SystemTime {
    #[cfg(feature = "testing")]
    if let Some(entered) = entered::current() {
        return entered.wall_clock();
    }
    system_time()
}

/// Waits until `at`.
pub(crate) async fn sleep_until(runtime: &RuntimeHandle, at: Timestamp) {
    let mut timer = runtime.timer();
    std::future::poll_fn(|cx| timer.as_mut().poll_until(cx, at)).await;
}
