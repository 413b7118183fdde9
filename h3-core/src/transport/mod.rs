//! The seam to QUIC: what HTTP/3 calls, and never is called by.

mod contract;
#[cfg(any(test, feature = "testing"))]
pub mod mock;
mod quic;

pub use contract::Transport;
pub use quic::ConnTransport;
