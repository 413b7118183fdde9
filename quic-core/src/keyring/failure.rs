//! Why a packet was not opened.

use crate::error::{DropReason, Violation};

/// Why a packet was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenFailure {
    /// The packet is to be ignored.
    Drop(DropReason),
    /// The connection is to be closed.
    Violation(Violation),
}
