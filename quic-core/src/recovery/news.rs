//! What a controller is told of acknowledgments and losses.

use super::types::{AckResult, TimeoutResult};
use crate::{
    base::Timestamp,
    congestion::{CongestionEvent, RateSampler, Rtt},
};

/// The event that tells a controller of an ACK frame. The path adds ECN and the application limit.
pub(crate) fn congestion_event<'a>(
    now: Timestamp,
    result: &AckResult,
    rtt: &'a Rtt,
    sampler: &mut RateSampler,
) -> CongestionEvent<'a> {
    CongestionEvent {
        rtt_sample: result.rtt_sample,
        bytes_acked: result.acked_bytes,
        bytes_lost: result.loss.bytes,
        packets_lost: result.loss.packets,
        newest_acked_sent: result.newest_ack_eliciting.map(|(_, sent)| sent),
        newest_lost_sent: result.loss.last_sent,
        largest_acked: result.largest_newly_acked,
        ecn_acked: result.ect0 + result.ect1,
        rate: sampler.finish(rtt.min()),
        prior_in_flight: result.prior_in_flight,
        in_flight: result.in_flight,
        persistent: result.loss.persistent,
        ..CongestionEvent::new(now, rtt)
    }
}

/// The event that tells a controller that the loss timer fired and packets were lost.
pub(crate) fn timeout_event<'a>(now: Timestamp, result: &TimeoutResult, rtt: &'a Rtt) -> CongestionEvent<'a> {
    CongestionEvent {
        bytes_lost: result.loss.bytes,
        packets_lost: result.loss.packets,
        newest_lost_sent: result.loss.last_sent,
        prior_in_flight: result.prior_in_flight,
        in_flight: result.in_flight,
        persistent: result.loss.persistent,
        ..CongestionEvent::new(now, rtt)
    }
}
