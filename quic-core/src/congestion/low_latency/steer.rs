//! The law that keeps the standing queue at its target.
//!
//! Below the target the window grows by a few datagrams in each round trip, and faster and faster as long as no queue shows; above it
//! the window comes down by the share of it that waits too long. Larger flows yield more, and a flow of a higher rate
//! aims at a shorter queue: flows that share one come to equal rates. Growth is by the time that passes, so that a long
//! round trip is no disadvantage.

use std::time::Duration;

use super::sight::Sight;

/// The window grows by a datagram in so much of a round trip, which is by two in 40 ms,
const STEP_TIME: f64 = 0.02;
/// by one at least, and by so many at most.
const MOST_STEPS: f64 = 8.0;
/// No step is a greater share of the window than this, unless a datagram is.
const MOST_STEP: f64 = 1.0 / 16.0;
/// Faster growth is no faster than this share of the window.
const MOST_GROWTH: f64 = 1.0 / 5.0;
/// Round trips without a queue before growth becomes faster.
const PATIENCE: u32 = 3;
/// Of what waits too long, this share goes in a round trip: what comes of it shows a round trip later.
const YIELD: f64 = 0.5;
/// After congestion that delay did not show, growth stays slow for so many round trips.
const CALM: u64 = 16;

/// The state of the law.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steering {
    velocity: f64,
    /// Round trips in a row in which no queue showed.
    empty: u32,
    /// A queue showed in the running one.
    waited: bool,
    /// Growth is slow until this round trip.
    calm_until: u64,
}

impl Steering {
    pub(super) fn new() -> Self {
        Self { velocity: 1.0, empty: 0, waited: false, calm_until: 0 }
    }

    /// A round trip is over, the one of this number; `marked` if marks keep the queue short.
    pub(super) fn on_round(&mut self, sight: &Sight, number: u64, marked: bool) {
        if std::mem::take(&mut self.waited) || !sight.is_used {
            (self.empty, self.velocity) = (0, 1.0);
            return;
        }
        self.empty = self.empty.saturating_add(1);
        if self.empty > PATIENCE && number >= self.calm_until && !marked {
            self.velocity = (self.velocity * 2.0).min(sight.window / sight.mtu).max(1.0);
        }
    }

    /// The queue was let drain: that none showed says nothing.
    pub(super) fn on_drained(&mut self) {
        (self.empty, self.velocity) = (0, 1.0);
    }

    /// The window was reduced for another reason, at the round trip of this number.
    pub(super) fn on_reduced(&mut self, number: u64) {
        *self = Self { calm_until: number + CALM, ..Self::new() };
    }

    /// The window after `acked` bytes were acknowledged. `may_grow` unless the application has no more to send; `may_yield`
    /// unless packets of before the last change were acknowledged; `marked` if marks keep the queue short.
    pub(super) fn on_ack(&mut self, sight: &Sight, acked: u64, permit: Permit) -> f64 {
        let share = (acked as f64 / sight.window).min(1.0);
        if sight.queue > sight.target / 2 {
            (self.waited, self.velocity) = (true, 1.0);
        }
        if sight.queue < sight.target {
            let growth = if permit.grow { self.growth(sight, permit.marked) } else { 0.0 };
            return sight.window + growth * share;
        }
        if !permit.shrink {
            return sight.window;
        }
        let excess = seconds(sight.queue - sight.target) / seconds(sight.standing);
        let least = step(sight) / 2.0 / sight.window;
        sight.window * (1.0 - (YIELD * excess).max(least) * share)
    }

    fn growth(&self, sight: &Sight, marked: bool) -> f64 {
        if marked {
            return sight.mtu;
        }
        (step(sight) * self.velocity).min((sight.window * MOST_GROWTH).max(sight.mtu))
    }
}

/// What the law may do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Permit {
    pub(super) grow: bool,
    pub(super) shrink: bool,
    pub(super) marked: bool,
}

/// Bytes by which the window changes in a round trip.
fn step(sight: &Sight) -> f64 {
    let steps = (seconds(sight.base) / STEP_TIME).clamp(1.0, MOST_STEPS);
    (sight.mtu * steps).min(sight.window * MOST_STEP).max(sight.mtu)
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64().max(1e-6)
}
