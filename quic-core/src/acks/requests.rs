//! What this end asks of the peer's acknowledgments (ack-frequency §4 to §6, §8): fewer of them where many packets
//! fit the congestion window.
//!
//! Owns the last request, and how long the peer may delay. Never knows what congestion control makes of fewer
//! acknowledgments: its caller tells the window.

use std::time::Duration;

use crate::frame::{Frame, FrameWriter, Receipt};

/// At least this many acknowledgments come in each window, so that congestion control, the round-trip time and the
/// detection of losses lose little by their being fewer.
const PER_WINDOW: u64 = 16;
/// The most packets for which one acknowledgment is asked.
const MOST: u64 = 10;
/// The peer delays acknowledgments by this share of a round trip at most.
const SHARE: u32 = 4;
/// How many packets may overtake another one before this end takes it for lost (RFC 9002 §6.1.1). Sooner an
/// acknowledgment is of no use (ack-frequency §9).
const REORDERING: u64 = 3;

/// A request to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Request {
    /// How many ack-eliciting packets the peer may leave without an acknowledgment.
    threshold: u64,
    delay: Duration,
}

impl Request {
    fn reordering(&self) -> u64 {
        if self.threshold > 1 { REORDERING } else { 1 }
    }
}

/// What this end asks of the peer's acknowledgments.
#[derive(Debug)]
pub(crate) struct AckRequests {
    /// The shortest delay that the peer accepts; `None` if it takes no requests.
    least: Option<Duration>,
    /// What the peer does without any request. Its parameter gives the delay.
    usual: Request,
    /// What the peer has acknowledged.
    agreed: Request,
    /// The last request, if it was sent and neither acknowledged nor lost. There is one at a time.
    in_flight: Option<Request>,
    /// The request to send.
    wanted: Option<Request>,
    /// How many requests were sent.
    sent: u64,
}

impl Default for AckRequests {
    fn default() -> Self {
        let usual = Request { threshold: 1, delay: Duration::from_millis(25) };
        Self { least: None, usual, agreed: usual, in_flight: None, wanted: None, sent: 0 }
    }
}

impl AckRequests {
    /// The peer's parameters arrived: the longest delay, and the shortest that may be asked for. With `None` for
    /// that, nothing is asked.
    pub(crate) fn set_peer(&mut self, max_ack_delay: Duration, min_ack_delay: Option<Duration>) {
        self.usual.delay = max_ack_delay;
        self.agreed = self.usual;
        self.least = min_ack_delay;
    }

    /// How long the peer may delay acknowledgments at most: the request that it has acknowledged counts, or one that
    /// is in flight if that asks for longer (ack-frequency §7).
    pub(crate) fn max_delay(&self) -> Duration {
        self.in_flight.map_or(self.agreed.delay, |request| request.delay.max(self.agreed.delay))
    }

    /// Whether the peer takes ACK_FREQUENCY and IMMEDIATE_ACK frames.
    pub(crate) fn are_taken(&self) -> bool {
        self.least.is_some()
    }

    /// The window has this many bytes, or the round-trip time has changed. Asks for what suits them, if it differs
    /// much from what the peer does.
    pub(crate) fn consider(&mut self, window: u64, datagram_size: usize, smoothed_rtt: Duration) {
        let Some(least) = self.least.filter(|_| self.in_flight.is_none()) else { return };
        let packets = window / datagram_size.max(1) as u64;
        let threshold = (packets / PER_WINDOW).clamp(1, MOST);
        let request = if threshold == 1 {
            self.usual
        } else {
            // The parameters allow no range in which the least exceeds the most.
            Request { threshold, delay: (smoothed_rtt / SHARE).clamp(least, self.usual.delay) }
        };
        let now = self.agreed;
        let differs = request.threshold >= 2 * now.threshold || 2 * request.threshold <= now.threshold;
        let drifts = request.delay >= 2 * now.delay || 2 * request.delay <= now.delay;
        self.wanted =
            (differs || threshold > 1 && drifts).then_some(request).filter(|request| *request != now);
    }

    pub(crate) fn wants(&self) -> bool {
        self.wanted.is_some()
    }

    pub(crate) fn write(&mut self, w: &mut FrameWriter<'_>) {
        let Some(request) = self.wanted else { return };
        let frame = Frame::AckFrequency {
            sequence: self.sent,
            threshold: request.threshold,
            max_ack_delay: u64::try_from(request.delay.as_micros()).unwrap_or(u64::MAX),
            reordering: request.reordering(),
        };
        if w.frame(&frame, Receipt::AckFrequency(self.sent)) {
            self.sent += 1;
            self.in_flight = self.wanted.take();
        }
    }

    /// The peer has acknowledged the request of this sequence number.
    pub(crate) fn on_acked(&mut self, sequence: u64) {
        if self.is_last(sequence)
            && let Some(request) = self.in_flight.take()
        {
            self.agreed = request;
        }
    }

    /// The request was lost: the next acknowledgment lets this end ask again, for what suits it then.
    pub(crate) fn on_lost(&mut self, sequence: u64) {
        if self.is_last(sequence) {
            self.in_flight = None;
        }
    }

    fn is_last(&self, sequence: u64) -> bool {
        sequence + 1 == self.sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Frames;

    const MS: Duration = Duration::from_millis(1);

    fn requests() -> AckRequests {
        let mut requests = AckRequests::default();
        requests.set_peer(25 * MS, Some(MS));
        requests
    }

    /// The request that is sent: sequence number, threshold, delay in milliseconds, reordering threshold.
    fn sent(requests: &mut AckRequests) -> Option<(u64, u64, u64, u64)> {
        let (mut payload, mut receipts) = ([0; 100], Vec::new());
        let mut w = FrameWriter::new(&mut payload, &mut receipts);
        requests.write(&mut w);
        let size = w.written();
        match Frames::new(&payload[..size]).next()? {
            Ok(Frame::AckFrequency { sequence, threshold, max_ack_delay, reordering }) => {
                assert_eq!(receipts, [Receipt::AckFrequency(sequence)]);
                Some((sequence, threshold, max_ack_delay / 1_000, reordering))
            }
            other => panic!("an ACK_FREQUENCY frame, not {other:?}"),
        }
    }

    #[test]
    fn a_large_window_asks_for_fewer_acknowledgments_and_a_small_one_for_the_usual() {
        let mut requests = requests();
        requests.consider(12_000, 1200, 40 * MS);
        assert!(!requests.wants(), "ten packets");
        requests.consider(1200 * 64, 1200, 40 * MS);
        assert_eq!(sent(&mut requests), Some((0, 4, 10, 3)));
        requests.on_acked(0);
        requests.consider(1200 * 80, 1200, 44 * MS);
        assert!(!requests.wants(), "it differs little");
        requests.consider(1200 * 6_400, 1200, 40 * MS);
        assert_eq!(sent(&mut requests), Some((1, MOST, 10, 3)));
        requests.on_acked(1);
        requests.consider(1200 * 6_400, 1200, 400 * MS);
        assert_eq!(sent(&mut requests), Some((2, MOST, 25, 3)), "never more than the peer's own delay");
        requests.on_acked(2);
        requests.consider(12_000, 1200, 400 * MS);
        assert_eq!(sent(&mut requests), Some((3, 1, 25, 1)));
        requests.on_acked(3);
        requests.consider(12_000, 1200, 400 * MS);
        assert!(!requests.wants());
    }

    /// ack-frequency §7.
    #[test]
    fn the_longer_delay_counts_until_the_peer_has_the_request() {
        let mut requests = requests();
        requests.consider(1200 * 64, 1200, 8 * MS);
        assert_eq!((sent(&mut requests), requests.max_delay()), (Some((0, 4, 2, 3)), 25 * MS));
        requests.consider(1200 * 6_400, 1200, 8 * MS);
        assert!(!requests.wants(), "one at a time");
        requests.on_acked(0);
        assert_eq!(requests.max_delay(), 2 * MS);
        requests.consider(12_000, 1200, 8 * MS);
        assert_eq!((sent(&mut requests), requests.max_delay()), (Some((1, 1, 25, 1)), 25 * MS));
        requests.on_acked(0);
        requests.on_lost(0);
        assert_eq!(requests.max_delay(), 25 * MS, "an older frame settles nothing");
        requests.on_lost(1);
        assert_eq!(requests.max_delay(), 2 * MS);
        requests.consider(12_000, 1200, 8 * MS);
        assert_eq!(sent(&mut requests), Some((2, 1, 25, 1)), "again, with a higher number");
    }

    #[test]
    fn nothing_is_asked_of_a_peer_that_takes_no_requests() {
        let mut requests = AckRequests::default();
        requests.set_peer(25 * MS, None);
        requests.consider(1200 * 6_400, 1200, 40 * MS);
        assert!(!requests.wants() && !requests.are_taken());
        assert_eq!(requests.max_delay(), 25 * MS);
    }
}
