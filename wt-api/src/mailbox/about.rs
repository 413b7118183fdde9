//! The state of a connection that its handles see, their requests to it, and how it ended.

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

/// Sends a snapshot of the counters to a caller.
type Reply = oneshot::Sender<ConnectionStats>;

/// A close that the application requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CloseRequest {
    /// Below 2^62.
    pub(crate) code: u64,
    pub(crate) reason: String,
}

/// The requests of the handles to the driver.
#[derive(Debug, Default)]
pub(crate) struct PendingChanges {
    /// A kind of congestion control.
    pub(crate) congestion: Option<CongestionControl>,
    pub(crate) close: Option<CloseRequest>,
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
    /// The kind of congestion control in use.
    congestion: CongestionControl,
    changes: PendingChanges,
    /// Whether the driver knows that there are requests.
    marked: bool,
    end: Option<WebTransportError>,
    /// The last counts, unless application code panicked in the connection.
    stats: Option<Box<ConnectionStats>>,
    waiters: Waiters,
}

impl State {
    /// Returns whether the driver must be told of requests.
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
                changes: PendingChanges::default(),
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

    /// Requests a kind of congestion control. The last request counts, and is returned as the current kind
    /// from now on. Returns whether the driver must be told.
    pub(super) fn request_congestion(&self, wanted: CongestionControl) -> bool {
        let mut state = lock(&self.state);
        if state.end.is_some() || state.congestion == wanted {
            return false;
        }
        state.congestion = wanted;
        state.changes.congestion = Some(wanted);
        state.mark()
    }

    /// Why the connection ended, or the close that this end's application requested and the driver may not
    /// have executed yet.
    pub(crate) fn ending(&self) -> Option<WebTransportError> {
        let state = lock(&self.state);
        let closed = |request: &CloseRequest| {
            let by = ConnectionCloser::ThisApplication;
            let reason = request.reason.as_str().into();
            WebTransportError::session(ErrorCause::ConnectionClosed { by, code: request.code, reason })
        };
        state.end.clone().or_else(|| state.changes.close.as_ref().map(closed))
    }

    /// Requests a close. Only the first one counts, and only before the end. Returns whether the driver must
    /// be told.
    pub(super) fn request_close(&self, request: CloseRequest) -> bool {
        let mut state = lock(&self.state);
        if state.end.is_some() || state.changes.close.is_some() {
            return false;
        }
        state.changes.close = Some(request);
        state.mark()
    }

    /// Requests counts from the driver. After the end, the last counts are the reply, if there are any.
    /// Returns whether the driver must be told.
    pub(super) fn request_counts(&self, reply: Reply) -> bool {
        let mut state = lock(&self.state);
        if state.end.is_some() {
            let stats = state.stats.as_deref().copied();
            drop(state);
            answer(vec![reply], stats);
            return false;
        }
        let counts = &mut state.changes.counts;
        let mut abandoned = Vec::new();
        // Before the list grows, abandoned requests are removed, so that they take no room even if the driver
        // is busy.
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

    /// Sets the addresses of both ends, which change when one of them migrates.
    pub(crate) fn set_addresses(&self, addresses: Addresses) {
        *lock(&self.addresses) = addresses;
    }

    pub(crate) fn set_parameters(&self, parameters: ConnectionParameters) {
        let _ = self.parameters.set(Arc::new(parameters));
    }

    pub(crate) fn set_draft(&self, draft: &'static str) {
        let _ = self.draft.set(draft);
    }

    /// Takes the requests since the last call. A close stays, because only the first one counts.
    pub(crate) fn take_changes(&self) -> PendingChanges {
        let mut state = lock(&self.state);
        state.marked = false;
        let changes = &mut state.changes;
        PendingChanges {
            congestion: changes.congestion.take(),
            close: changes.close.clone(),
            counts: std::mem::take(&mut changes.counts),
        }
    }

    /// The connection has ended. Only the first end counts.
    pub(crate) fn set_end(&self, end: WebTransportError, stats: Option<ConnectionStats>) {
        let mut state = lock(&self.state);
        if state.end.is_some() {
            return;
        }
        state.end = Some(end);
        state.stats = stats.map(Box::new);
        let replies = std::mem::take(&mut state.changes).counts;
        let waiters = state.waiters.take();
        drop(state);
        answer(replies, stats);
        waiters.wake();
    }
}

/// Replies to the callers that still wait. Without counts, the replies are dropped, which the callers notice.
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
