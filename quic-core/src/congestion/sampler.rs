//! Delivery-rate samples (draft-ietf-ccwg-bbr §4.1): how fast the network delivered what the path sent.
//!
//! Each packet takes a snapshot of the path's delivery state when it is sent. When it is acknowledged, the
//! difference from the current state is a sample. The sampler owns that state and no packet.

use std::time::Duration;

use crate::base::{Rate, Timestamp, setters};

/// The delivery state when a packet was sent. It travels with the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PacketRate {
    /// Bytes delivered on the path when the packet was sent.
    pub delivered: u64,
    /// When that count last changed.
    pub delivered_time: Timestamp,
    /// When the packet that began the sampling interval was sent.
    pub first_sent_time: Timestamp,
    /// Bytes declared lost on the path when the packet was sent.
    pub lost: u64,
    /// Bytes in flight with this packet.
    pub in_flight: u32,
    /// Whether the application, not the window, limited the path when the packet was sent.
    pub is_app_limited: bool,
}

impl PacketRate {
    /// The state at `now` of a path that has delivered and lost nothing yet.
    #[must_use]
    pub const fn new(now: Timestamp) -> Self {
        Self {
            delivered: 0,
            delivered_time: now,
            first_sent_time: now,
            lost: 0,
            in_flight: 0,
            is_app_limited: false,
        }
    }

    setters! {
        delivered: u64,
        delivered_time: Timestamp,
        first_sent_time: Timestamp,
        lost: u64,
        in_flight: u32,
        is_app_limited: bool,
    }
}

/// How fast the network delivered during one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateSample {
    /// The rate, at most the sending rate. `None` if the interval is shorter than the minimum round-trip
    /// time, which cannot be true. The other fields are valid all the same.
    pub rate: Option<Rate>,
    /// Bytes delivered in the interval.
    pub delivered: u64,
    /// The interval: the longer of the sending and the acknowledging interval.
    pub interval: Duration,
    /// Bytes declared lost between sending the newest acknowledged packet and its acknowledgment.
    pub lost: u64,
    /// The total of bytes delivered when the newest acknowledged packet was sent. A round trip has passed
    /// when this reaches the total at the start of the round.
    pub prior_delivered: u64,
    /// Bytes in flight when the newest acknowledged packet was sent.
    pub in_flight: u64,
    /// Whether the rate is limited by the application rather than by the network.
    pub is_app_limited: bool,
}

impl RateSample {
    /// A sample of `delivered` bytes in `interval`, with the rate that follows. Its packets were sent when
    /// nothing was delivered, lost or in flight.
    #[must_use]
    pub fn new(delivered: u64, interval: Duration) -> Self {
        Self {
            rate: Some(Rate::from_bytes_in(delivered, interval)),
            delivered,
            interval,
            lost: 0,
            prior_delivered: 0,
            in_flight: 0,
            is_app_limited: false,
        }
    }

    setters! {
        rate: Option<Rate>,
        lost: u64,
        prior_delivered: u64,
        in_flight: u64,
        is_app_limited: bool,
    }
}

#[derive(Clone, Copy, Debug)]
struct Newest {
    sent: Timestamp,
    packet: PacketRate,
}

/// The delivery state of a path.
#[derive(Clone, Debug)]
pub struct RateSampler {
    delivered: u64,
    delivered_time: Timestamp,
    first_sent_time: Timestamp,
    lost: u64,
    /// The count of delivered bytes that ends the application-limited phase; zero outside of one.
    app_limited_until: u64,
    newest: Option<Newest>,
}

impl RateSampler {
    /// The state of a path that has sent nothing.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            delivered: 0,
            delivered_time: now,
            first_sent_time: now,
            lost: 0,
            app_limited_until: 0,
            newest: None,
        }
    }

    /// Takes the snapshot for a packet of `bytes` that is sent now, when `in_flight` bytes are in flight
    /// before it.
    pub fn on_sent(&mut self, now: Timestamp, bytes: u64, in_flight: u64) -> PacketRate {
        if in_flight == 0 {
            // Idle time does not count as time of delivery: the interval starts with this packet.
            self.first_sent_time = now;
            self.delivered_time = now;
        }
        self.snapshot(bytes, in_flight)
    }

    /// The state now, for a packet of `bytes` with `in_flight` bytes in flight before it.
    #[must_use]
    pub fn snapshot(&self, bytes: u64, in_flight: u64) -> PacketRate {
        PacketRate {
            delivered: self.delivered,
            delivered_time: self.delivered_time,
            first_sent_time: self.first_sent_time,
            lost: self.lost,
            in_flight: u32::try_from(in_flight.saturating_add(bytes)).unwrap_or(u32::MAX),
            is_app_limited: self.app_limited_until != 0,
        }
    }

    /// Counts one newly acknowledged packet.
    pub fn on_acked(&mut self, now: Timestamp, sent: Timestamp, bytes: u64, packet: &PacketRate) {
        self.delivered = self.delivered.saturating_add(bytes);
        self.delivered_time = now;
        if self.newest.is_none_or(|newest| sent > newest.sent) {
            self.newest = Some(Newest { sent, packet: *packet });
            self.first_sent_time = sent;
        }
    }

    /// Counts bytes declared lost.
    pub fn on_lost(&mut self, bytes: u64) {
        self.lost = self.lost.saturating_add(bytes);
    }

    /// Notes that the application has nothing to send although the window is open. Until everything that is
    /// in flight now is delivered, samples count as application-limited.
    pub fn on_app_limited(&mut self, in_flight: u64) {
        self.app_limited_until = self.delivered.saturating_add(in_flight).max(1);
    }

    /// Ends one ACK frame. Returns the sample over the packets passed to [`Self::on_acked`] since the last
    /// call.
    ///
    /// `None` if there were none.
    pub fn finish(&mut self, min_rtt: Duration) -> Option<RateSample> {
        if self.app_limited_until != 0 && self.delivered > self.app_limited_until {
            self.app_limited_until = 0;
        }
        let Newest { sent, packet } = self.newest.take()?;
        let send_elapsed = sent.saturating_since(packet.first_sent_time);
        let ack_elapsed = self.delivered_time.saturating_since(packet.delivered_time);
        let interval = send_elapsed.max(ack_elapsed);
        let delivered = self.delivered.saturating_sub(packet.delivered);
        let is_true = interval >= min_rtt && !interval.is_zero();
        Some(RateSample {
            rate: is_true.then(|| Rate::from_bytes_in(delivered, interval)),
            delivered,
            interval,
            lost: self.lost.saturating_sub(packet.lost),
            prior_delivered: packet.delivered,
            in_flight: u64::from(packet.in_flight),
            is_app_limited: packet.is_app_limited,
        })
    }

    /// The total of bytes delivered.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// The total of bytes declared lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether packets sent now would be marked as application-limited.
    #[must_use]
    pub fn is_app_limited(&self) -> bool {
        self.app_limited_until != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_nanos(1 + ms * 1_000_000)
    }

    /// 1000 bytes each millisecond, acknowledged 10 ms later: one megabyte per second.
    #[test]
    fn a_steady_flow_is_measured_at_its_rate() {
        let mut sampler = RateSampler::new(at(0));
        let mut packets = std::collections::VecDeque::new();
        let mut last = None;
        for ms in 0..100 {
            if ms >= 10 {
                let (sent, packet) = packets.pop_front().unwrap();
                sampler.on_acked(at(ms), sent, 1_000, &packet);
                last = sampler.finish(Duration::from_millis(10));
            }
            packets.push_back((at(ms), sampler.on_sent(at(ms), 1_000, packets.len() as u64 * 1_000)));
        }
        let last = last.unwrap();
        assert_eq!(last.rate.map(Rate::bytes_per_second), Some(1_000_000));
        assert_eq!((last.delivered, last.interval), (10_000, Duration::from_millis(10)));
        assert!(!last.is_app_limited);
    }

    /// A burst that is sent at once and acknowledged in a bunch is not infinitely fast: the sending interval
    /// bounds it, and an interval below the minimum gives no rate.
    #[test]
    fn compressed_acknowledgments_do_not_inflate_the_rate() {
        let mut sampler = RateSampler::new(at(0));
        let first = sampler.on_sent(at(0), 1_000, 0);
        let second = sampler.on_sent(at(8), 1_000, 1_000);
        sampler.on_acked(at(20), at(0), 1_000, &first);
        let rate = sampler.finish(Duration::ZERO).unwrap().rate;
        assert_eq!(rate.map(Rate::bytes_per_second), Some(50_000));
        sampler.on_acked(at(20), at(8), 1_000, &second);
        let sample = sampler.finish(Duration::from_millis(10)).unwrap();
        assert_eq!(sample.interval, Duration::from_millis(20));
        let third = sampler.on_sent(at(20), 1_000, 0);
        sampler.on_acked(at(21), at(20), 1_000, &third);
        let third = sampler.finish(Duration::from_millis(10)).unwrap();
        assert_eq!(
            (third.rate, third.delivered, third.in_flight),
            (None, 1_000, 1_000),
            "no rate, but the other fields"
        );
        assert_eq!(sampler.finish(Duration::ZERO), None, "told once");
    }

    #[test]
    fn an_application_limited_phase_ends_when_its_flight_is_delivered() {
        let mut sampler = RateSampler::new(at(0));
        let before = sampler.on_sent(at(0), 1_000, 0);
        sampler.on_app_limited(1_000);
        let during = sampler.on_sent(at(1), 1_000, 1_000);
        assert!(!before.is_app_limited && during.is_app_limited);
        sampler.on_acked(at(10), at(0), 1_000, &before);
        assert!(!sampler.finish(Duration::ZERO).unwrap().is_app_limited);
        assert!(sampler.is_app_limited());
        sampler.on_acked(at(11), at(1), 1_000, &during);
        assert!(sampler.finish(Duration::ZERO).unwrap().is_app_limited);
        assert!(!sampler.is_app_limited());
    }

    #[test]
    fn losses_between_sending_and_acknowledgment_are_counted() {
        let mut sampler = RateSampler::new(at(0));
        let packet = sampler.on_sent(at(0), 1_000, 0);
        sampler.on_lost(3_000);
        sampler.on_acked(at(5), at(0), 1_000, &packet);
        assert_eq!(sampler.finish(Duration::ZERO).unwrap().lost, 3_000);
    }
}
