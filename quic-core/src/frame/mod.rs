//! QUIC frames (RFC 9000 §19, RFC 9221, reliable-stream-reset, ack-frequency): parse and emit, with no connection
//! state.

mod ack;
mod parse;
mod receipt;
#[cfg(test)]
mod tests;
pub mod types;
mod value;
mod write;
mod writer;

pub use ack::{Ack, AckRanges, EcnCounts, write_ack};
pub use parse::{FrameError, Frames};
pub(crate) use receipt::Receipt;
pub(crate) use writer::FrameWriter;

pub use value::{Frame, ResetToken};
