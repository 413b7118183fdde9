//! The interface of tests to the network.

use std::{
    fmt,
    future::{Future, poll_fn},
    net::{IpAddr, Ipv4Addr},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use netsim::{Entry, LinkConfig, Random};
use quic_core::base::SeededEntropy;

use super::{
    host::Host,
    link::Link,
    node::Node,
    task::Task,
    turns,
    virtual_runtime::{FIRST_PORT, VirtualTimer},
    world::{Fabric, HostState, World},
};
use crate::{mailbox::lock, tls::Identity};

/// The first random generator of hosts; links have lower ones.
const HOST_GENERATORS: u64 = 1 << 32;

/// A virtual network: hosts, links between them, and virtual time, which starts at zero. One seed decides all
/// of it.
///
/// This is a handle: clones refer to the same network. When the last one is dropped, everything that still
/// runs on it ends.
#[derive(Clone)]
pub struct Network {
    pub(super) world: Arc<World>,
    _guard: Arc<Guard>,
}

/// Ends all tasks, which otherwise would keep the world alive that contains them.
struct Guard(Arc<World>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.executor.clear();
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("seed", &self.seed())
            .field("now", &self.now())
            .finish_non_exhaustive()
    }
}

impl Network {
    /// A network without hosts.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let world = World::new(seed);
        Self { _guard: Arc::new(Guard(Arc::clone(&world))), world }
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.world.seed
    }

    /// The virtual time since the network was made.
    #[must_use]
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.world.now())
    }

    /// Adds a host with an IPv4 address that the network chooses. `name` resolves to it.
    ///
    /// # Panics
    /// If another host has the name.
    pub fn host(&self, name: &str) -> Host {
        let index = lock(&self.world.fabric).hosts.len();
        let number = u32::try_from(index + 1).expect("fewer than 2^24 hosts");
        self.host_at(name, [Ipv4Addr::from(0x0a00_0000 | number).into()])
    }

    /// Adds a host with these addresses. `name` resolves to them in this order. Every other host reaches it
    /// over a link with a delay of 1 ms and no faults, unless [`link`](Self::link) changes that.
    ///
    /// # Panics
    /// If another host has the name or one of the addresses, or there is no address.
    pub fn host_at(&self, name: &str, addresses: impl IntoIterator<Item = IpAddr>) -> Host {
        let addresses: Vec<IpAddr> = addresses.into_iter().collect();
        assert!(!addresses.is_empty(), "a host needs an address");
        let mut fabric = lock(&self.world.fabric);
        let taken = |address| fabric.hosts.iter().any(|host| host.addresses.contains(address));
        assert!(!addresses.iter().any(taken), "another host has one of the addresses {addresses:?}");
        let before = fabric.names.insert(name.to_owned(), addresses.clone());
        assert!(before.is_none(), "another host has the name {name:?}");
        let index = fabric.hosts.len();
        fabric.add_host(self.world.seed, addresses.clone());
        drop(fabric);
        Host::new(Arc::clone(&self.world), index, name, addresses)
    }

    /// Makes `name` resolve to these addresses, whether or not a host has them.
    pub fn name(&self, name: &str, addresses: impl IntoIterator<Item = IpAddr>) {
        lock(&self.world.fabric).names.insert(name.to_owned(), addresses.into_iter().collect());
    }

    /// Sets both directions of the link between two hosts. Returns a handle for later changes.
    pub fn link(&self, one: &Host, other: &Host, config: &LinkConfig) -> Link {
        let link = Link::new(Arc::clone(&self.world), one.index(), other.index());
        link.change(|current| *current = config.clone());
        link
    }

    /// A server identity for `names`. It is valid for 13 days, starting an hour before the current virtual
    /// time. Its Ed25519 signatures have a fixed length, while those of [`Identity::self_signed`] vary by
    /// some bytes. So with this identity, runs with the same seed send packets of the same sizes. Browsers do
    /// not accept it.
    ///
    /// # Panics
    /// If a certificate cannot contain one of the names.
    #[must_use]
    pub fn identity<N: Into<String>>(&self, names: impl IntoIterator<Item = N>) -> Identity {
        Identity::for_simulations(names, self.world.wall_clock()).expect("names of hosts")
    }

    /// Runs until `work` is done. [Spawned](Self::spawn) tasks run as well, and continue in the next run.
    /// `work` belongs to no host: to connect or to serve in it, use [`Host::run`].
    ///
    /// # Panics
    /// The message has the time, the seed and the line that repeats the run. It panics if no event is left
    /// that could end `work`, if the virtual time exceeds the [limit](Self::set_limit), if a task is woken
    /// endlessly without time passing, if the network already runs, and if a task panics.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        turns::run(&self.world, None, work)
    }

    /// Sets how much virtual time one run may take. Default one hour.
    pub fn set_limit(&self, limit: Duration) {
        lock(&self.world.fabric).limit = limit;
    }

    /// Starts a task that belongs to no host; see [`Host::spawn`].
    pub fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Task<T> {
        Task::spawn(&self.world, None, work)
    }

    /// Waits for `duration` of virtual time. Cancel safe.
    pub fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        let at = self.world.now().saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
        let mut timer = VirtualTimer::new(Arc::clone(&self.world));
        poll_fn(move |cx| timer.poll_nanos(cx, at))
    }

    /// The output of `work`, or `None` if it takes longer than `limit` in virtual time. Cancel safe if `work`
    /// is.
    pub async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        let (mut work, mut limit) = (pin!(work), pin!(self.sleep(limit)));
        poll_fn(|cx| {
            if let Poll::Ready(output) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            limit.as_mut().poll(cx).map(|()| None)
        })
        .await
    }

    /// Records a log of datagrams from now on.
    pub fn keep_log(&self) {
        lock(&self.world.fabric).sim.keep_log();
    }

    /// The log, which has the time at which each datagram was sent, delivered or dropped. Empty unless it was
    /// [enabled](Self::keep_log).
    #[must_use]
    pub fn log(&self) -> Vec<Entry> {
        lock(&self.world.fabric).sim.log().to_vec()
    }

    /// A hash of the times, addresses, sizes and marks of all datagrams so far: equal for equal runs.
    #[must_use]
    pub fn digest(&self) -> u64 {
        lock(&self.world.fabric).sim.digest()
    }
}

impl Fabric {
    fn add_host(&mut self, seed: u64, addresses: Vec<IpAddr>) {
        let index = self.hosts.len();
        let first = addresses.first().copied().unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        // Nobody sends to port 0. The used ports are added with their sockets.
        let node = self.sim.add_node(Node::default(), (first, 0).into());
        let entropy = SeededEntropy::new(Random::derived(seed, HOST_GENERATORS + index as u64).next_u64());
        self.hosts.push(HostState {
            node,
            addresses,
            entropy,
            next_port: FIRST_PORT,
            script: Arc::default(),
        });
        for other in 0..=index {
            let config = self.default_link.clone();
            let peer = self.hosts[other].node;
            let there = self.sim.add_link(config.clone());
            self.sim.set_path(node, peer, &[there]);
            self.links.insert((index, other), there);
            if other != index {
                let back = self.sim.add_link(config);
                self.sim.set_path(peer, node, &[back]);
                self.links.insert((other, index), back);
            }
        }
    }
}
