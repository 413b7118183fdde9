//! The receiving half of a stream.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use tokio::sync::oneshot;

use crate::{
    error::{ErrorCause, WebTransportError},
    handle::Guard,
    mailbox::{Command, NewStream, Place, RecvBox, Waiter, wait},
    stats::ReceiveStreamStats,
};

/// The receiving half of a stream (W3C `WebTransportReceiveStream`).
///
/// If it is dropped before its end, the peer is asked to stop with code 0.
///
/// ```no_run
/// # async fn example(session: wt_api::WebTransport) -> Result<(), wt_api::WebTransportError> {
/// let mut streams = session.incoming_unidirectional_streams();
/// while let Some(stream) = streams.next().await {
///     let mut stream = stream?;
///     let mut size = 0;
///     while let Some(chunk) = stream.read_chunk(64 << 10).await? {
///         size += chunk.len();
///     }
///     println!("{size} bytes");
/// }
/// # Ok(())
/// # }
/// ```
pub struct ReceiveStream {
    /// The waiter for polling this as a reader or a `Stream`.
    waiter: Waiter<Arc<RecvBox>>,
    /// `None` for the content of an HTTP response.
    guard: Option<Arc<Guard>>,
    /// Whether the `Stream` has returned its end or its error.
    over: bool,
}

impl fmt::Debug for ReceiveStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiveStream").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl ReceiveStream {
    pub(crate) fn new(shared: Arc<RecvBox>, guard: Option<Arc<Guard>>) -> Self {
        Self { waiter: Waiter::new(shared, ()), guard, over: false }
    }

    pub(crate) fn of(mut stream: NewStream, guard: &Arc<Guard>) -> Result<Self, WebTransportError> {
        let gone = || guard.0.gone();
        stream.recv.take().map(|recv| Self::new(recv, Some(Arc::clone(guard)))).ok_or_else(gone)
    }

    fn shared(&self) -> &Arc<RecvBox> {
        self.waiter.of()
    }

    /// The QUIC stream ID, for logs.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.shared().id().value()
    }

    /// Reads available data into `buffer`, at least one byte. Returns 0 at the end of the stream, or for an
    /// empty `buffer`. Cancel safe.
    ///
    /// # Errors
    /// The peer reset the stream ([`ErrorCause::StreamReset`]), or the session has ended.
    pub async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, WebTransportError> {
        wait(&**self.shared(), (), |shared, cx, place| poll_read_slice(shared, cx, place, buffer)).await
    }

    /// The next bytes, at most `max` (at least 1), without copying; `None` at the end. Cancel safe.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn read_chunk(&mut self, max: usize) -> Result<Option<Bytes>, WebTransportError> {
        wait(&**self.shared(), (), |shared, cx, place| shared.poll_chunk(cx, place, max.max(1))).await
    }

    /// [`read_chunk`](Self::read_chunk) for adapters: wakes the task of the last call when it is ready.
    ///
    /// # Errors
    /// As [`read_chunk`](Self::read_chunk).
    pub fn poll_read_chunk(
        &mut self,
        cx: &mut Context<'_>,
        max: usize,
    ) -> Poll<Result<Option<Bytes>, WebTransportError>> {
        self.waiter.poll(|shared, place| shared.poll_chunk(cx, place, max.max(1)))
    }

    /// Reads everything up to the end, if it is at most `limit` bytes. Not cancel safe: data that was read is
    /// lost.
    ///
    /// This method takes precedence over the method of the same name in tokio's `AsyncReadExt`, which has no
    /// limit; call that one as `AsyncReadExt::read_to_end(&mut stream, &mut buffer)`.
    ///
    /// # Errors
    /// As [`read`](Self::read). If there is more data, [`ErrorCause::ReadLimit`], and the stream is stopped
    /// with code 0.
    pub async fn read_to_end(&mut self, limit: usize) -> Result<Bytes, WebTransportError> {
        let Some(first) = self.read_chunk(usize::MAX).await? else { return Ok(Bytes::new()) };
        let mut all = BytesMut::from(first);
        loop {
            if all.len() > limit {
                self.stop(0);
                return Err(WebTransportError::stream(ErrorCause::ReadLimit { limit }));
            }
            match self.read_chunk(usize::MAX).await? {
                Some(chunk) => all.extend_from_slice(&chunk),
                None => return Ok(all.freeze()),
            }
        }
    }

    /// Asks the peer to stop sending, with a code from 0 to 2^32 - 1 (W3C `cancel()`). Unread data is
    /// dropped, and reading fails from now on. If the stream's end or error has already arrived, the peer is
    /// not asked, and the next read returns that end or error.
    pub fn stop(&mut self, code: u32) {
        self.shared().stop(code);
    }

    /// The stream's counts (W3C `getStats`); the last ones once it has ended. Cancel safe.
    pub async fn get_stats(&self) -> ReceiveStreamStats {
        let (reply, answer) = oneshot::channel();
        let asked =
            self.guard.as_ref().map(|guard| guard.0.enquire(Command::RecvStats(self.shared().id(), reply)));
        let received = if asked == Some(true) { answer.await.ok() } else { None };
        let (delivered, bytes_read) = self.shared().stats();
        ReceiveStreamStats { bytes_received: received.unwrap_or(0).max(delivered), bytes_read }
    }
}

fn poll_read_slice(
    shared: &RecvBox,
    cx: &Context<'_>,
    place: &mut Place,
    buffer: &mut [u8],
) -> Poll<Result<usize, WebTransportError>> {
    if buffer.is_empty() {
        return Poll::Ready(Ok(0));
    }
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        // Data that was copied already counts. An error or the end after it is returned next time.
        let chunk = match shared.poll_chunk(cx, place, room.len()) {
            Poll::Ready(Ok(Some(chunk))) => chunk,
            _ if filled > 0 => break,
            Poll::Ready(Ok(None)) => break,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        };
        if let Some(target) = room.get_mut(..chunk.len()) {
            target.copy_from_slice(&chunk);
        }
        filled += chunk.len();
    }
    Poll::Ready(Ok(filled))
}

impl Drop for ReceiveStream {
    fn drop(&mut self) {
        self.shared().stop(0);
    }
}

impl tokio::io::AsyncRead for ReceiveStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let filled = ready!(
            this.waiter
                .poll(|shared, place| { poll_read_slice(shared, cx, place, buffer.initialize_unfilled()) })
        )?;
        buffer.advance(filled);
        Poll::Ready(Ok(()))
    }
}

impl futures_io::AsyncRead for ReceiveStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.waiter.poll(|shared, place| poll_read_slice(shared, cx, place, buffer)).map_err(Into::into)
    }
}

/// Chunks up to the end. An error is returned once, as the last item. The other ways of reading keep
/// returning it.
impl Stream for ReceiveStream {
    type Item = Result<Bytes, WebTransportError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let polled = self.waiter.poll(|shared, place| shared.poll_chunk(cx, place, usize::MAX));
        let next = ready!(polled).transpose();
        self.over = !matches!(next, Some(Ok(_)));
        Poll::Ready(next)
    }
}
