//! The interface of a driver to the outside world.

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

/// A boxed future.
pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Everything that a driver needs from the outside world.
pub(crate) trait Runtime: fmt::Debug + Send + Sync {
    /// The time on a monotonic clock.
    fn now(&self) -> Timestamp;
    /// The calendar time, for certificates.
    fn wall_clock(&self) -> SystemTime;
    /// A source of randomness for an endpoint.
    fn entropy(&self) -> Box<dyn Entropy>;
    /// A timer.
    fn timer(&self) -> Pin<Box<dyn Timer>>;
    /// A bound socket.
    fn bind(&self, options: &SocketOptions) -> io::Result<Box<dyn DatagramSocket>>;
    /// A bound socket that the application has made.
    fn adopt(&self, socket: std::net::UdpSocket) -> io::Result<Box<dyn DatagramSocket>>;
    /// `count` sockets at one address. The system distributes arriving datagrams among them by remote
    /// address.
    fn bind_shared(&self, options: &SocketOptions, count: usize) -> io::Result<Vec<Box<dyn DatagramSocket>>>;
    /// How many sockets of one address can be driven in parallel; 1 if the system cannot share an address.
    fn parallelism(&self) -> usize;
    /// The addresses of a name or a literal address, best first.
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<io::Result<Vec<SocketAddr>>>;
    /// Runs a task until it ends.
    fn spawn(&self, task: BoxFuture<()>);
    /// The buffers that its sockets share.
    fn buffers(&self) -> Arc<BufferPool>;
    /// A name that is unique in the process.
    fn identity(&self) -> String;
    /// The count of sessions that have not ended.
    fn tally(&self) -> &Arc<Tally>;
    /// Whether it has everything that a driver needs.
    fn check(&self) -> Result<(), MissingDriver>;
}

/// A runtime was built without a needed driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MissingDriver(pub(crate) &'static str);

/// A timer that can be set repeatedly.
pub(crate) trait Timer: Send {
    /// Ready once the time is `at` or later. Otherwise the task is woken then.
    fn poll_until(self: Pin<&mut Self>, cx: &mut Context<'_>, at: Timestamp) -> Poll<()>;
}

/// A shared runtime.
pub(crate) type RuntimeHandle = Arc<dyn Runtime>;
