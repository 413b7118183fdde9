//! Flow control windows (RFC 9000 §4): what we let the peer send, with auto-tuning, and what it lets us send.

use std::time::Duration;

use crate::base::{Timestamp, varint};

/// A limit that this endpoint advertises: for one stream, or for the connection.
#[derive(Debug)]
pub(super) struct ReceiveWindow {
    advertised: u64,
    consumed: u64,
    /// Consumed bytes that a layer above has not passed on yet: no credit is given for them.
    held: u64,
    size: u64,
    max: u64,
    /// The running round trip, as tuning counts them.
    round: Option<Round>,
}

/// What had been counted when a round trip began: the low halves of the counts, for every stream has these, and a round trip
/// in which more than 4 GiB come is only taken for a slower one.
#[derive(Clone, Copy, Debug)]
struct Round {
    since: Timestamp,
    consumed: u32,
    received: u32,
}

/// A window is as large as what is read in so many round trips. A sender that doubles its rate each round trip sends
/// twice what was read in the last one before an update that leaves now can reach it; an update leaves when the limit moves
/// by a quarter of the window; and the round that is measured may be the one before.
const LEAD: u64 = 4;

impl ReceiveWindow {
    pub(super) fn new(initial: u64, max: u64) -> Self {
        let size = initial.min(varint::MAX / 4);
        Self {
            advertised: size,
            consumed: 0,
            held: 0,
            size,
            max: max.clamp(size, varint::MAX / 4),
            round: None,
        }
    }

    /// The limit the peer knows (or will, once the update is sent).
    pub(super) fn advertised(&self) -> u64 {
        self.advertised
    }

    /// What the window may grow to.
    pub(super) fn max(&self) -> u64 {
        self.max
    }

    /// How far the limit is ahead of what was consumed.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// `bytes` were read by the application, or dropped for it.
    pub(super) fn consume(&mut self, bytes: u64) {
        self.consumed = self.consumed.saturating_add(bytes);
    }

    /// Of what was consumed, so much is still held by a layer above.
    pub(super) fn hold(&mut self, bytes: u64) {
        self.held = bytes;
    }

    /// Of so many bytes that came, those that no reader has taken yet.
    pub(super) fn unread(&self, received: u64) -> u64 {
        received.saturating_sub(self.consumed).saturating_add(self.held)
    }

    /// What a layer above still holds of what was consumed.
    pub(super) fn held(&self) -> u64 {
        self.held
    }

    /// Whether so many unread bytes alone keep the limit from being raised, however soon all others are consumed, once it is
    /// reached.
    pub(super) fn is_filled_by(&self, unread: u64) -> bool {
        self.size.saturating_sub(unread) < self.update_step()
    }

    /// After something was read, of `received` bytes that came in all: makes the window [`LEAD`] times what both came and was
    /// read in a round trip, so that the peer never waits for it (RFC 9000 §4.2). It grows before it is used up: the sender
    /// of a slow start would have stood still until then. What had come long ago counts for nothing, so that a reader that
    /// rests and then reads a window at once widens none. True if it grew.
    pub(super) fn tune(&mut self, now: Timestamp, rtt: Duration, received: u64) -> bool {
        let fresh = Round { since: now, consumed: self.consumed as u32, received: received as u32 };
        let round = *self.round.get_or_insert(fresh);
        let read = fresh.consumed.wrapping_sub(round.consumed);
        let bytes = read.min(fresh.received.wrapping_sub(round.received));
        let elapsed = now.saturating_since(round.since);
        let mut in_round = u128::from(bytes);
        if elapsed > rtt {
            // Read less often than once in a round trip: its share of what came.
            in_round = in_round * rtt.as_nanos() / elapsed.as_nanos().max(1);
            self.round = Some(fresh);
        }
        self.grow_to(u64::try_from(in_round).unwrap_or(u64::MAX).saturating_mul(LEAD))
    }

    /// With so many bytes held, an update would be due; `None`: not even with none.
    pub(super) fn most_held(&self) -> Option<u64> {
        self.consumed
            .saturating_add(self.size)
            .checked_sub(self.advertised.saturating_add(self.update_step()))
    }

    fn update_step(&self) -> u64 {
        (self.size / 4).max(1)
    }

    /// Makes the window at least `size`, as far as its maximum allows. True if it grew.
    pub(super) fn grow_to(&mut self, size: u64) -> bool {
        let old = self.size;
        self.size = self.size.max(size.min(self.max));
        self.size > old
    }

    /// Whether an update moves the limit by a quarter of the window: early enough to lose one and not block.
    pub(super) fn update_due(&self) -> bool {
        self.next_limit().saturating_sub(self.advertised) >= self.update_step()
    }

    /// The limit was advertised; it never goes down (RFC 9000 §4.1).
    pub(super) fn advance(&mut self) -> u64 {
        self.advertised = self.advertised.max(self.next_limit());
        self.advertised
    }

    pub(super) fn next_limit(&self) -> u64 {
        (self.consumed.saturating_add(self.size)).saturating_sub(self.held).min(varint::MAX)
    }
}

/// The connection's limit that the peer advertised.
#[derive(Debug, Default)]
pub(super) struct SendCredit {
    limit: u64,
    used: u64,
    /// The limit at which `DATA_BLOCKED` was asked for last.
    blocked_at: Option<u64>,
}

impl SendCredit {
    /// Bytes of new stream data that may be sent.
    pub(super) fn available(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) fn spend(&mut self, bytes: u64) {
        debug_assert!(bytes <= self.available());
        self.used = self.used.saturating_add(bytes);
    }

    /// True if that raised the limit (RFC 9000 §4.1: a limit that does not is ignored).
    pub(super) fn raise(&mut self, limit: u64) -> bool {
        let raised = limit > self.limit;
        self.limit = self.limit.max(limit);
        raised
    }

    /// True the first time at this limit.
    pub(super) fn note_blocked(&mut self) -> bool {
        self.blocked_at.replace(self.limit) != Some(self.limit)
    }

    /// Whether a `DATA_BLOCKED` that was sent still tells the truth.
    pub(super) fn is_blocked(&self) -> bool {
        self.available() == 0 && self.blocked_at == Some(self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(100);

    /// At most `size` bytes come in pieces and are read at once, the next piece after `gap`; gives the sum.
    fn flow(
        window: &mut ReceiveWindow,
        now: &mut Timestamp,
        received: &mut u64,
        pieces: u64,
        size: u64,
        gap: Duration,
    ) {
        for _ in 0..pieces {
            *now += gap;
            *received += size;
            assert!(*received <= window.advertised(), "the sender waited");
            window.consume(size);
            window.tune(*now, RTT, *received);
            if window.update_due() {
                window.advance();
            }
        }
    }

    #[test]
    fn a_window_leads_a_sender_that_doubles_by_a_round_trip() {
        let (mut now, mut received) = (Timestamp::from_nanos(1), 0);
        let mut window = ReceiveWindow::new(256 << 10, 1 << 30);
        for round in 0..14 {
            let piece = 1_000 << round;
            // What comes in the next round trip left while these were on their way.
            flow(&mut window, &mut now, &mut received, 12, piece, RTT / 12);
            assert!(window.advertised() - received >= 24 * piece, "{round}: {window:?}");
        }
        assert!(window.size() <= 4 * 12 * (1_000 << 13), "{window:?}");
        let most = window.size();
        flow(&mut window, &mut now, &mut received, 1_000, 1_000, RTT / 10);
        assert_eq!(window.size(), most, "no more than it was once");
    }

    #[test]
    fn a_reader_that_rests_and_then_reads_a_window_at_once_widens_none() {
        let mut now = Timestamp::from_nanos(1);
        let mut window = ReceiveWindow::new(100_000, 1 << 30);
        for _ in 0..20 {
            let received = window.advertised();
            now += Duration::from_secs(2);
            for _ in 0..10 {
                window.consume(10_000);
                window.tune(now, RTT, received);
                window.advance();
            }
        }
        assert!(window.size() <= 100_000, "{window:?}");
    }

    /// Drivers may read less often than once in a round trip of a local network.
    #[test]
    fn a_reader_that_comes_less_often_than_a_round_trip_is_no_slow_one() {
        let (mut now, mut received) = (Timestamp::from_nanos(1), 0);
        let mut window = ReceiveWindow::new(1_000_000, 1 << 30);
        for _ in 0..20 {
            received += 600_000;
            now += RTT * 3 / 2;
            for _ in 0..10 {
                window.consume(60_000);
                window.tune(now, RTT, received);
            }
            window.advance();
        }
        assert_eq!(window.size(), 1_600_000, "four times 400,000 bytes in a round trip");
    }
}
