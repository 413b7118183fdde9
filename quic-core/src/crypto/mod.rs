//! Packet protection (RFC 9001 §5) and the TLS session (RFC 9001 §4).
//!
//! TLS runs in rustls. This crate protects packets itself, with ring or aws-lc-rs, from the secrets that the
//! handshake yields. One derivation serves all levels, key updates and Initial packets.

mod bound;
mod initial;
mod packet;
mod resumption;
mod secret;
mod sessions;
mod suite;
#[cfg(test)]
mod tests;
mod tickets;
mod tls;
mod token;

pub use initial::{initial_secrets, retry_integrity_tag};
pub use packet::{
    HeaderKey, OpenError, PacketKey, SAMPLE_SIZE, Unprotected, protect_header, unprotect_header,
};
pub(crate) use resumption::EarlyTerms;
pub use resumption::{Resumption, TicketKeys};
pub use secret::Secret;
pub(crate) use sessions::{MAX_APPLICATION, Seat};
pub use sessions::{SessionCache, SessionCacheError};
pub use suite::Suite;
pub use tls::{
    ExportError, KeyChange, TlsClientConfig, TlsError, TlsServerConfig, TlsSession, default_provider,
};

pub(crate) use token::{TokenKey, Verdict};

/// Compares tokens or tags in a time that does not reveal where they differ.
#[must_use]
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}
