//! leaves
#![forbid(unsafe_code)]
#![allow(dead_code, unused_imports, unreachable_pub)]
pub mod error;
mod options;
mod runtime;
mod socket;
mod tls;
pub use options::*;
pub use tls::Identity;
pub struct WebTransport; pub struct DatagramsWritable;
