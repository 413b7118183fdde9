//! Keys that survive a server's process.
//!
//! Owns the derivation of all keys from one secret. It must never know where the secret is kept.

use quic_core::{
    base::{Entropy, SystemEntropy},
    crypto::TicketKeys,
};

use crate::{algorithms::hmac, error::ServerKeysError};

/// The least size of the secret, in bytes.
const LEAST: usize = 32;

/// Keys of a server that survive its process. If the server is killed and started again with the same keys on
/// the same address, its clients learn with their next packets that their connections are gone (RFC 9000
/// §10.3). Without these keys they wait for the idle timeout. The keys of stateless resets and of address
/// tokens are derived from one secret.
///
/// Anyone who knows the secret can end the connections of others, so protect it like the private key. Servers
/// that share an address may share it. TLS tickets end with the process
/// unless [`ticket_keys`](Self::ticket_keys) seal them.
///
/// ```no_run
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use wt_api::{Identity, Server, ServerKeys};
/// let keys = ServerKeys::from_secret(&std::fs::read("/var/lib/app/server.secret")?)?;
/// let identity = Identity::from_pem_files("fullchain.pem", "privkey.pem")?;
/// let server = Server::builder().identity(identity).keys(keys).build()?;
/// # drop(server);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ServerKeys {
    pub(super) reset: [u8; 32],
    pub(super) token: [u8; 32],
    tickets: [u8; 32],
}

impl std::fmt::Debug for ServerKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerKeys")
    }
}

impl ServerKeys {
    /// Derives the keys from a secret: at least 32 bytes that nobody can guess, such as those from
    /// [`new_secret`](Self::new_secret).
    ///
    /// # Errors
    /// The secret is shorter.
    pub fn from_secret(secret: &[u8]) -> Result<Self, ServerKeysError> {
        if secret.len() < LEAST {
            return Err(ServerKeysError::TooShort { size: secret.len() });
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derive = |purpose: &[u8]| {
            let mut out = [0; 32];
            out.copy_from_slice(hmac::sign(&key, purpose).as_ref());
            out
        };
        Ok(Self {
            reset: derive(b"weft stateless reset"),
            token: derive(b"weft retry token"),
            tickets: derive(b"weft session ticket"),
        })
    }

    /// Keys for the tickets of TLS sessions, which servers with the same secret accept, and this one after it was started
    /// again: for [`Resumption::tickets`](crate::Resumption::tickets). Who learns the secret can then also pass for this server with
    /// clients that resume, and for such clients here, within a day: a secret that seals tickets is to be replaced every day or so, and
    /// [`TicketKeys::accepting`] takes the one before. A server that demands certificates of clients needs a secret of its own, and a
    /// new one when its demand changes: who resumes shows no certificate.
    #[must_use]
    pub fn ticket_keys(&self) -> TicketKeys {
        TicketKeys::new(self.tickets)
    }

    /// A new secret from the system's randomness. Keep it where only the server can read it.
    #[must_use]
    pub fn new_secret() -> [u8; 32] {
        let mut secret = [0; LEAST];
        SystemEntropy::new().fill(&mut secret);
        secret
    }

    /// Keys for this process only.
    pub(super) fn passing(entropy: &mut dyn Entropy) -> Self {
        let [mut reset, mut token, mut tickets] = [[0; 32]; 3];
        [&mut reset, &mut token, &mut tickets].into_iter().for_each(|key| entropy.fill(key));
        Self { reset, token, tickets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_depend_on_the_secret_and_on_their_use() {
        let keys = |secret: &[u8]| ServerKeys::from_secret(secret).unwrap();
        let (one, same, other) = (keys(&[1; 32]), keys(&[1; 32]), keys(&[1; 33]));
        assert_eq!((one.reset, one.token), (same.reset, same.token));
        assert_ne!(one.reset, one.token);
        assert_ne!(one.reset, other.reset);
        assert_ne!(ServerKeys::new_secret(), ServerKeys::new_secret());
        let error = ServerKeys::from_secret(&[1; 31]).unwrap_err();
        assert_eq!(error, ServerKeysError::TooShort { size: 31 });
    }
}
