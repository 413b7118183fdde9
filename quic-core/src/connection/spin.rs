//! The latency spin bit (RFC 9000 §17.4): the client inverts the bit that it sees, the server reflects it, so that
//! whoever watches the path sees it change once a round trip.
//!
//! Owns the bit of the path in use. Never knows packets: it is told of the bit of the highest one.

use crate::base::Entropy;

/// Of this many connection IDs, one shows no round trips. RFC 9000 §17.4 asks for one of sixteen at least; each end
/// decides on its own, and one that does not spin is enough.
const SILENT: u64 = 8;

/// The bit of packets to send.
#[derive(Debug)]
pub(super) struct Spin {
    /// Whether the settings permit it.
    permitted: bool,
    /// Whether packets to the connection ID in use show round trips. The bit stays as it was drawn otherwise.
    spins: bool,
    bit: bool,
    /// The sequence number of the connection ID in use; `None` before the first packet.
    sequence: Option<u64>,
}

impl Spin {
    pub(super) fn new(permitted: bool) -> Self {
        Self { permitted, spins: false, bit: false, sequence: None }
    }

    /// The packet with the highest number so far came with this bit.
    pub(super) fn on_packet(&mut self, bit: bool, is_client: bool) {
        if self.spins {
            self.bit = bit != is_client;
        }
    }

    /// The bit of a packet to the connection ID of this sequence number. For each ID it begins anew.
    pub(super) fn bit(&mut self, sequence: u64, entropy: &mut dyn Entropy) -> bool {
        if self.sequence != Some(sequence) {
            self.sequence = Some(sequence);
            let random = entropy.next_u64();
            self.spins = self.permitted && !random.is_multiple_of(SILENT);
            // RFC 9000 §17.4: without spinning, a random value for each connection ID; with it, zero at first.
            self.bit = !self.spins && random >> 32 & 1 == 1;
        }
        self.bit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SeededEntropy;

    #[test]
    fn one_of_sixteen_connection_ids_at_least_does_not_spin() {
        let mut entropy = SeededEntropy::new(7);
        let mut spin = Spin::new(true);
        let (mut silent, mut set) = (0, 0);
        for sequence in 0..4_000 {
            let before = spin.bit(sequence, &mut entropy);
            spin.on_packet(!before, false);
            if spin.bit(sequence, &mut entropy) == before {
                silent += 1;
                set += usize::from(before);
            } else {
                assert!(!before, "an ID that spins begins with zero");
            }
        }
        assert!((4_000 / 16..4_000 / 6).contains(&silent), "{silent} of 4000");
        assert!((silent / 3..silent * 2 / 3).contains(&set), "{set} of {silent} have the bit set");
    }

    #[test]
    fn the_bit_goes_round_and_changes_at_the_client() {
        let (mut entropy, mut sequence) = (SeededEntropy::new(1), 0);
        let mut ends = [Spin::new(true), Spin::new(true)];
        while !ends.iter().all(|end| end.spins) {
            sequence += 1;
            for end in &mut ends {
                let _ = end.bit(sequence, &mut entropy);
            }
        }
        let [client, server] = &mut ends;
        let mut seen = Vec::new();
        for _ in 0..6 {
            let bit = client.bit(sequence, &mut entropy);
            seen.push(bit);
            server.on_packet(bit, false);
            client.on_packet(server.bit(sequence, &mut entropy), true);
        }
        assert_eq!(seen, [false, true, false, true, false, true]);
    }

    #[test]
    fn switched_off_it_shows_nothing() {
        let mut entropy = SeededEntropy::new(2);
        let mut spin = Spin::new(false);
        for sequence in 0..100 {
            let bit = spin.bit(sequence, &mut entropy);
            for seen in [true, false] {
                spin.on_packet(seen, true);
                assert_eq!(spin.bit(sequence, &mut entropy), bit);
            }
        }
    }
}
