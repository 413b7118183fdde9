//! The decoder: an encoded field section to field lines, and what the peer's encoder says on its stream.
//!
//! It owns a scratch buffer that is bounded by the caller's limit and shrinks again, and knows how much of the dynamic table there
//! is: whether a section can be read yet follows from that. It must never know streams. Implements RFC 9204 §4.5 (reading) and §4.3
//! (reading).

use bytes::Bytes;

use crate::{
    error::{DecodeError, EncoderStreamError},
    field::{FIELD_OVERHEAD, Field},
    huffman::{self, HuffmanError},
    instruction::{self, EncoderInstruction, Pending},
    integer, static_table,
    table::Inserted,
};

/// Scratch space kept between sections, in bytes: above it, a section's buffer is given back.
const KEPT_SCRATCH: usize = 16 * 1024;

/// Bytes of the dynamic table that is offered (RFC 9204 §5).
const CAPACITY: u64 = 0;

/// Decodes field sections that refer to nothing but the static table.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: Pending,
    inserted: Inserted,
    /// Text of the section's literals.
    text: Vec<u8>,
    /// Lines of the section, whose literals are still places in `text`.
    lines: Vec<Line>,
}

/// What became of a field section.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a caller that overlooks one does the wrong thing")]
pub enum Decoded {
    /// Its field lines.
    Fields(Vec<Field>),
    /// It needs entries of the dynamic table that the peer's encoder stream has not brought yet (RFC 9204 §2.2.1). Once so many
    /// were inserted, the same section can be decoded; until then its stream is blocked. Not before the decoder offers a table.
    Blocked {
        /// Insertions, counted from the beginning of the connection.
        required_insert_count: u64,
    },
}

impl Decoded {
    /// The field lines, for a caller that holds no section back: it offered so by a `SETTINGS_QPACK_BLOCKED_STREAMS` of 0.
    ///
    /// # Errors
    /// [`DecodeError::BlockedStreams`]: the section is blocked, and its stream is one more than offered (RFC 9204 §2.1.2).
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
    /// A decoder that offers no dynamic table: `SETTINGS_QPACK_MAX_TABLE_CAPACITY` is to be 0 or left out.
    #[must_use]
    pub fn new() -> Self {
        Self { inserted: Inserted::none_of(CAPACITY), ..Self::default() }
    }

    /// Decodes one whole encoded field section, or says that it cannot be decoded yet.
    ///
    /// `max_field_section_size` bounds the sum of name, value and 32 bytes for each line (RFC 9114 §4.2.2). It is
    /// checked before a line is stored, so that a small section cannot expand beyond it.
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
        // A vector shrinks to what is in it, and no further.
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

    /// Reads bytes of the peer's encoder stream. An instruction may be split at any byte. How many instructions were read:
    /// without a table, none of those that are allowed brings anything.
    pub fn on_encoder_stream(&mut self, bytes: &[u8]) -> Result<u64, EncoderStreamError> {
        self.pending.feed(bytes, |bytes| {
            let Some((instruction, length)) = instruction::encoder(bytes)? else { return Ok(None) };
            match instruction {
                EncoderInstruction::SetCapacity(0) => Ok(Some(length)),
                // RFC 9204 §4.3.1: not above what the settings offered.
                EncoderInstruction::SetCapacity(capacity) => {
                    Err(EncoderStreamError::Capacity { capacity, max: CAPACITY })
                }
                EncoderInstruction::InsertWithNameReference { is_static, index }
                    if !is_static || static_table::get(index).is_none() =>
                {
                    Err(EncoderStreamError::Reference(index))
                }
                // RFC 9204 §3.2.2: no entry is smaller than 32 bytes, none fits into a table of 0.
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
    /// What the limit leaves for the lines to come, in bytes.
    left: u64,
    limit: u64,
}

impl SectionReader<'_> {
    /// The Required Insert Count, if it was not reached yet: then the lines are not read.
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

    /// RFC 9204 §4.5.1: Required Insert Count, which is returned, and Base.
    fn prefix(&mut self) -> Result<u64, DecodeError> {
        let encoded = self.integer(8)?;
        let required = self.inserted.required(encoded).ok_or(DecodeError::RequiredInsertCount)?;
        let sign = self.rest.first().ok_or(DecodeError::Truncated)? & 0x80 != 0;
        let delta = self.integer(7)?;
        // RFC 9204 §4.5.1.2: with the sign bit the Base is the count minus Delta Base minus one.
        if sign && delta >= required { Err(DecodeError::NegativeBase) } else { Ok(required) }
    }

    /// One field line; `first` is its first byte, not taken yet.
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
            // RFC 9204 §2.2.3: every index is at or beyond a Required Insert Count of zero.
            return Err(DecodeError::DynamicReference(index));
        }
        static_table::get(index).ok_or(DecodeError::StaticIndex(index))
    }

    fn integer(&mut self, prefix: u32) -> Result<u64, DecodeError> {
        let (value, length) = integer::decode(self.rest, prefix)?.ok_or(DecodeError::Truncated)?;
        self.rest = self.rest.get(length..).unwrap_or_default();
        Ok(value)
    }

    /// A string literal with the H bit right above the length's prefix (RFC 9204 §4.1.2).
    fn string(&mut self, prefix: u32) -> Result<Piece, DecodeError> {
        let coded = self.rest.first().ok_or(DecodeError::Truncated)? & 1 << prefix != 0;
        let length = self.integer(prefix)?;
        // The length is compared with what is there before anything is reserved for it.
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

    /// The largest section of a connection's life, good or not, is not held until the next one.
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

    /// A section that refers to entries which are on their way waits, and is no error of its sender.
    #[test]
    fn a_section_ahead_of_the_table_is_blocked() {
        let mut decoder = Decoder { inserted: Inserted::none_of(256), ..Decoder::default() };
        // Required Insert Count 3 is sent as 4, the Base is the same, and one line is the entry before it (RFC 9204 §4.5).
        let section = [4, 0, 0x80];
        let blocked = Decoded::Blocked { required_insert_count: 3 };
        assert_eq!(decoder.decode(&section, 1000), Ok(blocked.clone()));
        assert_eq!(blocked.fields(), Err(DecodeError::BlockedStreams));
        assert_eq!(DecodeError::BlockedStreams.code(), Some(0x200));
        // What needs nothing of the table goes past it.
        assert_eq!(
            decoder.decode(&[0, 0, 0xc0 | 25], 1000).and_then(Decoded::fields).map(|f| f.len()),
            Ok(1)
        );
        // More than the table can hold can be needed by nobody, and so can a Base below zero.
        assert_eq!(decoder.decode(&[17, 0], 1000), Err(DecodeError::RequiredInsertCount));
        assert_eq!(decoder.decode(&[4, 0x83], 1000), Err(DecodeError::NegativeBase));
        assert_eq!(Decoder::new().decode(&section, 1000), Err(DecodeError::RequiredInsertCount), "no table");
    }
}
