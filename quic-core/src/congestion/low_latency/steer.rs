//! The control law that keeps the standing queue at its target.
//!
//! Below the target the window grows by a few datagrams each round trip, and faster and faster as long as
//! there is no queue. Above it the window shrinks by the share that waits too long. Larger flows yield more,
//! and a flow with a higher rate has a shorter target, so flows that share a queue come to equal rates.
//! Growth follows time, so that a long round trip is no disadvantage.

use std::time::Duration;

use super::path_state::PathState;

/// The window grows by a datagram per this many seconds of round-trip time, which is by two at 40 ms,
const STEP_TIME: f64 = 0.02;
/// by at least one, and by at most this many.
const MOST_STEPS: f64 = 8.0;
/// The largest step as a share of the window, unless a datagram is more.
const MOST_STEP: f64 = 1.0 / 16.0;
/// The fastest growth as a share of the window.
const MOST_GROWTH: f64 = 1.0 / 5.0;
/// How many round trips without a queue make growth faster.
const PATIENCE: u32 = 3;
/// The share of the excess wait that a round trip takes away. The effect shows a round trip later.
const YIELD: f64 = 0.5;
/// For how many round trips growth stays slow after congestion that delay did not show.
const CALM: u64 = 16;

/// The state of the control law.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steering {
    velocity: f64,
    /// How many consecutive round trips had no queue.
    empty: u32,
    /// Whether the running round trip had a queue.
    waited: bool,
    /// Growth is slow until the round trip with this number.
    calm_until: u64,
}

impl Steering {
    pub(super) fn new() -> Self {
        Self { velocity: 1.0, empty: 0, waited: false, calm_until: 0 }
    }

    /// Round trip `number` is over; `marked` tells whether marks keep the queue short.
    pub(super) fn on_round(&mut self, path: &PathState, number: u64, marked: bool) {
        if std::mem::take(&mut self.waited) || !path.is_used {
            (self.empty, self.velocity) = (0, 1.0);
            return;
        }
        self.empty = self.empty.saturating_add(1);
        if self.empty > PATIENCE && number >= self.calm_until && !marked {
            self.velocity = (self.velocity * 2.0).min(path.window / path.mtu).max(1.0);
        }
    }

    /// The queue was drained on purpose, so an empty queue says nothing.
    pub(super) fn on_drained(&mut self) {
        (self.empty, self.velocity) = (0, 1.0);
    }

    /// The window was reduced for another reason, in round trip `number`.
    pub(super) fn on_reduced(&mut self, number: u64) {
        *self = Self { calm_until: number + CALM, ..Self::new() };
    }

    /// The window after `acked` bytes were acknowledged.
    pub(super) fn on_ack(&mut self, path: &PathState, acked: u64, permit: Permit) -> f64 {
        let share = (acked as f64 / path.window).min(1.0);
        if path.queue > path.target / 2 {
            (self.waited, self.velocity) = (true, 1.0);
        }
        if path.queue < path.target {
            let growth = if permit.grow { self.growth(path, permit.marked) } else { 0.0 };
            return path.window + growth * share;
        }
        if !permit.shrink {
            return path.window;
        }
        let excess = seconds(path.queue - path.target) / seconds(path.standing);
        let least = step(path) / 2.0 / path.window;
        path.window * (1.0 - (YIELD * excess).max(least) * share)
    }

    fn growth(&self, path: &PathState, marked: bool) -> f64 {
        if marked {
            return path.mtu;
        }
        (step(path) * self.velocity).min((path.window * MOST_GROWTH).max(path.mtu))
    }
}

/// What the control law may do. It may grow unless the application has no more to send, and shrink unless the
/// acknowledged packets were sent before the last change. `marked` tells whether marks keep the queue short.
#[derive(Clone, Copy, Debug)]
pub(super) struct Permit {
    pub(super) grow: bool,
    pub(super) shrink: bool,
    pub(super) marked: bool,
}

/// By how many bytes the window changes in a round trip.
fn step(path: &PathState) -> f64 {
    let steps = (seconds(path.base) / STEP_TIME).clamp(1.0, MOST_STEPS);
    (path.mtu * steps).min(path.window * MOST_STEP).max(path.mtu)
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64().max(1e-6)
}
