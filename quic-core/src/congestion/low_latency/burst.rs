//! The bursts of an application that sends frames: how many bytes it has at once.

use std::time::Duration;

use crate::{
    base::Timestamp,
    congestion::{LimitedBy, SentPacket},
};

/// A burst is remembered for one to two of these.
const MEMORY: Duration = Duration::from_secs(2);

/// The greatest of the latest bursts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bursts {
    running: u64,
    /// What left until there was nothing more, for want of data or of flow control: the next packet tells of which.
    ended: u64,
    now: u64,
    before: u64,
    since: Timestamp,
}

impl Bursts {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { running: 0, ended: 0, now: 0, before: 0, since: now }
    }

    pub(super) fn on_sent(&mut self, now: Timestamp, packet: &SentPacket) {
        let ended = std::mem::take(&mut self.ended);
        if ended > 0 && packet.limited_by == LimitedBy::Application {
            self.age(now);
            self.now = self.now.max(ended);
        }
        self.running = self.running.saturating_add(packet.bytes);
    }

    /// There is nothing more to send.
    pub(super) fn on_app_limited(&mut self) {
        self.ended = self.ended.max(std::mem::take(&mut self.running));
    }

    /// They were too much for the path.
    pub(super) fn forget(&mut self) {
        (self.now, self.before) = (0, 0);
    }

    /// Bytes of the greatest burst of late; zero where the application always has more.
    pub(super) fn bytes(&self, now: Timestamp) -> u64 {
        if now.saturating_since(self.since) >= 2 * MEMORY { 0 } else { self.now.max(self.before) }
    }

    fn age(&mut self, now: Timestamp) {
        let passed = now.saturating_since(self.since);
        if passed >= MEMORY {
            self.before = if passed >= 2 * MEMORY { 0 } else { self.now };
            self.now = 0;
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_nanos(1 + ms * 1_000_000)
    }

    fn send(bursts: &mut Bursts, ms: u64, packets: u64, limited_by: LimitedBy) {
        for _ in 0..packets {
            bursts.on_sent(at(ms), &SentPacket { bytes: 1_000, in_flight: 0, limited_by });
        }
        bursts.on_app_limited();
    }

    #[test]
    fn the_greatest_burst_of_an_application_is_known_for_a_while() {
        let mut bursts = Bursts::new(at(0));
        send(&mut bursts, 0, 30, LimitedBy::Application);
        assert_eq!(bursts.bytes(at(1)), 0, "whose burst it was is not known yet");
        for frame in 1..40 {
            send(&mut bursts, frame * 33, 3, LimitedBy::Application);
            assert_eq!(bursts.bytes(at(frame * 33)), 30_000);
        }
        for frame in 40..200 {
            send(&mut bursts, frame * 33, 3, LimitedBy::Application);
        }
        assert_eq!(bursts.bytes(at(200 * 33)), 3_000);
        assert_eq!(bursts.bytes(at(60_000)), 0);
    }

    #[test]
    fn what_flow_control_cuts_short_is_no_burst() {
        let mut bursts = Bursts::new(at(0));
        for round in 0..10 {
            send(&mut bursts, round * 40, 30, LimitedBy::FlowControl);
        }
        assert_eq!(bursts.bytes(at(400)), 0);
    }
}
