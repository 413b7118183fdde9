//! Reads the peer's encoder stream (RFC 9204 §4.3) in pieces of any size.
//!
//! It owns the part of an instruction that has arrived: at most one integer and the text of one entry, which
//! the table's capacity bounds. Strings are decoded as they come, so nothing is reserved ahead of the bytes
//! and nothing is read twice.

use bytes::Bytes;

use crate::{
    error::EncoderStreamError,
    huffman::{self, HuffmanError},
    instruction::PartialInteger,
    static_table,
    table::{ENTRY_OVERHEAD, Table, entry_size},
};

/// Text kept between instructions, in bytes.
const KEPT_TEXT: usize = 4 * 1024;

/// An entry of the decoder's table. Its name and its value are allocations of their own: an entry that takes
/// over another's name keeps nothing else of it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: Bytes,
    pub(super) value: Bytes,
}

/// What is expected next.
#[derive(Debug, Default)]
enum Stage {
    /// The first integer of an instruction.
    #[default]
    Start,
    /// The rest of a literal name.
    Name(Literal),
    /// The length of a value; the name is that of another entry, or `None` if it is in the text.
    ValueLength(Option<Bytes>),
    /// The rest of a value.
    Value(Option<Bytes>, Literal),
}

/// A string of which `left` encoded bytes are still to come.
#[derive(Debug)]
struct Literal {
    left: u64,
    huffman: Option<huffman::Cursor>,
}

#[derive(Debug, Default)]
pub(super) struct EncoderStream {
    stage: Stage,
    integer: PartialInteger,
    /// The literal name, if there is one, and then the value.
    text: Vec<u8>,
    /// The length of the literal name.
    name: usize,
}

impl EncoderStream {
    /// Reads bytes into the table, whose capacity may be at most `max_capacity`. Returns the number of
    /// instructions that are complete.
    pub(super) fn read(
        &mut self,
        mut bytes: &[u8],
        table: &mut Table<Entry>,
        max_capacity: u64,
    ) -> Result<u64, EncoderStreamError> {
        let mut complete = 0;
        loop {
            match std::mem::take(&mut self.stage) {
                Stage::Start => match self.start(&mut bytes, table, max_capacity)? {
                    Some(true) => complete += 1,
                    Some(false) => {}
                    None => return Ok(complete),
                },
                Stage::Name(mut literal) => {
                    let room = table.capacity().saturating_sub(ENTRY_OVERHEAD);
                    if !self.string(&mut literal, &mut bytes, room)? {
                        self.stage = Stage::Name(literal);
                        return Ok(complete);
                    }
                    self.name = self.text.len();
                    self.stage = Stage::ValueLength(None);
                }
                Stage::ValueLength(name) => {
                    let Some(huffman) = self.integer.first(bytes).map(|first| first & 0x80 != 0) else {
                        self.stage = Stage::ValueLength(name);
                        return Ok(complete);
                    };
                    let Some(length) = self.integer.take(&mut bytes, 7)? else {
                        self.stage = Stage::ValueLength(name);
                        return Ok(complete);
                    };
                    let room = self.room_for_value(name.as_ref(), table);
                    self.stage = Stage::Value(name, Literal::new(length, huffman, room)?);
                }
                Stage::Value(name, mut literal) => {
                    let room = self.room_for_value(name.as_ref(), table) + self.name as u64;
                    if !self.string(&mut literal, &mut bytes, room)? {
                        self.stage = Stage::Value(name, literal);
                        return Ok(complete);
                    }
                    self.insert(name, table)?;
                    complete += 1;
                }
            }
        }
    }

    /// Reads the first integer of an instruction. Returns whether that was the whole instruction, or `None`
    /// if more bytes are needed.
    fn start(
        &mut self,
        bytes: &mut &[u8],
        table: &mut Table<Entry>,
        max_capacity: u64,
    ) -> Result<Option<bool>, EncoderStreamError> {
        let Some(first) = self.integer.first(bytes) else { return Ok(None) };
        let prefix = match first {
            0x80.. => 6,
            _ => 5,
        };
        let Some(value) = self.integer.take(bytes, prefix)? else { return Ok(None) };
        match first {
            // Insert with Name Reference: 1 T Index(6).
            0x80.. => {
                let name = named(value, first & 0x40 != 0, table)?;
                if entry_size(name.len(), 0) > table.capacity() {
                    return Err(EncoderStreamError::EntryTooLarge);
                }
                self.stage = Stage::ValueLength(Some(name));
                Ok(Some(false))
            }
            // Insert with Literal Name: 0 1 H Length(5).
            0x40.. => {
                let room = table.capacity().checked_sub(ENTRY_OVERHEAD);
                let room = room.ok_or(EncoderStreamError::EntryTooLarge)?;
                self.stage = Stage::Name(Literal::new(value, first & 0x20 != 0, room)?);
                Ok(Some(false))
            }
            // Set Dynamic Table Capacity: 0 0 1 Capacity(5). It must not exceed what the settings offered
            // (RFC 9204 §4.3.1).
            0x20.. if value > max_capacity => {
                Err(EncoderStreamError::Capacity { capacity: value, max: max_capacity })
            }
            0x20.. => {
                table.set_capacity(value);
                Ok(Some(true))
            }
            // Duplicate: 0 0 0 Index(5).
            _ => {
                let entry = relative(value, table).ok_or(EncoderStreamError::Reference(value))?.clone();
                let size = entry_size(entry.name.len(), entry.value.len());
                // An entry of the table fits into it.
                table.insert(entry, size);
                Ok(Some(true))
            }
        }
    }

    /// How long a value may be beside the name, in bytes.
    fn room_for_value(&self, name: Option<&Bytes>, table: &Table<Entry>) -> u64 {
        let name = name.map_or(self.name, Bytes::len);
        table.capacity().saturating_sub(entry_size(name, 0))
    }

    /// Appends what is there of a string to the text, which may have `room` bytes in all. Returns whether
    /// the string is complete.
    fn string(
        &mut self,
        literal: &mut Literal,
        bytes: &mut &[u8],
        room: u64,
    ) -> Result<bool, EncoderStreamError> {
        let taken = bytes.len().min(usize::try_from(literal.left).unwrap_or(usize::MAX));
        let (part, rest) = bytes.split_at_checked(taken).unwrap_or_default();
        *bytes = rest;
        literal.left -= part.len() as u64;
        match &mut literal.huffman {
            None => self.text.extend_from_slice(part),
            Some(cursor) => {
                let room = usize::try_from(room).unwrap_or(usize::MAX).saturating_sub(self.text.len());
                cursor.decode(part, &mut self.text, room)?;
                if literal.left == 0 {
                    cursor.finish()?;
                }
            }
        }
        Ok(literal.left == 0)
    }

    /// Inserts the entry whose text is complete.
    fn insert(&mut self, name: Option<Bytes>, table: &mut Table<Entry>) -> Result<(), EncoderStreamError> {
        let (literal, value) = self.text.split_at_checked(self.name).unwrap_or_default();
        let name = name.unwrap_or_else(|| Bytes::copy_from_slice(literal));
        let entry = Entry { value: Bytes::copy_from_slice(value), name };
        let size = entry_size(entry.name.len(), entry.value.len());
        self.text.clear();
        self.text.shrink_to(KEPT_TEXT);
        self.name = 0;
        if table.insert(entry, size) { Ok(()) } else { Err(EncoderStreamError::EntryTooLarge) }
    }
}

impl Literal {
    /// Refuses a string of which even the shortest text is longer than `room`.
    fn new(length: u64, huffman: bool, room: u64) -> Result<Self, EncoderStreamError> {
        let shortest = if huffman { huffman::shortest_text(length) } else { length };
        if shortest > room {
            return Err(EncoderStreamError::EntryTooLarge);
        }
        Ok(Self { left: length, huffman: huffman.then(huffman::Cursor::default) })
    }
}

impl From<HuffmanError> for EncoderStreamError {
    fn from(error: HuffmanError) -> Self {
        match error {
            HuffmanError::Invalid => Self::Huffman,
            HuffmanError::TooLong => Self::EntryTooLarge,
        }
    }
}

/// The entry that is `back` insertions before the newest (RFC 9204 §3.2.5).
fn relative(back: u64, table: &Table<Entry>) -> Option<&Entry> {
    table.get(table.inserted().checked_sub(1)?.checked_sub(back)?)
}

fn named(index: u64, is_static: bool, table: &Table<Entry>) -> Result<Bytes, EncoderStreamError> {
    let name = if is_static {
        static_table::get(index).map(|(name, _)| Bytes::from_static(name))
    } else {
        relative(index, table).map(|entry| entry.name.clone())
    };
    name.ok_or(EncoderStreamError::Reference(index))
}
