//! Values that every mechanism reads: what is known of the path, what one acknowledgment adds to it, and the
//! states of the sender.

use std::time::Duration;

use super::filters::CycleMax;
use crate::base::Timestamp;

/// An unknown volume, which is no bound.
pub(super) const UNBOUNDED: u64 = u64::MAX;

/// What the sender does (draft §5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Doubles its rate each round trip, until the path is full.
    Startup,
    /// Drains the queue that `Startup` has built.
    Drain,
    /// Sends less than the path delivers.
    Down,
    /// Sends what the path delivers.
    Cruise,
    /// Fills the path again before it is probed.
    Refill,
    /// Sends more than the path delivered so far.
    Up,
    /// Leaves the path half empty to measure its round-trip time without a queue.
    ProbeRtt,
}

impl State {
    pub(super) const fn is_probe_bw(self) -> bool {
        matches!(self, Self::Down | Self::Cruise | Self::Refill | Self::Up)
    }

    /// Whether losses are expected, because they show where the limit is.
    pub(super) const fn accelerates(self) -> bool {
        matches!(self, Self::Startup | Self::Refill | Self::Up)
    }

    /// The pacing rate over the path's rate (draft §5.6.1). In `Startup` it is 4 ln 2, which doubles the rate
    /// each round trip.
    pub(super) const fn pacing_gain(self) -> f64 {
        match self {
            Self::Startup => 2.77,
            Self::Drain => 0.5,
            Self::Down => 0.9,
            Self::Up => 1.25,
            Self::Cruise | Self::Refill | Self::ProbeRtt => 1.0,
        }
    }

    /// The window over the bandwidth-delay product (draft §5.6.1).
    pub(super) const fn window_gain(self) -> f64 {
        match self {
            Self::Up => 2.25,
            Self::ProbeRtt => WINDOW_GAIN,
            _ => 2.0,
        }
    }
}

/// The content of one ACK frame: the draft's rate sample `RS`, and the bytes in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) now: Timestamp,
    pub(super) newly_acked: u64,
    /// Bytes per second; zero if the sample has no rate.
    pub(super) rate: f64,
    pub(super) delivered: u64,
    pub(super) prior_delivered: u64,
    pub(super) lost: u64,
    pub(super) tx_in_flight: u64,
    pub(super) is_app_limited: bool,
    pub(super) rtt: Option<Duration>,
    pub(super) prior_in_flight: u64,
    pub(super) in_flight: u64,
}

/// What the path delivers, in bytes per second.
#[derive(Clone, Debug)]
pub(super) struct Rates {
    pub(super) max: CycleMax,
    /// Infinite until congestion is seen in this cycle.
    pub(super) shortterm: f64,
    /// The most that was delivered in this round trip.
    pub(super) latest: f64,
    /// The lesser of `max` and `shortterm`.
    pub(super) bw: f64,
}

/// How much may be in flight, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Volumes {
    /// The most that probes have shown to be safe.
    pub(super) longterm: u64,
    /// What congestion has left of that in this cycle.
    pub(super) shortterm: u64,
    /// The most that was delivered within this round trip.
    pub(super) latest: u64,
}

impl Default for Volumes {
    fn default() -> Self {
        Self { longterm: UNBOUNDED, shortterm: UNBOUNDED, latest: 0 }
    }
}

/// The window over the bandwidth-delay product.
pub(super) const WINDOW_GAIN: f64 = 0.5;
