//! What the next packets are to be: their numbers, their fixed bits, the probes among them, when the pacer lets them go.
//!
//! Must never know what they carry, nor keys: it counts packets.

use super::{grease::FixedBits, numbers::PacketNumbers};
use crate::{
    base::{Entropy, Timestamp},
    ids::Space,
};

/// One PING among this many packets in a row that elicit nothing, so that the peer acknowledges them at last
/// (RFC 9000 §13.2.4).
const PING_AFTER: u32 = 32;

/// The packets to come.
#[derive(Debug)]
pub(super) struct Outgoing {
    numbers: [PacketNumbers; 3],
    fixed_bits: FixedBits,
    /// Probe packets that have to go out regardless of the window, per space (RFC 9002 §6.2.4).
    probes: [u8; 3],
    /// Packets in a row that elicited no acknowledgment (RFC 9000 §13.2.4).
    non_eliciting_run: u32,
    /// When the pacer releases the next datagram, if it holds one back.
    pub(super) pacing_release: Option<Timestamp>,
}

impl Outgoing {
    pub(super) fn new(entropy: &mut dyn Entropy) -> Self {
        Self {
            numbers: std::array::from_fn(|_| PacketNumbers::new(entropy)),
            fixed_bits: FixedBits::default(),
            probes: [0; 3],
            non_eliciting_run: 0,
            pacing_release: None,
        }
    }

    /// The number of the next packet of `space`; `None` when they have run out (RFC 9000 §12.3).
    pub(super) fn number(&self, space: Space) -> Option<u64> {
        self.numbers[space as usize].peek()
    }

    /// That number was used. Returns the one behind it, if it is to be skipped.
    pub(super) fn advance(&mut self, space: Space, entropy: &mut dyn Entropy) -> Option<u64> {
        self.numbers[space as usize].advance(entropy)
    }

    /// Whether the next packet has a zero fixed bit, where the peer takes them (RFC 9287 §3.1).
    pub(super) fn has_zero_fixed_bit(&mut self, entropy: &mut dyn Entropy) -> bool {
        self.fixed_bits.next_is_zero(entropy)
    }

    /// Whether a probe of `space` is due.
    pub(super) fn has_probe(&self, space: Space) -> bool {
        self.probes[space as usize] > 0
    }

    /// So many probes of `space` are due, whatever was before.
    pub(super) fn set_probes(&mut self, space: Space, count: u8) {
        self.probes[space as usize] = count;
    }

    /// At least one probe of `space` is due.
    pub(super) fn want_probe(&mut self, space: Space) {
        let probes = &mut self.probes[space as usize];
        *probes = (*probes).max(1);
    }

    /// A packet of `space` was written, which counts as a probe if one was due. Says whether another one is.
    pub(super) fn take_probe(&mut self, space: Space) -> bool {
        let probes = &mut self.probes[space as usize];
        *probes = probes.saturating_sub(1);
        *probes > 0
    }

    /// A packet was sealed.
    pub(super) fn on_sealed(&mut self, ack_eliciting: bool) {
        self.non_eliciting_run = if ack_eliciting { 0 } else { self.non_eliciting_run.saturating_add(1) };
    }

    /// Whether so many packets in a row elicited nothing that one should.
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
        let mut outgoing = Outgoing::new(&mut SeededEntropy::new(1));
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
        let mut outgoing = Outgoing::new(&mut SeededEntropy::new(2));
        for _ in 0..PING_AFTER {
            assert!(!outgoing.is_ping_due());
            outgoing.on_sealed(false);
        }
        assert!(outgoing.is_ping_due());
        outgoing.on_sealed(true);
        assert!(!outgoing.is_ping_due());
    }
}
