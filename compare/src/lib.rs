//! Sessions between Weft and other WebTransport libraries in Rust: real sockets on loopback, real TLS, both ways.
//!
//! `peer.rs` says what a library has to be able to do, `wtransport.rs` and `web_transport_quinn.rs` let two of them do it,
//! `pair.rs` connects one with ours in either role, and `scenarios.rs` is what happens then, the same for all. Every
//! wait is bounded. `lab` is another matter: two QUIC libraries on the simulated links of our laboratory of congestion control.
#![forbid(unsafe_code)]

pub mod lab;
pub mod pair;
pub mod peer;
pub mod scenarios;
mod wait;
pub mod web_transport_quinn;
pub mod wtransport;

pub use wait::{LIMIT, within};
