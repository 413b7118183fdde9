//! The keys of a connection: packet and header keys per level, key updates, AEAD limits (RFC 9001 §4.9, §5, §6).
//!
//! Owns every key. Must never know frames, timers' owners or the path: it is told packet numbers and the time.

mod data;
mod failure;
#[cfg(test)]
mod tests;

use std::time::Duration;

use self::data::DataKeys;
pub(crate) use self::failure::OpenFailure;
use crate::{
    base::Timestamp,
    crypto::{HeaderKey, PacketKey, Secret, Unprotected, protect_header, unprotect_header},
    error::{DropReason, Violation},
    ids::Space,
};

/// Where a packet's parts lie and what its number is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PacketPlace {
    pub(crate) number: u64,
    /// Header bytes, packet number included.
    pub(crate) header_size: usize,
    pub(crate) pn_size: usize,
}

/// The keys of one direction.
struct Direction {
    packet: PacketKey,
    header: HeaderKey,
}

impl Direction {
    fn new(secret: &Secret) -> Self {
        Self { packet: PacketKey::new(secret), header: HeaderKey::new(secret) }
    }
}

/// Initial or Handshake keys.
struct Level {
    local: Direction,
    remote: Direction,
}

/// All keys of a connection.
pub(crate) struct Keyring {
    initial: Option<Box<Level>>,
    handshake: Option<Box<Level>>,
    data: Option<Box<DataKeys>>,
    /// Packets that failed authentication, over the connection's life (RFC 9001 §6.6).
    forged: u64,
    /// Lowers the integrity limit for tests.
    integrity_limit: u64,
}

impl Keyring {
    pub(crate) fn new() -> Self {
        Self { initial: None, handshake: None, data: None, forged: 0, integrity_limit: u64::MAX }
    }

    /// Caps the AEAD's integrity limit, to be able to test its excess.
    pub(crate) fn cap_integrity_limit(&mut self, limit: u64) {
        self.integrity_limit = limit;
    }

    /// Installs the keys of a level. Initial keys may be replaced, after a Retry.
    pub(crate) fn install(&mut self, space: Space, local: &Secret, remote: &Secret) {
        match space {
            Space::Data => {
                self.integrity_limit = self.integrity_limit.min(remote.suite().integrity_limit());
                self.data = Some(Box::new(DataKeys::new(local, remote)));
            }
            Space::Initial | Space::Handshake => {
                let level = Level { local: Direction::new(local), remote: Direction::new(remote) };
                *self.level_mut(space) = Some(Box::new(level));
            }
        }
    }

    /// Forgets the keys of a level (RFC 9001 §4.9).
    pub(crate) fn discard(&mut self, space: Space) {
        match space {
            Space::Data => self.data = None,
            Space::Initial | Space::Handshake => *self.level_mut(space) = None,
        }
    }

    fn level_mut(&mut self, space: Space) -> &mut Option<Box<Level>> {
        if space == Space::Initial { &mut self.initial } else { &mut self.handshake }
    }

    fn level(&self, space: Space) -> Option<&Level> {
        match space {
            Space::Initial => self.initial.as_deref(),
            Space::Handshake => self.handshake.as_deref(),
            Space::Data => None,
        }
    }

    /// Whether packets of this space can be sent and received.
    pub(crate) fn has(&self, space: Space) -> bool {
        match space {
            Space::Data => self.data.is_some(),
            Space::Initial | Space::Handshake => self.level(space).is_some(),
        }
    }

    /// Removes header protection in place.
    pub(crate) fn unprotect(
        &self,
        space: Space,
        packet: &mut [u8],
        pn_offset: usize,
    ) -> Result<Unprotected, DropReason> {
        let key = match (space, &self.data) {
            (Space::Data, Some(data)) => data.remote_header(),
            _ => &self.level(space).ok_or(DropReason::KeysUnavailable)?.remote.header,
        };
        unprotect_header(key, packet, pn_offset).ok_or(DropReason::Decryption)
    }

    /// Authenticates and decrypts a packet in place, its header protection removed. Returns the payload's size.
    ///
    /// `key_phase` counts only for 1-RTT packets, as does `old_key_time`: how long after an update the previous keys
    /// are kept (RFC 9001 §6.5).
    pub(crate) fn open(
        &mut self,
        space: Space,
        place: PacketPlace,
        packet: &mut [u8],
        key_phase: bool,
        now: Timestamp,
        old_key_time: Duration,
    ) -> Result<usize, OpenFailure> {
        let result = match (space, &mut self.data) {
            (Space::Data, Some(data)) => {
                data.open(place.number, packet, place.header_size, key_phase, now + old_key_time)?
            }
            _ => {
                let level = self.level(space).ok_or(OpenFailure::Drop(DropReason::KeysUnavailable))?;
                level.remote.packet.open(place.number, packet, place.header_size).ok()
            }
        };
        result.ok_or_else(|| self.on_forged())
    }

    fn on_forged(&mut self) -> OpenFailure {
        self.forged += 1;
        // RFC 9001 §6.6: the limit holds for all packets of the connection together.
        if self.forged > self.integrity_limit {
            return OpenFailure::Violation(Violation::AeadIntegrityLimit);
        }
        OpenFailure::Drop(DropReason::Decryption)
    }

    /// Seals a packet in place and protects its header. `packet` ends with room for the tag.
    /// Returns false if there are no keys.
    #[must_use]
    pub(crate) fn seal(&mut self, space: Space, place: PacketPlace, packet: &mut [u8]) -> bool {
        let header = match (space, &mut self.data) {
            (Space::Data, Some(data)) => data.seal(place.number, packet, place.header_size),
            _ => {
                let Some(level) = self.level(space) else { return false };
                level.local.packet.seal(place.number, packet, place.header_size);
                &level.local.header
            }
        };
        protect_header(header, packet, place.header_size - place.pn_size, place.pn_size);
        true
    }

    /// The key phase bit of 1-RTT packets to send.
    pub(crate) fn key_phase(&self) -> bool {
        self.data.as_ref().is_some_and(|data| data.phase())
    }

    /// Starts a key update if the protocol permits it now (RFC 9001 §6.1, §6.5); says whether it did.
    /// The caller has checked that the handshake is confirmed.
    pub(crate) fn start_update(&mut self) -> bool {
        self.data.as_mut().is_some_and(|data| data.start_update())
    }

    /// Whether so many packets were sealed that an update is due (RFC 9001 §6.6).
    pub(crate) fn update_is_due(&self) -> bool {
        self.data.as_ref().is_some_and(|data| data.update_is_due())
    }

    /// Whether the key has protected as many packets as it may; nothing more can be sent with it (RFC 9001 §6.6).
    pub(crate) fn is_exhausted(&self) -> bool {
        self.data.as_ref().is_some_and(|data| data.is_exhausted())
    }

    /// The peer acknowledged a 1-RTT packet.
    pub(crate) fn on_acked(&mut self, number: u64) {
        if let Some(data) = &mut self.data {
            data.on_acked(number);
        }
    }

    /// An ACK frame for 1-RTT packets up to `largest` is being sent.
    pub(crate) fn on_ack_sent(&mut self, largest: u64) {
        if let Some(data) = &mut self.data {
            data.on_ack_sent(largest);
        }
    }

    /// When the previous keys have to be forgotten.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.data.as_ref().and_then(|data| data.discard_at())
    }

    pub(crate) fn on_timeout(&mut self, now: Timestamp) {
        if let Some(data) = &mut self.data {
            data.on_timeout(now);
        }
    }

    /// Key updates so far, of either end.
    pub(crate) fn updates(&self) -> u64 {
        self.data.as_ref().map_or(0, |data| data.updates())
    }
}
