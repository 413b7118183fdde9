//! Reads one encoded field section (RFC 9204 §4.5) against the tables.
//!
//! It borrows the decoder's scratch space and must never know streams.

use bytes::Bytes;

use super::stream::Entry;
use crate::{
    error::DecodeError,
    field::{FIELD_OVERHEAD, Field},
    huffman::{self, HuffmanError},
    integer, static_table,
    table::{Table, decode_required},
};

/// Scratch space kept between sections, in bytes. What a large section needed beyond it is freed.
pub(super) const KEPT_SCRATCH: usize = 16 * 1024;

/// The parts of a section's lines as they are read.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// The bytes of the section's literals.
    pub(super) text: Vec<u8>,
    pub(super) lines: Vec<Line>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    name: Piece,
    value: Piece,
    never_index: bool,
}

#[derive(Clone, Copy, Debug)]
enum Piece {
    Static(&'static [u8]),
    /// A range of the text.
    Text {
        start: usize,
        end: usize,
    },
    /// The name of the dynamic entry with this absolute index.
    EntryName(u64),
    EntryValue(u64),
}

impl Scratch {
    /// The fields. One allocation holds the text of all literals, which share it; what is in a table is
    /// shared with that.
    pub(super) fn fields(&self, table: &Table<Entry>) -> Vec<Field> {
        let text = Bytes::copy_from_slice(&self.text);
        let entry =
            |index, part: fn(&Entry) -> &Bytes| table.get(index).map(part).cloned().unwrap_or_default();
        let bytes = |piece| match piece {
            Piece::Static(bytes) => Bytes::from_static(bytes),
            Piece::Text { start, end } => text.slice(start..end),
            // The reader has seen the entry, and nothing is inserted in between.
            Piece::EntryName(index) => entry(index, |entry| &entry.name),
            Piece::EntryValue(index) => entry(index, |entry| &entry.value),
        };
        let field = |line: &Line| Field {
            name: bytes(line.name),
            value: bytes(line.value),
            never_index: line.never_index,
        };
        self.lines.iter().map(field).collect()
    }

    /// Forgets the section.
    pub(super) fn clear(&mut self) {
        // `shrink_to` never shrinks below the length, so the vectors are cleared first.
        self.text.clear();
        self.lines.clear();
        self.text.shrink_to(KEPT_SCRATCH);
        self.lines.shrink_to(KEPT_SCRATCH / size_of::<Line>());
    }
}

pub(super) struct SectionReader<'a> {
    rest: &'a [u8],
    table: &'a Table<Entry>,
    max_entries: u64,
    scratch: &'a mut Scratch,
    required: u64,
    base: u64,
    /// How much the limit leaves for the remaining lines, in bytes.
    left: u64,
    limit: u64,
}

impl<'a> SectionReader<'a> {
    pub(super) fn new(
        section: &'a [u8],
        table: &'a Table<Entry>,
        max_entries: u64,
        scratch: &'a mut Scratch,
        limit: u64,
    ) -> Self {
        Self { rest: section, table, max_entries, scratch, required: 0, base: 0, left: limit, limit }
    }

    /// Reads the lines into the scratch space, unless the table has too few insertions. Returns the Required
    /// Insert Count.
    pub(super) fn read(mut self) -> Result<u64, DecodeError> {
        self.prefix()?;
        if self.required <= self.table.inserted() {
            while let Some(&first) = self.rest.first() {
                let line = self.line(first)?;
                self.scratch.lines.push(line);
            }
        }
        Ok(self.required)
    }

    /// Reads the prefix only. Returns the Required Insert Count.
    pub(super) fn required(mut self) -> Result<u64, DecodeError> {
        self.prefix()?;
        Ok(self.required)
    }

    /// Reads the Required Insert Count and the Base (RFC 9204 §4.5.1).
    fn prefix(&mut self) -> Result<(), DecodeError> {
        let encoded = self.integer(8)?;
        let required = decode_required(encoded, self.max_entries, self.table.inserted());
        self.required = required.ok_or(DecodeError::RequiredInsertCount)?;
        let sign = self.rest.first().ok_or(DecodeError::Truncated)? & 0x80 != 0;
        let delta = self.integer(7)?;
        // RFC 9204 §4.5.1.2: with the sign bit the Base is the count minus Delta Base minus one. Both
        // numbers are far below 2^63.
        self.base = if sign {
            self.required.checked_sub(delta + 1).ok_or(DecodeError::NegativeBase)?
        } else {
            self.required + delta
        };
        Ok(())
    }

    /// Reads one field line; `first` is its first byte, still in `rest`.
    fn line(&mut self, first: u8) -> Result<Line, DecodeError> {
        self.charge(FIELD_OVERHEAD)?;
        match first {
            // Indexed: 1 T Index(6).
            0x80.. => {
                let index = self.integer(6)?;
                if first & 0x40 != 0 {
                    let (name, value) = static_table::get(index).ok_or(DecodeError::StaticIndex(index))?;
                    self.charge(name.len() as u64 + value.len() as u64)?;
                    return Ok(Line::new(Piece::Static(name), Piece::Static(value), false));
                }
                let index = self.before_base(index)?;
                self.indexed(index)
            }
            // Literal with name reference: 0 1 N T Index(4).
            0x40.. => {
                let index = self.integer(4)?;
                let name = if first & 0x10 != 0 {
                    let (name, _) = static_table::get(index).ok_or(DecodeError::StaticIndex(index))?;
                    self.charge(name.len() as u64)?;
                    Piece::Static(name)
                } else {
                    let index = self.before_base(index)?;
                    self.named(index)?
                };
                Ok(Line::new(name, self.string(7)?, first & 0x20 != 0))
            }
            // Literal with literal name: 0 0 1 N H Length(3).
            0x20.. => {
                let name = self.string(3)?;
                Ok(Line::new(name, self.string(7)?, first & 0x10 != 0))
            }
            // Indexed with post-base index: 0 0 0 1 Index(4).
            0x10.. => {
                let index = self.integer(4)?;
                self.indexed(self.base.saturating_add(index))
            }
            // Literal with post-base name reference: 0 0 0 0 N Index(3).
            _ => {
                let index = self.integer(3)?;
                let name = self.named(self.base.saturating_add(index))?;
                Ok(Line::new(name, self.string(7)?, first & 0x08 != 0))
            }
        }
    }

    /// The absolute index of an entry that is `back` entries before the Base (RFC 9204 §3.2.5).
    fn before_base(&self, back: u64) -> Result<u64, DecodeError> {
        let place = self.base.checked_sub(1).and_then(|newest| newest.checked_sub(back));
        place.ok_or(DecodeError::DynamicReference(back))
    }

    /// RFC 9204 §2.2.3: the entry is still in the table and below the Required Insert Count.
    fn entry(&self, index: u64) -> Result<&'a Entry, DecodeError> {
        let entry = self.table.get(index).filter(|_| index < self.required);
        entry.ok_or(DecodeError::DynamicReference(index))
    }

    fn indexed(&mut self, index: u64) -> Result<Line, DecodeError> {
        let entry = self.entry(index)?;
        self.charge(entry.name.len() as u64 + entry.value.len() as u64)?;
        Ok(Line::new(Piece::EntryName(index), Piece::EntryValue(index), false))
    }

    fn named(&mut self, index: u64) -> Result<Piece, DecodeError> {
        let entry = self.entry(index)?;
        self.charge(entry.name.len() as u64)?;
        Ok(Piece::EntryName(index))
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
        let text = &mut self.scratch.text;
        let start = text.len();
        if coded {
            let room = usize::try_from(self.left).unwrap_or(usize::MAX);
            huffman::decode(bytes, text, room).map_err(|error| match error {
                HuffmanError::Invalid => DecodeError::Huffman,
                HuffmanError::TooLong => DecodeError::TooLarge { limit: self.limit },
            })?;
        } else {
            if length > self.left {
                return Err(DecodeError::TooLarge { limit: self.limit });
            }
            text.extend_from_slice(bytes);
        }
        let end = text.len();
        self.charge((end - start) as u64)?;
        Ok(Piece::Text { start, end })
    }

    fn charge(&mut self, size: u64) -> Result<(), DecodeError> {
        self.left = self.left.checked_sub(size).ok_or(DecodeError::TooLarge { limit: self.limit })?;
        Ok(())
    }
}

impl Line {
    const fn new(name: Piece, value: Piece, never_index: bool) -> Self {
        Self { name, value, never_index }
    }
}
