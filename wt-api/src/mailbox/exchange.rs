//! The box of an HTTP exchange: the parts of the message that this end sends, and what the driver tells of
//! the exchange.
//!
//! The content that arrives is in a [`RecvBox`] of its own. A writer makes a piece of content
//! only when the driver has granted it, so that what peers can make an application hold is counted before
//! more of it is made.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use h3_core::ResponseHead;
use http::HeaderMap;
use quic_core::StreamId;

use super::{ConnectionBox, Place, RecvBox, Waited, Waiters, Work, lock};
use crate::exchange_error::HttpError;

/// Interim responses that may wait in a box, in either direction; further ones are dropped.
const MAX_INTERIM: usize = 16;

/// A part of the message that this end sends.
#[derive(Debug)]
pub(crate) enum Part {
    /// The head of the final response. `end`: there is no content.
    Head {
        head: ResponseHead,
        end: bool,
    },
    /// The head of an interim response (1xx).
    Interim(ResponseHead),
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    /// The message ends here without being whole, with this code.
    Reset(u64),
}

/// The head of a response, as a client gets it.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) head: ResponseHead,
    /// The content; `None` for an interim response.
    pub(crate) body: Option<Arc<RecvBox>>,
}

/// What a client that waits for the head gets.
#[derive(Debug)]
pub(crate) enum Next {
    Head(Answered),
    /// The connection cannot take the request, which was not sent.
    HandedBack,
    Failed(HttpError),
}

/// How many tasks of a connection have a grant that they have not looked at yet. What they make of it is not
/// counted yet.
#[derive(Debug, Default)]
pub(crate) struct Tickets {
    out: AtomicUsize,
    /// Whether the driver waits for one to come back.
    wanted: AtomicBool,
}

impl Tickets {
    fn out(&self) -> usize {
        self.out.load(Ordering::SeqCst)
    }

    /// The driver's side: whether so many may be out. If not, the next one that comes back tells.
    pub(crate) fn permit(&self, fits: impl Fn(usize) -> bool) -> bool {
        if fits(self.out()) {
            return true;
        }
        // Sequentially consistent, as in `UnreadBytes`: either side sees what the other wrote.
        self.wanted.store(true, Ordering::SeqCst);
        fits(self.out())
    }
}

/// The one ticket of a box, which comes back when it is dropped.
#[derive(Debug)]
struct Ticket(Arc<Tickets>);

impl Ticket {
    fn new(all: &Arc<Tickets>) -> Self {
        all.out.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(all))
    }

    /// Gives it back. True: the driver waits for that.
    fn give_back(self) -> bool {
        let all = Arc::clone(&self.0);
        drop(self);
        all.wanted.swap(false, Ordering::SeqCst)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.out.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The box of an exchange.
#[derive(Debug, Default)]
pub(crate) struct ExchangeBox {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The connection and the stream, once the exchange has them.
    of: Option<(Arc<ConnectionBox>, StreamId)>,
    parts: VecDeque<Part>,
    /// Interim responses among them.
    interim: usize,
    /// The head of the final response was given.
    headed: bool,
    /// Whether the driver knows that there is something.
    marked: bool,
    /// Whether the writer may make the next piece of content.
    granted: bool,
    ticket: Option<Ticket>,
    /// The ticket came back without a piece.
    came_back: bool,
    /// Nothing more of the message is wanted, or it is complete.
    unwanted: bool,
    answers: VecDeque<Answered>,
    trailers: Option<HeaderMap>,
    handed_back: bool,
    /// Why the content that arrives ended early, while the exchange goes on.
    content: Option<HttpError>,
    /// Why the exchange ended before it was complete.
    failed: Option<HttpError>,
    /// The application has given the exchange up.
    gone: bool,
    writers: Waiters,
    readers: Waiters,
    enders: Waiters,
}

/// What tasks wait for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ExchangeQueue {
    /// A grant.
    Writer,
    /// The head of a response.
    Reader,
    /// The end.
    Ender,
}

/// What the driver finds in a box.
pub(crate) struct Found {
    /// The application has given the exchange up.
    pub(crate) gone: bool,
    /// The writer still has its grant.
    pub(crate) granted: bool,
    /// A ticket came back, so that others may have one.
    pub(crate) came_back: bool,
}

impl ExchangeBox {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Changes the state, and tells the driver if `change` returns true.
    fn change(&self, change: impl FnOnce(&mut State) -> bool) {
        let mut state = lock(&self.state);
        let tells = change(&mut state) && !state.marked;
        let of = state.of.as_ref().filter(|_| tells).map(|(boxes, stream)| (Arc::clone(boxes), *stream));
        state.marked |= of.is_some();
        drop(state);
        if let Some((boxes, stream)) = of {
            boxes.mark(Work::Exchange(stream));
        }
    }

    // The application's side.

    /// Adds a part that needs no grant, unless nothing more is wanted.
    pub(crate) fn push(&self, part: Part) -> bool {
        let mut taken = false;
        self.change(|state| {
            taken = !state.unwanted;
            if taken {
                state.unwanted = matches!(
                    part,
                    Part::Head { end: true, .. } | Part::Trailers(_) | Part::End | Part::Reset(_)
                );
                state.headed |= matches!(part, Part::Head { .. });
                state.parts.push_back(part);
            }
            taken
        });
        taken
    }

    /// Adds an interim response, unless too many wait or the final one was given.
    pub(crate) fn push_interim(&self, head: ResponseHead) -> bool {
        let mut taken = false;
        self.change(|state| {
            taken = !state.unwanted && !state.headed && state.interim < MAX_INTERIM;
            if taken {
                state.interim += 1;
                state.parts.push_back(Part::Interim(head));
            }
            taken
        });
        taken
    }

    /// Ready when the writer may make a piece of content; `Err` if nothing more is wanted.
    pub(crate) fn poll_grant(&self, cx: &Context<'_>, place: &mut Place) -> Poll<Result<(), ()>> {
        let mut state = lock(&self.state);
        if state.unwanted {
            return Poll::Ready(Err(()));
        }
        if state.granted {
            return Poll::Ready(Ok(()));
        }
        state.writers.add(place, cx);
        Poll::Pending
    }

    /// Ready when nothing more is wanted.
    pub(crate) fn poll_unwanted(&self, cx: &Context<'_>, place: &mut Place) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.unwanted {
            return Poll::Ready(());
        }
        state.writers.add(place, cx);
        Poll::Pending
    }

    /// Adds content, which uses up the grant.
    pub(crate) fn push_data(&self, data: Bytes) {
        self.change(|state| {
            state.granted = false;
            if !state.unwanted {
                state.parts.push_back(Part::Data(data));
            }
            true
        });
    }

    /// The task has looked at its grant. If it made nothing of it yet, it waits for something of its own, and
    /// its ticket comes back; otherwise that is so once the driver has taken what it made.
    pub(crate) fn looked(&self) {
        self.change(|state| state.parts.is_empty() && state.ticket.take().is_some_and(Ticket::give_back));
    }

    /// The trailers of the message that arrived, once its content was read.
    pub(crate) fn take_trailers(&self) -> Option<HeaderMap> {
        lock(&self.state).trailers.take()
    }

    /// Why the content that arrives ended early.
    pub(crate) fn failure(&self) -> Option<HttpError> {
        let state = lock(&self.state);
        state.content.as_ref().or(state.failed.as_ref()).cloned()
    }

    /// The exchange's connection, once it has one.
    pub(crate) fn connection(&self) -> Option<Arc<ConnectionBox>> {
        lock(&self.state).of.as_ref().map(|(boxes, _)| Arc::clone(boxes))
    }

    /// Whether the application has given the exchange up.
    pub(crate) fn is_gone(&self) -> bool {
        lock(&self.state).gone
    }

    /// The application gives the exchange up.
    pub(crate) fn give_up(&self) {
        self.change(|state| !std::mem::replace(&mut state.gone, true));
        self.end(&HttpError::Cancelled);
    }

    /// What comes next of the response.
    pub(crate) fn poll_next(&self, cx: &Context<'_>, place: &mut Place) -> Poll<Next> {
        let mut state = lock(&self.state);
        if let Some(answered) = state.answers.pop_front() {
            return Poll::Ready(Next::Head(answered));
        }
        if let Some(error) = &state.failed {
            return Poll::Ready(Next::Failed(error.clone()));
        }
        if std::mem::take(&mut state.handed_back) {
            return Poll::Ready(Next::HandedBack);
        }
        state.readers.add(place, cx);
        Poll::Pending
    }

    /// Ready when the exchange has ended before it was complete.
    pub(crate) fn poll_failed(&self, cx: &Context<'_>, place: &mut Place) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.failed.is_some() {
            return Poll::Ready(());
        }
        state.enders.add(place, cx);
        Poll::Pending
    }

    // The driver's side.

    /// The exchange has a stream.
    pub(crate) fn attach(&self, boxes: &Arc<ConnectionBox>, stream: StreamId) {
        let mut state = lock(&self.state);
        state.of = Some((Arc::clone(boxes), stream));
        // The driver looks at once.
        state.marked = false;
    }

    /// The task may make a piece of content, the first one together with the head. It holds a ticket until it
    /// has looked.
    pub(crate) fn grant(&self, tickets: &Arc<Tickets>) {
        let mut state = lock(&self.state);
        state.granted = true;
        state.ticket = Some(Ticket::new(tickets));
        let writers = state.writers.take();
        drop(state);
        writers.wake();
    }

    /// Takes the parts that are ready.
    pub(crate) fn take_parts(&self, parts: &mut VecDeque<Part>) -> Found {
        let mut state = lock(&self.state);
        (state.marked, state.interim) = (false, 0);
        parts.append(&mut state.parts);
        // The driver counts them now, before it grants more.
        let came_back = state.ticket.take().is_some() | std::mem::take(&mut state.came_back);
        Found { gone: state.gone, granted: state.granted, came_back }
    }

    /// The head of a response has arrived.
    pub(crate) fn answer(&self, answered: Answered) {
        let mut state = lock(&self.state);
        if answered.body.is_some() || state.answers.len() < MAX_INTERIM {
            state.answers.push_back(answered);
        }
        let readers = state.readers.take();
        drop(state);
        readers.wake();
    }

    /// Trailers have arrived; the end of the content follows.
    pub(crate) fn set_trailers(&self, trailers: HeaderMap) {
        lock(&self.state).trailers = Some(trailers);
    }

    /// The request was not sent on its connection, and may be on another one.
    pub(crate) fn hand_back(&self) {
        let mut state = lock(&self.state);
        (state.handed_back, state.of) = (true, None);
        let readers = state.readers.take();
        drop(state);
        readers.wake();
    }

    /// The content that arrives ends early, and the exchange goes on.
    pub(crate) fn fail_content(&self, error: &HttpError) {
        lock(&self.state).content.get_or_insert_with(|| error.clone());
    }

    /// Nothing more of the message is wanted. What was not taken of it is dropped.
    pub(crate) fn end_writing(&self) {
        let mut state = lock(&self.state);
        state.unwanted = true;
        let parts = std::mem::take(&mut state.parts);
        let (writers, ticket) = (state.writers.take(), state.ticket.take());
        drop(state);
        drop((parts, ticket));
        writers.wake();
    }

    /// The exchange has ended before it was complete. Only the first reason counts.
    pub(crate) fn end(&self, error: &HttpError) {
        self.end_writing();
        self.end_with(error);
    }

    /// The same while a last part of the message is still in the box.
    pub(crate) fn end_with(&self, error: &HttpError) {
        let mut state = lock(&self.state);
        state.failed.get_or_insert_with(|| error.clone());
        let (readers, enders) = (state.readers.take(), state.enders.take());
        drop(state);
        super::wake_all([readers, enders]);
    }
}

impl Waited for ExchangeBox {
    type Queue = ExchangeQueue;

    fn leave(&self, queue: ExchangeQueue, place: &mut Place) {
        let mut state = lock(&self.state);
        let gone = match queue {
            ExchangeQueue::Writer => state.writers.leave(place),
            ExchangeQueue::Reader => state.readers.leave(place),
            ExchangeQueue::Ender => state.enders.leave(place),
        };
        drop(state);
        drop(gone);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn cx() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    #[test]
    fn a_piece_uses_up_its_grant_and_the_driver_is_told_once() {
        let (boxes, shared) = (Arc::new(ConnectionBox::default()), ExchangeBox::new());
        let tickets = Arc::new(Tickets::default());
        let stream = StreamId::from_value(0).unwrap();
        shared.attach(&boxes, stream);
        assert!(shared.poll_grant(&cx(), &mut Place::default()).is_pending());
        shared.grant(&tickets);
        assert!(!tickets.permit(|out| out < 1));
        assert!(shared.poll_grant(&cx(), &mut Place::default()).is_ready());
        shared.push_data(Bytes::from_static(b"ab"));
        shared.looked();
        assert!(shared.poll_grant(&cx(), &mut Place::default()).is_pending());
        let (mut dirty, mut parts) = (Vec::new(), VecDeque::new());
        boxes.take_pending(&mut dirty, &mut Vec::new());
        assert_eq!(dirty, [Work::Exchange(stream)], "once");
        assert!(!tickets.permit(|out| out < 1), "the piece is not counted yet");
        let found = shared.take_parts(&mut parts);
        assert!(!found.granted && !found.gone && parts.len() == 1);
        assert!(tickets.permit(|out| out < 1));
    }

    #[test]
    fn nothing_follows_the_end_and_interim_responses_are_few() {
        let shared = ExchangeBox::new();
        let interim = || ResponseHead::new(http::StatusCode::EARLY_HINTS);
        assert_eq!((0..100).filter(|_| shared.push_interim(interim())).count(), MAX_INTERIM);
        assert!(shared.push(Part::Head { head: ResponseHead::new(http::StatusCode::OK), end: false }));
        assert!(!shared.push_interim(interim()), "the final one was given");
        assert!(shared.push(Part::End) && !shared.push(Part::Trailers(HeaderMap::new())));
        shared.push_data(Bytes::from_static(b"late"));
        let mut parts = VecDeque::new();
        shared.take_parts(&mut parts);
        assert_eq!(parts.len(), MAX_INTERIM + 2);
    }

    #[test]
    fn an_exchange_that_failed_lets_everybody_go() {
        let shared = ExchangeBox::new();
        shared.end(&HttpError::Timeout);
        shared.end(&HttpError::Cancelled);
        assert!(matches!(shared.poll_grant(&cx(), &mut Place::default()), Poll::Ready(Err(()))));
        assert!(shared.poll_failed(&cx(), &mut Place::default()).is_ready());
        let next = shared.poll_next(&cx(), &mut Place::default());
        assert!(matches!(next, Poll::Ready(Next::Failed(HttpError::Timeout))), "{next:?}");
    }
}
