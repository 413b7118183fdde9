//! The encoder turns field lines into encoded field sections and reads the peer's decoder stream.
//!
//! It owns no table and keeps no state per stream, so no peer can make it grow. Implements RFC 9204 §4.5
//! (writing) and §4.4 (reading).

use bytes::BufMut;

use crate::{
    error::DecoderStreamError,
    field::FieldRef,
    huffman,
    instruction::{self, DecoderInstruction, PartialInteger},
    integer,
    static_table::{self, Match},
};

/// Encodes field sections with static references, Huffman coding and literals.
#[derive(Debug, Default)]
pub struct Encoder {
    partial: PartialInteger,
}

impl Encoder {
    /// An encoder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the encoded field section of `fields` to `out`. `_stream` is the ID of the stream that carries
    /// the section. The peer's decoder acknowledges (RFC 9204 §4.4.1) or cancels (§4.4.2) sections by that
    /// ID, but no section refers to a dynamic table yet, so the encoder does not use it.
    pub fn encode<'a>(
        &mut self,
        _stream: u64,
        fields: impl IntoIterator<Item = FieldRef<'a>>,
        out: &mut impl BufMut,
    ) {
        // Required Insert Count 0, Base 0 (RFC 9204 §4.5.1).
        out.put_slice(&[0, 0]);
        for field in fields {
            encode_line(field, out);
        }
    }

    /// Reads bytes of the peer's decoder stream. An instruction may be split at any byte. Returns how many
    /// instructions it read: without a table, no permitted instruction has an effect.
    pub fn on_decoder_stream(&mut self, mut bytes: &[u8]) -> Result<u64, DecoderStreamError> {
        let mut count = 0;
        while let Some(instruction) = instruction::take_decoder(&mut self.partial, &mut bytes)? {
            match instruction {
                // RFC 9204 §4.4.2: no stream has an outstanding section, so there is nothing to cancel.
                DecoderInstruction::StreamCancellation(_) => count += 1,
                // RFC 9204 §4.4.1: only sections with a Required Insert Count are acknowledged; none was
                // sent.
                DecoderInstruction::SectionAcknowledgment(stream) => {
                    return Err(DecoderStreamError::SectionAcknowledgment(stream));
                }
                // RFC 9204 §4.4.3: zero is never allowed, and any other number exceeds what was inserted.
                DecoderInstruction::InsertCountIncrement(increment) => {
                    return Err(DecoderStreamError::InsertCountIncrement(increment));
                }
            }
        }
        Ok(count)
    }
}

fn encode_line(field: FieldRef<'_>, out: &mut impl BufMut) {
    let never = field.never_index;
    match static_table::find(field.name, field.value) {
        // 1 T=1 Index(6). A sensitive line stays a literal (RFC 9204 §4.5.4).
        Some(Match::Line(index)) if !never => integer::encode(index, 6, 0b1100_0000, out),
        // 0 1 N T=1 Index(4).
        Some(Match::Line(index) | Match::Name(index)) => {
            integer::encode(index, 4, 0b0101_0000 | u8::from(never) << 5, out);
            encode_string(field.value, 7, 0, out);
        }
        // 0 0 1 N H Length(3).
        None => {
            encode_string(field.name, 3, 0b0010_0000 | u8::from(never) << 4, out);
            encode_string(field.value, 7, 0, out);
        }
    }
}

/// A string literal: the H bit stands right above the length's prefix (RFC 9204 §4.1.2).
fn encode_string(text: &[u8], prefix: u32, pattern: u8, out: &mut impl BufMut) {
    let coded = huffman::encoded_length(text);
    if coded < text.len() {
        integer::encode(coded as u64, prefix, pattern | 1 << prefix, out);
        huffman::encode(text, out);
    } else {
        integer::encode(text.len() as u64, prefix, pattern, out);
        out.put_slice(text);
    }
}
