//! What a driver needs of the world.

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

use super::tally::Tally;
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
    /// A socket of the application's, bound by it.
    fn adopt(&self, socket: std::net::UdpSocket) -> io::Result<Box<dyn DatagramSocket>>;
    /// So many sockets at one address, among which the system shares out what comes, by where it comes from.
    fn bind_shared(&self, options: &SocketOptions, count: usize) -> io::Result<Vec<Box<dyn DatagramSocket>>>;
    /// Sockets of one address that can be driven at the same time; 1 where the system cannot share one out.
    fn parallelism(&self) -> usize;
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
