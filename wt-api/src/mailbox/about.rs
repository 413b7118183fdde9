//! The connection as such: what handles know of it and ask for, and how it ended.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use quic_core::ConnectionStats;
use tokio::sync::oneshot;

use super::{Addresses, Place, Waited, Waiters, lock};
use crate::{
    congestion::CongestionControl,
    error::{ConnectionCloser, ErrorCause, WebTransportError},
    parameters::ConnectionParameters,
};

/// A snapshot of the counters, for whoever asked.
type Reply = oneshot::Sender<ConnectionStats>;

/// A close that an application wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CloseWish {
    /// Below 2^62.
    pub(crate) code: u64,
    pub(crate) reason: String,
}

/// What the handles want of the driver.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    /// A kind of congestion control.
    pub(crate) congestion: Option<CongestionControl>,
    pub(crate) close: Option<CloseWish>,
    pub(crate) counts: Vec<Reply>,
}

/// State that a connection's handles and its driver share.
#[derive(Debug)]
pub(crate) struct About {
    id: u64,
    addresses: Mutex<Addresses>,
    parameters: OnceLock<Arc<ConnectionParameters>>,
    draft: OnceLock<&'static str>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The kind of congestion control in force.
    congestion: CongestionControl,
    wishes: Wishes,
    /// The driver knows that there are some.
    marked: bool,
    end: Option<WebTransportError>,
    /// The last counts, unless code of the application panicked in the connection.
    stats: Option<Box<ConnectionStats>>,
    waiters: Waiters,
}

impl State {
    /// Whether the driver has to be told that there is something.
    fn mark(&mut self) -> bool {
        !std::mem::replace(&mut self.marked, true)
    }
}

impl About {
    pub(super) fn new(remote: SocketAddr, congestion: CongestionControl) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            addresses: Mutex::new(Addresses { remote, local: None }),
            parameters: OnceLock::new(),
            draft: OnceLock::new(),
            state: Mutex::new(State {
                congestion,
                wishes: Wishes::default(),
                marked: false,
                end: None,
                stats: None,
                waiters: Waiters::default(),
            }),
        }
    }
}

impl About {
    // The handles' side.

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn remote(&self) -> SocketAddr {
        lock(&self.addresses).remote
    }

    pub(crate) fn local(&self) -> Option<SocketAddr> {
        lock(&self.addresses).local
    }

    pub(crate) fn parameters(&self) -> Option<&Arc<ConnectionParameters>> {
        self.parameters.get()
    }

    pub(crate) fn draft(&self) -> Option<&'static str> {
        self.draft.get().copied()
    }

    pub(crate) fn congestion(&self) -> CongestionControl {
        lock(&self.state).congestion
    }

    /// The last kind counts, and reads back from now on. Whether the driver has to be told.
    pub(super) fn wish_congestion(&self, wanted: CongestionControl) -> bool {
        let mut state = lock(&self.state);
        if state.end.is_some() || state.congestion == wanted {
            return false;
        }
        state.congestion = wanted;
        state.wishes.congestion = Some(wanted);
        state.mark()
    }

    /// Why it is over, or what this end's application has closed it with, which the driver may not have done yet.
    pub(crate) fn ending(&self) -> Option<WebTransportError> {
        let state = lock(&self.state);
        let closed = |wish: &CloseWish| {
            let by = ConnectionCloser::ThisApplication;
            let reason = wish.reason.as_str().into();
            WebTransportError::session(ErrorCause::ConnectionClosed { by, code: wish.code, reason })
        };
        state.end.clone().or_else(|| state.wishes.close.as_ref().map(closed))
    }

    /// The first close of a connection that is not over counts. Whether the driver has to be told.
    pub(super) fn wish_close(&self, wish: CloseWish) -> bool {
        let mut state = lock(&self.state);
        if state.end.is_some() || state.wishes.close.is_some() {
            return false;
        }
        state.wishes.close = Some(wish);
        state.mark()
    }

    /// The driver answers; without one the last counts do, or nothing. Whether it has to be told.
    pub(super) fn wish_counts(&self, reply: Reply) -> bool {
        let mut state = lock(&self.state);
        if state.end.is_some() {
            let stats = state.stats.as_deref().copied();
            drop(state);
            answer(vec![reply], stats);
            return false;
        }
        let counts = &mut state.wishes.counts;
        let mut abandoned = Vec::new();
        // Before the list grows: those who gave up waiting take no room, whatever the driver is at.
        if counts.len() == counts.capacity() {
            let all = std::mem::take(counts);
            (abandoned, *counts) = all.into_iter().partition(oneshot::Sender::is_closed);
        }
        counts.push(reply);
        let news = state.mark();
        drop(state);
        drop(abandoned);
        news
    }

    pub(crate) fn end(&self) -> Option<WebTransportError> {
        lock(&self.state).end.clone()
    }

    pub(crate) fn poll_end(&self, cx: &Context<'_>, place: &mut Place) -> Poll<WebTransportError> {
        let mut state = lock(&self.state);
        if let Some(end) = &state.end {
            return Poll::Ready(end.clone());
        }
        state.waiters.add(place, cx);
        Poll::Pending
    }

    // The driver's side.

    /// The addresses of both ends, which change when one of them moves.
    pub(crate) fn set_addresses(&self, addresses: Addresses) {
        *lock(&self.addresses) = addresses;
    }

    pub(crate) fn set_parameters(&self, parameters: ConnectionParameters) {
        let _ = self.parameters.set(Arc::new(parameters));
    }

    pub(crate) fn set_draft(&self, draft: &'static str) {
        let _ = self.draft.set(draft);
    }

    /// What the handles want since it was looked at last. A close is left where it is: there is no second one.
    pub(crate) fn take_wishes(&self) -> Wishes {
        let mut state = lock(&self.state);
        state.marked = false;
        let wishes = &mut state.wishes;
        Wishes {
            congestion: wishes.congestion.take(),
            close: wishes.close.clone(),
            counts: std::mem::take(&mut wishes.counts),
        }
    }

    /// The connection is over; the first end counts.
    pub(crate) fn set_end(&self, end: WebTransportError, stats: Option<ConnectionStats>) {
        let mut state = lock(&self.state);
        if state.end.is_some() {
            return;
        }
        state.end = Some(end);
        state.stats = stats.map(Box::new);
        let replies = std::mem::take(&mut state.wishes).counts;
        let waiters = state.waiters.take();
        drop(state);
        answer(replies, stats);
        waiters.wake();
    }
}

/// Whoever gave up waiting is not there to hear it; without counts, all hear that there are none.
fn answer(replies: Vec<Reply>, stats: Option<ConnectionStats>) {
    if let Some(stats) = stats {
        for reply in replies {
            let _ = reply.send(stats);
        }
    }
}

impl Waited for About {
    type Queue = ();

    fn leave(&self, (): (), place: &mut Place) {
        let gone = lock(&self.state).waiters.leave(place);
        drop(gone);
    }
}
