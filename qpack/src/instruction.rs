//! The instructions of the encoder and the decoder stream, as read (RFC 9204 §4.3, §4.4).

use crate::{error::IntegerTooLarge, integer};

/// An instruction of the peer's encoder. Insertions end with strings, which are not read: without a table
/// every insertion is an error that its first bytes reveal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EncoderInstruction {
    /// Set Dynamic Table Capacity.
    SetCapacity(u64),
    /// Insert with Name Reference.
    InsertWithNameReference { is_static: bool, index: u64 },
    /// Insert with Literal Name.
    InsertWithLiteralName,
    /// Duplicate.
    Duplicate(u64),
}

/// An instruction of the peer's decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecoderInstruction {
    /// Section Acknowledgment, with its stream ID.
    SectionAcknowledgment(u64),
    /// Stream Cancellation.
    StreamCancellation,
    /// Insert Count Increment.
    InsertCountIncrement(u64),
}

type Parsed<T> = Result<Option<(T, usize)>, IntegerTooLarge>;

/// The instruction at the start of `bytes` and its length in bytes; `None` if more bytes are needed.
pub(crate) fn encoder(bytes: &[u8]) -> Parsed<EncoderInstruction> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let (prefix, make): (u32, fn(u64, bool) -> EncoderInstruction) = match first {
        0x80.. => (6, |index, is_static| EncoderInstruction::InsertWithNameReference { is_static, index }),
        0x40.. => return Ok(Some((EncoderInstruction::InsertWithLiteralName, 1))),
        0x20.. => (5, |capacity, _| EncoderInstruction::SetCapacity(capacity)),
        _ => (5, |index, _| EncoderInstruction::Duplicate(index)),
    };
    Ok(integer::decode(bytes, prefix)?.map(|(value, length)| (make(value, first & 0x40 != 0), length)))
}

/// The instruction at the start of `bytes` and its length in bytes; `None` if more bytes are needed.
pub(crate) fn decoder(bytes: &[u8]) -> Parsed<DecoderInstruction> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let (prefix, make): (u32, fn(u64) -> DecoderInstruction) = match first {
        0x80.. => (7, DecoderInstruction::SectionAcknowledgment),
        0x40.. => (6, |_| DecoderInstruction::StreamCancellation),
        _ => (6, DecoderInstruction::InsertCountIncrement),
    };
    Ok(integer::decode(bytes, prefix)?.map(|(value, length)| (make(value), length)))
}

/// The start of an instruction whose end has not arrived. Every instruction that is read is one integer, so
/// it fits: a longer one has already failed as an error.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    bytes: [u8; integer::MAX_LENGTH],
    length: usize,
}

impl Pending {
    /// Runs `step` over the kept bytes and then `bytes`. `step` returns how many bytes an instruction took,
    /// or `None` if it needs more. `feed` returns the number of complete instructions.
    pub(crate) fn feed<E>(
        &mut self,
        mut bytes: &[u8],
        mut step: impl FnMut(&[u8]) -> Result<Option<usize>, E>,
    ) -> Result<u64, E> {
        let mut count = 0;
        while self.length > 0 {
            // Complete the kept instruction byte by byte: it is rare and short.
            let Some((&byte, rest)) = bytes.split_first() else { return Ok(count) };
            bytes = rest;
            if let Some(slot) = self.bytes.get_mut(self.length) {
                *slot = byte;
                self.length += 1;
            }
            if step(&self.bytes[..self.length])?.is_some() {
                self.length = 0;
                count += 1;
            }
        }
        while !bytes.is_empty() {
            let Some(taken) = step(bytes)? else {
                self.length = bytes.len().min(self.bytes.len());
                self.bytes[..self.length].copy_from_slice(&bytes[..self.length]);
                return Ok(count);
            };
            count += 1;
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        Ok(count)
    }
}
