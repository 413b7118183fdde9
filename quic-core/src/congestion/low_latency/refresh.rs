//! Looks for the way without a queue: now and then the queue is let drain for a round trip.
//!
//! A queue that never drains would after a while be taken for a part of the way, and the target be aimed at on top of it. Where
//! several flows keep the queue, one alone cannot empty it: whoever sees it fall joins in.

use std::time::Duration;

use super::sight::Sight;
use crate::base::Timestamp;
use crate::congestion::dice::Dice;

/// From one time to the next, on average,
pub(super) const PERIOD: Duration = Duration::from_secs(2);
/// and no less than so many round trips.
const PERIOD_ROUNDS: u32 = 32;
/// Who sees the queue below half of its target joins in, unless it has drained its part within this part of the period, in quarters.
const JOIN_QUARTERS: u32 = 3;
/// Of the window that fills the way, this share is left.
const DEPTH: f64 = 0.85;

/// When the queue is let drain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refresh {
    due: Timestamp,
    /// When to join in at the earliest.
    join: Timestamp,
    /// Since when it drains, and the window to return to.
    running: Option<(Timestamp, f64)>,
}

/// What to do with the window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Drain {
    /// Nothing.
    No,
    /// Make it so small.
    Begin(f64),
    /// Leave it as it is.
    Wait,
    /// Make it what it was.
    End(f64),
}

impl Refresh {
    /// The queue is to drain at `due`, and then now and then.
    pub(super) fn due(due: Timestamp) -> Self {
        Self { due, join: due, running: None }
    }

    /// Packets were acknowledged, the newest sent at `newest`.
    pub(super) fn on_ack(&mut self, sight: &Sight, newest: Option<Timestamp>, dice: &mut Dice) -> Drain {
        let Some((since, window)) = self.running else {
            // Who does not fill the window keeps no queue.
            let joins = sight.now >= self.join && sight.queue < sight.target / 2;
            if !sight.is_used || !joins && sight.now < self.due {
                return Drain::No;
            }
            let standing = sight.standing.as_secs_f64().max(1e-6);
            // With the target's queue, and not with what stood there above it.
            let aim = sight.window * (sight.base + sight.target).as_secs_f64() / standing;
            self.running = Some((sight.now, aim.min(sight.window)));
            return Drain::Begin(sight.window * sight.shortest.as_secs_f64() / standing * DEPTH);
        };
        if newest.is_none_or(|sent| sent <= since + sight.smoothed / 4) {
            return Drain::Wait;
        }
        self.running = None;
        let period = PERIOD.max(sight.smoothed * PERIOD_ROUNDS);
        self.due = sight.now + period.mul_f64(0.75 + dice.unit() / 2.0);
        self.join = sight.now + period / 4 * JOIN_QUARTERS;
        Drain::End(window)
    }

    /// The queue drains.
    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// The window was reduced for another reason: there is nothing to return to.
    pub(super) fn on_reduced(&mut self) {
        self.running = None;
    }
}
