//! Why a packet or datagram was ignored.

/// Why a datagram, or one packet of it, was ignored. None of these closes a connection; each is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// The header could not be parsed (RFC 9000 §17).
    HeaderMalformed,
    /// The fixed bit is zero (RFC 9000 §17.2).
    FixedBit,
    /// A version 1 connection ID longer than 20 bytes (RFC 9000 §17.2).
    CidTooLong,
    /// A client's Initial in a datagram below 1200 bytes (RFC 9000 §14.1).
    DatagramTooSmall,
    /// A version that was not selected for the connection (RFC 9000 §5.2.1).
    Version,
    /// No connection has this connection ID.
    UnknownConnection,
    /// A coalesced packet for another connection ID than the first (RFC 9000 §12.2).
    CoalescedForeign,
    /// The keys for this packet are not there yet, or were discarded.
    KeysUnavailable,
    /// Authentication failed (RFC 9001 §5.3).
    Decryption,
    /// The packet was received before (RFC 9000 §12.3).
    Duplicate,
    /// The address of a server that the client never validated (RFC 9000 §9).
    UnknownPath,
    /// A Retry or Version Negotiation packet that does not fit the attempt (RFC 9000 §6.2, §17.2.5.2).
    Unsolicited,
    /// A limit on buffered packets, pending handshakes or connections was reached.
    Limit,
    /// The connection is closing or draining (RFC 9000 §10.2).
    Closing,
}

impl DropReason {
    /// All reasons, for tables of counters.
    pub const ALL: [Self; 14] = [
        Self::HeaderMalformed,
        Self::FixedBit,
        Self::CidTooLong,
        Self::DatagramTooSmall,
        Self::Version,
        Self::UnknownConnection,
        Self::CoalescedForeign,
        Self::KeysUnavailable,
        Self::Decryption,
        Self::Duplicate,
        Self::UnknownPath,
        Self::Unsolicited,
        Self::Limit,
        Self::Closing,
    ];

    /// A name for tables of counters: words with underscores.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HeaderMalformed => "header_malformed",
            Self::FixedBit => "fixed_bit",
            Self::CidTooLong => "cid_too_long",
            Self::DatagramTooSmall => "datagram_too_small",
            Self::Version => "version",
            Self::UnknownConnection => "unknown_connection",
            Self::CoalescedForeign => "coalesced_foreign",
            Self::KeysUnavailable => "keys_unavailable",
            Self::Decryption => "decryption",
            Self::Duplicate => "duplicate",
            Self::UnknownPath => "unknown_path",
            Self::Unsolicited => "unsolicited",
            Self::Limit => "limit",
            Self::Closing => "closing",
        }
    }
}
