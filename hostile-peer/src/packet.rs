//! Packets with arbitrary header fields and protection.

use quic_core::{
    Level,
    base::varint,
    crypto::protect_header,
    packet::{FIXED_BIT, FORM_LONG, KEY_PHASE_BIT, TAG_SIZE},
};

use crate::keys::Keys;

/// A packet before protection. [`Peer::packet`](crate::peer::Peer::packet) fills in honest values.
#[derive(Clone, Debug)]
pub struct Packet {
    /// The packet type.
    pub kind: Level,
    /// The version of a long header.
    pub version: u32,
    /// Destination connection ID, up to 255 bytes.
    pub dcid: Vec<u8>,
    /// Source connection ID, up to 255 bytes.
    pub scid: Vec<u8>,
    /// The token of an Initial.
    pub token: Vec<u8>,
    /// The full packet number.
    pub number: u64,
    /// Bytes of the packet number on the wire, 1 to 4.
    pub pn_size: usize,
    /// The bits of the first byte that are flipped before protection.
    pub flip: u8,
    /// The generation of 1-RTT keys that seals the packet.
    pub generation: usize,
    /// The key phase bit. Honest packets have the lowest bit of the generation.
    pub key_phase: bool,
    /// A false value for the Length field.
    pub length: Option<u64>,
    /// Frames.
    pub payload: Vec<u8>,
    /// Whether the sealed packet is damaged, so that it fails authentication.
    pub forged: bool,
}

impl Packet {
    fn header(&self) -> (Vec<u8>, usize) {
        let low = self.pn_size as u8 - 1;
        let mut out = Vec::new();
        if self.kind == Level::OneRtt {
            let phase = if self.key_phase { KEY_PHASE_BIT } else { 0 };
            out.push((FIXED_BIT | phase | low) ^ self.flip);
            out.extend(&self.dcid);
        } else {
            let kind: u8 = match self.kind {
                Level::Initial => 0,
                Level::ZeroRtt => 1,
                _ => 2,
            };
            out.push((FORM_LONG | FIXED_BIT | kind << 4 | low) ^ self.flip);
            out.extend(self.version.to_be_bytes());
            for id in [&self.dcid, &self.scid] {
                out.push(id.len() as u8);
                out.extend(id);
            }
            if self.kind == Level::Initial {
                varint::put(&mut out, self.token.len() as u64);
                out.extend(&self.token);
            }
            let length = self.length.unwrap_or((self.pn_size + self.payload.len() + TAG_SIZE) as u64);
            // Always two bytes, so that the header size does not depend on the payload.
            out.extend((0x4000 | (length.min(0x3fff) as u16)).to_be_bytes());
        }
        let pn_offset = out.len();
        out.extend(&self.number.to_be_bytes()[8 - self.pn_size..]);
        (out, pn_offset)
    }

    /// The size of the header in bytes, packet number included.
    #[must_use]
    pub fn header_size(&self) -> usize {
        self.header().0.len()
    }

    /// Appends PADDING frames until the sealed packet has `size` bytes.
    #[must_use]
    pub fn padded_to(mut self, size: usize) -> Self {
        let used = self.header_size() + self.payload.len() + TAG_SIZE;
        self.payload.resize(self.payload.len() + size.saturating_sub(used), 0);
        self
    }

    /// Seals and protects the packet.
    #[must_use]
    pub fn seal(mut self, keys: &mut Keys) -> Vec<u8> {
        // RFC 9001 §5.4.2: a sample must exist, unless the test wants a packet without any frame.
        if !self.payload.is_empty() {
            let least = 4 - self.pn_size;
            self.payload.resize(self.payload.len().max(least), 0);
        }
        let (mut bytes, pn_offset) = self.header();
        let header_size = bytes.len();
        bytes.extend(&self.payload);
        bytes.resize(bytes.len() + TAG_SIZE, 0);
        keys.packet(self.generation).seal(self.number, &mut bytes, header_size);
        if self.forged {
            let last = bytes.len() - 1;
            bytes[last] ^= 0x55;
        }
        if bytes.len() >= pn_offset + 4 + 16 {
            protect_header(keys.header(), &mut bytes, pn_offset, self.pn_size);
        }
        bytes
    }
}
