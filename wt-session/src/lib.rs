//! WebTransport over HTTP/3 sessions, sans-IO, for clients and servers: every draft in use, from draft 02
//! (the browsers of 2026) to draft 16, one or several sessions on a connection, with session flow control
//! (§5).
//!
//! [`Sessions`] works on an `h3_core::Connection` and owns neither it nor the transport.
//! [`Sessions::on_event`] takes QUIC's events and forwards HTTP/3's to HTTP/3, and [`Sessions::poll_event`]
//! returns the events of sessions. [`Sessions::flush`] sends the capsules of flow control.
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
