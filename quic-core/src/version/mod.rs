//! The QUIC versions that this stack speaks, and which of them an end accepts.

mod list;
mod table;

pub use list::Versions;
pub use table::Version;
pub(crate) use table::{Labels, LongTypes};
