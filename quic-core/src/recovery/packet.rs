//! Packets as the ledger remembers them.

use super::types::SentInfo;
use crate::{
    base::{Ecn, Timestamp},
    ids::PathId,
};

#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) info: SentInfo,
    /// The path that it was sent on.
    pub(super) path: PathId,
    /// Whether the probe timeout covers it.
    pub(super) timed: bool,
    /// Whether a packet that is no longer in the ledger was acknowledged and was sent right before this one.
    pub(super) acked_before: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct AckOnly {
    pub(super) time: Timestamp,
    pub(super) ecn: Ecn,
    pub(super) path: PathId,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct LostPacket {
    pub(super) lost_at: Timestamp,
    pub(super) forget_at: Timestamp,
    pub(super) bytes: u16,
    /// Whether the controller was told of the loss.
    pub(super) counted: bool,
    /// Whether the time threshold, and not the packet threshold, declared it lost.
    pub(super) by_time: bool,
}
