//! Packets that are sent without keeping state.

use crate::{
    base::{Entropy, Writer},
    crypto::{initial_secrets, retry_integrity_tag},
    error::TransportErrorCode,
    frame::{Frame, ResetToken},
    ids::{ConnectionId, Level},
    keyring::{Keyring, PacketPlace},
    packet::{
        FIXED_BIT, FORM_LONG, LongHeader, LongType, TAG_SIZE, write_long_header, write_version_negotiation,
    },
    version::Version,
};

/// The smallest stateless reset (RFC 9000 §10.3).
pub(super) const MIN_RESET: usize = 21;
/// The size of a reset for larger triggers: it looks like a small packet.
pub(super) const TYPICAL_RESET: usize = 42;

/// A stateless reset in response to a datagram of `trigger` bytes; `None` if it would not be smaller than
/// that datagram.
pub(super) fn reset(token: &ResetToken, trigger: usize, entropy: &mut dyn Entropy) -> Option<Vec<u8>> {
    // RFC 9000 §10.3.3: a reset is smaller than its trigger, so that two endpoints cannot answer each other
    // forever.
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

/// A Version Negotiation packet that echoes both connection IDs (RFC 9000 §17.2.1), with a reserved version
/// among the offered ones (§6.3), but not `asked`, which the client has used.
pub(super) fn version_negotiation(
    offered: &[Version],
    asked: u32,
    dcid: &[u8],
    scid: &[u8],
    entropy: &mut dyn Entropy,
) -> Vec<u8> {
    let random = entropy.next_u64();
    let reserved = Version::reserved(random as u32);
    // RFC 9000 §6.2: a client ignores the packet if it names the client's version.
    let reserved = if reserved == asked { Version::reserved(!random as u32) } else { reserved };
    let versions: Vec<u32> = offered.iter().map(|version| version.number()).chain([reserved]).collect();
    let mut bytes = vec![0; 7 + 2 * 255 + 4 * versions.len()];
    let mut w = Writer::new(&mut bytes);
    let written = write_version_negotiation(&mut w, scid, dcid, &versions, (random >> 32) as u8);
    debug_assert!(written, "both connection IDs came off the wire: at most 255 bytes");
    let size = w.position();
    bytes.truncate(size);
    bytes
}

/// A Retry packet of `version` from `scid` to the client at `client_scid`, in answer to its Initial to
/// `dcid`.
pub(super) fn retry(
    version: Version,
    dcid: &ConnectionId,
    client_scid: &ConnectionId,
    scid: &ConnectionId,
    token: &[u8],
) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 7 + 2 * 20 + token.len() + TAG_SIZE];
    let mut w = Writer::new(&mut bytes);
    let written = w.u8(FORM_LONG | FIXED_BIT | version.wire().long_types.retry << 4)
        && w.u32(version.number())
        && w.u8(client_scid.len() as u8)
        && w.bytes(client_scid.as_bytes())
        && w.u8(scid.len() as u8)
        && w.bytes(scid.as_bytes())
        && w.bytes(token);
    let tag = retry_integrity_tag(version, dcid, w.written());
    if !written || !w.bytes(&tag) {
        return None;
    }
    let size = w.position();
    bytes.truncate(size);
    Some(bytes)
}

/// An Initial of `version` with nothing but a CONNECTION_CLOSE, in answer to an Initial to `dcid` from
/// `client_scid`.
pub(super) fn close(
    version: Version,
    dcid: &ConnectionId,
    client_scid: &ConnectionId,
    code: TransportErrorCode,
) -> Vec<u8> {
    let (client, server) = initial_secrets(version, dcid);
    let mut keys = Keyring::new();
    keys.install(Level::Initial, &server, &client);
    let mut bytes = vec![0; 128];
    let mut w = Writer::new(&mut bytes);
    let header = LongHeader { kind: LongType::Initial, version, dcid: client_scid, scid: dcid, token: &[] };
    let length_at = write_long_header(&mut w, &header, 0, 1);
    let header_size = w.position();
    // Three bytes of padding give header protection its sample, whatever the length of the code.
    let written =
        Frame::TransportClose { code: code.0, frame_type: 0, reason: b"" }.write(&mut w) && w.zeros(3);
    debug_assert!(written, "the headers and the frame are far below 128 bytes");
    let size = w.position() + TAG_SIZE;
    bytes.truncate(size);
    if let Some(at) = length_at {
        let length = (size - header_size + 1) as u16;
        bytes[at..at + 2].copy_from_slice(&(0x4000 | length).to_be_bytes());
    }
    let sealed = keys.seal(Level::Initial, PacketPlace { number: 0, header_size, pn_size: 1 }, &mut bytes);
    debug_assert!(sealed, "the keys were just installed");
    bytes
}
