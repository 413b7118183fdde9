//! The bursts of an application that sends frames: how many bytes it sends at once.

use std::time::Duration;

use crate::{
    base::Timestamp,
    congestion::{LimitedBy, SentPacket},
};

/// How long a burst is remembered: for one to two of these.
const MEMORY: Duration = Duration::from_secs(2);

/// The greatest of the recent bursts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bursts {
    running: u64,
    /// The bytes that left until the queue was empty, either for lack of data or because of flow control. The
    /// next packet tells which it was.
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

    /// The application has nothing more to send.
    pub(super) fn on_app_limited(&mut self) {
        self.ended = self.ended.max(std::mem::take(&mut self.running));
    }

    /// The bursts were too much for the path.
    pub(super) fn forget(&mut self) {
        (self.now, self.before) = (0, 0);
    }

    /// The size of the greatest recent burst in bytes; zero if the application always has more to send.
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
        assert_eq!(bursts.bytes(at(1)), 0, "the limit of the burst is not known yet");
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
    fn data_cut_short_by_flow_control_is_not_a_burst() {
        let mut bursts = Bursts::new(at(0));
        for round in 0..10 {
            send(&mut bursts, round * 40, 30, LimitedBy::FlowControl);
        }
        assert_eq!(bursts.bytes(at(400)), 0);
    }
}
