//! Packets as their ledger remembers them.

use super::types::SentInfo;
use crate::{
    base::{Ecn, Timestamp},
    ids::PathId,
};

#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) info: SentInfo,
    /// Which path it was sent on.
    pub(super) path: PathId,
    /// Whether its want of an acknowledgment is timed.
    pub(super) timed: bool,
    /// A packet that is not in the ledger and was sent right before it was acknowledged.
    pub(super) acked_before: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Quiet {
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
    /// Declared lost by the time threshold, not by the packet threshold.
    pub(super) by_time: bool,
}
