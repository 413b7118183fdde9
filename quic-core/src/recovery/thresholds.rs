//! The distance and the time after which a packet is lost (RFC 9002 §6.1), and what spurious losses teach
//! about them.

use std::time::Duration;

use super::packet::LostPacket;
use crate::congestion::{GRANULARITY, Rtt};

/// RFC 9002 §6.1.1. Spurious losses raise it to their distance, without a bound. On a path that reorders
/// further than this, only the time threshold (§6.1.2) tells losses from reordering, and that one has a
/// bound.
const PACKET_THRESHOLD: u64 = 3;

/// RFC 9002 §6.1.2, in eighths of a round-trip time, and the most to which spurious losses may raise it.
const TIME_THRESHOLD: u32 = 9;
const MAX_TIME_THRESHOLD: u32 = 16;

/// How much reordering the path is believed to do, learnt from spurious losses (RFC 9002 §6.1).
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
