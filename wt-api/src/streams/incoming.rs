//! The streams that the peer opens.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_core::Stream;
use quic_core::Dir;

use super::{BidirectionalStream, ReceiveStream};
use crate::{
    error::{ErrorCause, WebTransportError},
    mailbox::SessionBox,
    session::Guard,
};

macro_rules! incoming {
    ($(#[$doc:meta])* $name:ident, $item:ty, $dir:expr, $make:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name {
            shared: Arc<SessionBox>,
            guard: Arc<Guard>,
            over: bool,
        }

        impl $name {
            pub(crate) fn new(shared: Arc<SessionBox>, guard: Arc<Guard>) -> Self {
                Self { shared, guard, over: false }
            }

            /// The next stream; `None` once the session was closed cleanly. Cancel safe.
            ///
            /// # Errors
            /// The session ended abruptly; told once, then `None`.
            pub async fn next(&mut self) -> Option<Result<$item, WebTransportError>> {
                poll_fn(|cx| self.poll_stream(cx)).await
            }

            fn poll_stream(&mut self, cx: &Context<'_>) -> Poll<Option<Result<$item, WebTransportError>>> {
                if self.over {
                    return Poll::Ready(None);
                }
                let polled = self.shared.poll_incoming($dir, cx);
                polled.map(|next| {
                    self.over = !matches!(next, Some(Ok(_)));
                    next.map(|stream| stream.and_then(|stream| $make(stream, &self.guard)))
                })
            }
        }

        impl Stream for $name {
            type Item = Result<$item, WebTransportError>;

            fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
                self.get_mut().poll_stream(cx)
            }
        }
    };
}

incoming! {
    /// The bidirectional streams that the peer opens (W3C `incomingBidirectionalStreams`).
    IncomingBidirectionalStreams, BidirectionalStream, Dir::Bidi, BidirectionalStream::new
}

incoming! {
    /// The unidirectional streams that the peer opens (W3C `incomingUnidirectionalStreams`).
    IncomingUnidirectionalStreams, ReceiveStream, Dir::Uni, receive_stream
}

fn receive_stream(
    stream: crate::mailbox::NewStream,
    guard: &Arc<Guard>,
) -> Result<ReceiveStream, WebTransportError> {
    let gone = || WebTransportError::session(ErrorCause::SessionClosed);
    stream.recv.map(|recv| ReceiveStream::new(recv, Some(Arc::clone(guard)))).ok_or_else(gone)
}
