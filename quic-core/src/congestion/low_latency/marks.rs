//! ECN marks, and the reaction of a scalable sender to them (RFC 9331 §4.3).
//!
//! A low-latency queue marks early and often, and the share of marked packets tells by how much to yield.
//! Classic queues mark as seldom as they would drop. The same reaction would fill them, and starve the other
//! flows. To tell them apart, a mark counts as a loss if the queue is longer than any low-latency queue (RFC
//! 9331 §A.1.5).

use std::time::Duration;

use crate::congestion::CongestionEvent;

/// The share is smoothed over about sixteen round trips.
const GAIN: f64 = 1.0 / 16.0;
/// The longest queue that counts as a low-latency queue.
const CLASSIC_QUEUE: Duration = Duration::from_millis(4);
/// The share of the window that is left after a mark that counts as a loss.
const CLASSIC: f64 = 0.7;
/// Marks keep the queue short as long as there was one within this many round trips.
const RECENT: u32 = 512;

/// The ECN marks of one path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks {
    share: f64,
    marked: u64,
    packets: u64,
    answered: bool,
    /// How many round trips have passed since the last mark; `None` before the first.
    quiet: Option<u32>,
}

impl Marks {
    pub(super) fn new() -> Self {
        Self { share: 1.0, marked: 0, packets: 0, answered: false, quiet: None }
    }

    /// The share of the window to keep, returned once in a round trip; `queue` is how long packets wait.
    pub(super) fn on_event(&mut self, event: &CongestionEvent<'_>, queue: Duration) -> Option<f64> {
        self.marked += event.ce_delta;
        self.packets += event.ecn_acked.max(event.ce_delta);
        if event.ce_delta == 0 {
            return None;
        }
        self.quiet = Some(0);
        if std::mem::replace(&mut self.answered, true) {
            return None;
        }
        Some(if queue > CLASSIC_QUEUE { CLASSIC } else { 1.0 - self.share / 2.0 })
    }

    /// A round trip is over.
    pub(super) fn on_round(&mut self) {
        if let Some(quiet) = &mut self.quiet {
            *quiet = quiet.saturating_add(1);
            if self.packets > 0 {
                let share = (self.marked as f64 / self.packets as f64).min(1.0);
                self.share += GAIN * (share - self.share);
            }
        }
        (self.marked, self.packets, self.answered) = (0, 0, false);
    }

    /// Whether marks keep the queue short. Then growth by a datagram each round trip is enough.
    pub(super) fn are_recent(&self) -> bool {
        self.quiet.is_some_and(|quiet| quiet < RECENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{base::Timestamp, congestion::Rtt};

    fn mark(marks: &mut Marks, ce_delta: u64, packets: u64, queue: u64) -> Option<f64> {
        let rtt = Rtt::default();
        let event =
            CongestionEvent { ce_delta, ecn_acked: packets, ..CongestionEvent::new(Timestamp::ORIGIN, &rtt) };
        marks.on_event(&event, Duration::from_millis(queue))
    }

    #[test]
    fn the_answer_is_half_the_share_of_marked_packets_once_in_a_round_trip() {
        let mut marks = Marks::new();
        assert!(!marks.are_recent());
        assert_eq!(mark(&mut marks, 1, 10, 0), Some(0.5), "the share is unknown");
        assert_eq!(mark(&mut marks, 5, 10, 0), None);
        for _ in 0..200 {
            marks.on_round();
            assert_eq!(mark(&mut marks, 0, 90, 0), None);
            mark(&mut marks, 10, 10, 0);
        }
        marks.on_round();
        let left = mark(&mut marks, 10, 100, 0).unwrap();
        assert!((left - 0.95).abs() < 1e-3, "{left}");
        assert!(marks.are_recent());
    }

    #[test]
    fn a_mark_of_a_classic_queue_counts_as_a_loss() {
        let mut marks = Marks::new();
        for _ in 0..200 {
            marks.on_round();
            mark(&mut marks, 1, 1_000, 15);
        }
        marks.on_round();
        assert_eq!(mark(&mut marks, 1, 1_000, 15), Some(0.7));
        marks.on_round();
        assert!(mark(&mut marks, 1, 1_000, 1).unwrap() > 0.99);
    }
}
