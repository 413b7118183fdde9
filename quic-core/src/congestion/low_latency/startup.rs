//! The first search for a path's rate: the window doubles in each round trip until the path carries no more.
//!
//! A queue within a round trip says little: packets leave at more than the window's rate, and a radio or gathered acknowledgments make
//! delays as well. So a queue only makes known how much the bottleneck lets through (`train.rs`); at the window that this
//! comes to, growth slows down, and ends when the rate does not grow with it.

use std::time::Duration;

use super::{sight::Sight, train::Train};
use crate::{base::Rate, congestion::CongestionEvent};

/// Packets that waited longer than half of what the path's queue may be were in a queue that stands.
const BUSY_DIVISOR: u32 = 2;
/// Growth is that much slower once the bottleneck's rate is known and reached.
const CAUTION: f64 = 8.0;
/// So many round trips without a rate a quarter higher end the search, whatever the delay.
const FLAT_ROUNDS: u32 = 3;

/// What to do after an acknowledgment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    /// Bytes to add.
    Grow(f64),
    /// No more than this many bytes, and go on.
    Hold(f64),
    /// The path carries this many bytes: the search is over.
    Leave(f64),
}

/// The state of the search.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Startup {
    best: Rate,
    flat: u32,
    train: Train,
    /// The window that what the bottleneck let through comes to.
    known: Option<f64>,
    /// The rate when the running round trip began, once the window is that.
    cautious: Option<Rate>,
}

impl Startup {
    /// Packets were acknowledged; `rate` is what the path carries for us so far, `round` tells that a round trip is over.
    pub(super) fn on_ack(
        &mut self,
        event: &CongestionEvent<'_>,
        sight: &Sight,
        rate: Rate,
        round: bool,
    ) -> Step {
        self.look(event, sight);
        let is_tested = !event.rate.is_some_and(|sample| sample.is_app_limited);
        if round && is_tested && self.is_over(rate) {
            let model = rate.bytes_in(sight.base + sight.target) as f64;
            return Step::Leave(self.known.unwrap_or(0.0).max(model));
        }
        match (self.known, self.cautious) {
            (Some(known), None) if sight.window >= known => {
                self.cautious = Some(rate);
                return Step::Hold(known);
            }
            (Some(known), Some(_)) if sight.window < known => self.cautious = None,
            _ => {}
        }
        if event.limited_by.is_application() && !sight.is_used {
            return Step::Grow(0.0);
        }
        let acked = event.bytes_acked as f64;
        Step::Grow(if self.cautious.is_some() { acked / CAUTION } else { acked })
    }

    /// Measures the bottleneck while packets wait before it.
    fn look(&mut self, event: &CongestionEvent<'_>, sight: &Sight) {
        let busy: Duration = sight.base + sight.most / BUSY_DIVISOR;
        let waited = event.rtt_sample.is_some_and(|sample| sample > busy);
        if let Some(rate) = self.train.on_ack(event.now, event.bytes_acked, waited) {
            let window = rate.bytes_in(sight.base + sight.target) as f64;
            self.known = Some(self.known.map_or(window, |known| known.max(window)));
        }
    }

    /// A round trip is over, the rate in it was put to the test: whether growth brought nothing.
    fn is_over(&mut self, rate: Rate) -> bool {
        if let Some(before) = self.cautious {
            if rate < before.scaled(9, 8) {
                return true;
            }
            self.cautious = Some(rate);
        }
        if rate >= self.best.scaled(5, 4) {
            (self.best, self.flat) = (rate, 0);
        } else {
            self.flat += 1;
        }
        self.flat >= FLAT_ROUNDS
    }
}
