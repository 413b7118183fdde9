//! The seam to QUIC: what HTTP/3 and WebTransport call, and never are called by.

mod contract;
#[cfg(any(test, feature = "testing"))]
pub mod mock;
mod quic;

pub use contract::{ExportError, Transport};
pub use quic::ConnTransport;
