//! Whether a path carries ECN marks (RFC 9000 §13.4.2, Appendix A.4).

use crate::{base::Ecn, frame::EcnCounts, ids::Space};

/// Packets that are marked before the first of them is acknowledged.
const TESTING_PACKETS: u64 = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Testing,
    Capable,
    Failed,
}

/// Validation of ECN on one path.
#[derive(Debug)]
pub(super) struct EcnValidation {
    state: State,
    sent: u64,
    /// The counts last reported, per space.
    last: [EcnCounts; 3],
}

impl EcnValidation {
    pub(super) fn new(enabled: bool) -> Self {
        let state = if enabled { State::Testing } else { State::Failed };
        Self { state, sent: 0, last: [EcnCounts::default(); 3] }
    }

    /// Whether packets are marked.
    pub(super) fn may_mark(&self) -> bool {
        match self.state {
            State::Testing => self.sent < TESTING_PACKETS,
            State::Capable => true,
            State::Failed => false,
        }
    }

    pub(super) fn on_sent(&mut self, ecn: Ecn) {
        self.sent += u64::from(ecn != Ecn::NotEct);
    }

    /// An ACK frame that raised the largest acknowledged number and newly acknowledged `marked` marked packets.
    /// Returns how many more were marked with CE, 0 when validation failed.
    pub(super) fn on_ack(&mut self, space: Space, marked: u64, counts: Option<EcnCounts>) -> u64 {
        let last = self.last[space as usize];
        let Some(counts) = counts else {
            // Marks that are not reported back: the path or the peer removes them.
            if marked > 0 {
                self.state = State::Failed;
            }
            return 0;
        };
        self.last[space as usize] = counts;
        if self.state == State::Failed {
            return 0;
        }
        let delta = |new: u64, old: u64| new.checked_sub(old);
        let deltas =
            (delta(counts.ect0, last.ect0), delta(counts.ect1, last.ect1), delta(counts.ce, last.ce));
        let (Some(ect0), Some(ect1), Some(ce)) = deltas else {
            self.state = State::Failed;
            return 0;
        };
        let reported: u64 =
            self.last.iter().map(|c| c.ect0.saturating_add(c.ect1).saturating_add(c.ce)).sum();
        // Every marked packet must show up, and no more than were sent.
        if ect0.saturating_add(ect1).saturating_add(ce) < marked || reported > self.sent {
            self.state = State::Failed;
            return 0;
        }
        if marked > 0 {
            self.state = State::Capable;
        }
        ce
    }
}
