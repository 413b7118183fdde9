//! What an error of the transport says of a stream's end, and tables that forget it.

use quic_core::{
    StreamMap,
    error::call::{ReadError, WriteError},
};

/// After a burst of streams the table is to be small again: at most eight times as large as what is in it.
pub(super) fn slim<V>(streams: &mut StreamMap<V>) {
    if streams.capacity() > 64 && streams.len() < streams.capacity() / 8 {
        streams.shrink_to(2 * streams.len());
    }
}

/// A write error as the caller hears it.
pub(super) fn send_error(error: WriteError) -> crate::error::SendError {
    match error {
        WriteError::Stopped(code) => crate::error::SendError::Stopped(code),
        _ => crate::error::SendError::Closed,
    }
}

/// The code of a reset, if that is what ended the stream.
pub(super) fn reset_code(error: ReadError) -> Option<u64> {
    match error {
        ReadError::Reset(code) => Some(code),
        _ => None,
    }
}
