//! All paths of a connection.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::{route::Route, single::Path, validation::Proof};
use crate::{base::Timestamp, config::TransportConfig, ids::PathId};

/// Paths beside the one in use. A peer stores few connection IDs, and each path takes one.
const MAX_OTHERS: usize = 3;

/// The path in use, and those beside it.
#[derive(Debug)]
pub(crate) struct Paths {
    /// The one in use, to which all but probing packets go.
    pub(crate) active: Path,
    /// Others, the one that was used last at the end.
    others: Vec<Path>,
    /// Of the next path.
    next: u32,
    /// One above the highest number of a packet that was more than a probe (RFC 9000 §9.3).
    newest: u64,
}

/// What time told of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    /// The path in use was not validated in time (RFC 9000 §8.2.4).
    Active,
    /// Nor was one beside it.
    Attempt(PathId),
    /// A path is not needed any more.
    Spare(PathId),
}

impl Paths {
    /// A connection begins with one path.
    pub(crate) fn new(first: Path) -> Self {
        Self { active: first, others: Vec::new(), next: PathId::FIRST.0 + 1, newest: 0 }
    }

    /// Whether a path leads where the one in use does, but for the peer's port. False for one that was given up.
    pub(crate) fn differs_by_port_only(&self, id: PathId) -> bool {
        self.others.iter().any(|path| path.id == id && path.route.differs_by_port_only(&self.active.route))
    }

    /// A path, if it was not given up.
    pub(crate) fn get_mut(&mut self, id: PathId) -> Option<&mut Path> {
        if self.active.id == id {
            return Some(&mut self.active);
        }
        self.others.iter_mut().find(|path| path.id == id)
    }

    /// All paths, the one in use first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&self.active).chain(&self.others)
    }

    /// The paths beside the one in use.
    pub(crate) fn others_mut(&mut self) -> impl Iterator<Item = &mut Path> {
        self.others.iter_mut()
    }

    /// The path that a datagram from `remote` to `local_ip` came on.
    pub(crate) fn find(&self, remote: SocketAddr, local_ip: Option<IpAddr>) -> Option<PathId> {
        self.iter().find(|path| path.route.is(remote, local_ip)).map(|path| path.id)
    }

    /// Another path. Gives its name, and the route of one that had to make room: of several that were never validated the
    /// oldest, else the one that was used the longest ago.
    pub(crate) fn add(
        &mut self,
        route: Route,
        config: &TransportConfig,
        now: Timestamp,
        seed: u64,
    ) -> (PathId, Option<Route>) {
        let gone = (self.others.len() >= MAX_OTHERS).then(|| {
            let index = self.others.iter().rposition(|path| !path.route.is_validated()).unwrap_or(0);
            self.others.remove(index).route
        });
        let id = PathId(self.next);
        // Four thousand million paths are more than a connection can have packets for.
        self.next = self.next.saturating_add(1);
        // The last is the one to go back to.
        self.others.insert(0, Path::new(id, route, config, now, seed));
        (id, gone)
    }

    /// The path `id` is in use from now on, and the one that was lies beside it. With `keeps`, what is known of the way through
    /// the network, and what is in flight, goes along: then the two change addresses only. Gives the name that the route which
    /// was in use has from now on.
    pub(crate) fn activate(&mut self, id: PathId, keeps: bool) -> Option<PathId> {
        let index = self.others.iter().position(|path| path.id == id)?;
        let mut other = self.others.remove(index);
        if keeps {
            std::mem::swap(&mut self.active.route, &mut other.route);
        } else {
            std::mem::swap(&mut self.active, &mut other);
            self.active.take_over_ecn(&other);
        }
        self.active.route.moves = false;
        let left = other.id;
        self.others.push(other);
        Some(left)
    }

    /// Gives a path up that is not in use.
    pub(crate) fn remove(&mut self, id: PathId) -> Option<Route> {
        let index = self.others.iter().position(|path| path.id == id)?;
        Some(self.others.remove(index).route)
    }

    /// Gives up one of the paths that the connection would have moved to.
    pub(crate) fn remove_attempt(&mut self) -> Option<Route> {
        let index = self.others.iter().position(|path| path.route.moves)?;
        Some(self.others.remove(index).route)
    }

    /// Gives up all paths but the one in use.
    pub(crate) fn remove_others(&mut self) -> impl Iterator<Item = Route> + use<> {
        std::mem::take(&mut self.others).into_iter().map(|path| path.route)
    }

    /// The validated path that was used last, beside the one in use.
    pub(crate) fn fallback(&self) -> Option<PathId> {
        self.others.iter().rev().find(|path| path.route.is_validated()).map(|path| path.id)
    }

    /// Whether a packet is the newest of those that were more than probes.
    pub(crate) fn is_newest(&mut self, number: u64) -> bool {
        let newest = number >= self.newest;
        if newest {
            self.newest = number + 1;
        }
        newest
    }

    /// A PATH_RESPONSE came: whose challenge it answers, and what that proves.
    pub(crate) fn on_response(&mut self, data: [u8; 8]) -> Option<(PathId, Proof)> {
        let paths = std::iter::once(&mut self.active).chain(&mut self.others);
        paths.into_iter().find_map(|path| path.route.on_response(data).map(|proof| (path.id, proof)))
    }

    /// Whether challenges or answers wait on any path.
    pub(crate) fn wants(&self) -> bool {
        let wants = |path: &Path| path.route.wants_challenge() || path.route.wants_response();
        wants(&self.active) || !self.others.is_empty() && self.others.iter().any(wants)
    }

    /// The first path that has a challenge or an answer to send, and may send `least` bytes.
    pub(crate) fn next_probe(&self, least: u64) -> Option<PathId> {
        let ready = |path: &&Path| {
            let answers = path.route.wants_response() && path.window_room() > 0;
            (path.route.wants_challenge() || answers)
                && path.route.cid.is_some()
                && path.route.amplification_credit() >= least
        };
        self.iter().find(ready).map(|path| path.id)
    }

    /// So many bytes are no longer in flight on a path, and nobody is blamed. For a path that was given up that means nothing.
    pub(crate) fn on_landed(&mut self, id: PathId, bytes: u64) {
        if let Some(path) = self.get_mut(id) {
            path.on_landed(bytes);
        }
    }

    /// The longest round trip of the paths beside the one in use.
    pub(crate) fn elsewhere_rtt(&self) -> Duration {
        let rtt = |path: &Path| path.rtt.smoothed().max(path.rtt.latest());
        self.others.iter().map(rtt).max().unwrap_or_default()
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        let asks = self.iter().filter_map(|path| path.route.deadline());
        let rests = self.active.route.is_validated();
        let spares = self
            .others
            .iter()
            .filter(|path| rests && !path.route.is_asked())
            .map(|path| path.route.kept_until);
        asks.chain(spares).chain(self.active.deadline()).min()
    }

    /// What is over by now; to be asked until there is nothing more.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Option<Expired> {
        if self.active.route.gave_up(now) {
            return Some(Expired::Active);
        }
        let rests = self.active.route.is_validated();
        for path in &mut self.others {
            let failed = path.route.gave_up(now);
            if failed {
                return Some(Expired::Attempt(path.id));
            }
            // A path that was validated once is what there is to go back to until the one in use is (RFC 9000 §9.3.2).
            if rests && !path.route.is_asked() && path.route.kept_until <= now {
                return Some(Expired::Spare(path.id));
            }
        }
        None
    }
}
