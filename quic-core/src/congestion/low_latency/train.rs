//! The rate of the bottleneck while it is busy.
//!
//! As long as a queue stands before the bottleneck, acknowledgments arrive as fast as it sends, whatever the
//! pace at which the packets left. A few consecutive ones show its rate, even within a burst that ends before
//! a round trip is over.

use crate::base::{Rate, Timestamp};

/// How many consecutive acknowledgments show a rate.
const ACKS: u32 = 8;

/// Consecutive acknowledgments of packets that waited.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Train {
    first: Option<Timestamp>,
    bytes: u64,
    acks: u32,
}

impl Train {
    /// An acknowledgment of `bytes`, whose packets waited or not. Returns the rate so far.
    pub(super) fn on_ack(&mut self, now: Timestamp, bytes: u64, waited: bool) -> Option<Rate> {
        if !waited {
            *self = Self::default();
            return None;
        }
        let Some(first) = self.first else {
            self.first = Some(now);
            return None;
        };
        self.bytes = self.bytes.saturating_add(bytes);
        self.acks += 1;
        let passed = now.saturating_since(first);
        (self.acks >= ACKS && !passed.is_zero()).then(|| Rate::from_bytes_in(self.bytes, passed))
    }
}
