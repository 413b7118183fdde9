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
    /// When the current window's worth of consumption began, and at what count.
    epoch: Option<(Timestamp, u64)>,
}

impl ReceiveWindow {
    pub(super) fn new(initial: u64, max: u64) -> Self {
        let size = initial.min(varint::MAX / 4);
        Self {
            advertised: size,
            consumed: 0,
            held: 0,
            size,
            max: max.clamp(size, varint::MAX / 4),
            epoch: None,
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

    /// Doubles the window when a window's worth was consumed in less than two round trips: then the window, not
    /// the reader, may be what holds the peer back (RFC 9000 §4.2). True if it grew.
    pub(super) fn tune(&mut self, now: Timestamp, rtt: Duration) -> bool {
        let Some((since, from)) = self.epoch else {
            self.epoch = Some((now, self.consumed));
            return false;
        };
        if self.consumed - from < self.size {
            return false;
        }
        let fast = now - since < rtt.saturating_mul(2);
        self.epoch = Some((now, self.consumed));
        fast && self.grow_to(self.size.saturating_mul(2))
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
