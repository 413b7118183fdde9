//! Keys that anyone on the path can compute: Initial packets and Retry integrity (RFC 9001 §5.2, §5.8).

use super::{Secret, Suite, secret::expand_label};
use crate::{
    base::algorithms::{aead, hkdf},
    ids::ConnectionId,
    packet::TAG_SIZE,
    version::Version,
};

/// The client's and the server's Initial secret for the destination connection ID of the client's first
/// Initial.
#[must_use]
pub fn initial_secrets(version: Version, dcid: &ConnectionId) -> (Secret, Secret) {
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, &version.wire().initial_salt).extract(dcid.as_bytes());
    let derive = |label: &[u8]| {
        let mut bytes = [0; 32];
        expand_label(&prk, label, &mut bytes);
        Secret::new(version, Suite::Aes128Gcm, &bytes).expect("SHA-256 secrets have 32 bytes")
    };
    (derive(b"client in"), derive(b"server in"))
}

/// The integrity tag of a Retry packet. `packet` is the packet without its tag; `original_dcid` is the
/// destination connection ID of the Initial that the Retry answers.
#[must_use]
pub fn retry_integrity_tag(version: Version, original_dcid: &ConnectionId, packet: &[u8]) -> [u8; TAG_SIZE] {
    let wire = version.wire();
    let mut pseudo = Vec::with_capacity(21 + packet.len());
    pseudo.push(original_dcid.len() as u8);
    pseudo.extend_from_slice(original_dcid.as_bytes());
    pseudo.extend_from_slice(packet);
    let key = aead::UnboundKey::new(&aead::AES_128_GCM, &wire.retry_key).expect("the key has 16 bytes");
    let tag = aead::LessSafeKey::new(key)
        .seal_in_place_separate_tag(
            aead::Nonce::assume_unique_for_key(wire.retry_nonce),
            aead::Aad::from(&pseudo),
            &mut [],
        )
        .expect("a packet is far below the AEAD's limits");
    tag.as_ref().try_into().expect("GCM tags have 16 bytes")
}
