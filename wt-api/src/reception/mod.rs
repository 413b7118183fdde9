//! What a server shares with its shards: its rules, and the queue of requests for the application.
//!
//! Owns who may come in, what waits for [`Server::accept`](crate::Server::accept), and what is counted on the way. Must never
//! know connections and streams, nor how a request becomes a session.

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

use http::StatusCode;
use quic_core::{
    Dir,
    base::{EndpointBudget, Timestamp},
    error::Violation,
};

use crate::{
    congestion::Congestion,
    lines::{LineLimit, brief},
    mailbox::{Place, SessionBox, Waited, Waiters, lock, wake_all},
};
use admission::{Hook, ServerLoad};
use offer::Offer;
use plain::{HttpRequest, HttpResponse, Sound};
use stats::{Count, Counts, ServerStats};

/// Requests that wait for the application; more are answered with 429.
const MAX_WAITING: usize = 256;
/// Places for them that stay when none waits.
const FEW_WAITING: usize = 16;

pub(crate) type Handler = Box<dyn Fn(&HttpRequest) -> HttpResponse + Send + Sync>;

/// Which origins may ask for sessions. Requests without one come from programs, not from pages.
#[derive(Clone, Debug)]
pub(crate) enum Origins {
    Any,
    These(HashSet<String>),
}

/// What the rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Permitted,
    Refused,
}

/// What the application said of a server's clients.
pub(crate) struct Rules {
    pub(crate) origins: Origins,
    pub(crate) handler: Option<Handler>,
    pub(crate) hook: Option<Hook>,
    pub(crate) max_connections: usize,
    /// Connections with open sessions are kept alive.
    pub(crate) keep_alive: bool,
    /// How long the head of a request may take.
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) max_sessions: usize,
    pub(crate) sessions: wt_session::Config,
    /// Streams of each client expected at once: bidirectional, unidirectional.
    pub(crate) anticipated: [Option<u16>; 2],
    pub(crate) congestion: Congestion,
}

/// What the shards of a server share with the application.
pub(crate) struct ServerShared {
    rules: Rules,
    /// Lines about what clients make go wrong.
    lines: LineLimit,
    counts: Counts,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Offer>,
    closed: bool,
    /// Tasks that serve an address.
    shards: usize,
    /// What the shards were told: to wind up, to close all.
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
    /// For so many shards.
    pub(crate) fn new(rules: Rules, shards: usize) -> Self {
        let state = Mutex::new(State { shards, ..State::default() });
        Self { rules, lines: LineLimit::default(), counts: Counts::default(), state }
    }

    /// How the sessions of a connection behave.
    pub(crate) fn sessions(&self) -> wt_session::Config {
        self.rules.sessions.clone()
    }

    /// Streams of a kind that a session expects of its client, unless the application says otherwise.
    pub(crate) fn anticipated(&self, dir: Dir) -> Option<u16> {
        self.rules.anticipated[dir as usize]
    }

    /// What is in force on new connections.
    pub(crate) fn congestion(&self) -> &Congestion {
        &self.rules.congestion
    }

    pub(crate) fn request_timeout(&self) -> Option<Duration> {
        self.rules.request_timeout
    }

    pub(crate) fn keeps_alive(&self) -> bool {
        self.rules.keep_alive
    }

    /// Whether a client's page may have sessions here. A refusal is told in the log.
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

    pub(crate) fn answer(&self, request: &HttpRequest, now: Timestamp) -> Sound {
        let Some(handler) = &self.rules.handler else { return Sound::empty(StatusCode::NOT_FOUND) };
        // It runs on the driver's task, which serves others as well.
        let answered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| handler(request)));
        let sound = answered.map_or(Err("it panicked"), |response| response.sound(&request.method));
        sound.unwrap_or_else(|problem| {
            self.tell_of_answer(&request.path, problem, now);
            Sound::empty(StatusCode::INTERNAL_SERVER_ERROR)
        })
    }

    /// What the handler gave cannot be sent.
    pub(crate) fn tell_of_answer(&self, path: &str, problem: &str, now: Timestamp) {
        if let Some(withheld) = self.lines.permit(now) {
            let path = brief(path);
            tracing::error!(path, problem, withheld, "the HTTP handler gave no answer; answered with 500");
        }
    }

    /// Lines about what clients make go wrong.
    pub(crate) fn lines(&self) -> &LineLimit {
        &self.lines
    }

    /// The content of a response panicked, or is not as long as its fields say.
    pub(crate) fn tell_of_content(&self, problem: &str, now: Timestamp) {
        if let Some(withheld) = self.lines.permit(now) {
            tracing::error!(
                problem,
                withheld,
                "the content of an HTTP response is not whole; the response is reset"
            );
        }
    }

    /// A connection ended at a limit of this end's memory: its peer kept to the rules, and the one who can mend it hears.
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

    /// A request for the application; false if it does not take them fast enough, or at all, or has as many sessions as
    /// it wants.
    pub(crate) fn offer(&self, offer: Offer) -> bool {
        let mut state = lock(&self.state);
        if state.closed || state.waiting.len() >= MAX_WAITING || state.sessions >= self.rules.max_sessions {
            drop(state);
            // Who offers it answers.
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

    /// Who is asked about clients before their handshake.
    pub(crate) fn hook(&self) -> Option<&Hook> {
        self.rules.hook.as_ref()
    }

    /// What there is to do at the moment.
    pub(crate) fn load(&self, budget: &EndpointBudget) -> ServerLoad {
        ServerLoad {
            pending_handshakes: budget.pending_handshakes(),
            connections: lock(&self.state).connections,
            memory_used: budget.used(),
            memory_limit: budget.limit(),
        }
    }

    /// One more.
    pub(crate) fn count(&self, count: Count) {
        self.counts.add(count);
    }

    /// Whether there are as many connections as there may be.
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

    /// A shard is over, and its socket closed. With the last one there is nobody who could bring requests.
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

    /// No request is offered to the application any more.
    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    /// A session that was offered is over. A request for it that nobody has taken is not worth an answer any more: it goes.
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

    /// Writes what is so now, and what was counted as it happened.
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

    /// Ready when no connection is left that has something to say.
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

    /// Takes no further requests. Those that wait were not looked at: their clients may send them elsewhere.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        let (acceptors, waiting) = (state.acceptors.take(), std::mem::take(&mut state.waiting));
        drop(state);
        waiting.into_iter().for_each(Offer::turn_away);
        acceptors.wake();
    }

    /// Whether the shards are to be told this now: once is enough.
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
