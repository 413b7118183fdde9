//! Streams as the application sees them.

mod bidirectional;
mod group;
mod incoming;
mod options;
mod recv;
mod send;

pub use bidirectional::{BidirectionalStream, Halves};
pub use group::SendGroup;
pub use incoming::{IncomingBidirectionalStreams, IncomingUnidirectionalStreams};
pub use options::SendStreamOptions;
pub use recv::ReceiveStream;
pub use send::SendStream;
