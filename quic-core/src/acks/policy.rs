//! When to acknowledge (RFC 9000 §13.2.1, §13.2.2), and what the peer has asked for instead (ack-frequency §4 to §6).
//!
//! Owns the thresholds. Never knows which packets arrived: the tracker tells what it is asked.

use std::time::Duration;

use crate::{error::Violation, params::MAX_ACK_DELAY};

/// So many packets out of order are told at once, whatever the peer has asked for, so that no range is left out of
/// ACK frames before it was in one (ack-frequency §6).
const MOST_OUT_OF_ORDER: u32 = 32;

/// When acknowledgments are sent.
#[derive(Debug)]
pub(super) struct Policy {
    /// How many ack-eliciting packets may come without being acknowledged.
    threshold: u64,
    /// Our `max_ack_delay`, or what the peer has asked for; zero in Initial and Handshake, which are acknowledged
    /// at once.
    pub(super) max_delay: Duration,
    /// By how many packets a missing one must be overtaken to be told at once; 0 for never.
    reordering: u64,
    /// The number of the peer's last request.
    sequence: Option<u64>,
    /// Whether the peer has asked for an acknowledgment of the packet that is being processed.
    immediate: bool,
    /// Whether the packet before had a CE mark.
    was_marked: bool,
    /// Packets that came out of order since the last ACK frame.
    out_of_order: u32,
}

/// What the tracker knows of a packet that elicits an acknowledgment.
pub(super) struct Arrival {
    /// How many such packets came since the last ACK frame, with this one.
    pub(super) unacked: u32,
    /// Whether it is not the next one.
    pub(super) out_of_order: bool,
    /// Whether it has a CE mark.
    pub(super) marked: bool,
}

impl Policy {
    pub(super) fn new(max_delay: Duration) -> Self {
        Self {
            threshold: 1,
            max_delay,
            reordering: 1,
            sequence: None,
            immediate: false,
            was_marked: false,
            out_of_order: 0,
        }
    }

    /// The peer asks for these thresholds. A request that is older than the last one counts for nothing.
    ///
    /// # Errors
    /// The delay is below the `least` that this end has permitted, or no delay at all.
    pub(super) fn on_request(
        &mut self,
        sequence: u64,
        threshold: u64,
        max_delay: Duration,
        reordering: u64,
        least: Duration,
    ) -> Result<(), Violation> {
        if max_delay < least || max_delay.as_millis() > MAX_ACK_DELAY.as_millis() {
            return Err(Violation::AckDelayRequested);
        }
        if self.sequence.is_none_or(|last| sequence > last) {
            self.sequence = Some(sequence);
            self.threshold = threshold;
            self.max_delay = max_delay;
            self.reordering = reordering;
        }
        Ok(())
    }

    /// The peer asks that the packet which is being processed be acknowledged at once.
    pub(super) fn on_immediate(&mut self) {
        self.immediate = true;
    }

    /// Whether the packet is to be acknowledged at once. `overtaken` tells whether a missing packet was overtaken by
    /// this many others.
    #[inline]
    pub(super) fn is_urgent(&mut self, arrival: &Arrival, overtaken: impl FnOnce(u64) -> bool) -> bool {
        let was_marked = std::mem::replace(&mut self.was_marked, arrival.marked);
        self.out_of_order += u32::from(arrival.out_of_order);
        u64::from(arrival.unacked) > self.threshold
            || match self.reordering {
                0 => self.out_of_order >= MOST_OUT_OF_ORDER,
                1 => arrival.out_of_order,
                threshold => self.out_of_order >= MOST_OUT_OF_ORDER || overtaken(threshold),
            }
            // ack-frequency §6.3: with fewer acknowledgments, the first mark of a row tells of the others.
            || arrival.marked && (self.threshold <= 1 || !was_marked)
            || std::mem::take(&mut self.immediate)
    }

    /// An ACK frame was written.
    pub(super) fn on_ack(&mut self) {
        self.out_of_order = 0;
        self.immediate = false;
    }
}
