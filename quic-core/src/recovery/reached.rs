//! The highest acknowledged packet number on each path.

use crate::ids::PathId;

/// The highest packet numbers that were acknowledged.
#[derive(Debug, Default)]
pub(super) struct Reached {
    /// The highest of the packets not known to have been sent on another path than the one in use.
    here: Option<u64>,
    /// The highest of another path, for the last such path of which a packet was acknowledged.
    elsewhere: Option<(PathId, u64)>,
}

impl Reached {
    pub(super) fn on_here(&mut self, pn: Option<u64>) {
        self.here = self.here.max(pn);
    }

    pub(super) fn on_elsewhere(&mut self, path: PathId, pn: u64) {
        self.elsewhere = match self.elsewhere {
            Some((last, largest)) if last == path => Some((path, largest.max(pn))),
            _ => Some((path, pn)),
        };
    }

    /// The path in use has changed: everything acknowledged so far was sent on another path.
    pub(super) fn on_path_changed(&mut self) {
        self.here = None;
    }

    /// Whether a packet above `pn` was acknowledged on the path in use.
    pub(super) fn is_beyond(&self, pn: u64) -> bool {
        self.here > Some(pn)
    }

    /// How far the highest acknowledged number on the packet's own path is above `pn`. `other` is that path,
    /// if it is not the path in use.
    pub(super) fn distance(&self, pn: u64, other: Option<PathId>) -> u64 {
        let largest = match (other, self.elsewhere) {
            (None, _) => self.here,
            (Some(path), Some((last, largest))) if path == last => Some(largest),
            _ => None,
        };
        largest.map_or(0, |largest| largest.saturating_sub(pn))
    }
}
