//! A stream that the application knows, and what its errors mean.

use std::sync::Arc;

use wt_session::{Sessions, StreamError};

use super::{sending::Sending, table::SessionTable};
use crate::{
    error::{ErrorCause, WebTransportError},
    mailbox::RecvBox,
};

/// A stream that the application knows.
#[derive(Debug, Default)]
pub(crate) struct DriverStream {
    /// The key of its session.
    pub(crate) session: u32,
    pub(crate) send: Option<Sending>,
    pub(crate) recv: Option<Arc<RecvBox>>,
    /// How many bytes the application was given.
    pub(crate) delivered: u64,
    /// Whether the box has no room for data that is there.
    pub(crate) full: bool,
}

/// Which half of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    Send,
    Recv,
}

/// What an error of a stream means. `None` means that its session has ended; the event of the session's end
/// follows and tells its streams why. A peer that ends a stream with `WT_SESSION_GONE` while the session is
/// open here has ended that stream alone.
pub(crate) fn error_of(error: StreamError, half: Half, session_is_open: bool) -> Option<WebTransportError> {
    let cause = match (error, half) {
        (StreamError::Reset(code), _) => ErrorCause::StreamReset(code),
        (StreamError::Stopped(code), _) => ErrorCause::StreamStopped(code),
        _ if !session_is_open => return None,
        (StreamError::SessionGone, Half::Send) => ErrorCause::StreamStopped(None),
        (StreamError::SessionGone, Half::Recv) => ErrorCause::StreamReset(None),
        _ => ErrorCause::StreamFinished,
    };
    Some(WebTransportError::stream(cause))
}

/// Whether a session is open in the layer below.
pub(crate) fn is_open(table: &SessionTable, sessions: &Sessions, key: u32) -> bool {
    table.get(key).and_then(|entry| entry.id).is_some_and(|id| sessions.is_open(id))
}

impl DriverStream {
    pub(crate) fn is_over(&self) -> bool {
        self.send.is_none() && self.recv.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_ends_for_a_session_that_is_open_ends_no_session() {
        let told = |half, open| error_of(StreamError::SessionGone, half, open);
        for (half, open) in [(Half::Send, false), (Half::Recv, false)] {
            assert!(told(half, open).is_none());
        }
        let cause = |half| told(half, true).map(|error| error.cause().clone());
        assert!(matches!(cause(Half::Send), Some(ErrorCause::StreamStopped(None))));
        assert!(matches!(cause(Half::Recv), Some(ErrorCause::StreamReset(None))));
        for open in [false, true] {
            let reset = error_of(StreamError::Reset(Some(7)), Half::Recv, open);
            assert_eq!(reset.and_then(|error| error.stream_error_code()), Some(7));
        }
    }
}
