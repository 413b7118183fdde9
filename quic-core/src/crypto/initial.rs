//! Keys that anyone on the path can compute: Initial packets and Retry integrity (RFC 9001 §5.2, §5.8).

use super::{
    Secret, Suite,
    provider::{aead, hkdf},
    secret::expand_label,
};
use crate::{ids::ConnectionId, packet::TAG_SIZE};

/// RFC 9001 §5.2.
const INITIAL_SALT: [u8; 20] = [
    0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc,
    0xbb, 0x7f, 0x0a,
];

/// RFC 9001 §5.8.
const RETRY_KEY: [u8; 16] =
    [0xbe, 0x0c, 0x69, 0x0b, 0x9f, 0x66, 0x57, 0x5a, 0x1d, 0x76, 0x6b, 0x54, 0xe3, 0x68, 0xc8, 0x4e];
const RETRY_NONCE: [u8; 12] = [0x46, 0x15, 0x99, 0xd3, 0x5d, 0x63, 0x2b, 0xf2, 0x23, 0x98, 0x25, 0xbb];

/// The client's and the server's Initial secret for the destination connection ID of the client's first Initial.
#[must_use]
pub fn initial_secrets(dcid: &ConnectionId) -> (Secret, Secret) {
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, &INITIAL_SALT).extract(dcid.as_bytes());
    let derive = |label: &[u8]| {
        let mut bytes = [0; 32];
        expand_label(&prk, label, &mut bytes);
        Secret::new(Suite::Aes128Gcm, &bytes).expect("SHA-256 secrets have 32 bytes")
    };
    (derive(b"client in"), derive(b"server in"))
}

/// The integrity tag of a Retry packet: `packet` is the packet without its tag, `original_dcid` the destination
/// connection ID of the Initial that it answers.
#[must_use]
pub fn retry_integrity_tag(original_dcid: &ConnectionId, packet: &[u8]) -> [u8; TAG_SIZE] {
    let mut pseudo = Vec::with_capacity(21 + packet.len());
    pseudo.push(original_dcid.len() as u8);
    pseudo.extend_from_slice(original_dcid.as_bytes());
    pseudo.extend_from_slice(packet);
    let key = aead::UnboundKey::new(&aead::AES_128_GCM, &RETRY_KEY).expect("the key has 16 bytes");
    let tag = aead::LessSafeKey::new(key)
        .seal_in_place_separate_tag(
            aead::Nonce::assume_unique_for_key(RETRY_NONCE),
            aead::Aad::from(&pseudo),
            &mut [],
        )
        .expect("a packet is far below the AEAD's limits");
    tag.as_ref().try_into().expect("GCM tags have 16 bytes")
}
