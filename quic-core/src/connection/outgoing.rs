//! State of the next packets: their numbers, their fixed and spin bits, the probes among them, and when the pacer
//! releases them.
//!
//! Never knows what packets carry, nor keys: it counts packets.

use super::{grease::FixedBits, numbers::PacketNumbers, spin::Spin};
use crate::{
    base::{Entropy, Timestamp},
    ids::Space,
};

/// One packet carries a PING after this many consecutive packets that elicit no acknowledgment, so that the
/// peer acknowledges them in the end (RFC 9000 §13.2.4).
const PING_AFTER: u32 = 32;

/// The state of the next packets.
#[derive(Debug)]
pub(super) struct Outgoing {
    numbers: [PacketNumbers; 3],
    fixed_bits: FixedBits,
    pub(super) spin: Spin,
    /// How many probe packets to send regardless of the window, per space (RFC 9002 §6.2.4).
    probes: [u8; 3],
    /// The number of consecutive packets that elicited no acknowledgment (RFC 9000 §13.2.4).
    non_eliciting_run: u32,
    /// When the pacer releases the next datagram, if it delays one.
    pub(super) pacing_release: Option<Timestamp>,
}

impl Outgoing {
    pub(super) fn new(spins: bool, entropy: &mut dyn Entropy) -> Self {
        Self {
            spin: Spin::new(spins),
            numbers: std::array::from_fn(|_| PacketNumbers::new(entropy)),
            fixed_bits: FixedBits::default(),
            probes: [0; 3],
            non_eliciting_run: 0,
            pacing_release: None,
        }
    }

    /// The number of the next packet of `space`; `None` if the numbers are used up (RFC 9000 §12.3).
    pub(super) fn number(&self, space: Space) -> Option<u64> {
        self.numbers[space as usize].peek()
    }

    /// That number was used. Returns the next one if it is to be skipped.
    pub(super) fn advance(&mut self, space: Space, entropy: &mut dyn Entropy) -> Option<u64> {
        self.numbers[space as usize].advance(entropy)
    }

    /// Whether the next packet has a zero fixed bit, if the peer accepts that (RFC 9287 §3.1).
    pub(super) fn has_zero_fixed_bit(&mut self, entropy: &mut dyn Entropy) -> bool {
        self.fixed_bits.next_is_zero(entropy)
    }

    /// Whether a probe of `space` is due.
    pub(super) fn has_probe(&self, space: Space) -> bool {
        self.probes[space as usize] > 0
    }

    /// Exactly `count` probes of `space` are due from now on.
    pub(super) fn set_probes(&mut self, space: Space, count: u8) {
        self.probes[space as usize] = count;
    }

    /// At least one probe of `space` is due.
    pub(super) fn want_probe(&mut self, space: Space) {
        let probes = &mut self.probes[space as usize];
        *probes = (*probes).max(1);
    }

    /// A packet of `space` was written; it counts as a probe if one was due. Returns whether another one is
    /// due.
    pub(super) fn take_probe(&mut self, space: Space) -> bool {
        let probes = &mut self.probes[space as usize];
        *probes = probes.saturating_sub(1);
        *probes > 0
    }

    /// A packet was sealed.
    pub(super) fn on_sealed(&mut self, ack_eliciting: bool) {
        self.non_eliciting_run = if ack_eliciting { 0 } else { self.non_eliciting_run.saturating_add(1) };
    }

    /// Whether enough consecutive packets elicited no acknowledgment that one now should.
    pub(super) fn is_ping_due(&self) -> bool {
        self.non_eliciting_run >= PING_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SeededEntropy;

    #[test]
    fn each_written_packet_is_one_of_the_probes() {
        let mut outgoing = Outgoing::new(true, &mut SeededEntropy::new(1));
        outgoing.set_probes(Space::Data, 2);
        outgoing.want_probe(Space::Data);
        outgoing.want_probe(Space::Handshake);
        assert!(!outgoing.has_probe(Space::Initial) && !outgoing.take_probe(Space::Initial));
        assert!(outgoing.take_probe(Space::Data), "two were asked for");
        assert!(!outgoing.take_probe(Space::Data) && !outgoing.has_probe(Space::Data));
        assert!(outgoing.has_probe(Space::Handshake) && !outgoing.take_probe(Space::Handshake));
    }

    #[test]
    fn a_ping_is_due_after_a_run_that_elicits_nothing() {
        let mut outgoing = Outgoing::new(true, &mut SeededEntropy::new(2));
        for _ in 0..PING_AFTER {
            assert!(!outgoing.is_ping_due());
            outgoing.on_sealed(false);
        }
        assert!(outgoing.is_ping_due());
        outgoing.on_sealed(true);
        assert!(!outgoing.is_ping_due());
    }
}
