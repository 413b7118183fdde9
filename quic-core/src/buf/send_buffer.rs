//! `SendBuffer`: what the application wrote to a stream, kept until it is acknowledged (RFC 9000 §2.2,
//! §13.3).
//!
//! Owns the bytes and knows which of them were sent, lost and acknowledged. Never knows frames, flow control,
//! FIN or priorities.

use std::{collections::VecDeque, ops::Range};

use bytes::{Bytes, BytesMut};

use super::RangeSet;

/// Smaller writes are copied together; larger ones are kept as they came.
const COPY_BELOW: usize = 512;
const TAIL: usize = 4096;
/// The capacity for the first small writes, often a few bytes of a header and a little more.
const FIRST_TAIL: usize = 128;

/// How much a buffer holds, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// All bytes from the first unacknowledged one to the end.
    pub(crate) bytes: u64,
    /// The acknowledged ones among `bytes`. They stay until the missing bytes before them are acknowledged.
    pub(crate) early: u64,
}

/// A queue of bytes with offsets; retransmissions come before new data.
#[derive(Debug, Default)]
pub(crate) struct SendBuffer {
    /// Pieces with the offset of their first byte, ascending and without a gap; `tail` follows them.
    pieces: VecDeque<(u64, Bytes)>,
    tail: BytesMut,
    tail_start: u64,
    /// Everything below this offset is acknowledged.
    acked_to: u64,
    /// The first byte that was never sent.
    next: u64,
    /// How many acknowledged bytes are above `acked_to`.
    early: u64,
    /// What is out of order. Most streams never have it.
    gaps: Option<Box<Gaps>>,
    /// Where the last copy began, an index into `pieces`.
    cursor: usize,
}

#[derive(Debug, Default)]
struct Gaps {
    /// Acknowledged ranges above [`SendBuffer::acked_to`].
    acked: RangeSet,
    /// Ranges to send again. None of them is acknowledged.
    lost: RangeSet,
}

impl SendBuffer {
    /// The offset after the last byte written.
    pub(crate) fn end(&self) -> u64 {
        self.tail_start + self.tail.len() as u64
    }

    /// The offset after the last byte that was ever sent.
    pub(crate) fn sent_end(&self) -> u64 {
        self.next
    }

    /// All bytes below this offset are acknowledged.
    pub(crate) fn acked_to(&self) -> u64 {
        self.acked_to
    }

    /// What the buffer holds.
    pub(crate) fn held(&self) -> Held {
        Held { bytes: self.end() - self.acked_to, early: self.early }
    }

    /// True if every byte written is acknowledged.
    pub(crate) fn is_fully_acked(&self) -> bool {
        self.acked_to == self.end()
    }

    /// True if there is data to send again.
    pub(crate) fn has_lost(&self) -> bool {
        self.gaps.as_ref().is_some_and(|gaps| !gaps.lost.is_empty())
    }

    /// True if there is data that was never sent.
    pub(crate) fn has_unsent(&self) -> bool {
        self.next < self.end()
    }

    /// Appends `bytes` without a copy, unless they are so few that merging them is cheaper.
    pub(crate) fn write(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        if bytes.len() < COPY_BELOW {
            if self.tail.capacity() - self.tail.len() < bytes.len() {
                let grown = (self.tail.len() * 2).clamp(FIRST_TAIL, TAIL).max(bytes.len());
                self.flush_tail();
                self.tail = BytesMut::with_capacity(grown);
            }
            self.tail.extend_from_slice(&bytes);
        } else {
            self.flush_tail();
            let start = self.tail_start;
            self.tail_start += bytes.len() as u64;
            self.pieces.push_back((start, bytes));
        }
    }

    /// What to send next, at most `max` bytes: lost data first, then data never sent, which ends at `limit`
    /// at the latest. Changes nothing; [`Self::on_sent`] does.
    pub(crate) fn peek_transmit(&self, max: usize, limit: u64) -> Option<Range<u64>> {
        let candidate = match self.gaps.as_ref().and_then(|gaps| gaps.lost.first()) {
            Some(lost) => lost,
            None => self.next..self.end().min(limit),
        };
        let end = candidate.end.min(candidate.start.saturating_add(max as u64));
        (candidate.start < end).then_some(candidate.start..end)
    }

    /// `range`, a prefix of what [`Self::peek_transmit`] returned, was sent.
    pub(crate) fn on_sent(&mut self, range: Range<u64>) {
        if let Some(gaps) = &mut self.gaps {
            gaps.lost.remove(range.clone());
        }
        self.next = self.next.max(range.end);
    }

    /// Copies the bytes from `offset` on into `to`. They must lie between the first unacknowledged byte and
    /// the end.
    pub(crate) fn copy_to(&mut self, mut offset: u64, mut to: &mut [u8]) {
        let mut index = self.find(offset);
        self.cursor = index;
        while let Some((start, bytes)) = self.pieces.get(index)
            && !to.is_empty()
        {
            let from = offset.saturating_sub(*start) as usize;
            let available = bytes.get(from..).unwrap_or_default();
            let (now, later) = to.split_at_mut(available.len().min(to.len()));
            now.copy_from_slice(&available[..now.len()]);
            offset += now.len() as u64;
            to = later;
            index += 1;
        }
        if !to.is_empty() {
            let from = offset.saturating_sub(self.tail_start) as usize;
            let available = self.tail.get(from..).unwrap_or_default();
            let len = available.len().min(to.len());
            debug_assert_eq!(len, to.len(), "copying beyond what was written");
            to[..len].copy_from_slice(&available[..len]);
        }
    }

    /// `range` is acknowledged, even if it was declared lost before. Returns how many bytes were newly
    /// acknowledged.
    pub(crate) fn on_ack(&mut self, range: Range<u64>) -> u64 {
        let start = range.start.max(self.acked_to);
        let end = range.end.min(self.next);
        if start >= end {
            return 0;
        }
        let before = self.acked_to;
        let mut waits = start > self.acked_to;
        if let Some(gaps) = &mut self.gaps {
            gaps.lost.remove(start..end);
            waits |= !gaps.acked.is_empty();
        }
        let new = if waits {
            let gaps = self.gaps.get_or_insert_default();
            let new = gaps.acked.insert(start..end);
            if let Some(first) = gaps.acked.first().filter(|first| first.start <= self.acked_to) {
                self.acked_to = first.end;
                gaps.acked.pop_min();
            }
            new
        } else {
            self.acked_to = end;
            end - start
        };
        self.early = (self.early + new).saturating_sub(self.acked_to - before);
        self.free();
        new
    }

    /// `range` was lost: the buffer sends its unacknowledged bytes again.
    pub(crate) fn on_lost(&mut self, range: Range<u64>) {
        let range = range.start.max(self.acked_to)..range.end.min(self.next);
        if range.is_empty() {
            return;
        }
        let gaps = self.gaps.get_or_insert_default();
        gaps.lost.insert(range.clone());
        for acked in gaps.acked.iter().skip_while(|acked| acked.end <= range.start) {
            if acked.start >= range.end {
                break;
            }
            gaps.lost.remove(acked);
        }
    }

    /// Everything is to be sent again as if it never was. Nothing of it is acknowledged.
    pub(crate) fn begin_again(&mut self) {
        debug_assert!(self.acked_to == 0 && self.early == 0, "acknowledged data is gone");
        self.next = self.acked_to;
        self.gaps = None;
        self.cursor = 0;
    }

    /// Gives up all data from `end` on; it is not sent any more.
    pub(crate) fn truncate(&mut self, end: u64) {
        let end = end.max(self.acked_to);
        if end >= self.end() {
            return;
        }
        self.flush_tail();
        while let Some((start, bytes)) = self.pieces.back_mut() {
            if *start < end {
                bytes.truncate((end - *start) as usize);
                break;
            }
            self.pieces.pop_back();
        }
        self.tail = BytesMut::new();
        self.tail_start = end;
        self.next = self.next.min(end);
        if let Some(gaps) = &mut self.gaps {
            gaps.lost.remove(end..u64::MAX);
            self.early -= gaps.acked.remove(end..u64::MAX).min(self.early);
        }
        self.cursor = 0;
    }

    fn flush_tail(&mut self) {
        if !self.tail.is_empty() {
            let bytes = self.tail.split().freeze();
            let start = self.tail_start;
            self.tail_start += bytes.len() as u64;
            self.pieces.push_back((start, bytes));
        }
    }

    /// The piece that holds `offset`. Data leaves in order, so the piece is mostly where the last copy was,
    /// or next to it.
    fn find(&self, offset: u64) -> usize {
        let holds = |index: usize| {
            self.pieces
                .get(index)
                .is_some_and(|(start, bytes)| *start <= offset && offset < *start + bytes.len() as u64)
        };
        if holds(self.cursor) {
            self.cursor
        } else if holds(self.cursor + 1) {
            self.cursor + 1
        } else {
            self.pieces.partition_point(|(start, bytes)| *start + bytes.len() as u64 <= offset)
        }
    }

    fn free(&mut self) {
        while let Some((start, bytes)) = self.pieces.front() {
            if *start + bytes.len() as u64 > self.acked_to {
                return;
            }
            self.pieces.pop_front();
            self.cursor = self.cursor.saturating_sub(1);
        }
        if self.acked_to == self.end() {
            self.tail_start = self.acked_to;
            self.tail = BytesMut::new();
        }
    }
}
