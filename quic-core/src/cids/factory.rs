//! New connection IDs and their stateless reset tokens.

use std::sync::Arc;

use crate::{
    base::{Entropy, algorithms::hmac},
    frame::ResetToken,
    ids::{ConnectionId, MAX_CID_LENGTH},
};

/// Makes connection IDs of one length and the stateless reset tokens that belong to them. The first byte of
/// an ID names the server's shard that issued it. A restarted process computes the same token from the same
/// key.
#[derive(Clone, Debug)]
pub struct CidFactory {
    length: usize,
    shard: u8,
    key: Arc<hmac::Key>,
}

impl CidFactory {
    /// A factory of IDs of `length` bytes (4 to 20) for `shard`, with tokens from `reset_key`.
    ///
    /// `reset_key` should survive a restart of the process, so that peers learn that their connections are
    /// gone (RFC 9000 §10.3.2).
    #[must_use]
    pub fn new(length: usize, shard: u8, reset_key: &[u8; 32]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, reset_key);
        Self { length: length.clamp(4, MAX_CID_LENGTH), shard, key: Arc::new(key) }
    }

    /// Length of the connection IDs in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// The shard that this factory's connection IDs name.
    #[must_use]
    pub fn shard(&self) -> u8 {
        self.shard
    }

    /// The shard that a connection ID names; `None` if no factory of this kind can have made the ID.
    #[must_use]
    pub fn shard_of(&self, id: &ConnectionId) -> Option<u8> {
        id.as_bytes().first().copied().filter(|_| id.len() == self.length)
    }

    /// A new unpredictable connection ID.
    #[must_use]
    pub fn generate(&self, entropy: &mut dyn Entropy) -> ConnectionId {
        let mut bytes = [0; MAX_CID_LENGTH];
        entropy.fill(&mut bytes[..self.length]);
        bytes[0] = self.shard;
        ConnectionId::new(&bytes[..self.length]).expect("at most 20 bytes")
    }

    /// The stateless reset token of a connection ID (RFC 9000 §10.3.2).
    #[must_use]
    pub fn reset_token(&self, id: &ConnectionId) -> ResetToken {
        let tag = hmac::sign(&self.key, id.as_bytes());
        let mut token = ResetToken::default();
        token.copy_from_slice(&tag.as_ref()[..16]);
        token
    }
}
