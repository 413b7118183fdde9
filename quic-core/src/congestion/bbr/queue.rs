//! Whether a queue stands on the path: no round trip of a whole round came near the least one. Jitter, unlike a queue, leaves some
//! packets alone.

use std::time::Duration;

use super::{Bbr3, Sample};

/// A round whose least round trip is so many times that of the path had a queue all the time.
const STANDING: f64 = 1.2;

/// The least round trips of this round and of the last one, in seconds; infinite where there was none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    now: f64,
    last: f64,
}

impl Default for Queue {
    fn default() -> Self {
        Self { now: f64::INFINITY, last: f64::INFINITY }
    }
}

impl Queue {
    fn on_ack(&mut self, rtt: Option<Duration>, round_started: bool) {
        if round_started {
            self.last = std::mem::replace(&mut self.now, f64::INFINITY);
        }
        self.now = self.now.min(rtt.map_or(f64::INFINITY, |rtt| rtt.as_secs_f64()));
    }

    fn stands(self, least: f64) -> bool {
        self.last.is_finite() && self.last > least * STANDING
    }
}

impl Bbr3 {
    pub(super) fn update_queue(&mut self, sample: &Sample) {
        self.queue.on_ack(sample.rtt, self.rounds.started);
    }

    /// Whether packets waited throughout the last round.
    pub(super) fn has_queue(&self) -> bool {
        self.min_rtt.seconds().is_some_and(|least| self.queue.stands(least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_packet_that_did_not_wait_is_enough() {
        let mut queue = Queue::default();
        let mut round = |samples: &[u64]| {
            for (index, millis) in samples.iter().enumerate() {
                queue.on_ack(Some(Duration::from_millis(*millis)), index == 0);
            }
            queue.on_ack(None, true);
            queue.stands(0.040)
        };
        assert!(!round(&[]), "nothing is known");
        assert!(round(&[70, 55, 60]));
        assert!(!round(&[70, 41, 60]));
    }
}
