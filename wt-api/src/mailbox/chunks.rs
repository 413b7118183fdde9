//! Received data in the order of reading.

use bytes::{Bytes, BytesMut};

use super::Pieces;

/// Smaller pieces that follow others are copied together, because an entry costs more than their bytes.
const SMALL: usize = 512;
/// The most bytes that are copied together.
const TOGETHER: usize = 4096;

/// A queue of bytes with little overhead, however small the pieces are.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    whole: Pieces<Bytes>,
    /// The small pieces after them.
    tail: BytesMut,
}

impl Chunks {
    pub(super) fn push(&mut self, piece: Bytes) {
        let first = self.whole.is_empty() && self.tail.is_empty();
        if first || piece.len() >= SMALL {
            self.flush();
            self.whole.push_back(piece);
            return;
        }
        if self.tail.len() + piece.len() > TOGETHER {
            self.flush();
        }
        self.tail.extend_from_slice(&piece);
    }

    /// Takes the next bytes, at most `max`.
    pub(super) fn take(&mut self, max: usize) -> Option<Bytes> {
        if self.whole.is_empty() {
            self.flush();
        }
        let front = self.whole.front_mut()?;
        if front.len() > max {
            return Some(front.split_to(max));
        }
        self.whole.pop_front()
    }

    fn flush(&mut self) {
        if !self.tail.is_empty() {
            self.whole.push_back(std::mem::take(&mut self.tail).freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_unchanged_and_small_pieces_share_entries() {
        for (sizes, entries) in [(vec![1; 10_000], 5), (vec![600; 10], 10), (vec![1, 700, 2, 3, 800, 4], 5)] {
            let mut chunks = Chunks::default();
            let mut expected = Vec::new();
            for (index, size) in sizes.iter().enumerate() {
                let piece = vec![index as u8; *size];
                expected.extend_from_slice(&piece);
                chunks.push(Bytes::from(piece));
            }
            assert!(chunks.whole.iter().count() <= entries, "{} entries", chunks.whole.iter().count());
            let mut read = Vec::new();
            while let Some(bytes) = chunks.take(333) {
                assert!(!bytes.is_empty() && bytes.len() <= 333);
                read.extend_from_slice(&bytes);
            }
            assert!(read == expected);
        }
    }
}
