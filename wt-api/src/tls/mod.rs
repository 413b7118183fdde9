//! TLS configurations: the identities of servers, and their verification by clients.
//!
//! Owns the configuration of rustls. It must never know connections.

mod certificate;
mod client;
mod common;
mod identities;
mod identity;
mod judge;
mod pem;
mod renewal;
mod server;
mod turns;
mod verify;

pub use certificate::{CertificateDetails, CertificateKey};
pub(crate) use client::Trusted;
pub(crate) use common::{ALPN_H3, clock};
pub(crate) use identities::Identities;
pub use identity::Identity;
pub use renewal::SelfSigned;
pub(crate) use server::{own_server_config, server_config};
pub(crate) use turns::renew;
pub(crate) use verify::Verdict;
