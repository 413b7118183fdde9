//! The four families of errors: a peer broke a rule ([`Violation`]), a packet was ignored ([`DropReason`]),
//! the connection ended ([`ConnectionError`]), or one call failed (the small enums of [`call`]).

pub mod call;
mod code;
mod connection;
mod drop_reason;
mod violation;

pub use code::TransportErrorCode;
pub use connection::{CloseReason, ConnectionError};
pub use drop_reason::DropReason;
pub use violation::Violation;
