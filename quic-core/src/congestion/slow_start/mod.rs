//! Slow starts: how a loss-based controller finds the capacity of a path that it knows nothing of.
//!
//! | it is | the window | it ends |
//! |---|---|---|
//! | `classic` (`classic.rs`) | doubles in a round trip (RFC 9002 §7.3.1) | with a loss or a mark |
//! | `hystart` (`hystart.rs`) | doubles | also when the delay rises (RFC 9406) |
//! | `rapid-start` (`rapid.rs`) | triples as long as no queue grows | as `hystart`, and comes down to what was delivered |
//! | `careful-resume` (`resume.rs`) | jumps to half of what the path had the last time (RFC 9959) | as `hystart`, and retreats to half of what was delivered |
//!
//! A controller asks its [`SlowStart`] as long as no threshold is known, which is in the first slow start of the path. Later ones,
//! up to a threshold, double. Must never know which controller asks.

mod classic;
mod hystart;
mod landing;
mod rapid;
mod resume;

use std::time::Duration;

use super::{CongestionEvent, FlightPeak, SentPacket, initial_window};
use crate::base::{Rate, Timestamp};
use classic::Classic;
use hystart::HyStart;
pub(crate) use landing::{Landed, Landing};
use rapid::RapidStart;
use resume::CarefulResume;

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
    /// [`check_controller`](super::kit::check_controller), which knows nothing of an earlier connection, more than four initial windows are
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

/// What an acknowledgment does to the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It grows by so many quarters of what was acknowledged, as far as [`SlowStart::limit`] lets it.
    Grow(Quarters),
    /// It is so many bytes from now on, whatever was used of it.
    Set(u64),
    /// No more: the path is full, and congestion avoidance begins.
    Exit,
}

/// Quarters of what was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quarters(pub(crate) u32);

impl Quarters {
    const NONE: Self = Self(0);
    /// The window grows by a quarter in a round trip (RFC 9406 §4.2).
    const CAREFULLY: Self = Self(1);
    pub(crate) const DOUBLE: Self = Self(4);
    const TRIPLE: Self = Self(8);

    /// Of so many bytes.
    pub(crate) fn of(self, bytes: u64) -> f64 {
        bytes as f64 * f64::from(self.0) / 4.0
    }
}

/// One way to find the capacity of a path. Windows are in bytes.
pub(crate) trait SlowStart {
    /// What the window begins with.
    fn initial_window(&self, mtu: u16) -> u64 {
        initial_window(mtu)
    }

    /// A packet left; the window is `window`.
    fn on_sent(&mut self, now: Timestamp, packet: &SentPacket, window: u64, mtu: u16) {
        let _ = (now, packet, window, mtu);
    }

    /// Packets were acknowledged, and none of them after a loss.
    fn on_ack(&mut self, event: &CongestionEvent<'_>, window: u64, mtu: u16) -> Step;

    /// The first loss or mark, which ends it; the controller leaves `beta` of the window. How the window comes down, if not as
    /// after any loss.
    fn on_congestion(
        &mut self,
        event: &CongestionEvent<'_>,
        window: u64,
        mtu: u16,
        beta: f64,
    ) -> Option<Landing> {
        let _ = (event, window, mtu, beta);
        None
    }

    /// How far a round trip of what was used would take the window.
    fn limit(&self, peak: FlightPeak) -> u64 {
        peak.slow_start_limit()
    }

    /// How fast packets leave; `None` for twice the window in a round trip.
    fn pacing_rate(&self, window: u64, smoothed: Option<Duration>) -> Option<Rate> {
        let _ = (window, smoothed);
        None
    }

    /// Whether the delay has risen, so that the window grows carefully.
    fn is_conservative(&self) -> bool {
        false
    }
}

/// Any of them.
#[derive(Clone, Debug)]
pub(crate) enum AnyStart {
    Classic(Classic),
    HyStart(HyStart),
    RapidStart(RapidStart),
    CarefulResume(CarefulResume),
}

impl AnyStart {
    pub(crate) fn new(start: Start) -> Self {
        match start {
            Start::Classic => Self::Classic(Classic),
            Start::HyStart => Self::HyStart(HyStart::default()),
            Start::RapidStart => Self::RapidStart(RapidStart::default()),
            Start::CarefulResume(saved) => Self::CarefulResume(CarefulResume::new(saved)),
        }
    }

    /// Whether [`SlowStart::on_sent`] does anything.
    pub(crate) fn watches_packets(&self) -> bool {
        matches!(self, Self::CarefulResume(_))
    }

    /// Of a path in use, whose window is known: nothing is spread over the first round trip, and nothing resumed.
    pub(crate) fn in_use(start: Start) -> Self {
        match start {
            Start::RapidStart => Self::RapidStart(RapidStart::in_use()),
            Start::CarefulResume(_) => Self::HyStart(HyStart::default()),
            start => Self::new(start),
        }
    }
}

macro_rules! dispatch {
    ($self:ident, $start:ident => $call:expr) => {
        match $self {
            Self::Classic($start) => $call,
            Self::HyStart($start) => $call,
            Self::RapidStart($start) => $call,
            Self::CarefulResume($start) => $call,
        }
    };
}

impl SlowStart for AnyStart {
    fn initial_window(&self, mtu: u16) -> u64 {
        dispatch!(self, start => start.initial_window(mtu))
    }
    fn on_sent(&mut self, now: Timestamp, packet: &SentPacket, window: u64, mtu: u16) {
        dispatch!(self, start => start.on_sent(now, packet, window, mtu));
    }
    fn on_ack(&mut self, event: &CongestionEvent<'_>, window: u64, mtu: u16) -> Step {
        dispatch!(self, start => start.on_ack(event, window, mtu))
    }
    fn on_congestion(
        &mut self,
        event: &CongestionEvent<'_>,
        window: u64,
        mtu: u16,
        beta: f64,
    ) -> Option<Landing> {
        dispatch!(self, start => start.on_congestion(event, window, mtu, beta))
    }
    fn limit(&self, peak: FlightPeak) -> u64 {
        dispatch!(self, start => start.limit(peak))
    }
    fn pacing_rate(&self, window: u64, smoothed: Option<Duration>) -> Option<Rate> {
        dispatch!(self, start => start.pacing_rate(window, smoothed))
    }
    fn is_conservative(&self) -> bool {
        dispatch!(self, start => start.is_conservative())
    }
}
