//! Records of encoded bytes (`.out`).

use std::fmt;

/// A file that ends inside a record, whose head is at `offset`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Inside the head of the record.
    Head { offset: usize },
    /// Inside its bytes: `left` of `length` are there.
    Bytes { offset: usize, length: u32, left: usize },
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head { offset } => write!(f, "offset {offset}: the file ends inside the head of a record"),
            Self::Bytes { offset, length, left } => {
                write!(f, "offset {offset}: a record of {length} bytes, but the file has only {left} more")
            }
        }
    }
}

impl std::error::Error for Cut {}

/// The records: the stream, 0 for the encoder stream, and its bytes.
pub(crate) fn read_records(bytes: &[u8]) -> Result<Vec<(u64, &[u8])>, Cut> {
    let mut records = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let offset = bytes.len() - rest.len();
        let (stream, tail) = rest.split_first_chunk().ok_or(Cut::Head { offset })?;
        let (length, tail) = tail.split_first_chunk().ok_or(Cut::Head { offset })?;
        let length = u32::from_be_bytes(*length);
        let split = usize::try_from(length).ok().and_then(|length| tail.split_at_checked(length));
        let (record, tail) = split.ok_or(Cut::Bytes { offset, length, left: tail.len() })?;
        records.push((u64::from_be_bytes(*stream), record));
        rest = tail;
    }
    Ok(records)
}

/// Appends a record.
pub(crate) fn put_record(
    stream: u64,
    bytes: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), std::num::TryFromIntError> {
    out.extend(stream.to_be_bytes());
    out.extend(u32::try_from(bytes.len())?.to_be_bytes());
    out.extend(bytes);
    Ok(())
}

/// Set Dynamic Table Capacity (RFC 9204 §4.3.1). The files leave it out where it sets the capacity that the
/// program is given: in the drafts from which the format comes, the table starts with that.
pub(crate) fn set_capacity(capacity: u64) -> Vec<u8> {
    let Some(mut rest) = capacity.checked_sub(31) else { return vec![0x20 | capacity as u8] };
    let mut bytes = vec![0x3f];
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}
