//! HTTP/3 (RFC 9114) with extended CONNECT (RFC 9220), HTTP datagrams and capsules (RFC 9297) and priorities
//! (RFC 9218), sans-IO, for both roles.
//!
//! The crate writes into a [`Transport`], which never calls back. [`Connection::on_event`] takes QUIC's
//! events, and [`Connection::poll_event`] returns those of HTTP/3.
#![forbid(unsafe_code)]
#![warn(clippy::exhaustive_structs, clippy::exhaustive_enums)]

/// The code of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

pub mod capsule;
pub mod connection;
pub mod datagram;
pub mod error;
mod frame;
mod message;
mod priority;
pub mod settings;
mod trace;
pub mod transport;

pub use connection::{Config, Connection, Event, IdleMeter, PrefaceKind, RequestState};
pub use error::{BodyError, H3Error, H3Violation, SendError, StreamViolation};
pub use message::{Protocol, RequestHead, ResponseHead};
pub use priority::{parse_priority, priority_value};
pub use settings::Settings;
pub use transport::Transport;
