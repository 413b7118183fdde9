//! `Page`: 1 KiB of a stream with one bit per byte. Data that arrived out of order costs memory in proportion
//! to its reach, not to the number of pieces the peer cut it into (RFC 9000 §21.6).

use bytes::Bytes;

/// Bytes of a stream that one page covers.
pub(super) const PAGE: usize = 1024;
/// The most that one page costs, including its map entry.
pub(super) const PAGE_COST: usize = PAGE + PAGE / 8 + ENTRY;
/// What an entry of the map costs; the map's nodes may be half empty.
const ENTRY: usize = 144;
const SMALLEST: usize = 64;

/// Data at known offsets inside one page. It grows to the highest of them.
#[derive(Debug, Default)]
pub(super) struct Page {
    data: Vec<u8>,
    /// One bit per byte, or empty once the page is full. A burst behind one lost packet then costs little
    /// more than its bytes.
    have: Vec<u64>,
    filled: usize,
}

impl Page {
    /// What the page costs in memory.
    pub(super) fn cost(&self) -> usize {
        self.data.capacity() + self.have.capacity() * 8 + ENTRY
    }

    /// Stores `bytes` at `at` where nothing is yet; bytes that came first stay (RFC 9000 §2.2 forbids a
    /// change). Returns how many bytes were new. `at + bytes.len()` is at most [`PAGE`].
    pub(super) fn insert(&mut self, at: usize, bytes: &[u8]) -> usize {
        let end = at + bytes.len();
        debug_assert!(end <= PAGE);
        if self.is_full() {
            return 0;
        }
        self.grow(end);
        let (mut position, mut new) = (at, 0);
        while position < end {
            let run_end = self.run_end(position, end, false);
            self.data[position..run_end].copy_from_slice(&bytes[position - at..run_end - at]);
            self.mark(position, run_end);
            new += run_end - position;
            position = self.run_end(run_end, end, true);
        }
        self.filled += new;
        if self.is_full() {
            self.have = Vec::new();
        }
        new
    }

    fn is_full(&self) -> bool {
        self.filled == PAGE
    }

    /// The end of the data that continues without a gap from `at`, or `at` itself if there is none.
    pub(super) fn contiguous_from(&self, at: usize) -> usize {
        self.run_end(at, self.data.len(), true)
    }

    /// The first offset from `at` on that holds data.
    pub(super) fn next_from(&self, at: usize) -> Option<usize> {
        let next = self.run_end(at, self.data.len(), false);
        (next < self.data.len()).then_some(next)
    }

    /// The bytes from `from` to `to`, which must lie below what [`Self::contiguous_from`] returned.
    pub(super) fn slice(&self, from: usize, to: usize) -> &[u8] {
        self.data.get(from..to).unwrap_or_default()
    }

    /// The whole page, without a copy.
    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from(self.data)
    }

    fn grow(&mut self, end: usize) {
        if end > self.data.len() {
            let capacity = end.next_power_of_two().clamp(SMALLEST, PAGE);
            if capacity > self.data.capacity() {
                self.data.reserve_exact(capacity - self.data.len());
                self.have.reserve_exact(capacity / 64 - self.have.len());
            }
            self.data.resize(end, 0);
            self.have.resize(end.div_ceil(64), 0);
        }
    }

    /// The end of the run of bits equal to `set` that starts at `from`, at most `to`.
    fn run_end(&self, from: usize, to: usize, set: bool) -> usize {
        if self.is_full() {
            return if set { to.max(from) } else { from };
        }
        let mut position = from;
        while position < to {
            let Some(&word) = self.have.get(position / 64) else { return to };
            let differing = (if set { !word } else { word }) >> (position % 64);
            if differing != 0 {
                return (position + differing.trailing_zeros() as usize).min(to);
            }
            position = (position / 64 + 1) * 64;
        }
        to.max(from)
    }

    fn mark(&mut self, from: usize, to: usize) {
        let mut position = from;
        while position < to {
            let word_end = ((position / 64 + 1) * 64).min(to);
            let ones = u64::MAX >> (64 - (word_end - position));
            self.have[position / 64] |= ones << (position % 64);
            position = word_end;
        }
    }
}
