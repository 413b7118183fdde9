//! Packets as observers see them.

use std::fmt;

use crate::{
    frame::{Frame, Frames},
    ids::ConnectionId,
    packet::{FORM_LONG, KEY_PHASE_BIT},
};

/// The header of a packet without its protection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TracedHeader {
    /// The destination connection ID.
    pub dcid: ConnectionId,
    /// The source connection ID; long headers alone have one (RFC 9000 §17.2).
    pub scid: Option<ConnectionId>,
    /// The version; long headers alone have one.
    pub version: Option<u32>,
    /// The key phase bit; short headers alone have one (RFC 9000 §17.3.1).
    pub key_phase: Option<bool>,
    /// The size of the packet number in bytes, 1 to 4.
    pub number_length: u8,
}

impl TracedHeader {
    /// Reads the header of a packet of this stack, whose packet number takes the last `number_length` bytes.
    /// Protection of the first byte may be on, except for what tells the form.
    pub(crate) fn read(header: &[u8], number_length: usize, key_phase: bool) -> Option<Self> {
        let number_length = number_length as u8;
        let first = *header.first()?;
        if first & FORM_LONG == 0 {
            let end = header.len().checked_sub(usize::from(number_length))?;
            let dcid = ConnectionId::new(header.get(1..end)?)?;
            return Some(Self { dcid, scid: None, version: None, key_phase: Some(key_phase), number_length });
        }
        let version = u32::from_be_bytes(*header.get(1..)?.first_chunk()?);
        let (dcid, rest) = counted(header.get(5..)?)?;
        let (scid, _) = counted(rest)?;
        Some(Self { dcid, scid: Some(scid), version: Some(version), key_phase: None, number_length })
    }

    /// As [`Self::read`], for a header whose first byte has no protection.
    pub(crate) fn read_plain(header: &[u8], number_length: usize) -> Option<Self> {
        let key_phase = header.first().is_some_and(|first| first & KEY_PHASE_BIT != 0);
        Self::read(header, number_length, key_phase)
    }
}

/// A connection ID behind its length, and what follows.
fn counted(bytes: &[u8]) -> Option<(ConnectionId, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (id, rest) = rest.split_at_checked(usize::from(*length))?;
    Some((ConnectionId::new(id)?, rest))
}

/// The frames of a packet, in its decrypted payload.
#[derive(Clone, Copy)]
pub struct PacketFrames<'a>(&'a [u8]);

impl<'a> PacketFrames<'a> {
    /// The frames of a payload.
    pub(crate) const fn new(payload: &'a [u8]) -> Self {
        Self(payload)
    }

    /// The frames in order, up to the first that cannot be parsed.
    pub fn iter(&self) -> impl Iterator<Item = Frame<'a>> + use<'a> {
        Frames::new(self.0).map_while(Result::ok)
    }

    /// The size of all frames in bytes.
    #[must_use]
    pub const fn payload_size(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for PacketFrames<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::Writer,
        packet::{LongHeader, LongType, write_long_header, write_short_header},
        version::Version,
    };

    fn id(bytes: &[u8]) -> ConnectionId {
        ConnectionId::new(bytes).expect("short")
    }

    #[test]
    fn headers_are_read_back() {
        let mut bytes = [0; 64];
        let mut w = Writer::new(&mut bytes);
        let (dcid, scid) = (id(b"to"), id(b"from"));
        let long = LongHeader {
            kind: LongType::Initial,
            version: Version::V1,
            dcid: &dcid,
            scid: &scid,
            token: b"t",
        };
        assert!(write_long_header(&mut w, &long, 7, 2).is_some());
        let read = TracedHeader::read_plain(w.written(), 2).expect("whole");
        assert_eq!((read.dcid, read.scid, read.version), (dcid, Some(scid), Some(1)));
        assert_eq!((read.key_phase, read.number_length), (None, 2));

        let mut w = Writer::new(&mut bytes);
        assert!(write_short_header(&mut w, &dcid, 7, 3, true, false));
        let read = TracedHeader::read_plain(w.written(), 3).expect("whole");
        assert_eq!((read.dcid, read.scid, read.key_phase), (dcid, None, Some(true)));
        assert_eq!(TracedHeader::read_plain(&[0x40], 3), None, "cut off");
    }
}
