//! The links between two hosts.

use std::{sync::Arc, time::Duration};

use netsim::{LinkConfig, LinkStats};

use super::{host::Host, world::World};
use crate::mailbox::lock;

/// The links between two hosts, one in each direction. This is a handle.
#[derive(Clone, Debug)]
pub struct Link {
    world: Arc<World>,
    ends: (usize, usize),
}

impl Link {
    pub(super) fn new(world: Arc<World>, one: usize, other: usize) -> Self {
        Self { world, ends: (one, other) }
    }

    /// Changes both directions from now on. Times in [`LinkConfig::outages`] count from the start of the
    /// network.
    pub fn change(&self, mut change: impl FnMut(&mut LinkConfig)) {
        let (one, other) = self.ends;
        self.change_way((one, other), &mut change);
        if one != other {
            self.change_way((other, one), &mut change);
        }
    }

    /// Changes the direction from `host` to the other end from now on.
    ///
    /// # Panics
    /// If `host` is not an end of the link.
    pub fn change_from(&self, host: &Host, change: impl FnOnce(&mut LinkConfig)) {
        self.change_way(self.way_from(host), change);
    }

    /// Drops everything in both directions for this long, from now on.
    pub fn outage(&self, duration: Duration) {
        let now = self.world.now();
        let end = now.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
        self.change(|config| config.outages.push(now..end));
    }

    /// The counters of the direction from `host` to the other end.
    ///
    /// # Panics
    /// If `host` is not an end of the link.
    #[must_use]
    pub fn stats_from(&self, host: &Host) -> LinkStats {
        let fabric = lock(&self.world.fabric);
        let link = fabric.links[&self.way_from(host)];
        *fabric.sim.link_stats(link)
    }

    fn way_from(&self, host: &Host) -> (usize, usize) {
        match self.ends {
            (one, other) if one == host.index() => (one, other),
            (one, other) if other == host.index() => (other, one),
            _ => panic!("the link is not one of the host {:?}", host.name()),
        }
    }

    fn change_way(&self, way: (usize, usize), change: impl FnOnce(&mut LinkConfig)) {
        let mut fabric = lock(&self.world.fabric);
        let link = fabric.links[&way];
        change(fabric.sim.link_mut(link));
    }
}
