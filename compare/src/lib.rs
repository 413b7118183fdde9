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
pub mod web_transport_quinn;
pub mod wtransport;

use std::{future::Future, time::Duration};

/// The longest that any single step may take.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Waits for `future`, at most [`LIMIT`].
///
/// # Panics
/// When the time is over; `what` says what was waited for.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LIMIT, future).await {
        Ok(value) => value,
        Err(_) => panic!("no {what} within {LIMIT:?}"),
    }
}
