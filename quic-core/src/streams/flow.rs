//! Flow control windows (RFC 9000 §4): what we let the peer send, with auto-tuning, and what it lets us send.

use std::time::Duration;

use crate::base::{Timestamp, varint};

/// A limit that this endpoint advertises: for one stream, or for the connection.
#[derive(Debug)]
pub(super) struct ReceiveWindow {
    advertised: u64,
    consumed: u64,
    /// Consumed bytes that a layer above still holds: no credit is given for them.
    held: u64,
    size: u64,
    max: u64,
    /// The current round trip, as auto-tuning measures it.
    round: Option<Round>,
}

/// The counts at the beginning of a round trip. Only their low halves are kept, because every stream has
/// these. A round trip that brings more than 4 GiB merely looks slower.
#[derive(Clone, Copy, Debug)]
struct Round {
    since: Timestamp,
    consumed: u32,
    received: u32,
}

/// How many round trips of data a window holds. A sender that doubles its rate each round trip sends twice
/// what was read in the last one before an update that leaves now reaches it. An update leaves when the limit
/// moves by a quarter of the window. The measured round trip may be the one before.
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

    /// The limit that the peer knows, or will know once the update is sent.
    pub(super) fn advertised(&self) -> u64 {
        self.advertised
    }

    /// The largest size of the window.
    pub(super) fn max(&self) -> u64 {
        self.max
    }

    /// How far the limit is ahead of the consumed bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// `bytes` were read by the application or dropped on its behalf.
    pub(super) fn consume(&mut self, bytes: u64) {
        self.consumed = self.consumed.saturating_add(bytes);
    }

    /// Sets how many of the consumed bytes a layer above still holds.
    pub(super) fn hold(&mut self, bytes: u64) {
        self.held = bytes;
    }

    /// How many of the `received` bytes no reader has taken yet.
    pub(super) fn unread(&self, received: u64) -> u64 {
        received.saturating_sub(self.consumed).saturating_add(self.held)
    }

    /// How many of the consumed bytes a layer above still holds.
    pub(super) fn held(&self) -> u64 {
        self.held
    }

    /// Whether `unread` bytes alone keep the limit from being raised once it is reached, even if all other
    /// bytes are consumed at once.
    pub(super) fn is_filled_by(&self, unread: u64) -> bool {
        self.size.saturating_sub(unread) < self.update_step()
    }

    /// Adjusts the window after a read; `received` bytes have arrived in all. The window becomes [`LEAD`]
    /// times the bytes that both arrived and were read in a round trip, so that the peer never waits for it
    /// (RFC 9000 §4.2). It grows before it is used up; otherwise a sender in slow start would have stopped by
    /// then. Bytes that arrived long ago do not count, so a reader that pauses and then reads a whole window
    /// at once does not widen it. Returns whether the window grew.
    pub(super) fn tune(&mut self, now: Timestamp, rtt: Duration, received: u64) -> bool {
        let fresh = Round { since: now, consumed: self.consumed as u32, received: received as u32 };
        let round = *self.round.get_or_insert(fresh);
        let read = fresh.consumed.wrapping_sub(round.consumed);
        let bytes = read.min(fresh.received.wrapping_sub(round.received));
        let elapsed = now.saturating_since(round.since);
        let mut in_round = u128::from(bytes);
        if elapsed > rtt {
            // Reads are less frequent than round trips, so only a part of these bytes belongs to one round
            // trip.
            in_round = in_round * rtt.as_nanos() / elapsed.as_nanos().max(1);
            self.round = Some(fresh);
        }
        self.grow_to(u64::try_from(in_round).unwrap_or(u64::MAX).saturating_mul(LEAD))
    }

    /// The most bytes that may be held for an update to be due; `None` if none is due even with nothing held.
    pub(super) fn most_held(&self) -> Option<u64> {
        self.consumed
            .saturating_add(self.size)
            .checked_sub(self.advertised.saturating_add(self.update_step()))
    }

    fn update_step(&self) -> u64 {
        (self.size / 4).max(1)
    }

    /// Makes the window at least `size`, up to its maximum. Returns whether it grew.
    pub(super) fn grow_to(&mut self, size: u64) -> bool {
        let old = self.size;
        self.size = self.size.max(size.min(self.max));
        self.size > old
    }

    /// Whether an update would move the limit by a quarter of the window. That is early enough to lose one
    /// update without blocking the peer.
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

/// The connection's limit that the peer advertised, and how much of it is used.
#[derive(Debug, Default)]
pub(super) struct SendCredit {
    limit: u64,
    used: u64,
    /// The limit at which `DATA_BLOCKED` was last requested.
    blocked_at: Option<u64>,
}

impl SendCredit {
    /// The credit of a connection that begins again: nothing is used.
    pub(super) fn of(limit: u64) -> Self {
        Self { limit, ..Self::default() }
    }

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

    /// Returns whether this raised the limit. A lower or equal limit is ignored (RFC 9000 §4.1).
    pub(super) fn raise(&mut self, limit: u64) -> bool {
        let raised = limit > self.limit;
        self.limit = self.limit.max(limit);
        raised
    }

    /// Returns true the first time at this limit.
    pub(super) fn note_blocked(&mut self) -> bool {
        self.blocked_at.replace(self.limit) != Some(self.limit)
    }

    /// Whether a `DATA_BLOCKED` frame that was sent is still true.
    pub(super) fn is_blocked(&self) -> bool {
        self.available() == 0 && self.blocked_at == Some(self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(100);

    /// Pieces of at most `size` bytes arrive and are read at once, one every `gap`. Returns their sum.
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
            // The data of the next round trip left while these updates were on their way.
            flow(&mut window, &mut now, &mut received, 12, piece, RTT / 12);
            assert!(window.advertised() - received >= 24 * piece, "{round}: {window:?}");
        }
        assert!(window.size() <= 4 * 12 * (1_000 << 13), "{window:?}");
        let most = window.size();
        flow(&mut window, &mut now, &mut received, 1_000, 1_000, RTT / 10);
        assert_eq!(window.size(), most, "no more than it was once");
    }

    #[test]
    fn a_reader_that_pauses_and_then_reads_a_whole_window_does_not_widen_it() {
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

    /// A driver may read less often than once in a round trip of a local network.
    #[test]
    fn a_reader_slower_than_a_round_trip_still_widens_the_window() {
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
