//! All paths of a connection.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::{route::Route, single::Path, validation::Proof};
use crate::{base::Timestamp, config::TransportConfig, ids::PathId};

/// How many paths are kept besides the one in use. A peer stores few connection IDs, and each path takes one.
const MAX_OTHERS: usize = 3;

/// The path in use and the other paths.
#[derive(Debug)]
pub(crate) struct Paths {
    /// The path in use; all packets but probes go there.
    pub(crate) active: Path,
    /// The other paths. The one that was used last is at the end.
    others: Vec<Path>,
    /// The ID of the next path.
    next: u32,
    /// One above the highest number of a non-probing packet (RFC 9000 §9.3).
    newest: u64,
}

/// What became of a path as time passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    /// The path in use was not validated in time (RFC 9000 §8.2.4).
    Active,
    /// Another path was not validated in time.
    Attempt(PathId),
    /// A path is no longer needed.
    Spare(PathId),
}

impl Paths {
    /// A connection begins with one path.
    pub(crate) fn new(first: Path) -> Self {
        Self { active: first, others: Vec::new(), next: PathId::FIRST.0 + 1, newest: 0 }
    }

    /// Whether a path differs from the one in use only by the peer's port. Returns false if the path was
    /// given up.
    pub(crate) fn differs_by_port_only(&self, id: PathId) -> bool {
        self.others.iter().any(|path| path.id == id && path.route.differs_by_port_only(&self.active.route))
    }

    /// A path, unless it was given up.
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

    /// The paths besides the one in use.
    pub(crate) fn others_mut(&mut self) -> impl Iterator<Item = &mut Path> {
        self.others.iter_mut()
    }

    /// The path on which a datagram from `remote` to `local_ip` came.
    pub(crate) fn find(&self, remote: SocketAddr, local_ip: Option<IpAddr>) -> Option<PathId> {
        self.iter().find(|path| path.route.is(remote, local_ip)).map(|path| path.id)
    }

    /// Adds a path. Returns its ID, and the route of a path that had to make room: the oldest that was never
    /// validated, else the one that was used the longest ago.
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
        // A connection never has packets for four thousand million paths.
        self.next = self.next.saturating_add(1);
        // The path at the end is the one to fall back to.
        self.others.insert(0, Path::new(id, route, config, now, seed));
        (id, gone)
    }

    /// Uses the path `id` from now on; the path used before becomes another path. With `keeps`, what is known
    /// of the way through the network and what is in flight stays, and the two paths exchange only their
    /// addresses. Returns the ID of the route that was in use.
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

    /// Gives up a path that is not in use.
    pub(crate) fn remove(&mut self, id: PathId) -> Option<Route> {
        let index = self.others.iter().position(|path| path.id == id)?;
        Some(self.others.remove(index).route)
    }

    /// Gives up one of the paths that the connection was trying to move to.
    pub(crate) fn remove_attempt(&mut self) -> Option<Route> {
        let index = self.others.iter().position(|path| path.route.moves)?;
        Some(self.others.remove(index).route)
    }

    /// Gives up all paths but the one in use.
    pub(crate) fn remove_others(&mut self) -> impl Iterator<Item = Route> + use<> {
        std::mem::take(&mut self.others).into_iter().map(|path| path.route)
    }

    /// The validated path that was used last before the one in use.
    pub(crate) fn fallback(&self) -> Option<PathId> {
        self.others.iter().rev().find(|path| path.route.is_validated()).map(|path| path.id)
    }

    /// Whether a packet is the newest of the non-probing ones.
    pub(crate) fn is_newest(&mut self, number: u64) -> bool {
        let newest = number >= self.newest;
        if newest {
            self.newest = number + 1;
        }
        newest
    }

    /// A PATH_RESPONSE arrived. Returns the path whose challenge it answers, and what that proves.
    pub(crate) fn on_response(&mut self, data: [u8; 8]) -> Option<(PathId, Proof)> {
        let paths = std::iter::once(&mut self.active).chain(&mut self.others);
        paths.into_iter().find_map(|path| path.route.on_response(data).map(|proof| (path.id, proof)))
    }

    /// Whether a path has challenges or responses to send.
    pub(crate) fn wants(&self) -> bool {
        let wants = |path: &Path| path.route.wants_challenge() || path.route.wants_response();
        wants(&self.active) || !self.others.is_empty() && self.others.iter().any(wants)
    }

    /// The first path that has a challenge or a response to send and may send `least` bytes.
    pub(crate) fn next_probe(&self, least: u64) -> Option<PathId> {
        let ready = |path: &&Path| {
            let answers = path.route.wants_response() && path.window_room() > 0;
            (path.route.wants_challenge() || answers)
                && path.route.cid.is_some()
                && path.route.amplification_credit() >= least
        };
        self.iter().find(ready).map(|path| path.id)
    }

    /// `bytes` are no longer in flight on a path, without a sign of congestion. Does nothing if the path was
    /// given up.
    pub(crate) fn on_landed(&mut self, id: PathId, bytes: u64) {
        if let Some(path) = self.get_mut(id) {
            path.on_landed(bytes);
        }
    }

    /// The longest round-trip time of the paths besides the one in use.
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

    /// Returns a path whose time is over. The caller repeats the call until it returns `None`.
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
            // The connection may fall back to a path that was once validated, until the one in use is (RFC
            // 9000 §9.3.2).
            if rests && !path.route.is_asked() && path.route.kept_until <= now {
                return Some(Expired::Spare(path.id));
            }
        }
        None
    }
}
