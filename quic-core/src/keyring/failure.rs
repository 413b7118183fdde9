//! Why a packet was not opened.

use crate::error::{DropReason, Violation};

/// Why a packet was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenFailure {
    /// Ignore it.
    Drop(DropReason),
    /// Close the connection.
    Violation(Violation),
}
