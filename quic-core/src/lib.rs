//! QUIC version 1 (RFC 8999, 9000, 9001, 9002, 9221), sans-IO.
//!
//! The crate does no I/O, spawns nothing, reads no clock and draws no randomness: bytes, time and entropy
//! come in as arguments, bytes and events go out as results.
#![forbid(unsafe_code)]

mod acks;
pub mod base;
mod buf;
mod cids;
mod control;
pub mod crypto;
mod datagrams;
pub mod error;
mod event;
pub mod frame;
mod handshake;
mod ids;
mod keyring;
mod life;
pub mod packet;
pub mod params;
mod streams;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use event::{Event, Priority, StreamTag};
pub use ids::{ConnectionId, Dir, MAX_CID_LENGTH, Side, Space, StreamId};
