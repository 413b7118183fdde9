//! The interface of slow starts: what they are told, and how they answer.

use std::time::Duration;

use super::Landing;
use crate::{
    base::{Rate, Timestamp},
    congestion::{CongestionEvent, FlightPeak, SentPacket, initial_window},
};

/// What an acknowledgment does to the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It grows by this many quarters of what was acknowledged, up to [`SlowStart::limit`].
    Grow(Quarters),
    /// It is set to this many bytes, whatever was used of it.
    Set(u64),
    /// It stops growing: the path is full, and congestion avoidance begins.
    Exit,
}

/// A number of quarters of what was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quarters(pub(crate) u32);

impl Quarters {
    pub(super) const NONE: Self = Self(0);
    /// The window grows by a quarter in a round trip (RFC 9406 §4.2).
    pub(super) const CAREFULLY: Self = Self(1);
    pub(crate) const DOUBLE: Self = Self(4);
    pub(super) const TRIPLE: Self = Self(8);

    /// This many quarters of `bytes`.
    pub(crate) fn of(self, bytes: u64) -> f64 {
        bytes as f64 * f64::from(self.0) / 4.0
    }
}

/// A way to find the capacity of a path. Windows are in bytes.
pub(crate) trait SlowStart {
    /// The initial window.
    fn initial_window(&self, mtu: u16) -> u64 {
        initial_window(mtu)
    }

    /// A packet was sent; the window is `window`.
    fn on_sent(&mut self, now: Timestamp, packet: &SentPacket, window: u64, mtu: u16) {
        let _ = (now, packet, window, mtu);
    }

    /// Packets were acknowledged, and no loss has occurred.
    fn on_ack(&mut self, event: &CongestionEvent<'_>, window: u64, mtu: u16) -> Step;

    /// The first loss or mark, which ends the slow start. The controller keeps `beta` of the window. Returns
    /// how the window decreases, if it is not as after any loss.
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

    /// How far the window may grow: as far as a round trip of what was used would take it.
    fn limit(&self, peak: FlightPeak) -> u64 {
        peak.slow_start_limit()
    }

    /// The pacing rate; `None` for twice the window per round trip.
    fn pacing_rate(&self, window: u64, smoothed: Option<Duration>) -> Option<Rate> {
        let _ = (window, smoothed);
        None
    }

    /// Whether the delay has risen, so that the window grows carefully.
    fn is_conservative(&self) -> bool {
        false
    }
}
