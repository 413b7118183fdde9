//! What the driver knows of a connection, and nothing of what is done with it.

pub(crate) mod conn;
pub(crate) mod exchanges;
pub(crate) mod patience;
pub(crate) mod responses;
pub(crate) mod sending;
pub(crate) mod stack;
pub(crate) mod stream;
pub(crate) mod table;

/// Claims, and boxes with work, for which room stays when there are none: a queue that is given back with each burst is made
/// anew, growing, with each.
pub(crate) const KEPT: usize = 256;
