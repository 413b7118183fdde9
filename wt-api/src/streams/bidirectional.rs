//! Bidirectional streams.

use std::{
    io,
    ops::{Deref, DerefMut},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{recv::ReceiveStream, send::SendStream};
use crate::{error::WebTransportError, handle::Guard, mailbox::NewStream};

/// A bidirectional stream (W3C `WebTransportBidirectionalStream`). Reading uses its receiving half, and
/// writing its sending half.
///
/// The halves are fields, `stream.readable` and `stream.writable`. Only [`split`](Self::split) separates
/// them: a task or closure that uses one of the fields captures the whole stream. (With plain fields, it
/// would capture one half, and the other would be dropped with the stream, which resets or stops it.)
///
/// ```no_run
/// # async fn example(session: wt_api::WebTransport) -> Result<(), wt_api::WebTransportError> {
/// let mut stream = session.accept_bidirectional_stream().await?;
/// tokio::spawn(async move {
///     let question = stream.readable.read_to_end(1 << 16).await?;
///     stream.writable.write_all(&question).await?;
///     stream.writable.finish()
/// });
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct BidirectionalStream {
    halves: Halves,
}

/// The halves of a [`BidirectionalStream`], which dereferences to them.
#[derive(Debug)]
#[non_exhaustive]
pub struct Halves {
    /// The receiving half.
    pub readable: ReceiveStream,
    /// The sending half.
    pub writable: SendStream,
}

impl BidirectionalStream {
    pub(crate) fn new(mut stream: NewStream, guard: &Arc<Guard>) -> Result<Self, WebTransportError> {
        match (stream.send.take(), stream.recv.take()) {
            (Some(send), Some(recv)) => Ok(Self {
                halves: Halves {
                    readable: ReceiveStream::new(recv, Some(Arc::clone(guard))),
                    writable: SendStream::new(send, Arc::clone(guard)),
                },
            }),
            _ => Err(guard.0.gone()),
        }
    }

    /// Splits the stream into its halves, for two tasks.
    #[must_use]
    pub fn split(self) -> (ReceiveStream, SendStream) {
        (self.halves.readable, self.halves.writable)
    }

    /// Borrows both halves, for two futures in one task.
    pub fn split_mut(&mut self) -> (&mut ReceiveStream, &mut SendStream) {
        (&mut self.halves.readable, &mut self.halves.writable)
    }

    /// The QUIC stream ID, for logs.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.readable.id()
    }
}

impl Deref for BidirectionalStream {
    type Target = Halves;

    fn deref(&self) -> &Halves {
        &self.halves
    }
}

impl DerefMut for BidirectionalStream {
    fn deref_mut(&mut self) -> &mut Halves {
        &mut self.halves
    }
}

impl tokio::io::AsyncRead for BidirectionalStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        tokio::io::AsyncRead::poll_read(Pin::new(&mut self.readable), cx, buffer)
    }
}

impl tokio::io::AsyncWrite for BidirectionalStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        tokio::io::AsyncWrite::poll_write(Pin::new(&mut self.writable), cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        tokio::io::AsyncWrite::poll_flush(Pin::new(&mut self.writable), cx)
    }

    /// Finishes the sending half.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        tokio::io::AsyncWrite::poll_shutdown(Pin::new(&mut self.writable), cx)
    }
}

impl futures_io::AsyncRead for BidirectionalStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        futures_io::AsyncRead::poll_read(Pin::new(&mut self.readable), cx, buffer)
    }
}

impl futures_io::AsyncWrite for BidirectionalStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        futures_io::AsyncWrite::poll_write(Pin::new(&mut self.writable), cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        futures_io::AsyncWrite::poll_flush(Pin::new(&mut self.writable), cx)
    }

    /// Finishes the sending half.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        futures_io::AsyncWrite::poll_close(Pin::new(&mut self.writable), cx)
    }
}
