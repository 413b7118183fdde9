//! The interface to the outside world: clocks, randomness, timers, sockets, names, tasks. One implementation
//! is tokio, and another is the virtual network of the feature `testing`.
//!
//! Owns the traits, and the choice of a constructor's runtime. It must never know QUIC.

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

/// The caller's runtime, if there is one. Every constructor uses this.
pub(crate) fn current() -> Option<RuntimeHandle> {
    #[cfg(feature = "testing")]
    if let Some(entered) = entered::current() {
        return Some(entered);
    }
    tokio::current()
}

/// Waits until all sessions on the caller's runtime have ended: they are closed, and their final messages
/// were sent and acknowledged, or given up after a few seconds. A client program that closes its sessions and
/// returns from `main` without this may lose these messages.
///
/// It also waits for the connections of each [`Client`](crate::Client) whose last clone was dropped, which are
/// closed once their requests have ended. A program that drops its client and waits here leaves its servers
/// with no connection that they would have to keep until it times out.
///
/// If nobody closes a session, it ends when its last handle is dropped. Each of its streams is a handle, so a
/// stream that a task keeps makes this wait for ever. Returns at once if there is no session or no runtime.
/// It also returns if it is awaited on another runtime and the sessions' runtime shuts down. Cancel safe.
///
/// A server ends with [`Server::shutdown`](crate::Server::shutdown), which does this for all of its sessions.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use wt_api::{WebTransport, WebTransportOptions};
/// let session = WebTransport::new("https://example.org/app", WebTransportOptions::new())?;
/// session.ready().await?;
/// session.close(Default::default());
/// wt_api::wait_idle().await; // Now `main` may return.
/// # Ok(())
/// # }
/// ```
pub async fn wait_idle() {
    // This keeps the runtime's count, but not the runtime.
    let tally = current().map(|runtime| Arc::clone(runtime.tally()));
    if let Some(tally) = tally {
        wait(&*tally, (), Tally::poll_empty).await;
    }
}

/// The caller's calendar time, also for certificates that are made outside a runtime.
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
