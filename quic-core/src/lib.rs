//! QUIC versions 1 and 2 (RFC 8999, 9000, 9001, 9002, 9221, 9368, 9369), sans-IO.
//!
//! The crate does no I/O, spawns nothing, reads no clock and draws no randomness: bytes, time and entropy
//! come in as arguments, bytes and events go out as results.
#![forbid(unsafe_code)]
#![warn(clippy::exhaustive_structs, clippy::exhaustive_enums)]

/// The code of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

/// The tests measure how much memory a peer can make us hold.
#[cfg(test)]
#[global_allocator]
static HEAP: heap_meter::HeapMeter = heap_meter::HeapMeter;

mod acks;
pub mod base;
mod buf;
mod cids;
mod config;
pub mod congestion;
mod connection;
mod control;
pub mod crypto;
mod datagrams;
mod endpoint;
pub mod error;
mod event;
pub mod frame;
mod handshake;
mod ids;
mod keyring;
mod life;
#[cfg(any(test, feature = "testing"))]
#[expect(
    clippy::exhaustive_structs,
    clippy::exhaustive_enums,
    reason = "for tools of this workspace, as packets are"
)]
pub mod packet;
#[cfg(not(any(test, feature = "testing")))]
#[expect(unreachable_pub, reason = "public with the feature `testing`")]
mod packet;
mod params;
mod path;
mod recovery;
mod schedule;
mod spaces;
mod stats;
mod streams;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod trace;
mod version;

pub use base::{AddressLimits, Admission, AdmissionLimit, DatagramMeta};
pub use cids::{CidChange, CidFactory};
pub use config::{AckFrequency, ClientConfig, EndpointConfig, OutOfRange, ServerConfig, TransportConfig};
pub use connection::{Connection, Transmit};
pub use endpoint::{AcceptError, Caller, ConnectionHandle, DatagramEvent, Endpoint, Incoming, Response};
pub use event::{DatagramOptions, EarlyData, Event, HeldAbove, Priority, StreamTag};
pub use ids::{ConnectionId, Dir, Level, MAX_CID_LENGTH, Side, Space, StreamId, StreamIdHasher, StreamMap};
pub use packet::offered_versions;
pub use params::{PreferredAddress, TransportParameters, VersionInformation};
pub use stats::{
    ConnectionStats, DropCounts, EcnState, EndpointStats, LimitedTimes, PathStats, RecvStreamStats,
    SendLimit, SendStreamStats,
};
pub use trace::{
    ConnectionStart, ConnectionState, FieldValue, KeyUpdate, LayerEvent, LossTrigger, MigrationState,
    Observer, ObserverFactory, PacketFrames, PathMetrics, RecoveryTimer, StreamChange, TimerChange,
    TraceEvent, TracedHeader,
};
pub use version::{Version, Versions};
