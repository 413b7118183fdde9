//! Packets that arrive before their keys (RFC 9001 §5.7). A few are kept; the others are lost.

use bytes::BytesMut;

use crate::{
    base::{Budget, Ecn, Timestamp},
    packet::{Long, Short},
};

/// The most packets that are kept.
const MAX_PACKETS: usize = 10;

/// A packet that waits for its keys.
#[derive(Debug)]
pub(super) struct EarlyPacket {
    pub(super) header: PacketHeader,
    pub(super) bytes: BytesMut,
    pub(super) ecn: Ecn,
    pub(super) received: Timestamp,
}

/// The header of a packet with a packet number.
#[derive(Clone, Debug)]
pub(super) enum PacketHeader {
    Long(Long),
    Short(Short),
}

/// The packets that wait for their keys.
#[derive(Debug, Default)]
pub(super) struct EarlyPackets {
    packets: Vec<EarlyPacket>,
}

impl EarlyPackets {
    /// Keeps a packet. Returns false if there is no room for it.
    pub(super) fn push(&mut self, packet: EarlyPacket, budget: &mut Budget) -> bool {
        let keep = self.packets.len() < MAX_PACKETS && budget.charge(packet.bytes.len()).is_ok();
        if keep {
            self.packets.push(packet);
        }
        keep
    }

    /// Removes all packets, so that they can be tried again.
    pub(super) fn take(&mut self, budget: &mut Budget) -> Vec<EarlyPacket> {
        budget.release(self.packets.iter().map(|packet| packet.bytes.len()).sum());
        std::mem::take(&mut self.packets)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ConnectionId;

    fn packet(size: usize) -> EarlyPacket {
        EarlyPacket {
            header: PacketHeader::Short(Short { dcid: ConnectionId::EMPTY, pn_offset: 1 }),
            bytes: BytesMut::zeroed(size),
            ecn: Ecn::NotEct,
            received: Timestamp::ORIGIN,
        }
    }

    #[test]
    fn p20_a_bounded_number_is_kept_and_charged() {
        let mut budget = Budget::alone(1 << 20);
        let mut early = EarlyPackets::default();
        let kept = (0..20).filter(|_| early.push(packet(1000), &mut budget)).count();
        assert_eq!((kept, budget.used()), (10, 10_000));
        assert_eq!(early.take(&mut budget).len(), MAX_PACKETS);
        assert!(early.is_empty() && budget.used() == 0);
        let mut small = Budget::alone(1500);
        assert!(early.push(packet(1000), &mut small) && !early.push(packet(1000), &mut small));
    }
}
