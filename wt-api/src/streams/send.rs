//! The sending half of a stream.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_sink::Sink;
use tokio::sync::oneshot;

use super::group::SendGroup;
use crate::{
    error::{ErrorCause, WebTransportError},
    handle::Guard,
    mailbox::{Command, SendBox, SendQueue, Waiter, wait},
    stats::SendStreamStats,
};

/// The sending half of a stream (W3C `WebTransportSendStream`).
///
/// If it is dropped before [`finish`](Self::finish), the stream is reset with code 0, because half a message
/// must not look like a whole one.
///
/// ```no_run
/// # async fn example(session: wt_api::WebTransport) -> Result<(), wt_api::WebTransportError> {
/// use wt_api::SendStreamOptions;
/// let mut stream = session.create_unidirectional_stream(SendStreamOptions::new()).await?;
/// stream.write_all(b"all of it").await?;
/// stream.finish()?;
/// stream.finished().await?; // The peer has received it.
/// # Ok(())
/// # }
/// ```
pub struct SendStream {
    /// The waiter for polling this as a writer or a `Sink`.
    waiter: Waiter<Arc<SendBox>>,
    guard: Arc<Guard>,
}

impl fmt::Debug for SendStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendStream").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl SendStream {
    pub(crate) fn new(shared: Arc<SendBox>, guard: Arc<Guard>) -> Self {
        Self { waiter: Waiter::new(shared, SendQueue::Room), guard }
    }

    fn shared(&self) -> &Arc<SendBox> {
        self.waiter.of()
    }

    /// The QUIC stream ID, for logs.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.shared().id().value()
    }

    /// Writes a prefix of `data` and returns its length, which is at least 1 unless `data` is empty. Waits
    /// while 256 KiB wait for the connection. Cancel safe: if it does not return, nothing was written.
    ///
    /// # Errors
    /// The peer stopped the stream ([`ErrorCause::StreamStopped`]), it was finished or reset, or the session
    /// has ended.
    pub async fn write(&mut self, data: &[u8]) -> Result<usize, WebTransportError> {
        wait(&**self.shared(), SendQueue::Room, |shared, cx, place| shared.poll_write(cx, place, data)).await
    }

    /// Writes all of `data`. Not cancel safe: a prefix may have been written.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn write_all(&mut self, mut data: &[u8]) -> Result<(), WebTransportError> {
        while !data.is_empty() {
            let count = self.write(data).await?;
            data = data.get(count..).unwrap_or_default();
        }
        Ok(())
    }

    /// Writes all of `data` without copying it. Cancel safe.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn write_chunk(&mut self, mut data: Bytes) -> Result<(), WebTransportError> {
        wait(&**self.shared(), SendQueue::Room, |shared, cx, place| {
            shared.poll_write_chunk(cx, place, &mut data)
        })
        .await
    }

    /// Ends the stream after the written data (W3C `close()`), without waiting.
    ///
    /// # Errors
    /// The stream has already ended in some way.
    pub fn finish(&mut self) -> Result<(), WebTransportError> {
        self.shared().finish()
    }

    /// Waits until the peer's QUIC has acknowledged everything, including the end. Finishes the stream if
    /// that was not done. Cancel safe, except that the stream is finished.
    ///
    /// # Errors
    /// The stream was stopped or reset, or the session ended before.
    pub async fn finished(&mut self) -> Result<(), WebTransportError> {
        // If it was finished before or has ended, polling returns that.
        let _ = self.shared().finish();
        wait(&**self.shared(), SendQueue::End, SendBox::poll_finished).await
    }

    /// Resets the stream with a code from 0 to 2^32 - 1 (W3C `abort()`). Data that is not delivered yet may
    /// be lost. It has no effect if the stream has ended.
    pub fn reset(&mut self, code: u32) {
        self.shared().reset(code);
    }

    /// Waits until the peer stops the stream. Returns its code, or `None` if the code is outside
    /// WebTransport's range. Cancel safe.
    ///
    /// # Errors
    /// The stream ended without being stopped: everything is acknowledged, it was reset, or the session has
    /// ended.
    pub async fn stopped(&self) -> Result<Option<u32>, WebTransportError> {
        let finished = || WebTransportError::stream(ErrorCause::StreamFinished);
        match wait(&**self.shared(), SendQueue::End, SendBox::poll_finished).await {
            Ok(()) => Err(finished()),
            Err(error) => match error.cause() {
                ErrorCause::StreamStopped(code) => Ok(*code),
                _ => Err(error),
            },
        }
    }

    /// The stream's send order in its group (W3C `sendOrder`); 0 unless set.
    #[must_use]
    pub fn send_order(&self) -> i64 {
        self.shared().current_rank().order
    }

    /// Changes the stream's send order: streams with a higher order are sent strictly first (W3C
    /// `sendOrder`). Data that was already passed to the network is not affected.
    pub fn set_send_order(&mut self, order: i64) {
        self.shared().rank(|rank| rank.order = order);
    }

    /// The stream's group (W3C `sendGroup`).
    #[must_use]
    pub fn send_group(&self) -> Option<SendGroup> {
        SendGroup::named(&self.guard.0, self.shared().current_rank().group)
    }

    /// Changes the stream's group; `None` for no group (W3C `sendGroup`).
    ///
    /// # Errors
    /// [`ErrorCause::ForeignSendGroup`]; then nothing has changed.
    pub fn set_send_group(&mut self, group: Option<&SendGroup>) -> Result<(), WebTransportError> {
        let group = group.map_or(Ok(0), |group| group.id_in(&self.guard.0))?;
        self.shared().rank(|rank| rank.group = group);
        Ok(())
    }

    /// Writes all of `data` if the peer's limits for stream, session and connection permit sending it now, or
    /// nothing (W3C `atomicWrite`). So data that is written later does not wait behind a partial write.
    /// `data` may still be sent in several packets. Not cancel safe: if it is dropped while waiting, `data`
    /// may have been written.
    ///
    /// # Errors
    /// [`ErrorCause::WouldBlock`]; otherwise as [`write`](Self::write).
    pub async fn atomic_write(&mut self, data: Bytes) -> Result<(), WebTransportError> {
        let size = data.len();
        match self.shared().write_atomic(data)?.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(WebTransportError::stream(ErrorCause::WouldBlock { size })),
            // The stream ended before the driver handled the request.
            Err(_) => wait(&**self.shared(), SendQueue::Room, SendBox::poll_room).await,
        }
    }

    /// Ensures that the data written so far arrives even if the stream is [`reset`](Self::reset) later (W3C
    /// `commit`). A peer without `reset_stream_at` gets the reset after it has acknowledged that data, and
    /// may drop data that its application has not read by then (RFC 9000 §3.2).
    pub fn commit(&mut self) {
        self.shared().commit();
    }

    /// The stream's counts (W3C `getStats`); the last ones once it has ended. Cancel safe.
    pub async fn get_stats(&self) -> SendStreamStats {
        let (reply, answer) = oneshot::channel();
        let asked = self.guard.0.enquire(Command::SendStats(self.shared().id(), reply));
        let counts = if asked { answer.await.ok() } else { None };
        counts.unwrap_or_else(|| self.shared().counts()).into()
    }

    /// How many bytes were written so far.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.shared().written()
    }

    fn poll_end(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(self.waiter.poll(|shared, place| shared.poll_flush(cx, place)));
        flushed?;
        // A second shutdown is not an error.
        let _ = self.shared().finish();
        Poll::Ready(Ok(()))
    }
}

impl Drop for SendStream {
    fn drop(&mut self) {
        self.shared().abandon();
    }
}

impl tokio::io::AsyncWrite for SendStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.waiter.poll(|shared, place| shared.poll_write(cx, place, data)).map_err(Into::into)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.waiter.poll(|shared, place| shared.poll_flush(cx, place)).map_err(Into::into)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_end(cx)
    }
}

impl futures_io::AsyncWrite for SendStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.waiter.poll(|shared, place| shared.poll_write(cx, place, data)).map_err(Into::into)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.waiter.poll(|shared, place| shared.poll_flush(cx, place)).map_err(Into::into)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_end(cx)
    }
}

/// Backpressure is the same as in [`SendStream::write_chunk`]. Flushing waits until QUIC has taken
/// everything. Closing also ends the stream. [`SendStream::finished`] additionally waits for the
/// acknowledgment.
impl Sink<Bytes> for SendStream {
    type Error = WebTransportError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WebTransportError>> {
        self.waiter.poll(|shared, place| shared.poll_room(cx, place))
    }

    fn start_send(self: Pin<&mut Self>, item: Bytes) -> Result<(), WebTransportError> {
        self.shared().push(item)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WebTransportError>> {
        self.waiter.poll(|shared, place| shared.poll_flush(cx, place))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WebTransportError>> {
        self.waiter.poll(|shared, place| shared.poll_close(cx, place))
    }
}
