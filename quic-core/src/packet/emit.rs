//! From headers to bytes; the caller applies protection afterwards.

use super::{FIXED_BIT, FORM_LONG, KEY_PHASE_BIT, LongType, SPIN_BIT};
use crate::{base::Writer, ids::ConnectionId, version::Version};

/// The content of a long header with a packet number.
#[derive(Clone, Copy, Debug)]
pub struct LongHeader<'a> {
    /// The packet type.
    pub kind: LongType,
    /// The QUIC version.
    pub version: Version,
    /// Destination connection ID.
    pub dcid: &'a ConnectionId,
    /// Source connection ID.
    pub scid: &'a ConnectionId,
    /// Token of an Initial packet.
    pub token: &'a [u8],
}

/// Writes a long header up to and including the packet number of `pn_length` bytes. The Length field takes
/// two bytes and stays zero: returns its position, to be filled in when the packet's size is known. Returns
/// `None` without room.
#[must_use]
pub fn write_long_header(
    w: &mut Writer<'_>,
    header: &LongHeader<'_>,
    number: u64,
    pn_length: usize,
) -> Option<usize> {
    let bits = header.kind.bits(&header.version.wire().long_types);
    let first = FORM_LONG | FIXED_BIT | bits << 4 | (pn_length - 1) as u8;
    let mut ok = w.u8(first)
        && w.u32(header.version.number())
        && w.u8(header.dcid.len() as u8)
        && w.bytes(header.dcid.as_bytes())
        && w.u8(header.scid.len() as u8)
        && w.bytes(header.scid.as_bytes());
    if header.kind == LongType::Initial {
        ok = ok && w.varint(header.token.len() as u64) && w.bytes(header.token);
    }
    let length_position = w.position();
    ok = ok && w.zeros(2) && write_number(w, number, pn_length);
    ok.then_some(length_position)
}

/// Writes a short header with the packet number of `pn_length` bytes. Returns false without room.
#[must_use]
pub fn write_short_header(
    w: &mut Writer<'_>,
    dcid: &ConnectionId,
    number: u64,
    pn_length: usize,
    key_phase: bool,
    spin: bool,
) -> bool {
    let mut first = FIXED_BIT | (pn_length - 1) as u8;
    if key_phase {
        first |= KEY_PHASE_BIT;
    }
    if spin {
        first |= SPIN_BIT;
    }
    w.u8(first) && w.bytes(dcid.as_bytes()) && write_number(w, number, pn_length)
}

fn write_number(w: &mut Writer<'_>, number: u64, length: usize) -> bool {
    w.bytes(&number.to_be_bytes()[8 - length..])
}

/// Writes a Version Negotiation packet (RFC 9000 §17.2.1), whose connection IDs may have up to 255 bytes.
/// `random` fills the unused bits; the fixed bit is set, as §17.2.1 recommends.
#[must_use]
pub fn write_version_negotiation(
    w: &mut Writer<'_>,
    dcid: &[u8],
    scid: &[u8],
    versions: &[u32],
    random: u8,
) -> bool {
    let (Ok(dcid_length), Ok(scid_length)) = (u8::try_from(dcid.len()), u8::try_from(scid.len())) else {
        return false;
    };
    w.u8(FORM_LONG | FIXED_BIT | random & 0x3f)
        && w.u32(0)
        && w.u8(dcid_length)
        && w.bytes(dcid)
        && w.u8(scid_length)
        && w.bytes(scid)
        && versions.iter().all(|version| w.u32(*version))
}
