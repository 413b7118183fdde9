//! The seam to the world: clocks, randomness, timers, sockets, names, tasks. tokio is one implementation; the virtual
//! network of the feature `testing` is another.
//!
//! Owns the traits, and which runtime a constructor gets. Must never know QUIC.

#[cfg(feature = "testing")]
mod entered;
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
use crate::{buffers::BufferPool, socket::DatagramSocket, udp::SocketOptions};

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
}

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
