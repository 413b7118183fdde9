//! The queued datagrams of a session: received ones for the application, and outgoing ones for the driver.
//!
//! Owns counts, bytes and ages on both sides. It must never know locks or wakers, which belong to the
//! session's box.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use quic_core::base::Timestamp;

/// The default limit of queued received datagrams.
const MAX_IN: usize = 1024;
/// The limit of their bytes.
const BYTES_IN: usize = 512 << 10;
/// The default limit of datagrams that are queued for the driver. At the limit, senders wait.
const MAX_OUT: usize = 256;

/// The rank of sent data: group and order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rank {
    /// The send group in the session; 0 is the group of streams and datagrams without one.
    pub(crate) group: u32,
    /// The send order. Within a group, higher values are sent strictly first.
    pub(crate) order: i64,
}

/// A datagram that is queued for the driver.
#[derive(Clone, Debug)]
pub(crate) struct OutgoingDatagram {
    pub(crate) data: Bytes,
    pub(crate) rank: Rank,
    /// When the application sent it.
    pub(crate) at: Timestamp,
}

/// The queue of received datagrams.
#[derive(Debug)]
pub(super) struct Inbox {
    waiting: VecDeque<(Bytes, Timestamp)>,
    bytes: usize,
    pub(super) max: usize,
    pub(super) max_age: Option<Duration>,
    pub(super) dropped: u64,
    pub(super) expired: u64,
}

impl Default for Inbox {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, max: MAX_IN, max_age: None, dropped: 0, expired: 0 }
    }
}

impl Inbox {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a datagram. The oldest ones are dropped if there is no room.
    pub(super) fn push(&mut self, data: Bytes, now: Timestamp) {
        self.bytes += data.len();
        self.waiting.push_back((data, now));
        self.trim();
    }

    /// Drops the oldest datagrams beyond the limits.
    pub(super) fn trim(&mut self) {
        while self.waiting.len() > self.max || self.bytes > BYTES_IN {
            let Some((oldest, _)) = self.waiting.pop_front() else { break };
            self.bytes -= oldest.len();
            self.dropped += 1;
        }
    }

    /// The oldest datagram that is not too old; it stays in the queue. The clock is only read if there is an
    /// age limit, because reading it costs as much as taking a datagram.
    pub(super) fn peek(&mut self, clock: impl FnOnce() -> Timestamp) -> Option<&Bytes> {
        if let Some(age) = self.max_age
            && !self.waiting.is_empty()
        {
            self.expire(age, clock());
        }
        self.waiting.front().map(|(data, _)| data)
    }

    fn expire(&mut self, age: Duration, now: Timestamp) {
        while let Some((oldest, at)) = self.waiting.front()
            && now - *at > age
        {
            self.bytes -= oldest.len();
            self.waiting.pop_front();
            self.expired += 1;
        }
    }

    /// Takes the oldest datagram that is not too old.
    pub(super) fn pop(&mut self, clock: impl FnOnce() -> Timestamp) -> Option<Bytes> {
        self.peek(clock)?;
        let (data, _) = self.waiting.pop_front()?;
        self.bytes -= data.len();
        Some(data)
    }
}

/// The queue of outgoing datagrams.
#[derive(Debug)]
pub(super) struct Outbox {
    pub(super) waiting: VecDeque<OutgoingDatagram>,
    /// How many datagrams the driver has taken that are not in a packet yet.
    pub(super) held: usize,
    pub(super) max: usize,
    pub(super) max_age: Option<Duration>,
    pub(super) expired: u64,
}

impl Default for Outbox {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), held: 0, max: MAX_OUT, max_age: None, expired: 0 }
    }
}

impl Outbox {
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() + self.held < self.max
    }

    /// Whether there is enough room to wake waiting senders.
    pub(super) fn has_much_room(&self) -> bool {
        self.waiting.len() + self.held <= self.max / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::ORIGIN + Duration::from_millis(millis)
    }

    #[test]
    fn the_oldest_make_room_and_the_too_old_expire() {
        assert_eq!((Inbox::default().max, Outbox::default().max), (1024, 256));
        let mut inbox = Inbox { max: 2, ..Inbox::default() };
        for n in 0..3u8 {
            inbox.push(Bytes::from(vec![n; 10]), at(u64::from(n) * 100));
        }
        assert_eq!((inbox.dropped, inbox.bytes()), (1, 20));
        inbox.max_age = Some(Duration::from_millis(150));
        assert_eq!(inbox.pop(|| at(300)).as_deref(), Some(&[2; 10][..]), "the second is 200 ms old");
        assert_eq!((inbox.expired, inbox.bytes()), (1, 0));
        assert_eq!(inbox.pop(|| at(300)), None);
        inbox.push(Bytes::from(vec![0; 512 << 10]), at(400));
        inbox.push(Bytes::new(), at(400));
        assert_eq!(inbox.dropped, 1);
        inbox.push(Bytes::from_static(b"x"), at(400));
        assert_eq!((inbox.dropped, inbox.bytes()), (2, 1), "bytes count as well");
        assert_eq!(inbox.pop(|| at(400)), Some(Bytes::new()), "empty ones are datagrams, too");
    }
}
