//! How far the peer's acknowledgments have come on each path.

use crate::ids::PathId;

/// The highest packet numbers that were acknowledged.
#[derive(Debug, Default)]
pub(super) struct Reached {
    /// But for those known to have been sent on other paths than the one in use.
    here: Option<u64>,
    /// Of another path, the last one of which any was.
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

    /// What was acknowledged so far was sent on another path than the one in use.
    pub(super) fn on_path_changed(&mut self) {
        self.here = None;
    }

    /// Whether a packet above `pn` was acknowledged that was sent on the path in use.
    pub(super) fn is_beyond(&self, pn: u64) -> bool {
        self.here > Some(pn)
    }

    /// How many numbers above `pn` that is, where the packet was sent; `other` if that was not the path in use.
    pub(super) fn distance(&self, pn: u64, other: Option<PathId>) -> u64 {
        let largest = match (other, self.elsewhere) {
            (None, _) => self.here,
            (Some(path), Some((last, largest))) if path == last => Some(largest),
            _ => None,
        };
        largest.map_or(0, |largest| largest.saturating_sub(pn))
    }
}
