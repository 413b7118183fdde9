//! What the driver knows of a connection. The scripts above it act on that.

pub(crate) mod conn;
pub(crate) mod exchanges;
pub(crate) mod patience;
pub(crate) mod sending;
pub(crate) mod stack;
pub(crate) mod stream;
pub(crate) mod table;

/// How much room of a queue stays allocated while it is empty. A queue that gives everything back after each
/// burst is allocated again, growing step by step, with the next one.
pub(crate) const KEPT: usize = 256;
