//! What the application wrote and the peer has not acknowledged, on all streams of a connection together.
//!
//! Owns the sum, its limits, and who waits for room. A peer that acknowledges nothing, or takes nothing, makes this end hold
//! no more than the limit and a share for each stream, however many streams there are. What is acknowledged behind a packet that
//! is missing has to be held as well, and does not count against the limit, up to another one: a writer that waited for the
//! missing packet would leave the path idle. Must never know what streams send.

use std::collections::VecDeque;

use crate::buf::Held;

/// What a stream may hold however full the connection is, in bytes: enough for a packet or two, so that none starves.
const SHARE: u64 = 4 << 10;
/// Entries that are too few to look through.
pub(super) const FEW: usize = 64;
/// What a stream that waited is expected to write, in bytes.
const QUANTUM: u64 = 64 << 10;

/// The sum over all streams, in bytes.
#[derive(Debug)]
pub(super) struct Buffered {
    held: Held,
    limit: u64,
    /// Of all that is held.
    most: u64,
    /// Slots of streams that found no room, in the order in which they came.
    waiting: VecDeque<u32>,
    /// Entries from which on those of streams that are gone are looked for.
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

    /// `limit` for what is not acknowledged, `most` with what is acknowledged early.
    pub(super) fn set_limits(&mut self, limit: u64, most: u64) {
        (self.limit, self.most) = (limit, most.max(limit));
    }

    /// What may be held now.
    fn limit(&self) -> u64 {
        self.limit.saturating_add(self.held.early).min(self.most)
    }

    /// What a stream that holds `own` bytes may add.
    pub(super) fn room(&self, own: u64) -> u64 {
        self.limit().saturating_sub(self.held.bytes).max(SHARE.saturating_sub(own))
    }

    /// What one stream may hold, `early` of it acknowledged: enough to fill the window alone while more is written, and room is
    /// left for others.
    pub(super) fn most_of_one(&self, early: u64) -> u64 {
        let part = |all: u64| all - all / 4;
        part(self.limit).saturating_add(early).min(part(self.most))
    }

    pub(super) fn add(&mut self, bytes: u64) {
        self.held.bytes += bytes;
    }

    /// What a stream holds has changed.
    pub(super) fn change(&mut self, before: Held, after: Held) {
        let change = |sum: u64, before: u64, after: u64| {
            debug_assert!(before <= sum);
            sum.saturating_sub(before) + after
        };
        self.held.bytes = change(self.held.bytes, before.bytes, after.bytes);
        self.held.early = change(self.held.early, before.early, after.early);
    }

    /// A stream found no room here. To be told once, until it was [woken](Self::next_to_wake). `lives` tells which streams are
    /// not gone: while one holds all the room, any number may come and go.
    pub(super) fn wait(&mut self, slot: u32, lives: impl Fn(u32) -> bool) {
        if self.waiting.len() >= self.look_at {
            self.waiting.retain(|slot| lives(*slot));
            self.look_at = 2 * self.waiting.len() + FEW;
            self.waiting.shrink_to(self.look_at);
        }
        self.waiting.push_back(slot);
    }

    /// The next stream that may go on, `woken` of them having been told. As many as are expected to fill a quarter of the
    /// limit, so that they take turns; all once little is held, for those that were told may write nothing.
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
