//! 1-RTT keys and their updates (RFC 9001 §6).

use super::failure::OpenFailure;
use crate::{
    base::Timestamp,
    crypto::{HeaderKey, PacketKey, Secret},
    error::Violation,
};

pub(super) struct DataKeys {
    local_header: HeaderKey,
    remote_header: HeaderKey,
    local_secret: Secret,
    /// The secret of `next_remote`.
    next_remote_secret: Secret,
    local: PacketKey,
    remote: PacketKey,
    /// It is derived in advance, so that an update costs the receiver no time that a peer could measure (RFC
    /// 9001 §6.3).
    next_remote: PacketKey,
    previous_remote: Option<Box<PacketKey>>,
    /// When `previous_remote` is discarded; unset until a packet with the new keys arrives.
    discard_at: Option<Timestamp>,
    phase: bool,
    updates: u64,
    /// How many packets were sealed in this phase.
    sealed: u64,
    /// How many packets one key may protect (RFC 9001 §6.6).
    limit: u64,
    /// The lowest packet number opened in this phase.
    first_opened: Option<u64>,
    /// The lowest packet number sealed in this phase.
    first_sealed: Option<u64>,
    /// Whether the peer acknowledged a packet of this phase.
    acked: bool,
    /// Whether this end acknowledged a packet of this phase.
    ack_sent: bool,
}

impl DataKeys {
    pub(super) fn new(local: &Secret, remote: &Secret) -> Self {
        let next_remote_secret = remote.next();
        Self {
            local_header: HeaderKey::new(local),
            remote_header: HeaderKey::new(remote),
            local: PacketKey::new(local),
            remote: PacketKey::new(remote),
            next_remote: PacketKey::new(&next_remote_secret),
            local_secret: local.clone(),
            next_remote_secret,
            previous_remote: None,
            discard_at: None,
            phase: false,
            updates: 0,
            sealed: 0,
            limit: local.suite().confidentiality_limit(),
            first_opened: None,
            first_sealed: None,
            acked: false,
            ack_sent: false,
        }
    }

    #[cfg(any(test, feature = "testing"))]
    pub(super) fn cap_limit(&mut self, limit: u64) {
        self.limit = self.limit.min(limit);
    }

    pub(super) fn remote_header(&self) -> &HeaderKey {
        &self.remote_header
    }

    pub(super) fn phase(&self) -> bool {
        self.phase
    }

    pub(super) fn updates(&self) -> u64 {
        self.updates
    }

    /// Whether a packet was opened in this phase.
    pub(super) fn has_opened(&self) -> bool {
        self.first_opened.is_some()
    }

    pub(super) fn discard_at(&self) -> Option<Timestamp> {
        self.discard_at
    }

    /// Moves both directions to the next keys.
    pub(super) fn rotate(&mut self) {
        self.local_secret = self.local_secret.next();
        self.local = PacketKey::new(&self.local_secret);
        self.next_remote_secret = self.next_remote_secret.next();
        let after = PacketKey::new(&self.next_remote_secret);
        let current = std::mem::replace(&mut self.next_remote, after);
        self.previous_remote = Some(Box::new(std::mem::replace(&mut self.remote, current)));
        self.discard_at = None;
        self.phase = !self.phase;
        self.updates += 1;
        self.sealed = 0;
        self.first_opened = None;
        self.first_sealed = None;
        self.acked = false;
        self.ack_sent = false;
    }

    /// Returns `Ok(None)` if authentication fails.
    pub(super) fn open(
        &mut self,
        number: u64,
        packet: &mut [u8],
        header_size: usize,
        phase: bool,
        old_keys_until: Timestamp,
    ) -> Result<Option<usize>, OpenFailure> {
        if phase == self.phase {
            let size = self.remote.open(number, packet, header_size).ok();
            if size.is_some() {
                self.on_opened(number, old_keys_until);
            }
            return Ok(size);
        }
        // The other phase means an old packet that was reordered, or the peer's update (RFC 9001 §6.3).
        let reordered = self.first_opened.is_none_or(|first| number < first);
        if let (Some(previous), true) = (&self.previous_remote, reordered) {
            return Ok(previous.open(number, packet, header_size).ok());
        }
        // Opening in place destroys a packet that is not authentic. Only a retained previous key needs a
        // second attempt.
        let backup = self.previous_remote.is_some().then(|| packet.to_vec());
        if let Ok(size) = self.next_remote.open(number, packet, header_size) {
            // RFC 9001 §6.2: the peer must not leave a phase before we have acknowledged a packet of it.
            if self.updates > 0 && !self.ack_sent {
                return Err(OpenFailure::Violation(Violation::KeyUpdateTooEarly));
            }
            self.rotate();
            self.on_opened(number, old_keys_until);
            return Ok(Some(size));
        }
        if let (Some(previous), Some(mut backup)) = (&self.previous_remote, backup) {
            // RFC 9001 §6.4: the peer used old keys for a packet number above those of the new keys.
            if previous.open(number, &mut backup, header_size).is_ok() {
                return Err(OpenFailure::Violation(Violation::KeyUpdateOldKeys));
            }
        }
        Ok(None)
    }

    fn on_opened(&mut self, number: u64, old_keys_until: Timestamp) {
        match &mut self.first_opened {
            Some(first) => *first = (*first).min(number),
            None => {
                self.first_opened = Some(number);
                self.discard_at = self.previous_remote.is_some().then_some(old_keys_until);
            }
        }
    }

    pub(super) fn seal(&mut self, number: u64, packet: &mut [u8], header_size: usize) -> &HeaderKey {
        self.local.seal(number, packet, header_size);
        self.sealed += 1;
        self.first_sealed.get_or_insert(number);
        &self.local_header
    }

    pub(super) fn start_update(&mut self) -> bool {
        // RFC 9001 §6.1: no update before a packet of this phase was acknowledged. §6.5: none while old keys
        // are kept.
        let permitted = self.acked && self.previous_remote.is_none();
        if permitted {
            self.rotate();
        }
        permitted
    }

    pub(super) fn update_is_due(&self) -> bool {
        // This is early enough that the update completes long before the limit.
        self.sealed > self.limit / 8 * 7
    }

    /// Whether only as many packets can be sealed as a close takes, repeated for three probe timeouts.
    pub(super) fn is_ending(&self) -> bool {
        self.sealed >= self.limit - self.limit / 64
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.sealed >= self.limit
    }

    pub(super) fn on_acked(&mut self, number: u64) {
        self.acked |= self.first_sealed.is_some_and(|first| number >= first);
    }

    pub(super) fn on_ack_sent(&mut self, largest: u64) {
        self.ack_sent |= self.first_opened.is_some_and(|first| largest >= first);
    }

    pub(super) fn on_timeout(&mut self, now: Timestamp) {
        if self.discard_at.is_some_and(|at| at <= now) {
            self.discard_at = None;
            self.previous_remote = None;
        }
    }
}
