//! The content of a message that arrives.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use h3_core::{ResponseHead, error::code};
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};

use crate::{
    error::WebTransportError,
    exchange_error::HttpError,
    mailbox::{ExchangeBox, RecvBox, Waiter},
};

/// How far the reader has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Content,
    Trailers,
    Over,
}

/// The content of a request at a server, or of a response at a client, as it arrives, and its trailers.
///
/// Flow control lets the peer send as the application reads. A `content-length` is checked before the
/// application sees a byte too many (RFC 9114 §4.1.2), and too few bytes are an error instead of the end.
///
/// Dropping it before its end means that the rest is not wanted. At a client this ends the whole exchange
/// (`H3_REQUEST_CANCELLED`, RFC 9114 §4.1.1). At a server the rest is dropped as it arrives, and refused once
/// the response has arrived (`H3_NO_ERROR`, §4.1).
///
/// ```no_run
/// # async fn example(mut body: wt_api::http3::IncomingBody) -> Result<(), wt_api::http3::HttpError> {
/// let mut size = 0;
/// while let Some(piece) = body.chunk().await? {
///     size += piece.len();
/// }
/// println!("{size} bytes, and the trailers {:?}", body.trailers());
/// # Ok(())
/// # }
/// ```
pub struct IncomingBody {
    waiter: Waiter<Arc<RecvBox>>,
    exchange: Arc<ExchangeBox>,
    stage: Stage,
    /// What is still to come, if the length is known, in bytes.
    left: Option<u64>,
    /// The client waits for permission to send (RFC 9110 §10.1.1).
    expects: bool,
    trailers: Option<HeaderMap>,
}

impl IncomingBody {
    pub(crate) fn new(recv: Arc<RecvBox>, exchange: Arc<ExchangeBox>, left: Option<u64>) -> Self {
        let waiter = Waiter::new(recv, ());
        Self { waiter, exchange, stage: Stage::Content, left, expects: false, trailers: None }
    }

    /// The same for a client that waits for 100 (Continue).
    pub(crate) fn expecting(mut self, expects: bool) -> Self {
        self.expects = expects;
        self
    }

    /// The next piece of content; `None` at its end. Cancel safe.
    ///
    /// # Errors
    /// The peer reset the stream or sent a malformed message, the content did not go on in time, or the
    /// connection ended.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// Reads the content to its end, if it is at most `limit` bytes. Not cancel safe: what was read is lost.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk), and [`HttpError::ReadLimit`] if there is more.
    pub async fn read_to_end(mut self, limit: usize) -> Result<Bytes, HttpError> {
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        let mut all = BytesMut::from(first);
        loop {
            if all.len() > limit {
                return Err(HttpError::ReadLimit { limit });
            }
            match self.chunk().await? {
                Some(piece) => all.extend_from_slice(&piece),
                None => return Ok(all.freeze()),
            }
        }
    }

    /// The trailers, if there are any and [`chunk`](Self::chunk) has returned `None`.
    #[must_use]
    pub fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_ref()
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, HttpError>> {
        if self.stage != Stage::Content {
            return Poll::Ready(Ok(None));
        }
        if std::mem::take(&mut self.expects) {
            self.exchange.push_interim(ResponseHead::new(StatusCode::CONTINUE));
        }
        let polled = self.waiter.poll(|recv, place| recv.poll_chunk(cx, place, usize::MAX));
        polled.map(|read| match read {
            Ok(Some(piece)) => {
                self.left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
                Ok(Some(piece))
            }
            Ok(None) => {
                self.stage = Stage::Trailers;
                self.trailers = self.exchange.take_trailers();
                Ok(None)
            }
            Err(error) => {
                self.stage = Stage::Over;
                Err(self.failure(error))
            }
        })
    }

    /// The exchange knows more than the box of its content.
    fn failure(&self, error: WebTransportError) -> HttpError {
        self.exchange.failure().unwrap_or(HttpError::Exchange(error))
    }
}

impl Body for IncomingBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        match self.poll_chunk(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(Some(piece))) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            Poll::Ready(Err(error)) => Poll::Ready(Some(Err(error))),
            Poll::Ready(Ok(None)) => {
                let first = std::mem::replace(&mut self.stage, Stage::Over) == Stage::Trailers;
                let trailers = if first { self.trailers.take() } else { None };
                Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.stage == Stage::Over
    }

    fn size_hint(&self) -> SizeHint {
        match (self.stage, self.left) {
            (Stage::Content, Some(left)) => SizeHint::with_exact(left),
            (Stage::Content, None) => SizeHint::default(),
            _ => SizeHint::with_exact(0),
        }
    }
}

impl Drop for IncomingBody {
    fn drop(&mut self) {
        if self.stage == Stage::Content {
            // The driver knows which end this is, and what the code is for.
            self.waiter.of().stop(u32::try_from(code::H3_REQUEST_CANCELLED).unwrap_or_default());
        }
    }
}

impl fmt::Debug for IncomingBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IncomingBody")
            .field("stage", &self.stage)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
