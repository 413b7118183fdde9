//! The frame layer (RFC 9114 §7): reads heads in any pieces and leaves payloads to the caller.
//!
//! It must never know streams or messages, and it never buffers a payload.

use bytes::{Buf, BufMut, Bytes};
use quic_core::base::varint;

/// Frame types (RFC 9114 §7.2, RFC 9218 §7.2).
pub(crate) mod kind {
    pub(crate) const DATA: u64 = 0x00;
    pub(crate) const HEADERS: u64 = 0x01;
    pub(crate) const CANCEL_PUSH: u64 = 0x03;
    pub(crate) const SETTINGS: u64 = 0x04;
    pub(crate) const PUSH_PROMISE: u64 = 0x05;
    pub(crate) const GOAWAY: u64 = 0x07;
    pub(crate) const MAX_PUSH_ID: u64 = 0x0d;
    /// The signal at the start of a bidirectional WebTransport stream: a frame type without a length.
    pub(crate) const WT_STREAM: u64 = 0x41;
    pub(crate) const PRIORITY_UPDATE_REQUEST: u64 = 0xf0700;
    pub(crate) const PRIORITY_UPDATE_PUSH: u64 = 0xf0701;

    /// Types that HTTP/2 used and HTTP/3 forbids (RFC 9114 §7.2.8).
    pub(crate) const fn is_reserved(kind: u64) -> bool {
        matches!(kind, 0x02 | 0x06 | 0x08 | 0x09)
    }
}

/// Type and payload length of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHead {
    pub(crate) kind: u64,
    pub(crate) length: u64,
}

/// Reads two varints that may arrive in pieces: the head of a frame, or a stream's type and session ID.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HeadReader {
    bytes: [u8; 16],
    length: u8,
}

impl HeadReader {
    /// True when nothing was read yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The first varint, once it is whole.
    pub(crate) fn first(&self) -> Option<u64> {
        varint::decode(self.read()).map(|(value, _)| value)
    }

    fn read(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// The least number of bytes that can complete both varints; 0 when they are complete.
    pub(crate) fn missing(&self) -> usize {
        let read = self.read();
        let Some(first) = read.first() else { return 2 };
        let first = varint::length_from_first_byte(*first);
        let second = read.get(first).map_or(1, |byte| varint::length_from_first_byte(*byte));
        (first + second).saturating_sub(read.len())
    }

    /// Takes bytes from the front of `data` until both varints are complete, returns them and starts anew.
    pub(crate) fn take(&mut self, data: &mut Bytes) -> Option<FrameHead> {
        loop {
            let wanted = self.missing();
            if wanted == 0 {
                break;
            }
            let taken = wanted.min(data.len());
            if taken == 0 {
                return None;
            }
            let start = usize::from(self.length);
            // Two varints are at most 16 bytes.
            let (Some(room), Some(bytes)) = (self.bytes.get_mut(start..start + taken), data.get(..taken))
            else {
                return None;
            };
            room.copy_from_slice(bytes);
            data.advance(taken);
            self.length += taken as u8;
        }
        let (kind, first) = varint::decode(self.read())?;
        let (length, _) = varint::decode(self.read().get(first..)?)?;
        self.length = 0;
        Some(FrameHead { kind, length })
    }

    /// Takes bytes from the front of `data` until the first varint is complete; [`Self::first`] still returns
    /// it.
    pub(crate) fn take_first(&mut self, data: &mut Bytes) -> Option<u64> {
        while self.first().is_none() && !data.is_empty() {
            let slot = self.bytes.get_mut(usize::from(self.length))?;
            *slot = data.get_u8();
            self.length += 1;
        }
        self.first()
    }
}

/// Appends the head of a frame.
pub(crate) fn put_head(kind: u64, length: u64, out: &mut impl BufMut) {
    varint::put(out, kind);
    varint::put(out, length);
}

/// Appends a frame whose payload is one varint.
pub(crate) fn put_varint_frame(kind: u64, value: u64, out: &mut impl BufMut) {
    put_head(kind, varint::size(value) as u64, out);
    varint::put(out, value);
}

/// True for values of the form 0x1f·N + 0x21, which are reserved to test that peers ignore them
/// (RFC 9114 §7.2.8).
pub(crate) const fn is_grease(value: u64) -> bool {
    value >= 0x21 && (value - 0x21).is_multiple_of(0x1f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn heads_are_read_in_any_pieces(
            k in 0..=varint::MAX,
            length in 0..=varint::MAX,
            piece in 1_usize..17,
            tail in 0_usize..5,
        ) {
            let mut bytes = Vec::new();
            put_head(k, length, &mut bytes);
            let size = bytes.len();
            bytes.extend(vec![0xee; tail]);
            let mut reader = HeadReader::default();
            let mut rest = Bytes::from(bytes);
            let mut taken = 0;
            let head = loop {
                let mut chunk = rest.split_to(piece.min(rest.len()));
                let before = chunk.len();
                let head = reader.take(&mut chunk);
                taken += before - chunk.len();
                if let Some(head) = head { break head }
                prop_assert!(chunk.is_empty());
            };
            prop_assert_eq!(head, FrameHead { kind: k, length });
            prop_assert_eq!(taken, size);
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn missing_bytes_never_extend_beyond_the_head(
            bytes in proptest::collection::vec(any::<u8>(), 16..20),
        ) {
            let mut reader = HeadReader::default();
            let mut rest = Bytes::from(bytes.clone());
            let head = loop {
                let missing = reader.missing();
                prop_assert!(missing > 0);
                let mut exact = rest.split_to(missing);
                let head = reader.take(&mut exact);
                prop_assert!(exact.is_empty());
                if let Some(head) = head { break head }
            };
            let (kind, first) = varint::decode(&bytes).unwrap();
            let (length, second) = varint::decode(&bytes[first..]).unwrap();
            prop_assert_eq!(head, FrameHead { kind, length });
            prop_assert_eq!(bytes.len() - rest.len(), first + second);
        }
    }

    #[test]
    fn grease_values() {
        assert!(is_grease(0x21) && is_grease(0x40) && is_grease(0x1f * 1000 + 0x21));
        assert!(!is_grease(0x20) && !is_grease(0x41) && !is_grease(0));
    }
}
