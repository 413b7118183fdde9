//! The instructions of the decoder stream, as read (RFC 9204 §4.4), and integers that arrive in pieces.

use crate::{error::IntegerTooLarge, integer};

/// An instruction of the peer's decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecoderInstruction {
    /// Section Acknowledgment, with its stream ID.
    SectionAcknowledgment(u64),
    /// Stream Cancellation, with its stream ID.
    StreamCancellation(u64),
    /// Insert Count Increment.
    InsertCountIncrement(u64),
}

impl DecoderInstruction {
    /// The instruction with this first byte, once its integer has the value `value`.
    fn new(first: u8, value: u64) -> Self {
        match first {
            0x80.. => Self::SectionAcknowledgment(value),
            0x40.. => Self::StreamCancellation(value),
            _ => Self::InsertCountIncrement(value),
        }
    }
}

/// Takes the next instruction of the decoder stream from `bytes`. `None` if it needs more bytes; then
/// `partial` keeps what there was of it.
pub(crate) fn take_decoder(
    partial: &mut PartialInteger,
    bytes: &mut &[u8],
) -> Result<Option<DecoderInstruction>, IntegerTooLarge> {
    let Some(first) = partial.first(bytes) else { return Ok(None) };
    let prefix = if first >= 0x80 { 7 } else { 6 };
    Ok(partial.take(bytes, prefix)?.map(|value| DecoderInstruction::new(first, value)))
}

/// The start of an integer whose end has not arrived. A longer one than fits has failed as an error.
#[derive(Debug, Default)]
pub(crate) struct PartialInteger {
    bytes: [u8; integer::MAX_LENGTH],
    length: usize,
}

impl PartialInteger {
    /// The first byte of the integer, which also carries the bits of the instruction.
    pub(crate) fn first(&self, bytes: &[u8]) -> Option<u8> {
        if self.length > 0 { self.bytes.first().copied() } else { bytes.first().copied() }
    }

    /// Takes the integer with this prefix from the kept bytes and `bytes`, and removes its bytes from there.
    pub(crate) fn take(&mut self, bytes: &mut &[u8], prefix: u32) -> Result<Option<u64>, IntegerTooLarge> {
        if self.length == 0
            && let Some((value, length)) = integer::decode(bytes, prefix)?
        {
            *bytes = bytes.get(length..).unwrap_or_default();
            return Ok(Some(value));
        }
        // An integer that was cut is completed byte by byte: it is rare and short.
        while let Some((&byte, rest)) = bytes.split_first() {
            *bytes = rest;
            if let Some(slot) = self.bytes.get_mut(self.length) {
                *slot = byte;
                self.length += 1;
            }
            let kept = self.bytes.get(..self.length).unwrap_or_default();
            if let Some((value, _)) = integer::decode(kept, prefix)? {
                self.length = 0;
                return Ok(Some(value));
            }
        }
        Ok(None)
    }
}
