//! Sealing and opening packets, and header protection (RFC 9001 §5.3, §5.4).

use super::Secret;
use crate::{
    base::algorithms::aead::{self, quic},
    packet::{FORM_LONG, TAG_SIZE},
};

/// How many bytes of ciphertext header protection samples (RFC 9001 §5.4.2).
pub const SAMPLE_SIZE: usize = 16;

/// Authentication failed, or the packet is too short to have been sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the packet is not authentic")]
#[expect(clippy::exhaustive_structs, reason = "an error with one cause")]
pub struct OpenError;

/// The AEAD key of one direction at one level.
pub struct PacketKey {
    key: aead::LessSafeKey,
    iv: [u8; aead::NONCE_LEN],
}

impl std::fmt::Debug for PacketKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PacketKey")
    }
}

impl PacketKey {
    /// Derives key and IV from a secret (RFC 9001 §5.1).
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        let algorithm = secret.suite().aead();
        let mut key = zeroize::Zeroizing::new([0; 32]);
        let key = &mut key[..algorithm.key_len()];
        secret.expand(secret.labels().key, key);
        let mut iv = [0; aead::NONCE_LEN];
        secret.expand(secret.labels().iv, &mut iv);
        let key = aead::UnboundKey::new(algorithm, key).expect("the key has the algorithm's length");
        Self { key: aead::LessSafeKey::new(key), iv }
    }

    /// The IV combined with the packet number (RFC 9001 §5.3).
    fn nonce(&self, number: u64) -> aead::Nonce {
        let mut nonce = self.iv;
        for (byte, number) in nonce[4..].iter_mut().zip(number.to_be_bytes()) {
            *byte ^= number;
        }
        aead::Nonce::assume_unique_for_key(nonce)
    }

    /// Seals a packet in place. `packet` is the header of `header_size` bytes, the payload, and room for the
    /// tag.
    pub fn seal(&self, number: u64, packet: &mut [u8], header_size: usize) {
        debug_assert!(packet.len() >= header_size + TAG_SIZE);
        let (header, body) = packet.split_at_mut(header_size);
        let (payload, tag_room) = body.split_at_mut(body.len() - TAG_SIZE);
        let tag = self
            .key
            .seal_in_place_separate_tag(self.nonce(number), aead::Aad::from(&*header), payload)
            .expect("a packet is far below the AEAD's limits");
        tag_room.copy_from_slice(tag.as_ref());
    }

    /// Opens a packet in place; the caller has removed its header protection. Returns the size of the
    /// payload, which then lies after the header.
    pub fn open(&self, number: u64, packet: &mut [u8], header_size: usize) -> Result<usize, OpenError> {
        let (header, body) = packet.split_at_mut_checked(header_size).ok_or(OpenError)?;
        let payload = self
            .key
            .open_in_place(self.nonce(number), aead::Aad::from(&*header), body)
            .map_err(|_| OpenError)?;
        Ok(payload.len())
    }
}

/// The header protection key of one direction at one level.
pub struct HeaderKey(quic::HeaderProtectionKey);

impl std::fmt::Debug for HeaderKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HeaderKey")
    }
}

impl HeaderKey {
    /// Derives the header protection key from a secret (RFC 9001 §5.4). It outlives key updates.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        let algorithm = secret.suite().header_protection();
        let mut key = zeroize::Zeroizing::new([0; 32]);
        let key = &mut key[..algorithm.key_len()];
        secret.expand(secret.labels().header_protection, key);
        Self(quic::HeaderProtectionKey::new(algorithm, key).expect("the key has the algorithm's length"))
    }

    fn mask(&self, sample: &[u8]) -> [u8; 5] {
        self.0.new_mask(sample).expect("the sample has 16 bytes")
    }
}

/// The bits of the first byte that are protected.
fn protected_bits(first: u8) -> u8 {
    if first & FORM_LONG != 0 { 0x0f } else { 0x1f }
}

/// Applies header protection to a sealed packet whose packet number of `pn_size` bytes begins at `pn_offset`.
/// The payload with its tag must cover the sample: at least `4 - pn_size` bytes before the tag.
pub fn protect_header(key: &HeaderKey, packet: &mut [u8], pn_offset: usize, pn_size: usize) {
    let mask = key.mask(&packet[pn_offset + 4..pn_offset + 4 + SAMPLE_SIZE]);
    packet[0] ^= mask[0] & protected_bits(packet[0]);
    for (byte, mask) in packet[pn_offset..pn_offset + pn_size].iter_mut().zip(&mask[1..]) {
        *byte ^= mask;
    }
}

/// The header fields that header protection hides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unprotected {
    /// The first byte of the packet.
    pub first: u8,
    /// The truncated packet number.
    pub number: u64,
    /// The size of the packet number in bytes, 1 to 4.
    pub pn_size: usize,
}

/// Removes header protection in place. Returns `None` and changes nothing if the packet is too short to hold
/// the sample.
#[must_use]
pub fn unprotect_header(key: &HeaderKey, packet: &mut [u8], pn_offset: usize) -> Option<Unprotected> {
    let sample = packet.get(pn_offset + 4..pn_offset + 4 + SAMPLE_SIZE)?;
    let mask = key.mask(sample);
    let first = packet[0] ^ mask[0] & protected_bits(packet[0]);
    packet[0] = first;
    let pn_size = usize::from(first & 0b11) + 1;
    let mut number = 0;
    for (byte, mask) in packet[pn_offset..pn_offset + pn_size].iter_mut().zip(&mask[1..]) {
        *byte ^= mask;
        number = number << 8 | u64::from(*byte);
    }
    Some(Unprotected { first, number, pn_size })
}
