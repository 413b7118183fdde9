//! Writes an application's content into the box of its exchange, a piece for each grant.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::Body;

use crate::{
    exchange_error::BoxError,
    mailbox::{ExchangeBox, ExchangeQueue, Part, Waiter},
};

/// Small pieces that come together are made with one grant, up to this many bytes and pieces.
const RUN: usize = 16 << 10;
const PIECES: usize = 32;

/// Why content is not whole.
#[derive(Debug)]
pub(crate) enum Problem {
    /// There is more than its `content-length`.
    TooMuch,
    /// There is less than its `content-length`.
    TooLittle,
    /// The body returned an error.
    Body(BoxError),
}

/// What one look at a body came to.
enum Look {
    /// Its end was written.
    Over,
    /// Something was made, and the next piece needs another grant.
    Made,
    /// Many pieces without bytes: other tasks run first.
    Yield,
    /// It waits for its own content.
    Waits,
}

/// Writes all of `body`, and its trailers. `declared`: the length in the fields, in bytes. Returns when all was
/// made, or nothing more is wanted.
pub(crate) async fn write_content<B>(
    exchange: &ExchangeBox,
    body: B,
    mut declared: Option<u64>,
) -> Result<(), Problem>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let mut body = pin!(body);
    let mut waiter = Waiter::new(exchange, ExchangeQueue::Writer);
    std::future::poll_fn(|cx| {
        loop {
            match waiter.poll(|exchange, place| exchange.poll_grant(cx, place)) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(())) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
            let looked = look(exchange, body.as_mut(), &mut declared, cx);
            exchange.looked();
            match looked {
                Ok(Look::Over) => return Poll::Ready(Ok(())),
                Ok(Look::Made) => {}
                // While the body waits for its own content, it may become unwanted.
                Ok(Look::Waits) => {
                    return waiter.poll(|exchange, place| exchange.poll_unwanted(cx, place)).map(Ok);
                }
                Ok(Look::Yield) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Err(problem) => return Poll::Ready(Err(problem)),
            }
        }
    })
    .await
}

/// Asks the body for a piece, or for several small ones.
fn look<B>(
    exchange: &ExchangeBox,
    mut body: Pin<&mut B>,
    declared: &mut Option<u64>,
    cx: &mut Context<'_>,
) -> Result<Look, Problem>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let mut made = 0;
    for _ in 0..PIECES {
        let frame = match body.as_mut().poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(error))) => return Err(Problem::Body(error.into())),
            Poll::Ready(None) => return end(exchange, *declared, Part::End),
            Poll::Pending if made > 0 => return Ok(Look::Made),
            Poll::Pending => return Ok(Look::Waits),
        };
        match frame.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) => {
                let size = data.len() as u64;
                *declared =
                    declared.map(|left| left.checked_sub(size).ok_or(Problem::TooMuch)).transpose()?;
                made += data.len();
                exchange.push_data(data);
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    return end(exchange, *declared, Part::Trailers(trailers));
                }
            }
        }
        if body.is_end_stream() {
            return end(exchange, *declared, Part::End);
        }
        if made >= RUN {
            return Ok(Look::Made);
        }
    }
    Ok(if made > 0 { Look::Made } else { Look::Yield })
}

fn end(exchange: &ExchangeBox, declared: Option<u64>, part: Part) -> Result<Look, Problem> {
    if declared.is_some_and(|left| left > 0) {
        return Err(Problem::TooLittle);
    }
    exchange.push(part);
    Ok(Look::Over)
}

/// A future of the application's, whose panics do not leave it: neither when it is polled nor when it is
/// dropped.
pub(crate) struct Contained<F>(Option<Pin<Box<F>>>);

/// The application's code panicked.
#[derive(Debug)]
pub(crate) struct PanickedHere;

impl<F: Future> Contained<F> {
    pub(crate) fn new(future: F) -> Self {
        Self(Some(Box::pin(future)))
    }
}

impl<F> Contained<F> {
    fn discard(&mut self) {
        let future = self.0.take();
        if catch_unwind(AssertUnwindSafe(|| drop(future))).is_err() {
            // At a level that is off by default, because a peer can request thousands.
            tracing::debug!("the content of an HTTP message panicked when it was dropped");
        }
    }
}

impl<F: Future> Future for Contained<F> {
    type Output = Result<F::Output, PanickedHere>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(future) = self.0.as_mut() else { return Poll::Ready(Err(PanickedHere)) };
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        let output = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(_) => Err(PanickedHere),
        };
        self.discard();
        Poll::Ready(output)
    }
}

impl<F> Drop for Contained<F> {
    fn drop(&mut self) {
        self.discard();
    }
}
