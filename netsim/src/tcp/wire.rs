//! The encoding of segments and acknowledgments in datagrams.

use super::segment::SEGMENT;

/// The length of the header in bytes. With the 28 bytes that a link adds, it is that of IP and TCP with
/// timestamps.
const HEADER: usize = 24;
/// The most ranges in an acknowledgment that also has a timestamp.
pub(super) const BLOCKS: usize = 3;

/// A segment; number 0 opens the connection and has no data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// The number of the connection; a sender makes a new one for each burst.
    pub(super) connection: u32,
    pub(super) number: u64,
    /// When it was sent, in nanoseconds.
    pub(super) sent: u64,
}

/// An acknowledgment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ack {
    pub(super) connection: u32,
    /// All segments below this have arrived.
    pub(super) next: u64,
    /// When the acknowledged segment was sent.
    pub(super) echo: u64,
    /// The ranges that arrived above `next`: the first, and the one after the last.
    pub(super) blocks: Vec<(u64, u64)>,
}

fn word(data: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*data.get(at..)?.first_chunk()?))
}

fn half(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*data.get(at..)?.first_chunk()?))
}

fn header(connection: u32, first: u64, second: u64, rest: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + SEGMENT as usize);
    bytes.extend_from_slice(&first.to_be_bytes());
    bytes.extend_from_slice(&second.to_be_bytes());
    bytes.extend_from_slice(&connection.to_be_bytes());
    bytes.extend_from_slice(&rest.to_be_bytes());
    bytes
}

impl Segment {
    pub(super) fn write(self) -> Vec<u8> {
        let mut bytes = header(self.connection, self.number, self.sent, 0);
        if self.number > 0 {
            bytes.resize(HEADER + SEGMENT as usize, 0);
        }
        bytes
    }

    pub(super) fn read(data: &[u8]) -> Option<Self> {
        Some(Self { number: word(data, 0)?, sent: word(data, 8)?, connection: half(data, 16)? })
    }
}

impl Ack {
    pub(super) fn write(&self) -> Vec<u8> {
        let mut bytes = header(self.connection, self.next, self.echo, self.blocks.len() as u32);
        for (from, to) in &self.blocks {
            for edge in [from, to] {
                let offset = u32::try_from(edge - self.next).unwrap_or(u32::MAX);
                bytes.extend_from_slice(&offset.to_be_bytes());
            }
        }
        bytes
    }

    pub(super) fn read(data: &[u8]) -> Option<Self> {
        let (next, echo, connection) = (word(data, 0)?, word(data, 8)?, half(data, 16)?);
        let count = (half(data, 20)? as usize).min(BLOCKS);
        let edge = |at: usize| Some(next.saturating_add(u64::from(half(data, at)?)));
        let blocks = (0..count)
            .map(|index| Some((edge(HEADER + index * 8)?, edge(HEADER + index * 8 + 4)?)))
            .collect::<Option<_>>()?;
        Some(Self { connection, next, echo, blocks })
    }
}
