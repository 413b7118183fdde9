//! What a slow start is told, and what it answers.

use std::time::Duration;

use super::Landing;
use crate::{
    base::{Rate, Timestamp},
    congestion::{CongestionEvent, FlightPeak, SentPacket, initial_window},
};

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
    pub(super) const NONE: Self = Self(0);
    /// The window grows by a quarter in a round trip (RFC 9406 §4.2).
    pub(super) const CAREFULLY: Self = Self(1);
    pub(crate) const DOUBLE: Self = Self(4);
    pub(super) const TRIPLE: Self = Self(8);

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
