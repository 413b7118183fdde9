//! The seam to the world: clocks, randomness, timers, sockets, names, tasks. tokio is one implementation; the virtual
//! network of the feature `testing` is another.
//!
//! Owns the traits, and which runtime a constructor gets. Must never know QUIC.

#[cfg(feature = "testing")]
mod entered;
mod tally;
mod tokio;

use std::{
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::SystemTime,
};

use quic_core::base::{Entropy, Timestamp};

#[cfg(feature = "testing")]
pub(crate) use self::entered::enter;
pub(crate) use self::tally::{Presence, Tally};
use crate::{buffers::BufferPool, socket::DatagramSocket, udp::SocketOptions, waiters::wait};

/// A future on the heap.
pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Everything that a driver needs of the world.
pub(crate) trait Runtime: fmt::Debug + Send + Sync {
    /// The time on a clock that only goes forward.
    fn now(&self) -> Timestamp;
    /// The calendar time, for certificates.
    fn wall_clock(&self) -> SystemTime;
    /// A source of randomness for an endpoint.
    fn entropy(&self) -> Box<dyn Entropy>;
    /// A timer.
    fn timer(&self) -> Pin<Box<dyn Timer>>;
    /// A bound socket.
    fn bind(&self, options: &SocketOptions) -> io::Result<Box<dyn DatagramSocket>>;
    /// The addresses of a name or a literal address, best first.
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<io::Result<Vec<SocketAddr>>>;
    /// Runs a task until it ends.
    fn spawn(&self, task: BoxFuture<()>);
    /// The buffers that its sockets share.
    fn buffers(&self) -> Arc<BufferPool>;
    /// A name that no other runtime of the process has.
    fn identity(&self) -> String;
    /// What runs here and is not over.
    fn tally(&self) -> &Arc<Tally>;
    /// Whether it has all that a driver needs.
    fn check(&self) -> Result<(), MissingDriver>;
}

/// A runtime was built without something that is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MissingDriver(pub(crate) &'static str);

/// A timer that can be set again and again.
pub(crate) trait Timer: Send {
    /// Ready once `at` has come; else the task is woken then.
    fn poll_until(self: Pin<&mut Self>, cx: &mut Context<'_>, at: Timestamp) -> Poll<()>;
}

/// A shared runtime.
pub(crate) type RuntimeHandle = Arc<dyn Runtime>;

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

#[allow(clippy::disallowed_methods, reason = "the runtime is where the clock is read")]
pub(crate) fn system_time() -> SystemTime {
    SystemTime::now()
}

/// Waits until `at`.
pub(crate) async fn sleep_until(runtime: &RuntimeHandle, at: Timestamp) {
    let mut timer = runtime.timer();
    std::future::poll_fn(|cx| timer.as_mut().poll_until(cx, at)).await;
}
