//! QUIC version 1 (RFC 8999, 9000, 9001, 9002, 9221), sans-IO.
//!
//! The crate does no I/O, spawns nothing, reads no clock and draws no randomness: bytes, time and entropy
//! come in as arguments, bytes and events go out as results.
#![forbid(unsafe_code)]

pub mod base;
pub mod congestion;
pub mod error;
mod event;
mod ids;
mod recovery;

pub use event::{Event, Priority, StreamTag};
pub use ids::{ConnectionId, Dir, MAX_CID_LENGTH, Side, Space, StreamId};
