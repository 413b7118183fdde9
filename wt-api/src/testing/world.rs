//! The state of a virtual network: simulated hosts and links, names, timers, tasks.
//!
//! Owns virtual time. It must never know QUIC or sessions.

use std::{
    collections::BTreeMap,
    fmt,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::Waker,
    time::{Duration, SystemTime},
};

use netsim::{LinkConfig, LinkId, NodeId, Outcome, SECOND, Simulation};
use quic_core::base::{SeededEntropy, Timestamp};

use super::{executor::Executor, node::Node, script::Script};
use crate::{buffers::BufferPool, mailbox::lock, runtime};

/// The state behind all handles of a network.
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) executor: Executor,
    pub(super) fabric: Mutex<Fabric>,
    /// A copy of the time, so that reading the clock takes no lock.
    clock: AtomicU64,
    /// The calendar time at time zero.
    calendar: SystemTime,
    /// The buffers that the sockets of all hosts share, because one thread polls them.
    pub(super) buffers: Arc<BufferPool>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("seed", &self.seed).field("now", &self.now()).finish_non_exhaustive()
    }
}

/// Hosts, links, names and timers.
pub(super) struct Fabric {
    pub(super) sim: Simulation<Node>,
    pub(super) hosts: Vec<HostState>,
    /// The links, from one host to another.
    pub(super) links: BTreeMap<(usize, usize), LinkId>,
    pub(super) names: BTreeMap<String, Vec<IpAddr>>,
    pub(super) default_link: LinkConfig,
    timers: BTreeMap<(u64, u64), Waker>,
    next_timer: u64,
    /// The limit of virtual time for one run.
    pub(super) limit: Duration,
    pub(super) running: bool,
}

/// A host.
pub(super) struct HostState {
    pub(super) node: NodeId,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) entropy: SeededEntropy,
    /// The next port for a socket that does not request one.
    pub(super) next_port: u16,
    /// The scripted results of its sends and receives.
    pub(super) script: Arc<Script>,
}

/// Why time did not advance.
pub(super) enum Standstill {
    /// No event is left.
    Nothing,
    /// The run has reached its limit.
    Limit,
}

impl World {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        let fabric = Fabric {
            sim: Simulation::new(seed),
            hosts: Vec::new(),
            links: BTreeMap::new(),
            names: BTreeMap::new(),
            default_link: LinkConfig::new().delay(netsim::MILLISECOND),
            timers: BTreeMap::new(),
            next_timer: 0,
            limit: Duration::from_secs(3600),
            running: false,
        };
        Arc::new(Self {
            seed,
            executor: Executor::default(),
            fabric: Mutex::new(fabric),
            clock: AtomicU64::new(0),
            calendar: runtime::system_time(),
            buffers: Arc::default(),
        })
    }

    /// The nanoseconds since the start.
    pub(super) fn now(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    pub(super) fn wall_clock(&self) -> SystemTime {
        self.calendar + Duration::from_nanos(self.now())
    }

    /// Advances to the next time at which a task is ready, but not beyond `limit`.
    pub(super) fn advance(&self, limit: u64) -> Result<(), Standstill> {
        let ready = &self.executor.ready;
        let mut due = Vec::new();
        let result = {
            let mut fabric = lock(&self.fabric);
            let timer = fabric.timers.first_key_value().map(|((at, _), _)| *at);
            let until = timer.unwrap_or(u64::MAX).min(limit);
            let result = match (fabric.sim.run_until(|_| !ready.is_empty(), until), timer) {
                (Outcome::Reached, _) => Ok(()),
                (_, Some(at)) if at <= limit => {
                    fabric.sim.advance_to(at);
                    due = fabric.take_due();
                    Ok(())
                }
                (Outcome::Idle, None) => Err(Standstill::Nothing),
                _ => Err(Standstill::Limit),
            };
            self.clock.store(fabric.sim.now(), Ordering::Relaxed);
            result
        };
        due.into_iter().for_each(Waker::wake);
        result
    }

    /// Fails the test.
    pub(super) fn fail(&self, message: &str) -> ! {
        let fabric = lock(&self.fabric);
        fabric.sim.fail(message)
    }

    /// Replaces a timer, or makes one.
    pub(super) fn set_timer(&self, old: Option<(u64, u64)>, at: u64, waker: &Waker) -> (u64, u64) {
        let mut fabric = lock(&self.fabric);
        if let Some(old) = old {
            fabric.timers.remove(&old);
        }
        fabric.next_timer += 1;
        let key = (at, fabric.next_timer);
        fabric.timers.insert(key, waker.clone());
        key
    }

    pub(super) fn remove_timer(&self, key: (u64, u64)) {
        lock(&self.fabric).timers.remove(&key);
    }
}

impl Fabric {
    fn take_due(&mut self) -> Vec<Waker> {
        let now = self.sim.now();
        let mut due = Vec::new();
        while let Some(entry) = self.timers.first_entry()
            && entry.key().0 <= now
        {
            due.push(entry.remove());
        }
        due
    }

    /// The host with this index. Hosts are never removed.
    pub(super) fn host(&mut self, index: usize) -> &mut HostState {
        &mut self.hosts[index]
    }

    /// The simulated side of a host.
    pub(super) fn node(&mut self, index: usize) -> &mut Node {
        let node = self.hosts[index].node;
        self.sim.endpoint_mut(node)
    }
}

/// Virtual time in the form of drivers: one second ahead, so that earlier times exist too.
pub(super) fn timestamp(nanos: u64) -> Timestamp {
    Timestamp::from_nanos(nanos.saturating_add(SECOND))
}

/// The reverse conversion.
pub(super) fn nanos(at: Timestamp) -> u64 {
    at.as_nanos().saturating_sub(SECOND)
}
