//! The errors a peer can make: one enum each for field sections, the encoder stream and the decoder stream.

/// An integer above 2^62-1, or written with more bytes than such a value can need (RFC 9204 §4.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an integer above 2^62-1 (RFC 9204 §4.1.1)")]
#[expect(clippy::exhaustive_structs, reason = "an error with one cause")]
pub struct IntegerTooLarge;

/// Why an encoded field section could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The fields are larger than the caller's limit. This is no error of compression, so the connection may
    /// go on (RFC 9114 §4.2.2).
    #[error("the field section exceeds {limit} bytes (RFC 9114 §4.2.2)")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The section ends inside its prefix or a field line.
    #[error("the field section ends inside a field line (RFC 9204 §4.5)")]
    Truncated,
    /// A static table index above 98.
    #[error("no entry {0} in the static table (RFC 9204 §3.1)")]
    StaticIndex(u64),
    /// A Required Insert Count beyond what the offered dynamic table can hold. Without a table, any count but
    /// zero.
    #[error("a required insert count beyond the dynamic table (RFC 9204 §4.5.1.1)")]
    RequiredInsertCount,
    /// More streams are blocked than `SETTINGS_QPACK_BLOCKED_STREAMS` permits.
    #[error("more blocked streams than offered (RFC 9204 §2.1.2)")]
    BlockedStreams,
    /// The Base is negative.
    #[error("a negative base (RFC 9204 §4.5.1.2)")]
    NegativeBase,
    /// A reference to a dynamic table entry at or beyond the Required Insert Count.
    #[error("a reference to dynamic table entry {0}, which does not exist (RFC 9204 §2.2.3)")]
    DynamicReference(u64),
    /// A string with invalid padding or with the end-of-string symbol.
    #[error("an invalid Huffman string (RFC 7541 §5.2)")]
    Huffman,
    /// An integer above the limit of RFC 9204 §4.1.1.
    #[error(transparent)]
    Integer(#[from] IntegerTooLarge),
}

impl DecodeError {
    /// `QPACK_DECOMPRESSION_FAILED` (RFC 9204 §6), or `None` for [`DecodeError::TooLarge`], which is not an
    /// error of QPACK: HTTP/3 decides the answer.
    #[must_use]
    pub const fn code(self) -> Option<u64> {
        match self {
            Self::TooLarge { .. } => None,
            _ => Some(0x200),
        }
    }
}

/// What the peer's encoder did wrong on its encoder stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncoderStreamError {
    /// A dynamic table capacity above the offered maximum.
    #[error("a dynamic table capacity of {capacity} where at most {max} was offered (RFC 9204 §4.3.1)")]
    Capacity {
        /// What the peer asked for, in bytes.
        capacity: u64,
        /// What was offered, in bytes.
        max: u64,
    },
    /// An entry that does not fit into the table.
    #[error("an insertion larger than the dynamic table (RFC 9204 §3.2.2)")]
    EntryTooLarge,
    /// A reference to an entry that is in neither table.
    #[error("a reference to table entry {0}, which does not exist (RFC 9204 §2.2.3)")]
    Reference(u64),
    /// A string with invalid padding or with the end-of-string symbol.
    #[error("an invalid Huffman string (RFC 7541 §5.2)")]
    Huffman,
    /// An integer above the limit of RFC 9204 §4.1.1.
    #[error(transparent)]
    Integer(#[from] IntegerTooLarge),
}

impl EncoderStreamError {
    /// `QPACK_ENCODER_STREAM_ERROR` (RFC 9204 §6).
    #[must_use]
    pub const fn code(self) -> u64 {
        0x201
    }
}

/// What the peer's decoder did wrong on its decoder stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecoderStreamError {
    /// An acknowledgment for a stream on which no section with dynamic references is outstanding.
    #[error("a section acknowledgment for stream {0}, where none is outstanding (RFC 9204 §4.4.1)")]
    SectionAcknowledgment(u64),
    /// An increment of zero, or beyond the number of insertions sent.
    #[error("an insert count increment of {0} (RFC 9204 §4.4.3)")]
    InsertCountIncrement(u64),
    /// An integer above the limit of RFC 9204 §4.1.1.
    #[error(transparent)]
    Integer(#[from] IntegerTooLarge),
}

impl DecoderStreamError {
    /// `QPACK_DECODER_STREAM_ERROR` (RFC 9204 §6).
    #[must_use]
    pub const fn code(self) -> u64 {
        0x202
    }
}
