//! `Assembler`: stream data that arrives at any offset, read in order (RFC 9000 §2.2).
//!
//! Owns the bytes between the reader's offset and the highest offset received. A fragment in order is kept as
//! it came, without a copy and without a tree; a fragment out of order is copied into [`Page`]s. Never knows
//! flow control, final sizes or streams: the caller checks limits first.
//!
//! Memory: for any pattern of fragments, the heap held is at most [`cost`] of the highest offset minus the
//! offset read, and a [`Budget`] is charged with it. Bytes handed to the reader keep little more than their
//! own size alive. The caller can therefore give credit whose worst cost fits a budget.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Buf, Bytes, BytesMut};

use super::page::{PAGE, PAGE_COST, Page};
use crate::base::{Budget, BudgetExceeded};

/// Smaller fragments are copied, which is cheaper than a reference count and merges them with their
/// neighbours.
const COPY_BELOW: usize = 1024;
/// A fragment may keep a buffer alive that is larger than itself by at most one eighth.
const PIN_SHARE: usize = 8;
/// What an entry of the queue costs besides its bytes: its place in a queue that may have grown to twice its
/// need, and the reference count of a buffer.
const ENTRY: usize = 128;
const TAIL_SMALLEST: usize = 64;
/// The largest buffer for small fragments while little is unread; otherwise [`TAIL_LARGEST`] is the limit.
const TAIL_SMALL: usize = 1024;
const TAIL_LARGEST: usize = 4096;
/// What one stream costs besides a share of its bytes: a page with one used byte, the map node that holds it,
/// and the first small buffers.
const STREAM_SLACK: usize = PAGE_COST + TAIL_SMALL + 12 * ENTRY;

/// The most heap, in bytes, that `span` bytes between the offset read and the highest offset received can
/// cost on `streams` streams, for any pattern of fragments.
pub(crate) fn cost(span: usize, streams: usize) -> usize {
    span.saturating_add(span / 8 * 3).saturating_add(streams.saturating_mul(STREAM_SLACK))
}

/// What [`Assembler::insert`] reserves while it runs, in bytes, for a fragment as large as a datagram.
pub(crate) const INSERT_RESERVE: usize = 256 << 10;

#[derive(Debug)]
struct Chunk {
    bytes: Bytes,
    /// The size of the buffer that `bytes` keeps alive; all of it counts until the chunk is gone.
    pinned: usize,
}

/// Reassembles one ordered byte stream from fragments.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    /// The offset of the next byte to read.
    read: u64,
    /// The end of the data that can be read without a gap.
    contiguous: u64,
    /// Data in order, oldest first; `tail` follows it.
    ready: VecDeque<Chunk>,
    /// Small fragments in order, copied together.
    tail: BytesMut,
    pages: BTreeMap<u64, Page>,
    page_cost: usize,
    /// Sizes of the buffers that `ready` pins.
    ready_pinned: usize,
    charged: usize,
}

impl Assembler {
    /// The offset of the next byte to read, which is also the number of bytes read.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.read
    }

    /// The end of the data that can be read without a gap.
    pub(crate) fn contiguous_end(&self) -> u64 {
        self.contiguous
    }

    /// Bytes that can be read now.
    pub(crate) fn readable(&self) -> u64 {
        self.contiguous - self.read
    }

    /// Stores `bytes` at `offset`; a byte that is already there keeps its value. `allocation` is the size of
    /// the buffer that `bytes` would keep alive. Returns how many bytes were new. The caller has checked that
    /// `offset + bytes.len()` is at most 2^62-1.
    pub(crate) fn insert(
        &mut self,
        offset: u64,
        mut bytes: Bytes,
        allocation: usize,
        budget: &mut Budget,
    ) -> Result<u64, BudgetExceeded> {
        let end = offset.saturating_add(bytes.len() as u64);
        if end <= self.contiguous {
            return Ok(0);
        }
        let in_order = offset <= self.contiguous;
        if in_order {
            bytes.advance((self.contiguous - offset) as usize);
            if self.next_covered() >= end {
                return self.append(bytes, allocation, budget);
            }
        }
        // Enough for every page touched, for what `drain` moves, and for a new tail; `settle` gives the rest
        // back.
        let reserve = (bytes.len() / PAGE + 3) * (PAGE_COST + ENTRY) + 2 * TAIL_LARGEST;
        budget.charge(reserve)?;
        self.charged += reserve;
        let new = self.store(offset.max(self.contiguous), &bytes);
        self.drain();
        self.settle(budget);
        Ok(new)
    }

    /// Takes the next bytes in order, at most `max`; `None` if there are none (or `max` is 0).
    pub(crate) fn read(&mut self, max: usize, budget: &mut Budget) -> Option<Bytes> {
        if max == 0 {
            return None;
        }
        let taken = if let Some(front) = self.ready.front_mut() {
            if front.bytes.len() > max {
                let taken = front.bytes.split_to(max);
                // The rest keeps the whole buffer only while it is most of that buffer.
                let left = front.bytes.len();
                if left < front.pinned - front.pinned / 4 {
                    self.ready_pinned -= front.pinned - left;
                    front.pinned = left;
                    front.bytes = Bytes::copy_from_slice(&front.bytes);
                }
                taken
            } else {
                let chunk = self.ready.pop_front()?;
                self.ready_pinned -= chunk.pinned;
                chunk.bytes
            }
        } else if self.tail.is_empty() {
            return None;
        } else if self.tail.len() <= max {
            let tail = std::mem::take(&mut self.tail);
            // The reader must not keep much more alive than it was given.
            let wasted = tail.capacity() - tail.len() > tail.len() / PIN_SHARE;
            if wasted { Bytes::copy_from_slice(&tail) } else { tail.freeze() }
        } else {
            self.tail.split_to(max).freeze()
        };
        self.read += taken.len() as u64;
        if self.read == self.contiguous && self.ready.is_empty() {
            self.ready.shrink_to(4);
        }
        self.settle(budget);
        Some(taken)
    }

    /// Returns the charge to the budget, because the data is about to be dropped with the assembler.
    pub(crate) fn end(&mut self, budget: &mut Budget) {
        budget.release(std::mem::take(&mut self.charged));
    }

    /// Drops all data and returns its charge to the budget. Offsets stay.
    pub(crate) fn clear(&mut self, budget: &mut Budget) {
        budget.release(self.charged);
        *self = Self { read: self.read, contiguous: self.read, ..Self::default() };
    }

    /// Appends data that starts at `contiguous` and overlaps no page.
    fn append(
        &mut self,
        bytes: Bytes,
        allocation: usize,
        budget: &mut Budget,
    ) -> Result<u64, BudgetExceeded> {
        let len = bytes.len();
        let draining = if self.pages.is_empty() { 0 } else { 3 * TAIL_LARGEST };
        // A budget without room for the whole buffer may still have room for a copy.
        let pinned = allocation.max(len) + 2 * ENTRY + draining;
        let pin = worth_pinning(len, allocation) && budget.charge(pinned).is_ok();
        let reserve = if pin { pinned } else { len + TAIL_LARGEST + 2 * ENTRY + draining };
        if !pin {
            budget.charge(reserve)?;
        }
        self.charged += reserve;
        if pin {
            self.flush_tail();
            self.push(bytes, allocation);
        } else {
            self.copy_to_tail(&bytes);
        }
        self.contiguous += len as u64;
        self.drain();
        self.settle(budget);
        Ok(len as u64)
    }

    fn push(&mut self, bytes: Bytes, allocation: usize) {
        let pinned = allocation.max(bytes.len());
        self.ready_pinned += pinned;
        self.ready.push_back(Chunk { bytes, pinned });
    }

    fn flush_tail(&mut self) {
        if !self.tail.is_empty() {
            let bytes = self.tail.split().freeze();
            let len = bytes.len();
            self.push(bytes, len);
        }
    }

    /// Copies `data` behind everything else. Buffers grow with use, so that one small message stays small.
    fn copy_to_tail(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let mut room = self.tail.capacity() - self.tail.len();
            if room == 0 {
                let unread = usize::try_from(self.readable()).unwrap_or(usize::MAX);
                let most = (unread / PIN_SHARE).clamp(TAIL_SMALL, TAIL_LARGEST);
                let next = self.tail.len().saturating_mul(2).clamp(TAIL_SMALLEST, most);
                let capacity = data.len().clamp(next, TAIL_LARGEST);
                self.flush_tail();
                self.tail = BytesMut::with_capacity(capacity);
                room = self.tail.capacity();
            }
            let (now, later) = data.split_at(room.min(data.len()));
            self.tail.extend_from_slice(now);
            data = later;
        }
    }

    /// The first offset from `contiguous` on that a page already holds.
    fn next_covered(&self) -> u64 {
        if self.pages.is_empty() {
            return u64::MAX;
        }
        let (first, inside) = split(self.contiguous);
        self.pages
            .range(first..)
            .find_map(|(&number, page)| {
                let from = if number == first { inside } else { 0 };
                page.next_from(from).map(|at| number * PAGE as u64 + at as u64)
            })
            .unwrap_or(u64::MAX)
    }

    fn store(&mut self, mut offset: u64, mut bytes: &[u8]) -> u64 {
        let mut new = 0;
        while !bytes.is_empty() {
            let (number, inside) = split(offset);
            let (now, later) = bytes.split_at(bytes.len().min(PAGE - inside));
            let page = self.pages.entry(number).or_insert_with(|| {
                self.page_cost += Page::default().cost();
                Page::default()
            });
            self.page_cost -= page.cost();
            new += page.insert(inside, now) as u64;
            self.page_cost += page.cost();
            offset += now.len() as u64;
            bytes = later;
        }
        new
    }

    /// Moves what has become contiguous from the pages to the queue.
    fn drain(&mut self) {
        while let Some((&number, page)) = self.pages.first_key_value() {
            let page_start = number * PAGE as u64;
            let page_end = page_start + PAGE as u64;
            if self.contiguous < page_start {
                return;
            }
            if self.contiguous >= page_end {
                self.drop_first_page();
                continue;
            }
            let from = (self.contiguous - page_start) as usize;
            let to = page.contiguous_from(from);
            if to == from {
                return;
            }
            if to == PAGE && from <= PAGE / 2 {
                let Some(page) = self.drop_first_page() else { return };
                self.flush_tail();
                self.push(page.into_bytes().slice(from..), PAGE);
            } else {
                let Some((number, page)) = self.pages.pop_first() else { return };
                self.copy_to_tail(page.slice(from, to));
                self.pages.insert(number, page);
            }
            self.contiguous += (to - from) as u64;
        }
    }

    fn drop_first_page(&mut self) -> Option<Page> {
        let (_, page) = self.pages.pop_first()?;
        self.page_cost -= page.cost();
        Some(page)
    }

    /// Adjusts the charge to what is held. Every caller has reserved at least that much.
    fn settle(&mut self, budget: &mut Budget) {
        let held = self.ready_pinned + self.ready.len() * ENTRY + self.tail.capacity() + self.page_cost;
        if held > self.charged {
            // Only the allocator's rounding leads here; a refusal leaves the old, lower charge.
            if budget.charge(held - self.charged).is_ok() {
                self.charged = held;
            }
        } else {
            budget.release(self.charged - held);
            self.charged = held;
        }
    }
}

fn worth_pinning(len: usize, allocation: usize) -> bool {
    len >= COPY_BELOW && allocation <= len + len / PIN_SHARE
}

fn split(offset: u64) -> (u64, usize) {
    (offset / PAGE as u64, (offset % PAGE as u64) as usize)
}
