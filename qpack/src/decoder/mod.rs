//! The decoder turns encoded field sections into field lines and reads the peer's encoder stream.
//!
//! It owns the peer's dynamic table, the list of blocked streams, the instructions that wait to be sent on
//! the decoder stream, and a scratch buffer, which the caller's limit bounds and which shrinks after each
//! section. It keeps no section: the caller brings a blocked one again. Implements RFC 9204 §4.5 and §4.3
//! (reading), §4.4 (writing) and §2.2.

mod section;
mod stream;

use bytes::BufMut;

use crate::{
    error::{DecodeError, EncoderStreamError},
    field::Field,
    integer,
    table::{Table, max_entries},
};
use section::{Scratch, SectionReader};
use stream::{EncoderStream, Entry};

/// Decodes field sections.
#[derive(Debug)]
pub struct Decoder {
    max_capacity: u64,
    max_blocked: u64,
    table: Table<Entry>,
    stream: EncoderStream,
    /// The blocked streams, in the order in which they came.
    blocked: Vec<Blocked>,
    /// How many insertions the peer's encoder knows to have arrived, once it has read the instructions below
    /// (RFC 9204 §2.1.4).
    reported: u64,
    /// Acknowledgments and cancellations to send.
    instructions: Vec<u8>,
    scratch: Scratch,
}

#[derive(Clone, Copy, Debug)]
struct Blocked {
    stream: u64,
    required: u64,
}

/// The result of decoding a field section.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a caller must handle every variant")]
pub enum Decoded {
    /// The field lines of the section.
    Fields(Vec<Field>),
    /// The section refers to entries that the peer's encoder has not inserted yet (RFC 9204 §2.2.1). Its
    /// stream is blocked: keep the section until [`Decoder::poll_unblocked`] names the stream, then decode
    /// the same bytes again. A decoder that permits no blocked stream never returns this.
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

/// What the first bytes of a section tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a caller must handle every variant")]
pub enum Start {
    /// The prefix has not arrived whole.
    Incomplete,
    /// The section can be decoded once it is whole.
    Ready,
    /// The stream is blocked, as with [`Decoded::Blocked`].
    Blocked {
        /// The number of insertions the section needs, counted from the beginning of the connection.
        required_insert_count: u64,
    },
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder that offers no dynamic table: the caller sends `SETTINGS_QPACK_MAX_TABLE_CAPACITY` 0 or
    /// omits it.
    #[must_use]
    pub fn new() -> Self {
        Self::with_table(0, 0)
    }

    /// A decoder that offers a dynamic table of `max_capacity` bytes (`SETTINGS_QPACK_MAX_TABLE_CAPACITY`)
    /// and permits `max_blocked` streams to wait for it (`SETTINGS_QPACK_BLOCKED_STREAMS`, RFC 9204 §5).
    ///
    /// The peer makes the decoder hold at most `max_capacity` bytes of text and about 130 bytes for each 32
    /// bytes of `max_capacity`, and 16 bytes for each blocked stream.
    #[must_use]
    pub fn with_table(max_capacity: u64, max_blocked: u64) -> Self {
        // The sums of insert counts and entries stay far below 2^64.
        let max_capacity = max_capacity.min(integer::MAX);
        Self {
            max_capacity,
            max_blocked,
            // RFC 9204 §3.2.3: the capacity is zero until the encoder sets it.
            table: Table::new(0),
            stream: EncoderStream::default(),
            blocked: Vec::new(),
            reported: 0,
            instructions: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// Says from the first bytes of a section whether it will be blocked, so that the rest of it can stay in
    /// the flow-control window of its stream until then (RFC 9204 §2.2.1). A blocked stream counts from now
    /// on.
    ///
    /// # Errors
    /// What is wrong with the prefix, or that one more stream than permitted would be blocked.
    pub fn start(&mut self, stream: u64, bytes: &[u8]) -> Result<Start, DecodeError> {
        let max_entries = max_entries(self.max_capacity);
        let required =
            match SectionReader::new(bytes, &self.table, max_entries, &mut self.scratch, 0).required() {
                Ok(required) => required,
                Err(DecodeError::Truncated) => return Ok(Start::Incomplete),
                Err(error) => return Err(error),
            };
        if required <= self.table.inserted() {
            return Ok(Start::Ready);
        }
        self.block(stream, required)?;
        Ok(Start::Blocked { required_insert_count: required })
    }

    /// Decodes one whole encoded field section of the stream `stream`, or says that it cannot be decoded yet.
    /// A stream's sections are decoded in their order; a blocked one is brought again before the next.
    ///
    /// `max_field_section_size` bounds the sum of name, value and 32 bytes for each line (RFC 9114 §4.2.2).
    /// It is checked before a line is stored, so that a small section cannot expand beyond it. A section
    /// that is too large is not acknowledged: [cancel](Self::cancel_stream) its stream.
    ///
    /// # Errors
    /// What is wrong with the section, or that one more stream than permitted would be blocked.
    pub fn decode(
        &mut self,
        stream: u64,
        section: &[u8],
        max_field_section_size: u64,
    ) -> Result<Decoded, DecodeError> {
        let max_entries = max_entries(self.max_capacity);
        let reader =
            SectionReader::new(section, &self.table, max_entries, &mut self.scratch, max_field_section_size);
        let decoded = reader.read().and_then(|required| {
            if required > self.table.inserted() {
                self.block(stream, required)?;
                return Ok(Decoded::Blocked { required_insert_count: required });
            }
            self.unblock(stream);
            if required > 0 {
                // RFC 9204 §4.4.1. The encoder learns from this that so many insertions arrived (§2.1.4).
                integer::encode(stream, 7, 0x80, &mut self.instructions);
                self.reported = self.reported.max(required);
            }
            Ok(Decoded::Fields(self.scratch.fields(&self.table)))
        });
        self.scratch.clear();
        decoded
    }

    /// Reads bytes of the peer's encoder stream. An instruction may be split at any byte. Returns how many
    /// instructions are complete. Then [`poll_unblocked`](Self::poll_unblocked) names the streams whose
    /// sections can be decoded.
    ///
    /// # Errors
    /// What is wrong with an instruction.
    pub fn on_encoder_stream(&mut self, bytes: &[u8]) -> Result<u64, EncoderStreamError> {
        self.stream.read(bytes, &mut self.table, self.max_capacity)
    }

    /// The next stream that is no longer blocked, in the order in which they were blocked. It no longer
    /// counts as blocked; its section is to be decoded again.
    pub fn poll_unblocked(&mut self) -> Option<u64> {
        let inserted = self.table.inserted();
        let free = self.blocked.iter().position(|blocked| blocked.required <= inserted)?;
        Some(self.blocked.remove(free).stream)
    }

    /// How many streams are blocked.
    #[must_use]
    pub fn blocked_streams(&self) -> usize {
        self.blocked.len()
    }

    /// The stream was reset, or is no longer read, before all its sections were decoded: it no longer counts
    /// as blocked, and the peer's encoder is told that its references are gone (RFC 9204 §2.2.2.2).
    pub fn cancel_stream(&mut self, stream: u64) {
        self.unblock(stream);
        // RFC 9204 §4.4.2: without a table the encoder has nothing to learn.
        if self.max_capacity > 0 {
            integer::encode(stream, 6, 0x40, &mut self.instructions);
        }
    }

    /// Appends what is to be sent on the decoder stream now (RFC 9204 §4.4). Call it after each of the other
    /// calls, or once after several: an Insert Count Increment then covers all insertions of which the
    /// section acknowledgments do not speak.
    pub fn take_instructions(&mut self, out: &mut impl BufMut) {
        out.put_slice(&self.instructions);
        self.instructions.clear();
        let unreported = self.table.inserted() - self.reported;
        if unreported > 0 {
            // RFC 9204 §4.4.3.
            integer::encode(unreported, 6, 0, out);
            self.reported = self.table.inserted();
        }
    }

    /// How many bytes [`take_instructions`](Self::take_instructions) would append, at most. They grow by a few
    /// for each section and each cancelled stream, for as long as nobody takes them.
    #[must_use]
    pub fn pending_instructions(&self) -> usize {
        let increment = if self.table.inserted() > self.reported { integer::MAX_LENGTH } else { 0 };
        self.instructions.len() + increment
    }

    /// The number of insertions so far (RFC 9204 §2.1.4).
    #[must_use]
    pub fn insert_count(&self) -> u64 {
        self.table.inserted()
    }

    /// The entries of the dynamic table, oldest first: name and value.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.table.iter().map(|(entry, _)| (&entry.name[..], &entry.value[..]))
    }

    /// RFC 9204 §2.1.2: one more blocked stream than permitted is an error of the peer's encoder.
    fn block(&mut self, stream: u64, required: u64) -> Result<(), DecodeError> {
        if let Some(blocked) = self.blocked.iter_mut().find(|blocked| blocked.stream == stream) {
            blocked.required = required;
            return Ok(());
        }
        if self.blocked.len() as u64 >= self.max_blocked {
            return Err(DecodeError::BlockedStreams);
        }
        self.blocked.push(Blocked { stream, required });
        Ok(())
    }

    fn unblock(&mut self, stream: u64) {
        self.blocked.retain(|blocked| blocked.stream != stream);
    }
}

#[cfg(test)]
mod tests {
    use super::{section::KEPT_SCRATCH, *};
    use crate::{Encoder, FieldRef};

    /// The decoder does not keep the memory of a large section, valid or not, until the next one.
    #[test]
    fn a_large_section_leaves_little_behind() {
        let (mut decoder, mut section) = (Decoder::new(), Vec::new());
        let long = vec![b'~'; 40_000];
        let fields = (0..700).map(|_| FieldRef::new(b"x-a", b"b")).chain([FieldRef::new(b"x-long", &long)]);
        Encoder::new().encode(0, fields, &mut section);
        for (limit, fits) in [(1 << 20, true), (64_000, false)] {
            assert_eq!(decoder.decode(0, &section, limit).is_ok(), fits);
            let text = decoder.scratch.text.capacity();
            assert!(text <= KEPT_SCRATCH, "{text} bytes of text");
            let lines = decoder.scratch.lines.capacity() * size_of::<section::Line>();
            assert!(lines <= KEPT_SCRATCH, "{lines} bytes of lines");
        }
    }
}
