//! Losses as an observer is told of them. Nothing is noted unless somebody asks.

use super::packet::Packet;
use crate::ids::Level;

/// A packet that was declared lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotedLoss {
    pub(crate) level: Level,
    pub(crate) number: u64,
    pub(crate) bytes: u16,
    /// Whether the time threshold, and not the packet threshold, declared it lost.
    pub(crate) by_time: bool,
    pub(crate) mtu_probe: bool,
}

/// The losses since they were last taken; `None` if nobody wants to know.
pub(super) type Noted = Option<Vec<NotedLoss>>;

/// Notes a loss, if anybody wants to know.
pub(super) fn note(noted: &mut Noted, number: u64, packet: &Packet, by_time: bool) {
    if let Some(noted) = noted {
        let info = &packet.info;
        let loss =
            NotedLoss { level: info.level, number, bytes: info.bytes, by_time, mtu_probe: info.mtu_probe };
        noted.push(loss);
    }
}
