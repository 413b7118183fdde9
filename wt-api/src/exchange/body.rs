//! Content that an application sends, when it has no type of its own for it.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;
use http_body::{Frame, SizeHint};

use crate::exchange_error::BoxError;

/// The content of a message that this end sends: bytes, nothing, a stream of pieces, or any
/// [`http_body::Body`]. It is for those who want one type for all of these; every body of `http_body` can be
/// sent without it.
///
/// ```
/// use wt_api::http3::Body;
/// let response = http::Response::new(Body::from("hello\n"));
/// # let _ = response;
/// ```
pub struct Body(Kind);

enum Kind {
    Bytes(Option<Bytes>),
    Boxed(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BoxError> + Send>>),
}

impl Body {
    /// No content.
    #[must_use]
    pub fn empty() -> Self {
        Self(Kind::Bytes(None))
    }

    /// Any body.
    #[must_use]
    pub fn new<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Kind::Boxed(Box::pin(Plain(Box::pin(body)))))
    }

    /// The pieces of a stream. Each is requested when there is room to send it.
    #[must_use]
    pub fn from_stream<S, E>(pieces: S) -> Self
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        Self(Kind::Boxed(Box::pin(Pieces(Box::pin(pieces)))))
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(content: T) -> Self {
        Self(Kind::Bytes(Some(content.into()).filter(|content| !content.is_empty())))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Bytes(bytes) => write!(f, "{} bytes", bytes.as_ref().map_or(0, Bytes::len)),
            Kind::Boxed(_) => f.write_str("a body"),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Bytes(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Boxed(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Bytes(bytes) => bytes.is_none(),
            Kind::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Bytes(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Kind::Boxed(body) => body.size_hint(),
        }
    }
}

/// A body whose errors are boxed.
struct Plain<B>(Pin<Box<B>>);

impl<B> http_body::Body for Plain<B>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.as_mut().poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// The pieces of a stream.
struct Pieces<S>(Pin<Box<S>>);

impl<S, E> http_body::Body for Pieces<S>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let next = self.0.as_mut().poll_next(cx);
        next.map(|piece| piece.map(|piece| piece.map(Frame::data).map_err(Into::into)))
    }
}
