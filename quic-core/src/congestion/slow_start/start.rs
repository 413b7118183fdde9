//! The names of the slow starts, and their parameters.

use std::time::Duration;

/// The slow start that a loss-based controller begins with.
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
    /// Doubles the window until a packet is lost or marked (RFC 9002 §7.3.1).
    Classic,
    /// Doubles the window until the delay rises (`HyStart++`, RFC 9406).
    HyStart,
    /// Triples the window as long as no queue grows (draft-kazuho-ccwg-rapid-start).
    RapidStart,
    /// Starts at half of what an earlier connection had, if the path looks the same (RFC 9959).
    /// [`check_controller`](crate::congestion::kit::check_controller) knows nothing about an earlier
    /// connection: it reports a jump beyond four initial windows as growth of an unused window.
    CarefulResume(SavedPath),
}

/// What an earlier connection learned about a path, for [`Start::CarefulResume`].
///
/// The application that keeps it must check its age and the peer to which it belongs. It must also ensure
/// that no two connections resume from it at the same time (RFC 9959 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SavedPath {
    /// How many bytes were in flight when the path was full.
    pub window: u64,
    /// The shortest round-trip time then.
    pub min_rtt: Duration,
}

impl SavedPath {
    /// A path that held `window` bytes in flight, with a shortest round-trip time of `min_rtt`.
    #[must_use]
    pub const fn new(window: u64, min_rtt: Duration) -> Self {
        Self { window, min_rtt }
    }
}
