//! qlog (draft-ietf-quic-qlog-main-schema-13): what an observer of a connection sees, as JSON text sequences.
//!
//! [`QlogDirectory`] gives each connection of quic-core a file. [`Qlog`] is the observer behind it, for programs that
//! put the bytes elsewhere ([`Output`]). The events are those of draft-ietf-quic-qlog-quic-events-13; those of layers
//! above pass through as they are ([`quic_core::LayerEvent`]).
#![forbid(unsafe_code)]

/// The code of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod directory;
mod events;
mod header;
mod json;
mod observer;
mod record;
mod writer;

pub use directory::QlogDirectory;
pub use header::Settings;
pub use observer::{Output, Qlog};
pub use writer::QlogStats;
