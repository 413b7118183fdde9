//! Maps the transport's stream errors, and shrinks stream tables.

use quic_core::{
    StreamMap,
    error::call::{ReadError, WriteError},
};

/// Shrinks a table after a burst of streams, so that it has room for at most eight times its entries.
pub(super) fn slim<V>(streams: &mut StreamMap<V>) {
    if streams.capacity() > 64 && streams.len() < streams.capacity() / 8 {
        streams.shrink_to(2 * streams.len());
    }
}

/// The caller's error for a write error of the transport.
pub(super) fn send_error(error: WriteError) -> crate::error::SendError {
    match error {
        WriteError::Stopped(code) => crate::error::SendError::Stopped(code),
        _ => crate::error::SendError::Closed,
    }
}

/// The code, if a reset ended the stream.
pub(super) fn reset_code(error: ReadError) -> Option<u64> {
    match error {
        ReadError::Reset(code) => Some(code),
        _ => None,
    }
}
