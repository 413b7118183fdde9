//! Streams as the application sees them.

mod group;
mod incoming;
mod recv;
mod send;

use std::sync::Arc;

pub use group::SendGroup;
pub use incoming::{IncomingBidirectionalStreams, IncomingUnidirectionalStreams};
pub use recv::ReceiveStream;
pub use send::SendStream;

use crate::{
    error::{ErrorCause, WebTransportError},
    mailbox::NewStream,
    session::Guard,
};

/// Options of new streams (W3C `WebTransportSendStreamOptions`).
#[derive(Clone, Debug)]
#[must_use]
pub struct SendStreamOptions {
    pub(crate) send_group: Option<SendGroup>,
    pub(crate) send_order: i64,
    pub(crate) wait_until_available: bool,
}

impl Default for SendStreamOptions {
    fn default() -> Self {
        Self { send_group: None, send_order: 0, wait_until_available: true }
    }
}

impl SendStreamOptions {
    /// No group, order 0, and waiting for credit.
    pub fn new() -> Self {
        Self::default()
    }

    /// The group among which the stream ranks; it has to be of the same session. Default: that of those that choose none.
    pub fn send_group(mut self, group: &SendGroup) -> Self {
        self.send_group = Some(group.clone());
        self
    }

    /// Streams of a higher order send first, strictly, among those of their group. Default 0.
    pub fn send_order(mut self, order: i64) -> Self {
        self.send_order = order;
        self
    }

    /// Whether to wait when the peer permits no further stream now. Default true; false makes that case an error.
    pub fn wait_until_available(mut self, wait: bool) -> Self {
        self.wait_until_available = wait;
        self
    }
}

/// A stream that both sides send on (W3C `WebTransportBidirectionalStream`).
#[derive(Debug)]
pub struct BidirectionalStream {
    /// What the peer sends.
    pub readable: ReceiveStream,
    /// What this side sends.
    pub writable: SendStream,
}

impl BidirectionalStream {
    pub(crate) fn new(mut stream: NewStream, guard: &Arc<Guard>) -> Result<Self, WebTransportError> {
        match (stream.send.take(), stream.recv.take()) {
            (Some(send), Some(recv)) => Ok(Self {
                readable: ReceiveStream::new(recv, Some(Arc::clone(guard))),
                writable: SendStream::new(send, Arc::clone(guard)),
            }),
            _ => Err(WebTransportError::session(ErrorCause::SessionClosed)),
        }
    }

    /// The two halves.
    #[must_use]
    pub fn split(self) -> (ReceiveStream, SendStream) {
        (self.readable, self.writable)
    }
}
