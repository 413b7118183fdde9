//! Whole endpoints on simulated networks.
//!
//! Owns the one adapter from quic-core's endpoints to netsim ([`Host`], [`Peer`], [`World`]). For tests only: no product
//! crate depends on it.
#![forbid(unsafe_code)]

mod host;
mod peer;
mod world;

pub use host::{Host, Policy, Traffic, time};
pub use peer::Peer;
pub use world::{ALPN, Setup, World, content, lan, pattern};
