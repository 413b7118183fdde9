//! Datagrams as the application sees them.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;

use crate::{
    error::{DatagramError, ErrorCause, WebTransportError},
    mailbox::SessionBox,
    session::Guard,
};

/// The datagrams of a session (W3C `WebTransportDatagramDuplexStream`). Handles share the session's queues.
#[derive(Debug)]
pub struct Datagrams {
    /// What comes.
    pub readable: DatagramsReadable,
    /// What goes.
    pub writable: DatagramsWritable,
}

impl Datagrams {
    pub(crate) fn new(shared: &Arc<SessionBox>, guard: &Arc<Guard>) -> Self {
        Self {
            readable: DatagramsReadable { shared: Arc::clone(shared), _guard: Arc::clone(guard) },
            writable: DatagramsWritable { shared: Arc::clone(shared), _guard: Arc::clone(guard) },
        }
    }

    /// The largest payload that can be sent now, in bytes; 0 before the session is ready. It follows the path's MTU.
    #[must_use]
    pub fn max_datagram_size(&self) -> usize {
        self.writable.max_datagram_size()
    }
}

/// Received datagrams. At most 1024 of them, and 1 MiB, wait; the oldest make room.
#[derive(Debug)]
pub struct DatagramsReadable {
    shared: Arc<SessionBox>,
    _guard: Arc<Guard>,
}

impl DatagramsReadable {
    /// The next datagram, empty ones included. Cancel safe.
    ///
    /// # Errors
    /// The session is gone, and all that came was taken.
    pub async fn recv(&mut self) -> Result<Bytes, WebTransportError> {
        poll_fn(|cx| self.shared.poll_datagram(cx)).await
    }

    /// The next datagram if one is there.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Result<Option<Bytes>, WebTransportError> {
        self.shared.try_datagram()
    }
}

impl Stream for DatagramsReadable {
    type Item = Bytes;

    /// Ends with the session; [`WebTransport::closed`](crate::WebTransport::closed) tells how.
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.shared.poll_datagram(cx).map(Result::ok)
    }
}

/// Sends datagrams. At most 256 of them wait for the connection.
#[derive(Clone, Debug)]
pub struct DatagramsWritable {
    shared: Arc<SessionBox>,
    _guard: Arc<Guard>,
}

impl DatagramsWritable {
    /// The largest payload that can be sent now, in bytes; 0 before the session is ready.
    #[must_use]
    pub fn max_datagram_size(&self) -> usize {
        self.shared.max_datagram_size()
    }

    fn check(&self, data: &Bytes) -> Result<(), DatagramError> {
        let max = self.max_datagram_size();
        if data.len() > max { Err(DatagramError::TooLarge { size: data.len(), max }) } else { Ok(()) }
    }

    /// Queues a datagram; waits for the session, and for room. It may be lost on the way. Cancel safe: not sent if it
    /// does not return.
    ///
    /// # Errors
    /// Larger than [`max_datagram_size`](Self::max_datagram_size), or the session is gone.
    pub async fn send(&self, data: Bytes) -> Result<(), DatagramError> {
        poll_fn(|cx| self.shared.poll_ready(cx)).await?;
        self.check(&data)?;
        Ok(poll_fn(|cx| self.shared.poll_send_datagram(Some(cx), &data)).await?)
    }

    /// Queues a datagram without waiting.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`DatagramError::Full`]. Before the session is ready every size is too large.
    #[allow(clippy::needless_pass_by_value, reason = "the payload is given away, as with send")]
    pub fn try_send(&self, data: Bytes) -> Result<(), DatagramError> {
        if self.shared.is_over() {
            return Err(WebTransportError::session(ErrorCause::SessionClosed).into());
        }
        self.check(&data)?;
        match self.shared.poll_send_datagram(None, &data) {
            Poll::Ready(result) => Ok(result?),
            Poll::Pending => Err(DatagramError::Full),
        }
    }
}
