//! Measures the path delay without a queue: from time to time the queue is drained for a round trip.
//!
//! A queue that never drains would after a while be mistaken for path delay, and the target would be added on
//! top of it. Where several flows keep the queue, one alone cannot empty it. So a flow that sees the queue
//! fall joins in.

use std::time::Duration;

use super::path_state::PathState;
use crate::base::Timestamp;
use crate::congestion::dice::Dice;

/// The average time between two drains,
pub(super) const PERIOD: Duration = Duration::from_secs(2);
/// but at least this many round trips.
const PERIOD_ROUNDS: u32 = 32;
/// A flow joins in when it sees the queue below half of its target, unless it drained its own part within
/// this many quarters of the period.
const JOIN_QUARTERS: u32 = 3;
/// The share of the window for an empty path that is left.
const DEPTH: f64 = 0.85;

/// The schedule of drains.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refresh {
    due: Timestamp,
    /// The earliest time to join in.
    join: Timestamp,
    /// Since when it drains, and the window to return to.
    running: Option<(Timestamp, f64)>,
}

/// What to do with the window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Drain {
    /// Nothing: no drain is in progress.
    No,
    /// Reduce it to this many bytes.
    Begin(f64),
    /// Leave it unchanged while it drains.
    Wait,
    /// Restore it to this many bytes.
    End(f64),
}

impl Refresh {
    /// Makes a schedule whose first drain is at `due`.
    pub(super) fn due(due: Timestamp) -> Self {
        Self { due, join: due, running: None }
    }

    /// Packets were acknowledged, the newest sent at `newest`.
    pub(super) fn on_ack(&mut self, path: &PathState, newest: Option<Timestamp>, dice: &mut Dice) -> Drain {
        let Some((since, window)) = self.running else {
            // A flow that does not fill the window keeps no queue.
            let joins = path.now >= self.join && path.queue < path.target / 2;
            if !path.is_used || !joins && path.now < self.due {
                return Drain::No;
            }
            let standing = path.standing.as_secs_f64().max(1e-6);
            // The window to return to includes the target's queue, but not the queue above it.
            let aim = path.window * (path.base + path.target).as_secs_f64() / standing;
            self.running = Some((path.now, aim.min(path.window)));
            return Drain::Begin(path.window * path.shortest.as_secs_f64() / standing * DEPTH);
        };
        if newest.is_none_or(|sent| sent <= since + path.smoothed / 4) {
            return Drain::Wait;
        }
        self.running = None;
        let period = PERIOD.max(path.smoothed * PERIOD_ROUNDS);
        self.due = path.now + period.mul_f64(0.75 + dice.unit() / 2.0);
        self.join = path.now + period / 4 * JOIN_QUARTERS;
        Drain::End(window)
    }

    /// Whether the queue is being drained.
    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// The window was reduced for another reason, so there is nothing to return to.
    pub(super) fn on_reduced(&mut self) {
        self.running = None;
    }
}
