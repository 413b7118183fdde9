//! The unacknowledged data that the application wrote to all streams of a connection together.
//!
//! Owns the sum, its limits, and the streams that wait for room. If a peer acknowledges or accepts nothing,
//! this end holds at most the limit and a share for each stream, however many streams there are. Acknowledged
//! data that follows a missing packet must be held as well. It does not count against the limit, but has a
//! limit of its own: otherwise a writer would wait for the missing packet and leave the path idle. Never
//! knows what streams send.

use std::collections::VecDeque;

use crate::buf::Held;

/// What a stream may hold even if the connection is full, in bytes: a packet or two, so that every stream
/// makes progress.
const SHARE: u64 = 4 << 10;
/// Fewer entries than this are not worth a search.
pub(super) const FEW: usize = 64;
/// What a stream that waited is expected to write, in bytes.
const QUANTUM: u64 = 64 << 10;

/// The sum over all streams, in bytes.
#[derive(Debug)]
pub(super) struct Buffered {
    held: Held,
    limit: u64,
    /// The limit on everything that is held.
    most: u64,
    /// The slots of streams that found no room, in the order of their requests.
    waiting: VecDeque<u32>,
    /// From this many entries on, entries of closed streams are removed.
    look_at: usize,
}

impl Buffered {
    pub(super) fn new(limit: u64) -> Self {
        Self { held: Held::default(), limit, most: limit, waiting: VecDeque::new(), look_at: FEW }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.held.bytes
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// `limit` counts unacknowledged data; `most` also counts data that was acknowledged early.
    pub(super) fn set_limits(&mut self, limit: u64, most: u64) {
        (self.limit, self.most) = (limit, most.max(limit));
    }

    /// How much may be held now.
    fn limit(&self) -> u64 {
        self.limit.saturating_add(self.held.early).min(self.most)
    }

    /// How much a stream that holds `own` bytes may add.
    pub(super) fn room(&self, own: u64) -> u64 {
        self.limit().saturating_sub(self.held.bytes).max(SHARE.saturating_sub(own))
    }

    /// How much one stream may hold, of which `early` is acknowledged. It is enough to fill the window alone
    /// while more is written, and leaves room for others.
    pub(super) fn most_of_one(&self, early: u64) -> u64 {
        let part = |all: u64| all - all / 4;
        part(self.limit).saturating_add(early).min(part(self.most))
    }

    pub(super) fn add(&mut self, bytes: u64) {
        self.held.bytes += bytes;
    }

    /// The amount that a stream holds has changed.
    pub(super) fn change(&mut self, before: Held, after: Held) {
        let change = |sum: u64, before: u64, after: u64| {
            debug_assert!(before <= sum);
            sum.saturating_sub(before) + after
        };
        self.held.bytes = change(self.held.bytes, before.bytes, after.bytes);
        self.held.early = change(self.held.early, before.early, after.early);
    }

    /// A stream found no room. The caller reports this once, until the stream was
    /// [woken](Self::next_to_wake). `exists` tells whether a stream is still open: while one stream holds all
    /// the room, any number of others may come and go.
    pub(super) fn wait(&mut self, slot: u32, exists: impl Fn(u32) -> bool) {
        if self.waiting.len() >= self.look_at {
            self.waiting.retain(|slot| exists(*slot));
            self.look_at = 2 * self.waiting.len() + FEW;
            self.waiting.shrink_to(self.look_at);
        }
        self.waiting.push_back(slot);
    }

    /// The next stream to wake, after `woken` were woken. It wakes as many as are expected to fill a quarter
    /// of the limit, so that streams take turns. Once little is held, it wakes all, because those that were
    /// woken may write nothing.
    pub(super) fn next_to_wake(&mut self, woken: u64) -> Option<u32> {
        let free = self.limit().saturating_sub(self.held.bytes);
        let all = self.held.bytes <= self.limit / 4;
        if !all && free < self.limit / 4 + woken.saturating_mul(QUANTUM) {
            return None;
        }
        let next = self.waiting.pop_front();
        if self.waiting.is_empty() {
            self.waiting.shrink_to(8);
        }
        next
    }

    pub(super) fn clear(&mut self) {
        let (limit, most) = (self.limit, self.most);
        *self = Self { most, ..Self::new(limit) };
    }
}
