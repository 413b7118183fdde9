//! What the bottleneck lets through while it is busy.
//!
//! As long as a queue stands before it, acknowledgments come as fast as it sends, whatever pace the packets left at: a few of them
//! in a row tell its rate, also within a burst that is over before a round trip is.

use crate::base::{Rate, Timestamp};

/// So many acknowledgments in a row tell a rate.
const ACKS: u32 = 8;

/// Acknowledgments of packets that waited, without one between them that did not.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Train {
    first: Option<Timestamp>,
    bytes: u64,
    acks: u32,
}

impl Train {
    /// An acknowledgment of `bytes`, the packets of which waited or not. Gives the rate so far.
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
