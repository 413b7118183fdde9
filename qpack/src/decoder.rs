//! The decoder turns encoded field sections into field lines and reads the peer's encoder stream.
//!
//! It owns a scratch buffer, which the caller's limit bounds and which shrinks after each section. It also
//! counts the entries of the dynamic table, which decide whether a section can be read yet. It must never
//! know streams. Implements RFC 9204 §4.5 (reading) and §4.3 (reading).

use bytes::Bytes;

use crate::{
    error::{DecodeError, EncoderStreamError},
    field::{FIELD_OVERHEAD, Field},
    huffman::{self, HuffmanError},
    instruction::{self, EncoderInstruction, Pending},
    integer, static_table,
    table::Inserted,
};

/// Scratch space kept between sections, in bytes. The decoder frees what a large section needed beyond it.
const KEPT_SCRATCH: usize = 16 * 1024;

/// The capacity of the dynamic table that the decoder offers, in bytes (RFC 9204 §5).
const CAPACITY: u64 = 0;

/// Decodes field sections that refer to nothing but the static table.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: Pending,
    inserted: Inserted,
    /// The bytes of the section's literals.
    text: Vec<u8>,
    /// The section's lines; their literals are ranges of `text`.
    lines: Vec<Line>,
}

/// The result of decoding a field section.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a caller must handle every variant")]
pub enum Decoded {
    /// The field lines of the section.
    Fields(Vec<Field>),
    /// The section refers to entries that the peer's encoder has not inserted yet (RFC 9204 §2.2.1). Its
    /// stream is blocked until that many entries are inserted; then the same section can be decoded. A
    /// decoder that offers no table never returns this.
    Blocked {
        /// The number of insertions the section needs, counted from the beginning of the connection.
        required_insert_count: u64,
    },
}

impl Decoded {
    /// The field lines, for a caller that offered `SETTINGS_QPACK_BLOCKED_STREAMS` 0 and so permits no
    /// blocked stream.
    ///
    /// # Errors
    /// [`DecodeError::BlockedStreams`] if the section is blocked: its stream is one more than offered
    /// (RFC 9204 §2.1.2).
    pub fn fields(self) -> Result<Vec<Field>, DecodeError> {
        match self {
            Self::Fields(fields) => Ok(fields),
            Self::Blocked { .. } => Err(DecodeError::BlockedStreams),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Line {
    name: Piece,
    value: Piece,
    never_index: bool,
}

#[derive(Clone, Copy, Debug)]
enum Piece {
    Static(&'static [u8]),
    Text { start: usize, end: usize },
}

impl Piece {
    fn len(self) -> usize {
        match self {
            Self::Static(bytes) => bytes.len(),
            Self::Text { start, end } => end - start,
        }
    }
}

impl Decoder {
    /// A decoder that offers no dynamic table: the caller sends `SETTINGS_QPACK_MAX_TABLE_CAPACITY` 0 or
    /// omits it.
    #[must_use]
    pub fn new() -> Self {
        Self { inserted: Inserted::none_of(CAPACITY), ..Self::default() }
    }

    /// Decodes one whole encoded field section, or says that it cannot be decoded yet.
    ///
    /// `max_field_section_size` bounds the sum of name, value and 32 bytes for each line (RFC 9114 §4.2.2).
    /// It is checked before a line is stored, so that a small section cannot expand beyond it.
    pub fn decode(&mut self, section: &[u8], max_field_section_size: u64) -> Result<Decoded, DecodeError> {
        let read = SectionReader {
            rest: section,
            inserted: self.inserted,
            text: &mut self.text,
            lines: &mut self.lines,
            left: max_field_section_size,
            limit: max_field_section_size,
        }
        .read();
        let decoded = read.map(|blocked| match blocked {
            Some(required_insert_count) => Decoded::Blocked { required_insert_count },
            None => Decoded::Fields(self.take_fields()),
        });
        // `shrink_to` never shrinks below the length, so the vectors are cleared first.
        self.text.clear();
        self.lines.clear();
        self.text.shrink_to(KEPT_SCRATCH);
        self.lines.shrink_to(KEPT_SCRATCH / size_of::<Line>());
        decoded
    }

    /// One allocation holds the text of all literals; the fields share it.
    fn take_fields(&self) -> Vec<Field> {
        let text = Bytes::copy_from_slice(&self.text);
        let bytes = |piece| match piece {
            Piece::Static(bytes) => Bytes::from_static(bytes),
            Piece::Text { start, end } => text.slice(start..end),
        };
        let field = |line: &Line| Field {
            name: bytes(line.name),
            value: bytes(line.value),
            never_index: line.never_index,
        };
        self.lines.iter().map(field).collect()
    }

    /// Reads bytes of the peer's encoder stream. An instruction may be split at any byte. Returns how many
    /// instructions it read: without a table, no permitted instruction has an effect.
    pub fn on_encoder_stream(&mut self, bytes: &[u8]) -> Result<u64, EncoderStreamError> {
        self.pending.feed(bytes, |bytes| {
            let Some((instruction, length)) = instruction::encoder(bytes)? else { return Ok(None) };
            match instruction {
                EncoderInstruction::SetCapacity(0) => Ok(Some(length)),
                // RFC 9204 §4.3.1: the capacity must not exceed what the settings offered.
                EncoderInstruction::SetCapacity(capacity) => {
                    Err(EncoderStreamError::Capacity { capacity, max: CAPACITY })
                }
                EncoderInstruction::InsertWithNameReference { is_static, index }
                    if !is_static || static_table::get(index).is_none() =>
                {
                    Err(EncoderStreamError::Reference(index))
                }
                // RFC 9204 §3.2.2: every entry has at least 32 bytes, so none fits into a table of 0 bytes.
                EncoderInstruction::InsertWithNameReference { .. }
                | EncoderInstruction::InsertWithLiteralName => Err(EncoderStreamError::EntryTooLarge),
                // RFC 9204 §2.2.3: nothing was ever inserted.
                EncoderInstruction::Duplicate(index) => Err(EncoderStreamError::Reference(index)),
            }
        })
    }
}

struct SectionReader<'a> {
    rest: &'a [u8],
    inserted: Inserted,
    text: &'a mut Vec<u8>,
    lines: &'a mut Vec<Line>,
    /// How much the limit leaves for the remaining lines, in bytes.
    left: u64,
    limit: u64,
}

impl SectionReader<'_> {
    /// Reads the lines. If the table has too few insertions, reads none and returns the Required Insert
    /// Count.
    fn read(mut self) -> Result<Option<u64>, DecodeError> {
        let required = self.prefix()?;
        if required > self.inserted.count() {
            return Ok(Some(required));
        }
        while let Some(&first) = self.rest.first() {
            let line = self.line(first)?;
            self.lines.push(line);
        }
        Ok(None)
    }

    /// Reads the Required Insert Count, which it returns, and checks the Base (RFC 9204 §4.5.1).
    fn prefix(&mut self) -> Result<u64, DecodeError> {
        let encoded = self.integer(8)?;
        let required = self.inserted.required(encoded).ok_or(DecodeError::RequiredInsertCount)?;
        let sign = self.rest.first().ok_or(DecodeError::Truncated)? & 0x80 != 0;
        let delta = self.integer(7)?;
        // RFC 9204 §4.5.1.2: with the sign bit the Base is the count minus Delta Base minus one.
        if sign && delta >= required { Err(DecodeError::NegativeBase) } else { Ok(required) }
    }

    /// Reads one field line; `first` is its first byte, still in `rest`.
    fn line(&mut self, first: u8) -> Result<Line, DecodeError> {
        self.charge(FIELD_OVERHEAD)?;
        match first {
            // Indexed: 1 T Index(6).
            0x80.. => {
                let (name, value) = self.reference(6, first & 0x40 != 0)?;
                self.charge(name.len() as u64 + value.len() as u64)?;
                Ok(Line { name: Piece::Static(name), value: Piece::Static(value), never_index: false })
            }
            // Literal with name reference: 0 1 N T Index(4).
            0x40.. => {
                let (name, _) = self.reference(4, first & 0x10 != 0)?;
                self.charge(name.len() as u64)?;
                let value = self.string(7)?;
                Ok(Line { name: Piece::Static(name), value, never_index: first & 0x20 != 0 })
            }
            // Literal with literal name: 0 0 1 N H Length(3).
            0x20.. => {
                let name = self.string(3)?;
                let value = self.string(7)?;
                Ok(Line { name, value, never_index: first & 0x10 != 0 })
            }
            // Indexed with post-base index: 0 0 0 1 Index(4).
            0x10.. => Err(DecodeError::DynamicReference(self.integer(4)?)),
            // Literal with post-base name reference: 0 0 0 0 N Index(3).
            _ => Err(DecodeError::DynamicReference(self.integer(3)?)),
        }
    }

    fn reference(
        &mut self,
        prefix: u32,
        is_static: bool,
    ) -> Result<(&'static [u8], &'static [u8]), DecodeError> {
        let index = self.integer(prefix)?;
        if !is_static {
            // RFC 9204 §2.2.3: with a Required Insert Count of zero, no dynamic index is valid.
            return Err(DecodeError::DynamicReference(index));
        }
        static_table::get(index).ok_or(DecodeError::StaticIndex(index))
    }

    fn integer(&mut self, prefix: u32) -> Result<u64, DecodeError> {
        let (value, length) = integer::decode(self.rest, prefix)?.ok_or(DecodeError::Truncated)?;
        self.rest = self.rest.get(length..).unwrap_or_default();
        Ok(value)
    }

    /// Reads a string literal; the H bit stands right above the length's prefix (RFC 9204 §4.1.2).
    fn string(&mut self, prefix: u32) -> Result<Piece, DecodeError> {
        let coded = self.rest.first().ok_or(DecodeError::Truncated)? & 1 << prefix != 0;
        let length = self.integer(prefix)?;
        // The length is checked against the bytes that are there before any memory is reserved for it.
        let split = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
        let (bytes, rest) = split.ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        let start = self.text.len();
        if coded {
            let room = usize::try_from(self.left).unwrap_or(usize::MAX);
            huffman::decode(bytes, self.text, room).map_err(|error| match error {
                HuffmanError::Invalid => DecodeError::Huffman,
                HuffmanError::TooLong => DecodeError::TooLarge { limit: self.limit },
            })?;
        } else {
            if length > self.left {
                return Err(DecodeError::TooLarge { limit: self.limit });
            }
            self.text.extend_from_slice(bytes);
        }
        let piece = Piece::Text { start, end: self.text.len() };
        self.charge(piece.len() as u64)?;
        Ok(piece)
    }

    fn charge(&mut self, size: u64) -> Result<(), DecodeError> {
        self.left = self.left.checked_sub(size).ok_or(DecodeError::TooLarge { limit: self.limit })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Encoder, FieldRef};

    /// The decoder does not keep the memory of a large section, valid or not, until the next one.
    #[test]
    fn a_large_section_leaves_little_behind() {
        let (mut decoder, mut section) = (Decoder::new(), Vec::new());
        let long = vec![b'~'; 40_000];
        let fields = (0..700).map(|_| FieldRef::new(b"x-a", b"b")).chain([FieldRef::new(b"x-long", &long)]);
        Encoder::new().encode(0, fields, &mut section);
        for (limit, fits) in [(1 << 20, true), (64_000, false)] {
            assert_eq!(decoder.decode(&section, limit).is_ok(), fits);
            assert!(decoder.text.capacity() <= 16 << 10, "{} bytes of text", decoder.text.capacity());
            let lines = decoder.lines.capacity() * size_of::<Line>();
            assert!(lines <= 16 << 10, "{lines} bytes of lines");
        }
    }

    /// A section that refers to entries still in flight is blocked; that is no error of its sender.
    #[test]
    fn a_section_ahead_of_the_table_is_blocked() {
        let mut decoder = Decoder { inserted: Inserted::none_of(256), ..Decoder::default() };
        // Required Insert Count 3 (sent as 4), Base 3, and one line that refers to the last entry
        // (RFC 9204 §4.5).
        let section = [4, 0, 0x80];
        let blocked = Decoded::Blocked { required_insert_count: 3 };
        assert_eq!(decoder.decode(&section, 1000), Ok(blocked.clone()));
        assert_eq!(blocked.fields(), Err(DecodeError::BlockedStreams));
        assert_eq!(DecodeError::BlockedStreams.code(), Some(0x200));
        // A later section without dynamic references is decoded at once.
        assert_eq!(
            decoder.decode(&[0, 0, 0xc0 | 25], 1000).and_then(Decoded::fields).map(|f| f.len()),
            Ok(1)
        );
        // Invalid: a count beyond what the table can hold, and a Base below zero.
        assert_eq!(decoder.decode(&[17, 0], 1000), Err(DecodeError::RequiredInsertCount));
        assert_eq!(decoder.decode(&[4, 0x83], 1000), Err(DecodeError::NegativeBase));
        assert_eq!(Decoder::new().decode(&section, 1000), Err(DecodeError::RequiredInsertCount), "no table");
    }
}
