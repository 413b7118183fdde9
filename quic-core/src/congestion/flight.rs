//! How much of the window was used, and how far it may therefore grow (draft-ietf-ccwg-ratelimited-increase §3).

use super::controller::SentPacket;

/// The most bytes in flight since the window was last reduced (`maxFS` of the draft): the part of the window
/// that the path has proved to carry. A window grows only as far as one round trip of that amount would take
/// it. This holds for any limit on the sender: application, flow control or pacer.
///
/// ```
/// use quic_core::congestion::{FlightPeak, LimitedBy, SentPacket};
/// let mut peak = FlightPeak::new(12_000);
/// assert_eq!(peak.slow_start_limit(), 24_000);
/// peak.on_reduced();
/// peak.on_sent(&SentPacket::new(1_200, 4_800, LimitedBy::Window));
/// assert_eq!((peak.bytes(), peak.avoidance_limit(1_200)), (6_000, 7_200));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlightPeak(u64);

impl FlightPeak {
    /// The peak of a controller that starts with a window of `initial` bytes.
    #[must_use]
    pub const fn new(initial: u64) -> Self {
        Self(initial)
    }

    /// A packet was sent.
    pub fn on_sent(&mut self, packet: &SentPacket) {
        self.raise(packet.in_flight.saturating_add(packet.bytes));
    }

    /// Counts `bytes` as having been in flight: a new initial window, or the peak from before a reduction
    /// that was undone.
    pub fn raise(&mut self, bytes: u64) {
        self.0 = self.0.max(bytes);
    }

    /// The window was reduced, so what was in flight before proves nothing any more.
    pub fn on_reduced(&mut self) {
        self.0 = 0;
    }

    /// The peak in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// How far a window may grow that doubles each round trip, in bytes.
    #[must_use]
    pub const fn slow_start_limit(self) -> u64 {
        self.0.saturating_mul(2)
    }

    /// How far a window may grow that gains one datagram of `mtu` bytes each round trip, in bytes.
    #[must_use]
    pub fn avoidance_limit(self, mtu: u16) -> u64 {
        self.0.saturating_add(u64::from(mtu))
    }
}
