//! Keys of one level, with as many generations as a test asks for.

use quic_core::{
    crypto::{HeaderKey, PacketKey, Secret},
    packet::TAG_SIZE,
};

/// The keys of one direction at one level. There is one header key, and packet keys have generations (RFC
/// 9001 §6).
#[derive(Debug)]
pub struct Keys {
    header: HeaderKey,
    secrets: Vec<Secret>,
    packet: Vec<PacketKey>,
}

impl Keys {
    /// Keys from a secret.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        Self {
            header: HeaderKey::new(secret),
            secrets: vec![secret.clone()],
            packet: vec![PacketKey::new(secret)],
        }
    }

    /// The header protection key.
    #[must_use]
    pub fn header(&self) -> &HeaderKey {
        &self.header
    }

    /// The packet key after `generation` updates.
    pub fn packet(&mut self, generation: usize) -> &PacketKey {
        while self.packet.len() <= generation {
            let next = self.secrets[self.secrets.len() - 1].next();
            self.packet.push(PacketKey::new(&next));
            self.secrets.push(next);
        }
        &self.packet[generation]
    }

    /// Opens with the generation that fits, up to one beyond the known ones. Returns the generation and the
    /// payload size.
    pub fn open(&mut self, number: u64, packet: &mut [u8], header_size: usize) -> Option<(usize, usize)> {
        if packet.len() < header_size + TAG_SIZE {
            return None;
        }
        for generation in 0..=self.packet.len() {
            let mut copy = packet.to_vec();
            if let Ok(size) = self.packet(generation).open(number, &mut copy, header_size) {
                packet.copy_from_slice(&copy);
                return Some((generation, size));
            }
        }
        None
    }
}
