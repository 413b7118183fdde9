//! `Assembler`: stream data that arrives at any offset, read in order (RFC 9000 §2.2).
//!
//! Owns the bytes between what the reader took and the highest offset received. In order, a fragment is kept
//! as it came, without a copy and without a tree; out of order it is copied into [`Page`]s. Must never know
//! flow control, final sizes or streams: the caller checks limits first.
//!
//! Memory: whatever the pattern of fragments, the heap held is at most twice the highest offset minus the
//! offset read, plus 32 KiB; a [`Budget`] is charged with it.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Buf, Bytes, BytesMut};

use super::page::{PAGE, PAGE_COST, Page};
use crate::base::{Budget, BudgetExceeded};

/// Fragments below this are copied: cheaper than a reference count, and merged with their neighbours.
const COPY_BELOW: usize = 512;
/// A fragment may pin a buffer of at most this many times its size.
const PIN_RATIO: usize = 4;
/// What fragments may pin together beyond twice their size.
const PIN_SLACK: usize = 16 * 1024;
/// What an entry of the queue costs beside its bytes: its place in a queue that may have grown to twice what it needs, and
/// the reference count of a buffer.
const ENTRY: usize = 128;
const TAIL_SMALLEST: usize = 64;

#[derive(Debug)]
struct Chunk {
    bytes: Bytes,
    /// The size of the buffer that `bytes` pins; counted whole until the chunk is gone.
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
    /// Bytes and pinned buffer sizes of `ready`.
    ready_live: usize,
    ready_pinned: usize,
    charged: usize,
}

impl Assembler {
    /// The offset of the next byte to read, which is also how many bytes were read.
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

    /// Stores `bytes` at `offset`; a byte that is already there keeps its value. `allocation` is the size of the
    /// buffer that `bytes` would keep alive. Returns how many bytes were new. The caller has checked that
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
        // Enough for every page touched, what draining moves, and a new tail; the rest is given back below.
        let reserve = (bytes.len() / PAGE + 3) * (PAGE_COST + ENTRY) + 2 * PAGE;
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
                self.ready_live -= max;
                front.bytes.split_to(max)
            } else {
                let chunk = self.ready.pop_front()?;
                self.ready_live -= chunk.bytes.len();
                self.ready_pinned -= chunk.pinned;
                chunk.bytes
            }
        } else if self.tail.is_empty() {
            return None;
        } else if self.tail.len() <= max {
            std::mem::take(&mut self.tail).freeze()
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

    /// Drops all data and gives the budget back. Offsets stay.
    pub(crate) fn clear(&mut self, budget: &mut Budget) {
        budget.release(self.charged);
        *self = Self { read: self.read, contiguous: self.read, ..Self::default() };
    }

    /// Appends data that starts at `contiguous` and meets no page.
    fn append(
        &mut self,
        bytes: Bytes,
        allocation: usize,
        budget: &mut Budget,
    ) -> Result<u64, BudgetExceeded> {
        let len = bytes.len();
        let draining = if self.pages.is_empty() { 0 } else { 3 * PAGE };
        // Where the budget has no room for the whole buffer it may have room for a copy.
        let pinned = allocation.max(len) + 2 * ENTRY + draining;
        let pin = self.worth_pinning(len, allocation) && budget.charge(pinned).is_ok();
        let reserve = if pin { pinned } else { len + PAGE + 2 * ENTRY + draining };
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

    fn worth_pinning(&self, len: usize, allocation: usize) -> bool {
        len >= COPY_BELOW
            && allocation <= len.saturating_mul(PIN_RATIO)
            && self.ready_pinned.saturating_add(allocation).saturating_add((self.ready.len() + 1) * ENTRY)
                <= 2 * (self.ready_live.saturating_add(len)) + PIN_SLACK
    }

    fn push(&mut self, bytes: Bytes, allocation: usize) {
        let pinned = allocation.max(bytes.len());
        self.ready_live += bytes.len();
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

    /// Copies behind everything else. Buffers grow with use, so that one small message stays small.
    fn copy_to_tail(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let mut room = self.tail.capacity() - self.tail.len();
            if room == 0 {
                let next = self.tail.len().saturating_mul(2).clamp(TAIL_SMALLEST, PAGE);
                let capacity = data.len().clamp(next, PAGE.max(next));
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

    /// Brings the charge to what is held. Every caller has reserved at least that much.
    fn settle(&mut self, budget: &mut Budget) {
        let held = self.ready_pinned + self.ready.len() * ENTRY + self.tail.capacity() + self.page_cost;
        if held > self.charged {
            // Only by rounding of the allocator; a refusal leaves the old, lower charge.
            if budget.charge(held - self.charged).is_ok() {
                self.charged = held;
            }
        } else {
            budget.release(self.charged - held);
            self.charged = held;
        }
    }
}

fn split(offset: u64) -> (u64, usize) {
    (offset / PAGE as u64, (offset % PAGE as u64) as usize)
}
