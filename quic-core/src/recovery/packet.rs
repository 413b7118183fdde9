//! Packets as the ledger remembers them.

use std::time::Duration;

use super::types::SentInfo;
use crate::{
    base::{Ecn, Timestamp},
    ids::PathId,
};

/// How many packets that are not in flight (ACKs alone) are remembered for their receipts. The peer decides
/// how many we send and may never acknowledge one, so the oldest are forgotten.
pub(super) const MAX_ACK_ONLY: usize = 256;
/// How many lost packets are remembered for any window, in case they arrive late. The memory of further ones
/// is charged.
pub(super) const FEW_LOST: usize = 1_024;
/// The most lost packets that are remembered. Up to here, as many are remembered as were in flight at once,
/// because a route that becomes shorter makes all of them late.
pub(super) const MAX_LOST: usize = 16_384;
/// How long unused room for a large flight is kept: far longer than the pauses of an active sender.
pub(super) const SPARE_KEPT: Duration = Duration::from_secs(1);

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
