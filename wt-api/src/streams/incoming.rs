//! The streams that the peer opens.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_core::Stream;
use quic_core::Dir;

use super::{bidirectional::BidirectionalStream, recv::ReceiveStream};
use crate::{
    error::WebTransportError,
    handle::Guard,
    mailbox::{NewStream, Place, SessionBox, SessionQueue, Waiter, wait},
};

macro_rules! incoming {
    ($(#[$doc:meta])* $name:ident, $item:ty, $dir:expr, $make:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name {
            /// The waiter for polling this as a `Stream`.
            waiter: Waiter<Arc<SessionBox>>,
            guard: Arc<Guard>,
            over: bool,
        }

        impl $name {
            pub(crate) fn new(shared: Arc<SessionBox>, guard: Arc<Guard>) -> Self {
                Self { waiter: Waiter::new(shared, SessionQueue::Incoming($dir)), guard, over: false }
            }

            /// The next stream; `None` once the session was closed cleanly. Cancel safe.
            ///
            /// # Errors
            /// The session ended abruptly. The error is returned once, and `None` afterwards.
            pub async fn next(&mut self) -> Option<Result<$item, WebTransportError>> {
                if self.over {
                    return None;
                }
                let shared = Arc::clone(self.waiter.of());
                let next = wait(&*shared, SessionQueue::Incoming($dir), poll_next($dir)).await;
                self.on_next(next)
            }

            /// [`next`](Self::next) for adapters: wakes the task of the last call when it is ready.
            ///
            /// # Errors
            /// As [`next`](Self::next).
            pub fn poll_accept(
                &mut self,
                cx: &mut Context<'_>,
            ) -> Poll<Option<Result<$item, WebTransportError>>> {
                if self.over {
                    return Poll::Ready(None);
                }
                let mut next = poll_next($dir);
                let polled = self.waiter.poll(|shared, place| next(shared, cx, place));
                polled.map(|next| self.on_next(next))
            }

            fn on_next(
                &mut self,
                next: Option<Result<NewStream, WebTransportError>>,
            ) -> Option<Result<$item, WebTransportError>> {
                self.over = !matches!(next, Some(Ok(_)));
                next.map(|stream| stream.and_then(|stream| $make(stream, &self.guard)))
            }
        }

        impl Stream for $name {
            type Item = Result<$item, WebTransportError>;

            fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
                self.get_mut().poll_accept(cx)
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
    IncomingUnidirectionalStreams, ReceiveStream, Dir::Uni, ReceiveStream::of
}

type Next = Poll<Option<Result<NewStream, WebTransportError>>>;

fn poll_next(dir: Dir) -> impl FnMut(&SessionBox, &Context<'_>, &mut Place) -> Next {
    move |shared, cx, place| shared.poll_incoming(dir, cx, place)
}
