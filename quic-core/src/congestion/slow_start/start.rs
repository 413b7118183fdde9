//! The slow starts by their names, and what one of them has to be told.

use std::time::Duration;

/// Which slow start a loss-based controller begins with.
///
/// ```
/// use std::time::Duration;
/// use quic_core::congestion::{Algorithm, SavedPath, Start};
/// let saved = SavedPath::new(7_500_000, Duration::from_millis(600));
/// let algorithm = Algorithm::CubicFrom(Start::CarefulResume(saved));
/// assert_eq!(algorithm.name(), "cubic+careful-resume");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// Doubles until something is lost or marked (RFC 9002 §7.3.1).
    Classic,
    /// Doubles until the delay rises (`HyStart++`, RFC 9406).
    HyStart,
    /// Triples as long as no queue grows (draft-kazuho-ccwg-rapid-start).
    RapidStart,
    /// Begins at half of what the path had the last time, if it looks like the same path (RFC 9959). To
    /// [`check_controller`](crate::congestion::kit::check_controller), which knows nothing of an earlier connection, more than four initial windows are
    /// an unused window that grows.
    CarefulResume(SavedPath),
}

/// What an earlier connection found out of a path, for [`Start::CarefulResume`].
///
/// Whoever keeps it sees to its age, to the peer that it belongs to, and that no two connections resume from it at a time
/// (RFC 9959 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SavedPath {
    /// What was in flight when the path was full, in bytes.
    pub window: u64,
    /// The shortest round trip then.
    pub min_rtt: Duration,
}

impl SavedPath {
    /// A path that held `window` bytes in flight, with a shortest round trip of `min_rtt`.
    #[must_use]
    pub const fn new(window: u64, min_rtt: Duration) -> Self {
        Self { window, min_rtt }
    }
}
