//! Cursors: a reader that never reads past its end and a writer that never writes past its buffer.

use super::varint;

/// The bytes ended inside the item that was being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes end inside the item being read")]
#[expect(clippy::exhaustive_structs, reason = "an error with one cause")]
pub struct UnexpectedEnd;

/// Reads network byte order from a slice.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Bytes already read.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Bytes not read yet.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// True when every byte was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// The bytes not read yet, without reading them.
    #[must_use]
    pub fn peek(&self) -> &'a [u8] {
        &self.bytes[self.position..]
    }

    /// Reads `count` bytes.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], UnexpectedEnd> {
        let rest = self.peek();
        let taken = rest.get(..count).ok_or(UnexpectedEnd)?;
        self.position += count;
        Ok(taken)
    }

    /// Reads `count` bytes, where `count` is a length that came off the wire.
    pub fn bytes_u64(&mut self, count: u64) -> Result<&'a [u8], UnexpectedEnd> {
        self.bytes(usize::try_from(count).map_err(|_| UnexpectedEnd)?)
    }

    /// Reads all remaining bytes.
    pub fn rest(&mut self) -> &'a [u8] {
        let rest = self.peek();
        self.position = self.bytes.len();
        rest
    }

    /// Reads an array of `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], UnexpectedEnd> {
        let taken = self.bytes(N)?;
        taken.try_into().map_err(|_| UnexpectedEnd)
    }

    /// Reads one byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, UnexpectedEnd> {
        let byte = *self.bytes.get(self.position).ok_or(UnexpectedEnd)?;
        self.position += 1;
        Ok(byte)
    }

    /// Reads two bytes.
    pub fn u16(&mut self) -> Result<u16, UnexpectedEnd> {
        self.array().map(u16::from_be_bytes)
    }

    /// Reads four bytes.
    pub fn u32(&mut self) -> Result<u32, UnexpectedEnd> {
        self.array().map(u32::from_be_bytes)
    }

    /// Reads eight bytes.
    pub fn u64(&mut self) -> Result<u64, UnexpectedEnd> {
        self.array().map(u64::from_be_bytes)
    }

    /// Reads a variable-length integer (RFC 9000 §16).
    #[inline]
    pub fn varint(&mut self) -> Result<u64, UnexpectedEnd> {
        let (value, length) = varint::decode(self.peek()).ok_or(UnexpectedEnd)?;
        self.position += length;
        Ok(value)
    }
}

/// Writes network byte order into a fixed slice. Each method returns whether there was room; without room it
/// writes nothing.
#[derive(Debug)]
pub struct Writer<'a> {
    buf: &'a mut [u8],
    position: usize,
}

impl<'a> Writer<'a> {
    /// A writer at the start of `buf`.
    #[must_use]
    pub fn new(buf: &'a mut [u8]) -> Self {
        Self { buf, position: 0 }
    }

    /// Bytes written so far.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Room left, in bytes.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.buf.len() - self.position
    }

    /// What was written so far.
    #[must_use]
    pub fn written(&self) -> &[u8] {
        &self.buf[..self.position]
    }

    /// What was written so far, for changes in place.
    pub fn written_mut(&mut self) -> &mut [u8] {
        &mut self.buf[..self.position]
    }

    /// Writes `bytes`.
    #[must_use]
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) -> bool {
        self.place(bytes.len()).map(|room| room.copy_from_slice(bytes)).is_some()
    }

    /// Takes the next `count` bytes, for the caller to fill; `None` without room.
    #[inline]
    pub fn place(&mut self, count: usize) -> Option<&mut [u8]> {
        let room = self.buf.get_mut(self.position..self.position + count)?;
        self.position += count;
        Some(room)
    }

    /// Writes `count` zero bytes.
    #[must_use]
    pub fn zeros(&mut self, count: usize) -> bool {
        self.place(count).map(|room| room.fill(0)).is_some()
    }

    /// Writes one byte.
    #[must_use]
    pub fn u8(&mut self, value: u8) -> bool {
        self.bytes(&[value])
    }

    /// Writes two bytes.
    #[must_use]
    pub fn u16(&mut self, value: u16) -> bool {
        self.bytes(&value.to_be_bytes())
    }

    /// Writes four bytes.
    #[must_use]
    pub fn u32(&mut self, value: u32) -> bool {
        self.bytes(&value.to_be_bytes())
    }

    /// Writes eight bytes.
    #[must_use]
    pub fn u64(&mut self, value: u64) -> bool {
        self.bytes(&value.to_be_bytes())
    }

    /// Writes the shortest encoding of a variable-length integer; false also for a value above
    /// [`varint::MAX`].
    #[must_use]
    #[inline]
    pub fn varint(&mut self, value: u64) -> bool {
        match varint::size(value) {
            1 => self.u8(value as u8),
            2 => self.u16(0x4000 | value as u16),
            4 => self.u32(0x8000_0000 | value as u32),
            _ => value <= varint::MAX && self.u64(0xc000_0000_0000_0000 | value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_stops_at_its_end_and_reads_nothing_in_part() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.u16(), Ok(0x0102));
        assert_eq!(reader.u16(), Err(UnexpectedEnd));
        assert_eq!(reader.bytes_u64(u64::MAX), Err(UnexpectedEnd));
        assert_eq!(reader.rest(), &[3]);
        assert!(reader.is_empty());
    }

    #[test]
    fn a_writer_without_room_writes_nothing() {
        let mut buf = [0xaa; 5];
        let mut writer = Writer::new(&mut buf);
        assert!(writer.u32(7));
        assert!(!writer.u16(1));
        assert!(!writer.varint(varint::MAX + 1));
        assert_eq!(writer.remaining(), 1);
        assert_eq!(buf, [0, 0, 0, 7, 0xaa]);
    }
}
