//! What is known of the path, what one acknowledgment adds to it, and the states of the sender: values that every mechanism
//! reads, and no step of any.

use std::time::Duration;

use super::filters::CycleMax;
use crate::base::Timestamp;

/// A volume of which nothing is known: no bound.
pub(super) const UNBOUNDED: u64 = u64::MAX;

/// What the sender does (draft §5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Doubles its rate each round trip, until the path is full.
    Startup,
    /// Takes the queue away that `Startup` has built.
    Drain,
    /// Sends less than the path delivers.
    Down,
    /// Sends what the path delivers.
    Cruise,
    /// Fills the path again before it is probed.
    Refill,
    /// Sends more than the path delivered so far.
    Up,
    /// Leaves the path half empty, to see its round trip without a queue.
    ProbeRtt,
}

impl State {
    pub(super) const fn is_probe_bw(self) -> bool {
        matches!(self, Self::Down | Self::Cruise | Self::Refill | Self::Up)
    }

    /// Whether losses are expected, as what tells where the limit is.
    pub(super) const fn accelerates(self) -> bool {
        matches!(self, Self::Startup | Self::Refill | Self::Up)
    }

    /// The rate over the path's rate (draft §5.6.1). In `Startup` 4 ln 2, with which the rate doubles in each round trip.
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

/// What one ACK frame tells: the draft's rate sample `RS`, and what is in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) now: Timestamp,
    pub(super) newly_acked: u64,
    /// Bytes per second; zero where the sample has no rate.
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
    /// Infinite as long as no congestion was seen in this cycle.
    pub(super) shortterm: f64,
    /// The most that was delivered in this round trip.
    pub(super) latest: f64,
    /// The lesser of the first two.
    pub(super) bw: f64,
}

/// How much may be in flight, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Volumes {
    /// What probes have shown to be the most.
    pub(super) longterm: u64,
    /// What congestion has left of it in this cycle.
    pub(super) shortterm: u64,
    /// The most that was delivered in one round trip, in this one.
    pub(super) latest: u64,
}

impl Default for Volumes {
    fn default() -> Self {
        Self { longterm: UNBOUNDED, shortterm: UNBOUNDED, latest: 0 }
    }
}

/// The window over the bandwidth-delay product.
pub(super) const WINDOW_GAIN: f64 = 0.5;
