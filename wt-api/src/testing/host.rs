//! A host of a virtual network.

use std::{fmt, future::Future, io, net::IpAddr, sync::Arc};

use super::{script::SendAttempt, task::Task, turns, virtual_runtime::HostRuntime, world::World};
use crate::{
    mailbox::lock,
    runtime::{self, RuntimeHandle},
};

/// A machine with addresses and a name. Code that runs on it finds it as programs find tokio in production:
/// [`WebTransport::new`](crate::WebTransport::new), [`ServerBuilder::build`](crate::ServerBuilder::build) and
/// [`http3::get`](crate::http3::get) use its sockets.
///
/// This is a handle: clones refer to the same host.
#[derive(Clone)]
pub struct Host {
    world: Arc<World>,
    index: usize,
    name: Arc<str>,
    addresses: Arc<[IpAddr]>,
    runtime: RuntimeHandle,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("name", &self.name)
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

impl Host {
    pub(super) fn new(world: Arc<World>, index: usize, name: &str, addresses: Vec<IpAddr>) -> Self {
        let runtime = Arc::new(HostRuntime::new(Arc::clone(&world), index));
        Self { world, index, name: name.into(), addresses: addresses.into(), runtime }
    }

    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The addresses, at least one.
    #[must_use]
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Runs `work` as if on this host, for constructors in code that does not run on it.
    pub fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        runtime::enter(&self.runtime, work)
    }

    /// Starts a task on this host. It runs while the network runs. Dropping the handle does not end it.
    pub fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Task<T> {
        Task::spawn(&self.world, Some((self.index, RuntimeHandle::clone(&self.runtime))), work)
    }

    /// Runs the network until `work`, which runs on this host, is done.
    ///
    /// # Panics
    /// As [`Network::run`](super::Network::run).
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        turns::run(&self.world, Some(&self.runtime), work)
    }

    /// Simulates a power failure: the host's tasks end where they are, its sockets are gone, and nobody is
    /// told. New tasks find the host as after a restart.
    pub fn vanish(&self) {
        self.world.executor.end_host(self.index);
        lock(&self.world.fabric).node(self.index).out.clear();
    }

    /// From now on, `answer` decides the result of each send of this host's sockets, before anything is sent.
    /// It may return an error, by kind or by the system's number ([`io::Error::from_raw_os_error`]). After
    /// `WouldBlock`, a socket is writable again a millisecond later. `answer` must not use this host.
    ///
    /// ```
    /// # use wt_api::testing::Network;
    /// # let host = Network::new(0).host("example.org");
    /// host.answer_sends(|send| {
    ///     if send.number % 50 == 0 { Err(std::io::ErrorKind::OutOfMemory.into()) } else { Ok(()) }
    /// });
    /// ```
    pub fn answer_sends(&self, answer: impl FnMut(&SendAttempt) -> io::Result<()> + Send + 'static) {
        lock(&self.world.fabric).host(self.index).script.set(Box::new(answer));
    }

    /// From now on, `answer` decides the result of each receive call of this host's sockets. A call that
    /// fails receives nothing. The argument is the number of the call on this host, from 1.
    pub fn answer_receives(&self, answer: impl FnMut(u64) -> io::Result<()> + Send + 'static) {
        lock(&self.world.fabric).host(self.index).script.set_receives(Box::new(answer));
    }

    /// The network reports (ICMP) that datagrams from this host's sockets to `to` could not be delivered, and
    /// why: `ConnectionRefused` if nothing listens on the port, `HostUnreachable` if a router knows no route.
    /// The virtual network never does this by itself.
    pub fn report_error(&self, to: std::net::SocketAddr, kind: io::ErrorKind) {
        lock(&self.world.fabric).node(self.index).report(to, kind);
    }

    /// From now on, the host's system gives each datagram to the next one of the sockets that share an
    /// address, as if sockets were opened and closed all the time. Before, all datagrams from the same
    /// address and port go to the same socket.
    pub fn scatter_datagrams(&self) {
        lock(&self.world.fabric).node(self.index).turn = Some(0);
    }

    /// The NAT in front of this host forgets its mappings. From now on, others see each of its sockets at
    /// another port, and nothing that is sent to the old ports arrives.
    ///
    /// # Panics
    /// If the host has no free port left.
    pub fn rebind(&self) {
        let mut fabric = lock(&self.world.fabric);
        let mut ports: Vec<u16> =
            fabric.node(self.index).sockets.values().map(|socket| socket.address.port()).collect();
        ports.sort_unstable();
        ports.dedup();
        for port in ports {
            let outside = fabric.free_port(self.index).expect("a free port");
            for address in &*self.addresses {
                fabric.sim.rebind((*address, port).into(), (*address, outside).into());
            }
        }
    }
}
