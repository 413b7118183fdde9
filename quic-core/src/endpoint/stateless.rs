//! Packets that are sent without keeping any state.

use crate::{
    base::{Entropy, Writer},
    crypto::{initial_secrets, retry_integrity_tag},
    error::TransportErrorCode,
    frame::{Frame, ResetToken},
    ids::{ConnectionId, Space},
    keyring::{Keyring, PacketPlace},
    packet::{
        FIXED_BIT, FORM_LONG, LongHeader, LongType, TAG_SIZE, VERSION_1, write_long_header,
        write_version_negotiation,
    },
};

/// The smallest stateless reset (RFC 9000 §10.3).
pub(super) const MIN_RESET: usize = 21;
/// Larger triggers are answered with this size: it looks like a small packet.
const TYPICAL_RESET: usize = 42;
/// The Retry packet type in the first byte of a long header.
const RETRY_BITS: u8 = 0x30;

/// A stateless reset in answer to a datagram of `trigger` bytes; `None` if it would not be smaller than that.
pub(super) fn reset(token: &ResetToken, trigger: usize, entropy: &mut dyn Entropy) -> Option<Vec<u8>> {
    // RFC 9000 §10.3.3: always smaller than what it answers, so that two endpoints cannot go on forever.
    let size = trigger.checked_sub(1)?.min(TYPICAL_RESET);
    if size < MIN_RESET {
        return None;
    }
    let mut bytes = vec![0; size];
    entropy.fill(&mut bytes);
    bytes[0] = bytes[0] & 0x3f | FIXED_BIT;
    bytes[size - token.len()..].copy_from_slice(token);
    Some(bytes)
}

/// A Version Negotiation packet that echoes both connection IDs (RFC 9000 §17.2.1), with a reserved version among the
/// offered ones (§6.3).
pub(super) fn version_negotiation(dcid: &[u8], scid: &[u8], entropy: &mut dyn Entropy) -> Vec<u8> {
    let random = entropy.next_u64();
    let reserved = (random as u32) & 0xf0f0_f0f0 | 0x0a0a_0a0a;
    let mut bytes = vec![0; 7 + 2 * 255 + 8];
    let mut w = Writer::new(&mut bytes);
    let written = write_version_negotiation(&mut w, scid, dcid, &[VERSION_1, reserved], (random >> 32) as u8);
    debug_assert!(written, "both connection IDs came off the wire: at most 255 bytes");
    let size = w.position();
    bytes.truncate(size);
    bytes
}

/// A Retry packet from `scid` to the client at `client_scid`, in answer to its Initial to `dcid`.
pub(super) fn retry(
    dcid: &ConnectionId,
    client_scid: &ConnectionId,
    scid: &ConnectionId,
    token: &[u8],
) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 7 + 2 * 20 + token.len() + TAG_SIZE];
    let mut w = Writer::new(&mut bytes);
    let written = w.u8(FORM_LONG | FIXED_BIT | RETRY_BITS)
        && w.u32(VERSION_1)
        && w.u8(client_scid.len() as u8)
        && w.bytes(client_scid.as_bytes())
        && w.u8(scid.len() as u8)
        && w.bytes(scid.as_bytes())
        && w.bytes(token);
    let tag = retry_integrity_tag(dcid, w.written());
    if !written || !w.bytes(&tag) {
        return None;
    }
    let size = w.position();
    bytes.truncate(size);
    Some(bytes)
}

/// An Initial with nothing but a CONNECTION_CLOSE, in answer to an Initial to `dcid` from `client_scid`.
pub(super) fn close(dcid: &ConnectionId, client_scid: &ConnectionId, code: TransportErrorCode) -> Vec<u8> {
    let (client, server) = initial_secrets(dcid);
    let mut keys = Keyring::new();
    keys.install(Space::Initial, &server, &client);
    let mut bytes = vec![0; 128];
    let mut w = Writer::new(&mut bytes);
    let header =
        LongHeader { kind: LongType::Initial, version: VERSION_1, dcid: client_scid, scid: dcid, token: &[] };
    let length_at = write_long_header(&mut w, &header, 0, 1);
    let header_size = w.position();
    // Three bytes of padding let header protection find its sample whatever the code's length.
    let written =
        Frame::TransportClose { code: code.0, frame_type: 0, reason: b"" }.write(&mut w) && w.zeros(3);
    debug_assert!(written, "the headers and the frame are far below 128 bytes");
    let size = w.position() + TAG_SIZE;
    bytes.truncate(size);
    if let Some(at) = length_at {
        let length = (size - header_size + 1) as u16;
        bytes[at..at + 2].copy_from_slice(&(0x4000 | length).to_be_bytes());
    }
    let sealed = keys.seal(Space::Initial, PacketPlace { number: 0, header_size, pn_size: 1 }, &mut bytes);
    debug_assert!(sealed, "the keys were just installed");
    bytes
}
