//! How far behind, and how long, a packet is lost (RFC 9002 §6.1), and what spurious losses teach of that.

use std::time::Duration;

use super::packet::LostPacket;
use crate::congestion::{GRANULARITY, Rtt};

/// RFC 9002 §6.1.1. Spurious losses raise it as far as they were apart, without a bound: what a path reorders further
/// than this is told from losses by time alone (§6.1.2), which has a bound.
const PACKET_THRESHOLD: u64 = 3;

/// RFC 9002 §6.1.2 in eighths of a round trip, and how far spurious losses may raise it.
const TIME_THRESHOLD: u32 = 9;
const MAX_TIME_THRESHOLD: u32 = 16;

/// How much reordering the path is believed to do: learnt from losses that were none (RFC 9002 §6.1).
#[derive(Clone, Copy, Debug)]
pub(super) struct Thresholds {
    pub(super) packets: u64,
    pub(super) time_eighths: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { packets: PACKET_THRESHOLD, time_eighths: TIME_THRESHOLD }
    }
}

impl Thresholds {
    pub(super) fn loss_delay(self, rtt: &Rtt) -> Duration {
        (rtt.smoothed().max(rtt.latest()) * self.time_eighths / 8).max(GRANULARITY)
    }

    pub(super) fn learn(&mut self, lost: &LostPacket, distance: u64) {
        if lost.by_time {
            self.time_eighths = (self.time_eighths + 1).min(MAX_TIME_THRESHOLD);
        } else {
            self.packets = self.packets.max(distance.saturating_add(1));
        }
    }
}
