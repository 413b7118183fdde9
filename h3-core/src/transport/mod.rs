//! The interface to QUIC: HTTP/3 calls it, and it never calls back.

mod contract;
#[cfg(any(test, feature = "testing"))]
pub mod mock;
mod quic;

pub use contract::Transport;
pub use quic::ConnTransport;
