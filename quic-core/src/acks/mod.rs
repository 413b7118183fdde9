//! Which packets were received, and when to acknowledge them (RFC 9000 §12.3, §13.2, §13.4.1). There is one
//! tracker per packet number space.
//!
//! Owns received ranges, duplicate detection, ECN counts and the acknowledgment policy, and what this end asks of
//! the peer's. Never knows what a packet contained, except whether it elicits an acknowledgment.

mod policy;
mod requests;
#[cfg(test)]
mod tests;

use std::time::Duration;

use policy::{Arrival, Policy};
pub(crate) use requests::AckRequests;

use crate::{
    base::{Ecn, Timestamp},
    buf::RangeSet,
    error::Violation,
    frame::{EcnCounts, FrameWriter},
    ids::Space,
};

/// The most ranges that an ACK frame reports; the oldest are left out first (RFC 9000 §13.2.3).
const MAX_REPORTED: usize = 64;
/// The most ranges that are remembered. A lost or late packet leaves a gap between ranges, and only a
/// remembered gap tells the first copy of a late packet from a duplicate. The oldest ranges are forgotten
/// first; every packet older than those left counts as a duplicate.
const MAX_REMEMBERED: usize = 256;

/// Received packets of one packet number space.
#[derive(Debug)]
pub(crate) struct AckTracker {
    space: Space,
    received: RangeSet,
    /// Ranges that end below this packet number need no further report.
    report_from: u64,
    /// The lowest packet number that arrived late: no ACK frame has reported it yet, although frames have
    /// reported higher ones.
    unreported_late: Option<u64>,
    /// Every packet number below this one counts as a duplicate, because its range was forgotten.
    forgotten_below: u64,
    largest: Option<(u64, Timestamp)>,
    /// The largest packet number that elicited an acknowledgment.
    largest_eliciting: u64,
    /// The largest packet number that an ACK frame has reported.
    reported: Option<u64>,
    /// Ack-eliciting packets since the last ACK frame.
    unacked: u32,
    /// When an ACK frame has to be sent at the latest.
    due: Option<Timestamp>,
    /// Whether a packet arrived that no ACK frame has reported yet.
    unreported: bool,
    ecn: EcnCounts,
    policy: Policy,
    /// The `ack_delay_exponent` that scales the ACK Delay field; 0 in Initial and Handshake.
    delay_exponent: u8,
}

impl AckTracker {
    pub(crate) fn new(space: Space, max_delay: Duration, delay_exponent: u8) -> Self {
        Self {
            space,
            received: RangeSet::default(),
            report_from: 0,
            unreported_late: None,
            forgotten_below: 0,
            largest: None,
            largest_eliciting: 0,
            reported: None,
            unacked: 0,
            due: None,
            unreported: false,
            ecn: EcnCounts::default(),
            policy: Policy::new(max_delay),
            delay_exponent,
        }
    }

    /// The next expected packet number, by which truncated ones are decoded.
    pub(crate) fn expected(&self) -> u64 {
        self.largest.map_or(0, |(largest, _)| largest + 1)
    }

    /// Whether the packet was received before (RFC 9000 §12.3). The caller asks after authentication and
    /// before processing.
    pub(crate) fn is_duplicate(&self, number: u64) -> bool {
        number < self.forgotten_below || self.received.contains(number)
    }

    /// A packet was processed.
    pub(crate) fn on_packet(&mut self, number: u64, ack_eliciting: bool, ecn: Ecn, now: Timestamp) {
        match ecn {
            Ecn::NotEct => {}
            Ecn::Ect0 => self.ecn.ect0 += 1,
            Ecn::Ect1 => self.ecn.ect1 += 1,
            Ecn::Ce => self.ecn.ce += 1,
        }
        let expected = self.expected();
        self.remember(number);
        if number >= expected {
            self.largest = Some((number, now));
        } else {
            self.unreported_late = Some(self.unreported_late.map_or(number, |lowest| lowest.min(number)));
            self.report_from = self.report_from.min(number);
        }
        self.unreported = true;
        if !ack_eliciting {
            return;
        }
        self.unacked += 1;
        self.largest_eliciting = self.largest_eliciting.max(number);
        // RFC 9000 §13.2.1: acknowledge at once if packets are missing or out of order, and on CE.
        let arrival =
            Arrival { unacked: self.unacked, out_of_order: number != expected, marked: ecn == Ecn::Ce };
        let gaps = Gaps { received: &self.received, reported: self.reported };
        let overtaken = |by| gaps.have_one_to_tell(number, self.largest_eliciting, by);
        let at_once = self.policy.is_urgent(&arrival, overtaken);
        let due = if at_once { now } else { now + self.policy.max_delay };
        self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
    }

    /// ACK_FREQUENCY arrived: the peer asks for these thresholds, with a delay of at least `least`.
    ///
    /// # Errors
    /// The delay is out of range (ack-frequency §4).
    pub(crate) fn on_request(
        &mut self,
        sequence: u64,
        threshold: u64,
        max_delay: Duration,
        reordering: u64,
        least: Duration,
    ) -> Result<(), Violation> {
        self.policy.on_request(sequence, threshold, max_delay, reordering, least)
    }

    /// IMMEDIATE_ACK arrived in the packet that is being processed.
    pub(crate) fn on_immediate(&mut self) {
        self.policy.on_immediate();
    }

    fn remember(&mut self, number: u64) {
        self.received.insert_one(number);
        if self.received.len() > MAX_REMEMBERED {
            self.received.limit(MAX_REMEMBERED);
            self.forgotten_below = self.received.min().unwrap_or(0);
        }
    }

    /// Whether an ACK frame has to be sent now.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// Whether there is a packet that no ACK frame has reported. An ACK frame then goes along with other
    /// frames.
    pub(crate) fn has_unreported(&self) -> bool {
        self.unreported
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.due
    }

    /// Writes an ACK frame if there is anything to report. Returns the largest packet number reported.
    pub(crate) fn write(&mut self, w: &mut FrameWriter<'_>, now: Timestamp) -> Option<u64> {
        let (largest, received_at) = self.largest?;
        let delay = (now - received_at).as_micros() >> self.delay_exponent;
        let ecn = (self.ecn != EcnCounts::default()).then_some(self.ecn);
        let ranges = self
            .received
            .iter()
            .rev()
            .take_while(|range| range.end > self.report_from)
            .take(MAX_REPORTED)
            .map(|range| range.start..=range.end - 1);
        if !w.ack(self.space, ranges, u64::try_from(delay).unwrap_or(u64::MAX), ecn) {
            return None;
        }
        self.reported = Some(largest);
        self.policy.on_ack();
        self.unacked = 0;
        self.due = None;
        self.unreported = false;
        self.unreported_late = None;
        Some(largest)
    }

    /// The peer acknowledged an ACK frame that reported packets up to `largest`. Lower ranges need no further
    /// report (RFC 9000 §13.2.4), except packets that arrived after the frame was written. All ranges are
    /// still remembered: a packet that was delayed on the way is no duplicate just because its neighbours
    /// were acknowledged.
    pub(crate) fn on_ack_acked(&mut self, largest: u64) {
        let above = self.received.iter().rev().take_while(|range| range.end > largest);
        let from = above.last().map_or(largest, |range| range.start);
        let from = self.unreported_late.map_or(from, |late| from.min(late));
        self.report_from = self.report_from.max(from);
    }

    /// The totals that are reported to the peer.
    #[cfg(test)]
    pub(crate) fn ecn_counts(&self) -> EcnCounts {
        self.ecn
    }
}

/// The packets that are missing (ack-frequency §6.2).
struct Gaps<'a> {
    received: &'a RangeSet,
    /// The largest packet number that an ACK frame has reported.
    reported: Option<u64>,
}

impl Gaps<'_> {
    /// Whether the peer, which takes a packet for lost when `by` later ones have arrived, should learn at once what
    /// arrived: a packet is missing that it does not yet know to be lost, or this one came after it was taken for
    /// lost.
    fn have_one_to_tell(&self, number: u64, largest: u64, by: u64) -> bool {
        if self.reported.is_some_and(|reported| number.saturating_add(by) <= reported) {
            return true;
        }
        // Nothing is missing, as nearly always. What was before the first range is no longer told.
        if self.received.len() <= 1 {
            return false;
        }
        // Packets below this one are known to be missing. Without a report, nothing below the first packet is.
        let from = match self.reported {
            Some(reported) => reported.saturating_add(1).saturating_sub(by),
            None => self.received.min().unwrap_or(0),
        };
        let mut lowest = None;
        let mut above: Option<u64> = None;
        for range in self.received.iter().rev() {
            if let Some(above) = above
                && range.end.max(from) < above
            {
                lowest = Some(range.end.max(from));
            }
            above = Some(range.start);
            if range.start <= from {
                break;
            }
        }
        // What is missing below all that is remembered.
        if above.is_some_and(|above| above > from) {
            lowest = Some(from);
        }
        lowest.is_some_and(|missing| largest.checked_sub(missing).is_some_and(|later| later >= by))
    }
}
