//! Sessions between Weft and other WebTransport libraries in Rust, in both roles: real sockets on loopback,
//! real TLS.
//!
//! `peer.rs` is the interface that a library needs, and `wtransport.rs` and `web_transport_quinn.rs`
//! implement it for two libraries. `pair.rs` connects one with ours in either role, and `scenarios.rs` has
//! what happens then, the same for all. Every wait is bounded. `lab` is separate: two QUIC libraries on the
//! simulated links of our laboratory of congestion control.
#![forbid(unsafe_code)]

pub mod lab;
pub mod pair;
pub mod peer;
pub mod scenarios;
mod wait;
pub mod web_transport_quinn;
pub mod wtransport;

pub use wait::{LIMIT, within};
