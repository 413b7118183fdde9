//! The keys of a connection: packet and header keys per level, key updates, AEAD limits (RFC 9001 §4.9, §5,
//! §6).
//!
//! Owns every key. Never knows frames, timers or the path: the caller hands in packet numbers and the time.

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
    ids::Level,
    version::Version,
};

/// Where the parts of a packet lie, and its packet number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PacketPlace {
    pub(crate) number: u64,
    /// The bytes of the header, including the packet number.
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

/// The keys of a level other than 1-RTT, which are never updated.
struct FixedKeys {
    local: Direction,
    remote: Direction,
}

/// The number of levels with such keys. They come before 1-RTT.
const FIXED: usize = Level::OneRtt as usize;

/// All keys of a connection.
pub(crate) struct Keyring {
    /// The keys by level.
    fixed: [Option<Box<FixedKeys>>; FIXED],
    data: Option<Box<DataKeys>>,
    /// The keys of the peer's Initial packets in another version than the one in use (RFC 9369 §4.1).
    other_initial: Option<Box<(Version, Direction)>>,
    /// When a server discards the keys of 0-RTT packets, once that is known.
    discard_early_at: Option<Timestamp>,
    /// How many packets failed authentication over the connection's life (RFC 9001 §6.6).
    forged: u64,
    /// The integrity limit, which tests may lower.
    integrity_limit: u64,
}

impl Keyring {
    pub(crate) fn new() -> Self {
        Self {
            fixed: [None, None, None],
            data: None,
            other_initial: None,
            discard_early_at: None,
            forged: 0,
            integrity_limit: u64::MAX,
        }
    }

    /// Caps the integrity limit of the AEAD, so that a test can exceed it.
    pub(crate) fn cap_integrity_limit(&mut self, limit: u64) {
        self.integrity_limit = limit;
    }

    /// Caps the confidentiality limit of the keys in use, so that a test can exceed it.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn cap_confidentiality_limit(&mut self, limit: u64) {
        if let Some(data) = &mut self.data {
            data.cap_limit(limit);
        }
    }

    /// Installs the keys of a level. After a Retry, new Initial keys replace the old ones.
    pub(crate) fn install(&mut self, level: Level, local: &Secret, remote: &Secret) {
        match level {
            Level::OneRtt => {
                self.integrity_limit = self.integrity_limit.min(remote.suite().integrity_limit());
                self.data = Some(Box::new(DataKeys::new(local, remote)));
            }
            Level::Initial | Level::ZeroRtt | Level::Handshake => {
                let keys = FixedKeys { local: Direction::new(local), remote: Direction::new(remote) };
                self.fixed[level as usize] = Some(Box::new(keys));
            }
        }
    }

    /// The server has chosen another version than `original`: these are the keys of Initial packets now. Those that
    /// the peer has sent before can still be opened.
    pub(crate) fn change_version(&mut self, original: Version, local: &Secret, remote: &Secret) {
        let before = self.fixed[Level::Initial as usize].take();
        self.other_initial = before.map(|keys| Box::new((original, keys.remote)));
        self.install(Level::Initial, local, remote);
    }

    /// Has the keys of the peer's Initial packets in another version ready: those of the secret, unless they are
    /// there already.
    pub(crate) fn prepare_other(&mut self, version: Version, remote: impl FnOnce() -> Secret) {
        if self.other_initial.as_ref().is_none_or(|other| other.0 != version) {
            self.other_initial = Some(Box::new((version, Direction::new(&remote()))));
        }
    }

    /// As [`unprotect`](Self::unprotect), for Initial packets of the other version.
    pub(crate) fn unprotect_other(
        &self,
        packet: &mut [u8],
        pn_offset: usize,
    ) -> Result<Unprotected, DropReason> {
        let (_, keys) = self.other_initial.as_deref().ok_or(DropReason::KeysUnavailable)?;
        unprotect_header(&keys.header, packet, pn_offset).ok_or(DropReason::Decryption)
    }

    /// As [`open`](Self::open), for Initial packets of the other version.
    pub(crate) fn open_other(&mut self, place: PacketPlace, packet: &mut [u8]) -> Result<usize, OpenFailure> {
        let keys = self.other_initial.as_deref().ok_or(OpenFailure::Drop(DropReason::KeysUnavailable))?;
        let size = keys.1.packet.open(place.number, packet, place.header_size).ok();
        size.ok_or_else(|| self.on_forged())
    }

    /// Installs the keys of 0-RTT packets, which only clients send: `secret` serves one direction (RFC 9001
    /// §5.6).
    pub(crate) fn install_early(&mut self, secret: &Secret) {
        self.install(Level::ZeroRtt, secret, secret);
    }

    /// The client sends no more 0-RTT packets. Its keys are kept until `at` for those that are under way (RFC
    /// 9001 §4.9.3).
    pub(crate) fn discard_early_at(&mut self, at: Timestamp) {
        if self.has(Level::ZeroRtt) {
            self.discard_early_at = Some(at);
        }
    }

    /// Discards the keys of a level (RFC 9001 §4.9).
    pub(crate) fn discard(&mut self, level: Level) {
        match level {
            Level::OneRtt => self.data = None,
            Level::Initial | Level::ZeroRtt | Level::Handshake => self.fixed[level as usize] = None,
        }
        if level == Level::Initial {
            self.other_initial = None;
        }
    }

    /// The keys of a level that is not 1-RTT.
    fn fixed(&self, level: Level) -> Option<&FixedKeys> {
        self.fixed.get(level as usize)?.as_deref()
    }

    /// Whether packets of this level can be sent and received.
    pub(crate) fn has(&self, level: Level) -> bool {
        match level {
            Level::OneRtt => self.data.is_some(),
            Level::Initial | Level::ZeroRtt | Level::Handshake => self.fixed(level).is_some(),
        }
    }

    /// Removes header protection in place.
    pub(crate) fn unprotect(
        &self,
        level: Level,
        packet: &mut [u8],
        pn_offset: usize,
    ) -> Result<Unprotected, DropReason> {
        let key = match (level, &self.data) {
            (Level::OneRtt, Some(data)) => data.remote_header(),
            _ => &self.fixed(level).ok_or(DropReason::KeysUnavailable)?.remote.header,
        };
        unprotect_header(key, packet, pn_offset).ok_or(DropReason::Decryption)
    }

    /// Authenticates and decrypts a packet in place; the caller has removed its header protection. Returns
    /// the payload's size.
    ///
    /// `key_phase` and `old_key_time` count only for 1-RTT packets. `old_key_time` is how long the previous
    /// keys are kept after an update (RFC 9001 §6.5).
    pub(crate) fn open(
        &mut self,
        level: Level,
        place: PacketPlace,
        packet: &mut [u8],
        key_phase: bool,
        now: Timestamp,
        old_key_time: Duration,
    ) -> Result<usize, OpenFailure> {
        let result = match (level, &mut self.data) {
            (Level::OneRtt, Some(data)) => {
                data.open(place.number, packet, place.header_size, key_phase, now + old_key_time)?
            }
            _ => {
                let keys = self.fixed(level).ok_or(OpenFailure::Drop(DropReason::KeysUnavailable))?;
                keys.remote.packet.open(place.number, packet, place.header_size).ok()
            }
        };
        result.ok_or_else(|| self.on_forged())
    }

    fn on_forged(&mut self) -> OpenFailure {
        self.forged += 1;
        // RFC 9001 §6.6: the limit applies to all packets of the connection together.
        if self.forged > self.integrity_limit {
            return OpenFailure::Violation(Violation::AeadIntegrityLimit);
        }
        OpenFailure::Drop(DropReason::Decryption)
    }

    /// Seals a packet in place and protects its header. `packet` ends with room for the tag.
    /// Returns false if there are no keys.
    #[must_use]
    pub(crate) fn seal(&mut self, level: Level, place: PacketPlace, packet: &mut [u8]) -> bool {
        let header = match (level, &mut self.data) {
            (Level::OneRtt, Some(data)) => data.seal(place.number, packet, place.header_size),
            _ => {
                let Some(keys) = self.fixed(level) else { return false };
                keys.local.packet.seal(place.number, packet, place.header_size);
                &keys.local.header
            }
        };
        protect_header(header, packet, place.header_size - place.pn_size, place.pn_size);
        true
    }

    /// The key phase bit of 1-RTT packets to send.
    pub(crate) fn key_phase(&self) -> bool {
        self.data.as_ref().is_some_and(|data| data.phase())
    }

    /// Starts a key update if the protocol permits it now (RFC 9001 §6.1, §6.5). Returns whether it did. The
    /// caller has checked that the handshake is confirmed.
    pub(crate) fn start_update(&mut self) -> bool {
        self.data.as_mut().is_some_and(|data| data.start_update())
    }

    /// Whether enough packets were sealed that an update is due (RFC 9001 §6.6).
    pub(crate) fn update_is_due(&self) -> bool {
        self.data.as_ref().is_some_and(|data| data.update_is_due())
    }

    /// Whether the key can protect only the packets that a close takes.
    pub(crate) fn is_ending(&self) -> bool {
        self.data.as_ref().is_some_and(|data| data.is_ending())
    }

    /// Whether the key has protected as many packets as it may. It can then send nothing more (RFC 9001
    /// §6.6).
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

    /// When keys must be discarded: the previous ones after an update, or those of 0-RTT packets.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        let previous = self.data.as_ref().and_then(|data| data.discard_at());
        match self.discard_early_at {
            Some(early) => Some(previous.map_or(early, |previous| previous.min(early))),
            None => previous,
        }
    }

    pub(crate) fn on_timeout(&mut self, now: Timestamp) {
        if self.discard_early_at.is_some_and(|at| at <= now) {
            self.discard_early_at = None;
            self.discard(Level::ZeroRtt);
        }
        if let Some(data) = &mut self.data {
            data.on_timeout(now);
        }
    }

    /// Whether the peer has used the 1-RTT keys that are in use.
    pub(crate) fn has_opened_in_phase(&self) -> bool {
        self.data.as_ref().is_some_and(|data| data.has_opened())
    }

    /// How many key updates there were, by either end.
    pub(crate) fn updates(&self) -> u64 {
        self.data.as_ref().map_or(0, |data| data.updates())
    }
}
