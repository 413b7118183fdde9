//! The capsule protocol (RFC 9297 §3): an incremental, bounded reader and a writer.
//!
//! The reader owns the partial capsule of one stream. It must never know what a capsule means: the caller
//! says which types it wants and how long each may be. The reader skips all others and buffers none of their
//! bytes (RFC 9297 §3.2).

use bytes::{Buf, BufMut, Bytes, BytesMut};
use quic_core::base::varint;

use crate::frame::HeadReader;

/// What is wrong with a sequence of capsules. Each error makes the message malformed (RFC 9297 §3.3): the
/// stream is reset with `H3_MESSAGE_ERROR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CapsuleError {
    /// A capsule announces more bytes than its type can have.
    #[error(
        "a capsule of type {kind:#x} with {length} bytes where at most {max} are possible (RFC 9297 §3.3)"
    )]
    TooLong {
        /// The capsule type.
        kind: u64,
        /// The announced length in bytes.
        length: u64,
        /// The longest value of the type, in bytes.
        max: u64,
    },
    /// The stream ended inside a capsule.
    #[error("the stream ends inside a capsule (RFC 9297 §3.3)")]
    Truncated,
}

/// What the reader does with the capsules of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CapsulePolicy {
    /// The type is unknown: its bytes are counted and dropped.
    Skip,
    /// Wanted, with at most this many bytes; a longer one is an error.
    Take(u64),
    /// Wanted, with at most this many bytes; a longer one is skipped, such as a DATAGRAM capsule larger than
    /// the buffer (RFC 9297 §3.5).
    TakeOrSkip(u64),
}

/// A whole capsule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capsule {
    /// The capsule type.
    pub kind: u64,
    /// The value.
    pub value: Bytes,
}

impl Capsule {
    /// A capsule with this type and value.
    #[must_use]
    pub const fn new(kind: u64, value: Bytes) -> Self {
        Self { kind, value }
    }
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Head,
    Value {
        kind: u64,
        left: usize,
        value: BytesMut,
    },
    Skip {
        left: u64,
    },
}

/// Reads the capsules of one stream.
#[derive(Debug, Default)]
pub struct CapsuleReader {
    head: HeadReader,
    state: State,
    skipped: u64,
}

impl CapsuleReader {
    /// A reader at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes from the front of `data` up to the end of the next wanted capsule. Returns `None` if it
    /// took all of `data` and needs more. It calls `policy` once for each capsule, with its type.
    pub fn next(
        &mut self,
        data: &mut Bytes,
        mut policy: impl FnMut(u64) -> CapsulePolicy,
    ) -> Result<Option<Capsule>, CapsuleError> {
        loop {
            match &mut self.state {
                State::Head => {
                    let Some(head) = self.head.take(data) else { return Ok(None) };
                    self.state = begin(head.kind, head.length, policy(head.kind))?;
                    self.skipped += u64::from(matches!(self.state, State::Skip { .. }));
                }
                State::Skip { left } => {
                    let taken = data.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    data.advance(taken);
                    *left -= taken as u64;
                    if *left > 0 {
                        return Ok(None);
                    }
                    self.state = State::Head;
                }
                State::Value { kind, left, value } => {
                    let part = data.split_to((*left).min(data.len()));
                    *left -= part.len();
                    if *left > 0 {
                        // The buffer grows with the bytes received, not with the announced length.
                        value.extend_from_slice(&part);
                        return Ok(None);
                    }
                    let whole = if value.is_empty() {
                        part
                    } else {
                        value.extend_from_slice(&part);
                        value.split().freeze()
                    };
                    let capsule = Capsule { kind: *kind, value: whole };
                    self.state = State::Head;
                    return Ok(Some(capsule));
                }
            }
        }
    }

    /// The stream ended. This is an error inside a capsule.
    pub fn finish(&self) -> Result<(), CapsuleError> {
        match self.state {
            State::Head if self.head.is_empty() => Ok(()),
            _ => Err(CapsuleError::Truncated),
        }
    }

    /// How many capsules the reader began to skip since the last call.
    pub fn take_skipped(&mut self) -> u64 {
        std::mem::take(&mut self.skipped)
    }

    /// Bytes buffered now.
    #[must_use]
    pub fn buffered(&self) -> usize {
        match &self.state {
            State::Value { value, .. } => value.len(),
            _ => 0,
        }
    }
}

fn begin(kind: u64, length: u64, policy: CapsulePolicy) -> Result<State, CapsuleError> {
    let max = match policy {
        CapsulePolicy::Skip => return Ok(State::Skip { left: length }),
        CapsulePolicy::TakeOrSkip(max) if length > max => return Ok(State::Skip { left: length }),
        CapsulePolicy::Take(max) | CapsulePolicy::TakeOrSkip(max) => max,
    };
    match usize::try_from(length) {
        Ok(left) if length <= max => Ok(State::Value { kind, left, value: BytesMut::new() }),
        _ => Err(CapsuleError::TooLong { kind, length, max }),
    }
}

/// Appends a capsule.
pub fn put_capsule(kind: u64, value: &[u8], out: &mut impl BufMut) {
    varint::put(out, kind);
    varint::put(out, value.len() as u64);
    out.put_slice(value);
}

/// Appends a capsule whose value is one varint.
pub fn put_varint_capsule(kind: u64, value: u64, out: &mut impl BufMut) {
    crate::frame::put_varint_frame(kind, value, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    /// Types below 10 are wanted up to 100 bytes; type 10 is skipped if longer than 5.
    fn policy(kind: u64) -> CapsulePolicy {
        match kind {
            0..10 => CapsulePolicy::Take(100),
            10 => CapsulePolicy::TakeOrSkip(5),
            _ => CapsulePolicy::Skip,
        }
    }

    fn read(bytes: &[u8], piece: usize) -> Result<Vec<Capsule>, CapsuleError> {
        let mut reader = CapsuleReader::new();
        let mut capsules = Vec::new();
        for chunk in bytes.chunks(piece) {
            let mut chunk = Bytes::copy_from_slice(chunk);
            while let Some(capsule) = reader.next(&mut chunk, policy)? {
                capsules.push(capsule);
            }
            assert!(chunk.is_empty());
            assert!(reader.buffered() <= 100);
        }
        reader.finish().map(|()| capsules)
    }

    #[test]
    fn length_beyond_the_bound_is_an_error_at_once() {
        let mut bytes = Vec::new();
        varint::put(&mut bytes, 3);
        varint::put(&mut bytes, 1 << 32);
        bytes.extend([0; 10]);
        assert_eq!(read(&bytes, 1), Err(CapsuleError::TooLong { kind: 3, length: 1 << 32, max: 100 }));
    }

    #[test]
    fn unknown_capsules_are_skipped() {
        let mut bytes = Vec::new();
        put_capsule(11, &vec![1; 100_000], &mut bytes);
        put_capsule(10, &[1; 6], &mut bytes);
        put_capsule(10, &[2; 5], &mut bytes);
        put_capsule(0, &[], &mut bytes);
        let capsules = read(&bytes, 999).unwrap();
        assert_eq!(capsules.iter().map(|capsule| capsule.kind).collect::<Vec<_>>(), [10, 0]);
    }

    proptest! {
        #[test]
        fn encode_then_decode(
            list in vec((0_u64..10, vec(any::<u8>(), 0..100)), 0..8),
            piece in 1_usize..200,
        ) {
            let mut bytes = Vec::new();
            let mut ends = vec![0];
            for (kind, value) in &list {
                put_capsule(*kind, value, &mut bytes);
                ends.push(bytes.len());
            }
            let expected: Vec<_> =
                list.into_iter().map(|(kind, value)| Capsule { kind, value: value.into() }).collect();
            prop_assert_eq!(read(&bytes, piece), Ok(expected));
            for cut in 0..bytes.len() {
                prop_assert_eq!(read(&bytes[..cut], piece).is_ok(), ends.contains(&cut));
            }
        }

        #[test]
        fn reading_never_panics(bytes in vec(any::<u8>(), 0..300), piece in 1_usize..50) {
            let _ = read(&bytes, piece);
        }
    }
}
