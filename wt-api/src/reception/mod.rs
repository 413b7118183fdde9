//! What a server shares with its shards: its rules, and the queue of requests for the application.
//!
//! Owns the admission of clients, the queue of [`Server::accept`](crate::Server::accept), and counters. It
//! must never know connections and streams, nor how a request becomes a session.

pub(crate) mod admission;
pub(crate) mod offer;
pub(crate) mod plain;
pub(crate) mod stats;

use std::{
    collections::{HashSet, VecDeque},
    fmt,
    net::SocketAddr,
    sync::Mutex,
    task::{Context, Poll},
    time::Duration,
};

use quic_core::{
    Dir,
    base::{EndpointBudget, Timestamp},
    error::Violation,
};

use crate::{
    congestion::Congestion,
    exchange::ArcService,
    lines::{LineLimit, brief},
    mailbox::{Place, SessionBox, Waited, Waiters, lock, wake_all},
};
use admission::{Hook, ServerLoad};
use offer::Offer;
use stats::{Count, Counts, ServerStats};

/// How many requests may wait for the application. Further ones get 429.
const MAX_WAITING: usize = 256;
/// The capacity that the empty queue keeps.
const FEW_WAITING: usize = 16;

/// The origins that may request sessions. Requests without an origin come from programs, not from pages.
#[derive(Clone, Debug)]
pub(crate) enum Origins {
    Any,
    These(HashSet<String>),
}

/// The decision of the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Permitted,
    Refused,
}

/// The application's settings for a server's clients.
pub(crate) struct Rules {
    pub(crate) origins: Origins,
    pub(crate) service: Option<ArcService>,
    pub(crate) hook: Option<Hook>,
    pub(crate) max_connections: usize,
    /// Whether connections with open sessions are kept alive.
    pub(crate) keep_alive: bool,
    /// How long the head of a request may take to arrive.
    pub(crate) request_timeout: Option<Duration>,
    /// How long the content of a request may stand still.
    pub(crate) body_timeout: Option<Duration>,
    pub(crate) max_sessions: usize,
    pub(crate) sessions: wt_session::Config,
    /// How many streams of each client are expected at once: bidirectional, unidirectional.
    pub(crate) anticipated: [Option<u16>; 2],
    pub(crate) congestion: Congestion,
}

/// What the shards of a server share with the application.
pub(crate) struct ServerShared {
    rules: Rules,
    /// Limits log lines that clients cause.
    lines: LineLimit,
    counts: Counts,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Offer>,
    closed: bool,
    /// The number of tasks that serve an address.
    shards: usize,
    /// What the shards were told: to drain, to close everything.
    told: [bool; 2],
    connections: usize,
    sessions: usize,
    acceptors: Waiters,
    idlers: Waiters,
}

impl fmt::Debug for ServerShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerShared").field("origins", &self.rules.origins).finish_non_exhaustive()
    }
}

impl ServerShared {
    /// Makes the shared state of `shards` shards.
    pub(crate) fn new(rules: Rules, shards: usize) -> Self {
        let state = Mutex::new(State { shards, ..State::default() });
        Self { rules, lines: LineLimit::default(), counts: Counts::default(), state }
    }

    /// The configuration of a connection's sessions.
    pub(crate) fn sessions(&self) -> wt_session::Config {
        self.rules.sessions.clone()
    }

    /// How many streams of a kind a session expects from its client by default.
    pub(crate) fn anticipated(&self, dir: Dir) -> Option<u16> {
        self.rules.anticipated[dir as usize]
    }

    /// The congestion control of new connections.
    pub(crate) fn congestion(&self) -> &Congestion {
        &self.rules.congestion
    }

    pub(crate) fn request_timeout(&self) -> Option<Duration> {
        self.rules.request_timeout
    }

    pub(crate) fn keeps_alive(&self) -> bool {
        self.rules.keep_alive
    }

    /// Whether a client's page may have sessions here. A refusal is logged.
    pub(crate) fn judge_origin(&self, origin: Option<&str>, now: Timestamp) -> Origin {
        let origin = match (&self.rules.origins, origin) {
            (_, None) | (Origins::Any, _) => return Origin::Permitted,
            (Origins::These(origins), Some(origin)) if origins.contains(origin) => return Origin::Permitted,
            (Origins::These(_), Some(origin)) => brief(origin),
        };
        if let Some(withheld) = self.lines.permit(now) {
            tracing::warn!(
                origin,
                withheld,
                "session refused with 403: the origin is not among the server's allowed_origins"
            );
        }
        Origin::Refused
    }

    /// The application that answers plain requests, if there is one.
    pub(crate) fn service(&self) -> Option<&ArcService> {
        self.rules.service.as_ref()
    }

    /// How long the content of a request may stand still.
    pub(crate) fn body_timeout(&self) -> Option<Duration> {
        self.rules.body_timeout
    }

    /// Logs that the service's response cannot be sent.
    pub(crate) fn tell_of_answer(&self, path: &str, problem: &str, now: Timestamp) {
        if let Some(withheld) = self.lines.permit(now) {
            let path = brief(path);
            tracing::error!(path, problem, withheld, "the HTTP service gave no answer; answered with 500");
        }
    }

    /// The limit of log lines that clients cause.
    pub(crate) fn lines(&self) -> &LineLimit {
        &self.lines
    }

    /// Logs that the content of a response failed or panicked, or does not have the length in its fields.
    pub(crate) fn tell_of_content(&self, problem: &str, now: Timestamp) {
        if let Some(withheld) = self.lines.permit(now) {
            tracing::error!(
                problem,
                withheld,
                "the content of an HTTP response is not whole; the response is reset"
            );
        }
    }

    /// Logs that a connection ended at a limit of this end's memory. Its peer kept to the rules, so the
    /// operator must be told.
    pub(crate) fn tell_of_limit(&self, remote: SocketAddr, limit: Violation, now: Timestamp) {
        if let Some(withheld) = self.lines.permit(now) {
            let limit = limit.to_string();
            tracing::warn!(
                %remote,
                limit,
                withheld,
                "connection closed at a limit of this server's memory: see memory_budget and the receive windows"
            );
        }
    }

    /// Offers a request to the application. Returns false if the application does not accept requests, is too
    /// slow, or has the maximum number of sessions.
    pub(crate) fn offer(&self, offer: Offer) -> bool {
        let mut state = lock(&self.state);
        if state.closed || state.waiting.len() >= MAX_WAITING || state.sessions >= self.rules.max_sessions {
            drop(state);
            // The caller answers it.
            offer.forget();
            return false;
        }
        state.sessions += 1;
        state.waiting.push_back(offer);
        let acceptors = state.acceptors.take();
        drop(state);
        acceptors.wake();
        true
    }

    /// The application's hook for clients before their handshake.
    pub(crate) fn hook(&self) -> Option<&Hook> {
        self.rules.hook.as_ref()
    }

    /// The present load.
    pub(crate) fn load(&self, budget: &EndpointBudget) -> ServerLoad {
        ServerLoad {
            pending_handshakes: budget.pending_handshakes(),
            connections: lock(&self.state).connections,
            memory_used: budget.used(),
            memory_limit: budget.limit(),
        }
    }

    /// Counts an event.
    pub(crate) fn count(&self, count: Count) {
        self.counts.add(count);
    }

    /// Whether the maximum number of connections is reached.
    pub(crate) fn is_full(&self) -> bool {
        lock(&self.state).connections >= self.rules.max_connections
    }

    pub(crate) fn connection_began(&self) {
        self.count(Count::Connection);
        lock(&self.state).connections += 1;
    }

    pub(crate) fn connection_ended(&self) {
        let mut state = lock(&self.state);
        state.connections = state.connections.saturating_sub(1);
        let idlers = if state.connections == 0 { state.idlers.take() } else { Waiters::default() };
        drop(state);
        idlers.wake();
    }

    /// A shard has ended and closed its socket. After the last one, no more requests can arrive.
    pub(crate) fn shard_ended(&self) {
        let mut state = lock(&self.state);
        state.shards = state.shards.saturating_sub(1);
        if state.shards > 0 {
            return;
        }
        state.closed = true;
        let waiting = std::mem::take(&mut state.waiting);
        let woken = [state.acceptors.take(), state.idlers.take()];
        drop(state);
        drop(waiting);
        wake_all(woken);
    }

    /// Whether no more requests are offered to the application.
    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    /// An offered session has ended. If its request still waits, it is removed, because nobody needs the
    /// answer any more.
    pub(crate) fn session_ended(&self, shared: &SessionBox) {
        let mut state = lock(&self.state);
        state.sessions = state.sessions.saturating_sub(1);
        let at = state.waiting.iter().position(|offer| offer.is_for(shared));
        let gone = at.and_then(|at| state.waiting.remove(at));
        if state.waiting.is_empty() {
            state.waiting.shrink_to(FEW_WAITING);
        }
        drop(state);
        if let Some(offer) = gone {
            offer.forget();
        }
    }

    /// Writes the present numbers and the counters.
    pub(crate) fn show(&self, stats: &mut ServerStats) {
        self.counts.show(stats);
        let state = lock(&self.state);
        let of = |count: usize| count as u64;
        stats.connections = of(state.connections);
        (stats.sessions, stats.requests_waiting) = (of(state.sessions), of(state.waiting.len()));
    }

    pub(crate) fn poll_accept(&self, cx: &Context<'_>, place: &mut Place) -> Poll<Option<Offer>> {
        let mut state = lock(&self.state);
        if let Some(offer) = state.waiting.pop_front() {
            return Poll::Ready(Some(offer));
        }
        if state.closed {
            return Poll::Ready(None);
        }
        state.acceptors.add(place, cx);
        Poll::Pending
    }

    /// Ready when no connection with pending messages is left.
    pub(crate) fn poll_idle(&self, cx: &Context<'_>, place: &mut Place) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.connections == 0 {
            return Poll::Ready(());
        }
        state.idlers.add(place, cx);
        Poll::Pending
    }

    /// Ready when no shard is left.
    pub(crate) fn poll_over(&self, cx: &Context<'_>, place: &mut Place) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.shards == 0 {
            return Poll::Ready(());
        }
        state.idlers.add(place, cx);
        Poll::Pending
    }

    /// Stops taking requests. Waiting ones were not processed, so their clients may send them elsewhere.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        let (acceptors, waiting) = (state.acceptors.take(), std::mem::take(&mut state.waiting));
        drop(state);
        waiting.into_iter().for_each(Offer::turn_away);
        acceptors.wake();
    }

    /// Whether the shards must be told this now; once is enough.
    pub(crate) fn tells(&self, what: usize) -> bool {
        !std::mem::replace(&mut lock(&self.state).told[what], true)
    }
}

/// What tasks wait for at a server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ServerQueue {
    /// Requests.
    Acceptors,
    /// The end of all connections.
    Idlers,
}

impl Waited for ServerShared {
    type Queue = ServerQueue;

    fn leave(&self, queue: ServerQueue, place: &mut Place) {
        let mut state = lock(&self.state);
        let gone = match queue {
            ServerQueue::Acceptors => state.acceptors.leave(place),
            ServerQueue::Idlers => state.idlers.leave(place),
        };
        drop(state);
        drop(gone);
    }
}
