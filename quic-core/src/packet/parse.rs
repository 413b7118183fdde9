//! From bytes to headers. Header protection is still on, so packet numbers and the low bits of the first byte
//! are unknown.

use std::ops::Range;

use super::{FIXED_BIT, FORM_LONG, TAG_SIZE};
use crate::{
    base::{Reader, UnexpectedEnd},
    ids::{ConnectionId, Level},
    version::{LongTypes, Version},
};

/// Long packet types that carry packet numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LongType {
    /// Initial (RFC 9000 §17.2.2).
    Initial,
    /// 0-RTT (RFC 9000 §17.2.3).
    ZeroRtt,
    /// Handshake (RFC 9000 §17.2.4).
    Handshake,
}

impl LongType {
    /// The type of packets of a level; `None` for 1-RTT, whose packets have short headers.
    #[must_use]
    pub const fn of(level: Level) -> Option<Self> {
        match level {
            Level::Initial => Some(Self::Initial),
            Level::ZeroRtt => Some(Self::ZeroRtt),
            Level::Handshake => Some(Self::Handshake),
            Level::OneRtt => None,
        }
    }

    /// The level of packets of this type.
    #[must_use]
    pub const fn level(self) -> Level {
        match self {
            Self::Initial => Level::Initial,
            Self::ZeroRtt => Level::ZeroRtt,
            Self::Handshake => Level::Handshake,
        }
    }

    /// The type that these two bits mean in a version whose types are `types`; `None` for Retry.
    fn from_bits(bits: u8, types: &LongTypes) -> Option<Self> {
        [Self::Initial, Self::ZeroRtt, Self::Handshake].into_iter().find(|kind| kind.bits(types) == bits)
    }

    pub(super) fn bits(self, types: &LongTypes) -> u8 {
        match self {
            Self::Initial => types.initial,
            Self::ZeroRtt => types.zero_rtt,
            Self::Handshake => types.handshake,
        }
    }
}

/// A long header with a packet number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Long {
    /// The packet type.
    pub kind: LongType,
    /// The QUIC version.
    pub version: Version,
    /// Destination connection ID.
    pub dcid: ConnectionId,
    /// Source connection ID.
    pub scid: ConnectionId,
    /// Where the token lies in the datagram; empty except in Initial packets.
    pub token: Range<usize>,
    /// Where the protected packet number begins.
    pub pn_offset: usize,
    /// Where the packet ends; a coalesced packet may follow.
    pub end: usize,
}

/// A short header (RFC 9000 §17.3.1). The packet extends to the end of the datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Short {
    /// Destination connection ID, of the length that this endpoint issues.
    pub dcid: ConnectionId,
    /// Where the protected packet number begins.
    pub pn_offset: usize,
}

/// A Retry packet (RFC 9000 §17.2.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry<'a> {
    /// The QUIC version.
    pub version: Version,
    /// Destination connection ID.
    pub dcid: ConnectionId,
    /// Source connection ID.
    pub scid: ConnectionId,
    /// The token to echo.
    pub token: &'a [u8],
    /// The integrity tag (RFC 9001 §5.8).
    pub tag: [u8; TAG_SIZE],
}

/// A Version Negotiation packet (RFC 9000 §17.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionNegotiation<'a> {
    /// Destination connection ID, up to 255 bytes.
    pub dcid: &'a [u8],
    /// Source connection ID, up to 255 bytes.
    pub scid: &'a [u8],
    versions: &'a [u8],
}

impl VersionNegotiation<'_> {
    /// The versions that the server offers.
    pub fn versions(&self) -> impl Iterator<Item = u32> + '_ {
        self.versions.chunks_exact(4).map(|v| u32::from_be_bytes([v[0], v[1], v[2], v[3]]))
    }
}

/// A parsed header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Header<'a> {
    /// A long header with a packet number.
    Long(Long),
    /// A short header.
    Short(Short),
    /// A Retry packet.
    Retry(Retry<'a>),
    /// A Version Negotiation packet.
    VersionNegotiation(VersionNegotiation<'a>),
    /// A long header of a version this stack does not speak; only the invariants can be read (RFC 8999 §5.1).
    UnknownVersion {
        /// The version.
        version: u32,
        /// Destination connection ID, up to 255 bytes.
        dcid: &'a [u8],
        /// Source connection ID, up to 255 bytes.
        scid: &'a [u8],
    },
}

/// Why a header could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The datagram ends inside the header, or its Length field goes beyond the datagram.
    #[error("the packet header is cut short")]
    Truncated,
    /// The fixed bit is zero.
    #[error("the fixed bit of the packet is zero")]
    FixedBit,
    /// A connection ID has more than 20 bytes, which this version does not allow.
    #[error("a connection ID is longer than 20 bytes")]
    CidTooLong,
}

impl From<UnexpectedEnd> for HeaderError {
    fn from(_: UnexpectedEnd) -> Self {
        Self::Truncated
    }
}

/// Parses the header of the first packet in `datagram`. `cid_length` is the length of the connection IDs that
/// this endpoint issues; short headers do not carry it. With `allow_fixed_bit_zero` the peer may grease the
/// fixed bit (RFC 9287).
pub fn parse(
    datagram: &[u8],
    cid_length: usize,
    allow_fixed_bit_zero: bool,
) -> Result<Header<'_>, HeaderError> {
    let mut r = Reader::new(datagram);
    let first = r.u8()?;
    if first & FORM_LONG == 0 {
        if first & FIXED_BIT == 0 && !allow_fixed_bit_zero {
            return Err(HeaderError::FixedBit);
        }
        let dcid = ConnectionId::new(r.bytes(cid_length)?).ok_or(HeaderError::CidTooLong)?;
        return Ok(Header::Short(Short { dcid, pn_offset: r.position() }));
    }
    let version = r.u32()?;
    let length = r.u8()?;
    let dcid = r.bytes(usize::from(length))?;
    let length = r.u8()?;
    let scid = r.bytes(usize::from(length))?;
    if version == 0 {
        let versions = r.rest();
        // RFC 9000 §17.2.1: a list of 32-bit versions fills the rest of the packet.
        if versions.is_empty() || !versions.len().is_multiple_of(4) {
            return Err(HeaderError::Truncated);
        }
        return Ok(Header::VersionNegotiation(VersionNegotiation { dcid, scid, versions }));
    }
    match Version::from_number(version) {
        Some(version) => parse_long(r, first, version, dcid, scid, allow_fixed_bit_zero),
        None => Ok(Header::UnknownVersion { version, dcid, scid }),
    }
}

fn parse_long<'a>(
    mut r: Reader<'a>,
    first: u8,
    version: Version,
    dcid: &[u8],
    scid: &[u8],
    allow_fixed_bit_zero: bool,
) -> Result<Header<'a>, HeaderError> {
    let dcid = ConnectionId::new(dcid).ok_or(HeaderError::CidTooLong)?;
    let scid = ConnectionId::new(scid).ok_or(HeaderError::CidTooLong)?;
    if first & FIXED_BIT == 0 && !allow_fixed_bit_zero {
        return Err(HeaderError::FixedBit);
    }
    let Some(kind) = LongType::from_bits(first >> 4 & 0b11, &version.wire().long_types) else {
        let rest = r.rest();
        let (token, tag) = rest.split_last_chunk::<TAG_SIZE>().ok_or(HeaderError::Truncated)?;
        return Ok(Header::Retry(Retry { version, dcid, scid, token, tag: *tag }));
    };
    let token = if kind == LongType::Initial {
        let length = r.varint()?;
        let start = r.position();
        r.bytes_u64(length)?;
        start..r.position()
    } else {
        r.position()..r.position()
    };
    let length = r.varint()?;
    let pn_offset = r.position();
    r.bytes_u64(length)?;
    Ok(Header::Long(Long { kind, version, dcid, scid, token, pn_offset, end: r.position() }))
}

/// Splits a Retry packet into the bytes that its integrity tag covers and the tag (RFC 9001 §5.8).
#[must_use]
pub fn retry_integrity_split(packet: &[u8]) -> Option<(&[u8], &[u8; TAG_SIZE])> {
    packet.split_last_chunk()
}

/// The versions that a server offers, if `datagram` is a Version Negotiation packet (RFC 9000 §17.2.1) that
/// answers a packet of ours. `source` and `destination` are the connection IDs of our packet, which the
/// answer exchanges (§6.2). The list may contain versions that nobody speaks (§15).
#[must_use]
pub fn offered_versions(datagram: &[u8], source: &[u8], destination: &[u8]) -> Option<Vec<u32>> {
    match parse(datagram, source.len(), true) {
        Ok(Header::VersionNegotiation(offer)) if (offer.dcid, offer.scid) == (source, destination) => {
            Some(offer.versions().collect())
        }
        _ => None,
    }
}
