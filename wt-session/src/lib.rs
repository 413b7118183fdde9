//! WebTransport over HTTP/3 sessions, sans-IO, client and server: every dialect that is spoken, from draft 02 (the
//! browsers of 2026) to draft 16, one or several sessions on a connection, with session flow control (§5).
//!
//! [`Sessions`] stands beside an `h3_core::Connection` and owns neither it nor the transport: it is told of QUIC's
//! events through [`Sessions::on_event`], hands to HTTP/3 what is HTTP/3's, and tells its own through
//! [`Sessions::poll_event`]. What it wants to tell the peer about flow control goes out by [`Sessions::flush`].
#![forbid(unsafe_code)]
#![warn(clippy::exhaustive_structs, clippy::exhaustive_enums)]

/// The code of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod capsules;
pub mod codes;
mod dialect;
mod early;
mod error;
mod event;
mod flow;
pub mod protocols;
mod refusal;
mod session;
mod sessions;
mod transport;

pub use dialect::{Dialect, Dialects, Negotiated};
pub use error::{AcceptError, ConnectError, DatagramError, SessionError, SessionGone, StreamError};
pub use event::{CloseInfo, ConnectRequest, Event, RequestId, SessionId, SessionRequest, SessionResponse};
pub use flow::{FlowViolation, Limited};
pub use refusal::Refusal;
pub use sessions::{Config, FlowControl, Sessions};
pub use transport::{ExportError, SessionTransport};
