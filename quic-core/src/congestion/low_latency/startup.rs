//! The first search for a path's rate: the window doubles each round trip until the path carries no more.
//!
//! A queue within a round trip says little, because packets leave faster than the window's rate, and radio
//! links or bunched acknowledgments cause delays too. So a queue only serves to measure the bottleneck's rate
//! (`train.rs`). At the window that follows from it, growth slows down. It ends when the rate does not grow
//! with the window.

use std::time::Duration;

use super::{path_state::PathState, train::Train};
use crate::{base::Rate, congestion::CongestionEvent};

/// Packets that waited longer than half of the longest permitted queue were in a standing queue.
const BUSY_DIVISOR: u32 = 2;
/// By which factor growth slows down once the bottleneck's rate is known and reached.
const CAUTION: f64 = 8.0;
/// After how many round trips in which the rate grew by less than a quarter the search ends, whatever the
/// delay.
const FLAT_ROUNDS: u32 = 3;

/// What to do after an acknowledgment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    /// Add this many bytes.
    Grow(f64),
    /// Use no more than this many bytes, and continue the search.
    Hold(f64),
    /// The path carries this many bytes, and the search is over.
    Leave(f64),
}

/// The state of the search.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Startup {
    best: Rate,
    flat: u32,
    train: Train,
    /// The window that follows from the measured rate of the bottleneck.
    known: Option<f64>,
    /// The rate when the running round trip began, once the window is that large.
    cautious: Option<Rate>,
}

impl Startup {
    /// Packets were acknowledged. `rate` is what the path carries for us so far, and `round` tells whether a
    /// round trip is over.
    pub(super) fn on_ack(
        &mut self,
        event: &CongestionEvent<'_>,
        path: &PathState,
        rate: Rate,
        round: bool,
    ) -> Step {
        self.look(event, path);
        let is_tested = !event.rate.is_some_and(|sample| sample.is_app_limited);
        if round && is_tested && self.is_over(rate) {
            let model = rate.bytes_in(path.base + path.target) as f64;
            return Step::Leave(self.known.unwrap_or(0.0).max(model));
        }
        match (self.known, self.cautious) {
            (Some(known), None) if path.window >= known => {
                self.cautious = Some(rate);
                return Step::Hold(known);
            }
            (Some(known), Some(_)) if path.window < known => self.cautious = None,
            _ => {}
        }
        if event.limited_by.is_application() && !path.is_used {
            return Step::Grow(0.0);
        }
        let acked = event.bytes_acked as f64;
        Step::Grow(if self.cautious.is_some() { acked / CAUTION } else { acked })
    }

    /// Measures the bottleneck while packets wait before it.
    fn look(&mut self, event: &CongestionEvent<'_>, path: &PathState) {
        let busy: Duration = path.base + path.most / BUSY_DIVISOR;
        let waited = event.rtt_sample.is_some_and(|sample| sample > busy);
        if let Some(rate) = self.train.on_ack(event.now, event.bytes_acked, waited) {
            let window = rate.bytes_in(path.base + path.target) as f64;
            self.known = Some(self.known.map_or(window, |known| known.max(window)));
        }
    }

    /// A round trip is over that tested the rate. Returns whether growth brought nothing.
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
