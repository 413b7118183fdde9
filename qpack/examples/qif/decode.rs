//! Decodes the records of a `.out`.

use std::{collections::BTreeMap, fmt};

use qpack::{DecodeError, Decoded, Decoder, EncoderStreamError};

use crate::{records::set_capacity, text::List};

/// The largest field section, in bytes as RFC 9114 §4.2.2 counts them: larger than any test has.
const MAX_SECTION: u64 = 16 << 20;

/// Why the records cannot be decoded. Records count from 1.
#[derive(Debug)]
pub(crate) enum Error {
    /// The encoder stream is wrong.
    Instructions { record: usize, error: EncoderStreamError },
    /// A section is wrong.
    Section { record: usize, stream: u64, error: DecodeError },
    /// A stream has a second section while its first one is blocked.
    Overtaken { record: usize, stream: u64 },
    /// The entries that this many sections wait for never came; the first of them is named.
    Blocked { count: usize, record: usize, stream: u64 },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instructions { record, error } => write!(f, "record {record}, encoder stream: {error}"),
            Self::Section { record, stream, error } => write!(f, "record {record}, stream {stream}: {error}"),
            Self::Overtaken { record, stream } => {
                write!(f, "record {record}, stream {stream}: the section before it is still blocked")
            }
            Self::Blocked { count, record, stream } => write!(
                f,
                "{count} sections wait for entries that never come, the first in record {record}, stream {stream}"
            ),
        }
    }
}

impl std::error::Error for Error {}

/// Decodes all records with a table of `capacity` bytes and `blocked` blocked streams; the lists come back in
/// the order of their records.
pub(crate) fn decode(records: &[(u64, &[u8])], capacity: u64, blocked: u64) -> Result<Vec<List>, Error> {
    let mut decoder = Decoder::with_table(capacity, blocked);
    // Some encoders leave out the instruction: in the drafts that they follow, the table starts with the
    // capacity that the settings permit.
    decoder
        .on_encoder_stream(&set_capacity(capacity))
        .map_err(|error| Error::Instructions { record: 0, error })?;
    let mut waiting = BTreeMap::<u64, (usize, &[u8])>::new();
    let mut lists = BTreeMap::new();
    let mut instructions = Vec::new();
    for (index, (stream, bytes)) in records.iter().enumerate() {
        let record = index + 1;
        let mut ready = Vec::new();
        if *stream == 0 {
            decoder.on_encoder_stream(bytes).map_err(|error| Error::Instructions { record, error })?;
            while let Some(stream) = decoder.poll_unblocked() {
                if let Some((record, bytes)) = waiting.remove(&stream) {
                    ready.push((record, stream, bytes));
                }
            }
        } else if waiting.contains_key(stream) {
            return Err(Error::Overtaken { record, stream: *stream });
        } else {
            ready.push((record, *stream, *bytes));
        }
        for (record, stream, bytes) in ready {
            match decoder.decode(stream, bytes, MAX_SECTION) {
                Ok(Decoded::Fields(fields)) => {
                    let list = fields.into_iter().map(|field| (field.name.to_vec(), field.value.to_vec()));
                    lists.insert(record, list.collect::<List>());
                }
                Ok(Decoded::Blocked { .. }) => {
                    waiting.insert(stream, (record, bytes));
                }
                Err(error) => return Err(Error::Section { record, stream, error }),
            }
        }
        instructions.clear();
        decoder.take_instructions(&mut instructions);
    }
    match waiting.iter().map(|(stream, (record, _))| (*record, *stream)).min() {
        Some((record, stream)) => Err(Error::Blocked { count: waiting.len(), record, stream }),
        None => Ok(lists.into_values().collect()),
    }
}
