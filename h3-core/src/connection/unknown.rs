//! A stream of the peer whose kind is not known yet.

use crate::frame::HeadReader;

/// A stream of the peer whose kind is not known yet.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    pub(super) reader: HeadReader,
    /// The code of a `STOP_SENDING`, for the layer that gets the stream.
    pub(super) stopped: Option<u64>,
}
