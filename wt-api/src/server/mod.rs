//! The server: sockets, the queue of requests, the origin rule, shutting down.

mod admission;
mod builder;
mod keys;
mod metrics;
mod plain;
mod request;
mod stats;

use std::{
    collections::{HashSet, VecDeque},
    fmt,
    future::Future,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use http::StatusCode;
use quic_core::{
    Dir,
    base::{EndpointBudget, Timestamp},
    error::Violation,
};
use tokio::sync::oneshot;

use admission::Hook;
pub use admission::{Admission, ConnectionAttempt, ServerLoad};
pub use builder::ServerBuilder;
pub use keys::ServerKeys;
pub use metrics::{Metric, MetricKind};
pub(crate) use plain::Sound;
pub use plain::{Body, HttpRequest, HttpResponse};
pub use request::{AcceptOptions, Request};
use stats::Counts;
pub use stats::{AdmissionStats, HandshakeStats, RequestStats, ServerStats, SocketStats, TrafficStats};
pub(crate) use stats::{Count, ShardStats};

use crate::{
    close::CloseInfo,
    congestion::Congestion,
    connection::Connection,
    driver::{Inbox, ShardCommand},
    error::ServerError,
    lines::{LineLimit, brief},
    mailbox::{Addresses, Place, SessionBox, Waited, Waiters, lock, wait, wake_all},
    options::CertificateHash,
    runtime::{self, RuntimeHandle},
    tls::{Identities, Identity},
};

/// Requests that wait for [`Server::accept`]; more are answered with 429.
const MAX_WAITING: usize = 256;
/// Places for them that stay when none waits.
const FEW_WAITING: usize = 16;

type Handler = Box<dyn Fn(&HttpRequest) -> HttpResponse + Send + Sync>;

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

/// What the shards of a server share.
pub(crate) struct ServerShared {
    origins: Origins,
    handler: Option<Handler>,
    hook: Option<Hook>,
    max_connections: usize,
    /// Connections with open sessions are kept alive.
    keep_alive: bool,
    /// How long the head of a request may take.
    request_timeout: Option<Duration>,
    max_sessions: usize,
    sessions: wt_session::Config,
    /// Streams of each client expected at once: bidirectional, unidirectional.
    anticipated: [Option<u16>; 2],
    congestion: Congestion,
    /// Lines about what clients make go wrong.
    lines: LineLimit,
    counts: Counts,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Request>,
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
        f.debug_struct("ServerShared").field("origins", &self.origins).finish_non_exhaustive()
    }
}

/// A request for the application.
pub(crate) struct Offer {
    pub(crate) request: wt_session::SessionRequest,
    pub(crate) shared: Arc<SessionBox>,
    pub(crate) connection: Connection,
    pub(crate) addresses: Addresses,
    /// The client's certificates in DER, its own first. All requests of a connection share them.
    pub(crate) certificates: Arc<[Vec<u8>]>,
}

impl ServerShared {
    /// How the sessions of a connection behave.
    pub(crate) fn sessions(&self) -> wt_session::Config {
        self.sessions.clone()
    }

    /// Streams of a kind that a session expects of its client, unless the application says otherwise.
    pub(crate) fn anticipated(&self, dir: Dir) -> Option<u16> {
        self.anticipated[dir as usize]
    }

    /// What is in force on new connections.
    pub(crate) fn congestion(&self) -> &Congestion {
        &self.congestion
    }

    pub(crate) fn request_timeout(&self) -> Option<Duration> {
        self.request_timeout
    }

    pub(crate) fn keeps_alive(&self) -> bool {
        self.keep_alive
    }

    /// Whether a client's page may have sessions here. A refusal is told in the log.
    pub(crate) fn judge_origin(&self, origin: Option<&str>, now: Timestamp) -> Origin {
        let origin = match (&self.origins, origin) {
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
        let Some(handler) = &self.handler else { return Sound::empty(StatusCode::NOT_FOUND) };
        // It runs on the driver's task, which serves others as well.
        let answered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| handler(request)));
        let sound = answered.map_or(Err("it panicked"), |response| response.sound(&request.method));
        sound.unwrap_or_else(|problem| {
            if let Some(withheld) = self.lines.permit(now) {
                let path = brief(&request.path);
                tracing::error!(
                    path,
                    problem,
                    withheld,
                    "the HTTP handler gave no answer; answered with 500"
                );
            }
            Sound::empty(StatusCode::INTERNAL_SERVER_ERROR)
        })
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
        if state.closed || state.waiting.len() >= MAX_WAITING || state.sessions >= self.max_sessions {
            return false;
        }
        state.sessions += 1;
        state.waiting.push_back(Request::new(offer));
        let acceptors = state.acceptors.take();
        drop(state);
        acceptors.wake();
        true
    }

    /// Who is asked about clients before their handshake.
    pub(crate) fn hook(&self) -> Option<&Hook> {
        self.hook.as_ref()
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
        lock(&self.state).connections >= self.max_connections
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
        let at = state.waiting.iter().position(|request| request.is_for(shared));
        let gone = at.and_then(|at| state.waiting.remove(at));
        if state.waiting.is_empty() {
            state.waiting.shrink_to(FEW_WAITING);
        }
        drop(state);
        if let Some(request) = gone {
            request.forget();
        }
    }

    /// Writes what is so now, and what was counted as it happened.
    fn show(&self, stats: &mut ServerStats) {
        self.counts.show(stats);
        let state = lock(&self.state);
        let of = |count: usize| count as u64;
        stats.connections = of(state.connections);
        (stats.sessions, stats.requests_waiting) = (of(state.sessions), of(state.waiting.len()));
    }

    pub(crate) fn poll_accept(&self, cx: &Context<'_>, place: &mut Place) -> Poll<Option<Request>> {
        let mut state = lock(&self.state);
        if let Some(request) = state.waiting.pop_front() {
            return Poll::Ready(Some(request));
        }
        if state.closed {
            return Poll::Ready(None);
        }
        state.acceptors.add(place, cx);
        Poll::Pending
    }

    /// Ready when no connection is left that has something to say.
    fn poll_idle(&self, cx: &Context<'_>, place: &mut Place) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.connections == 0 {
            return Poll::Ready(());
        }
        state.idlers.add(place, cx);
        Poll::Pending
    }

    /// Ready when no shard is left.
    fn poll_over(&self, cx: &Context<'_>, place: &mut Place) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.shards == 0 {
            return Poll::Ready(());
        }
        state.idlers.add(place, cx);
        Poll::Pending
    }

    /// Takes no further requests. Those that wait were not looked at: their clients may send them elsewhere.
    fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        let (acceptors, waiting) = (state.acceptors.take(), std::mem::take(&mut state.waiting));
        drop(state);
        waiting.into_iter().for_each(Request::turn_away);
        acceptors.wake();
    }

    /// Whether the shards are to be told this now: once is enough.
    fn tells(&self, what: usize) -> bool {
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

/// A WebTransport server. Dropped, it takes no further sessions and lets those that exist go on; see
/// [`shutdown`](Self::shutdown).
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use wt_api::{AcceptOptions, Identity, Server};
/// let identity = Identity::from_pem_files("fullchain.pem", "privkey.pem")?;
/// let server = Server::builder().identity(identity).allowed_origins(["https://example.org"]).build()?;
/// while let Some(request) = server.accept().await {
///     tokio::spawn(async move {
///         let session = request.accept(AcceptOptions::new()).await?;
///         session.closed().await
///     });
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    shared: Arc<ServerShared>,
    inboxes: Vec<Arc<Inbox>>,
    /// What the drivers have counted that are gone.
    bequests: Vec<Arc<OnceLock<ShardStats>>>,
    budget: EndpointBudget,
    addresses: Vec<SocketAddr>,
    /// None with a rustls configuration of the application's own.
    identities: Option<Arc<Identities>>,
    runtime: RuntimeHandle,
}

impl Server {
    /// A server to configure.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::new()
    }

    /// The addresses that are listened on, in the order of [`listen`](ServerBuilder::listen).
    #[must_use]
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The SHA-256 of the current certificate, for clients that accept it by hash; `None` with a rustls configuration of the
    /// application's own.
    #[must_use]
    pub fn certificate_hash(&self) -> Option<CertificateHash> {
        self.identities.as_ref().map(|identities| identities.default_identity().certificate_hash())
    }

    /// The hashes that clients should know: that of the current certificate and, with
    /// [`renew_self_signed`](ServerBuilder::renew_self_signed), that of the next one. Empty with a rustls configuration of
    /// the application's own.
    #[must_use]
    pub fn certificate_hashes(&self) -> Vec<CertificateHash> {
        self.identities.as_ref().map(|identities| identities.hashes()).unwrap_or_default()
    }

    /// Replaces the identity for new connections, such as before its certificate expires. Connections and sessions that
    /// exist go on with the one that their handshake took, one that is under way may show either.
    ///
    /// # Errors
    /// The server was built with a rustls configuration of the application's own.
    pub fn set_identity(&self, identity: Identity) -> Result<(), ServerError> {
        self.identities.as_ref().ok_or(ServerError::OwnConfiguration)?.set_default(identity);
        Ok(())
    }

    /// Replaces or adds the identity for a name in the same way, see [`identity_for`](ServerBuilder::identity_for).
    ///
    /// # Errors
    /// Those of [`set_identity`](Self::set_identity); a name that is no DNS name, nor `*.` and one.
    pub fn set_identity_for(&self, name: &str, identity: &Identity) -> Result<(), ServerError> {
        self.identities.as_ref().ok_or(ServerError::OwnConfiguration)?.set_named(name, identity)?;
        Ok(())
    }

    /// The next request for a session; `None` as soon as [`shutdown`](Self::shutdown) is called, while sessions still have its
    /// deadline to end, and when the runtime that serves is gone. A program does not end here: it waits for `shutdown`.
    /// Cancel safe; several callers share the queue.
    pub async fn accept(&self) -> Option<Request> {
        wait(&*self.shared, ServerQueue::Acceptors, ServerShared::poll_accept).await
    }

    /// The connections that there are now, those in their handshake included, in no order; no more than
    /// [`max_connections`](ServerBuilder::max_connections). The drivers of the sockets are asked: it costs each a moment, and
    /// nothing when nobody asks. Empty when the runtime that serves is gone. Cancel safe.
    ///
    /// ```no_run
    /// # async fn example(server: wt_api::Server) {
    /// for connection in server.connections().await {
    ///     if connection.remote_address().ip().is_loopback() {
    ///         connection.close(0x100, "not from here");
    ///     }
    /// }
    /// # }
    /// ```
    pub async fn connections(&self) -> Vec<Connection> {
        self.ask(ShardCommand::Connections).await.into_iter().flatten().flatten().collect()
    }

    /// A snapshot of what the server counts. Counting costs what an addition does; asking costs the drivers of the sockets a
    /// moment for each connection, a few hundred at a time. The sums go on when the runtime that serves is gone. Cancel safe.
    ///
    /// ```no_run
    /// # async fn example(server: wt_api::Server) {
    /// let stats = server.stats().await;
    /// println!("{} connections, {} handshakes failed in TLS", stats.connections, stats.handshakes.failed_tls);
    /// # }
    /// ```
    pub async fn stats(&self) -> ServerStats {
        let mut stats = ServerStats::default();
        let answers = self.ask(ShardCommand::Stats).await;
        for (answer, bequest) in answers.into_iter().zip(&self.bequests) {
            // Whose driver is gone has left its last counts.
            answer.as_ref().or(bequest.get()).into_iter().for_each(|counts| counts.add_to(&mut stats));
        }
        self.shared.show(&mut stats);
        stats.handshakes_pending = self.budget.pending_handshakes() as u64;
        stats.memory_used = self.budget.used() as u64;
        stats.memory_limit = self.budget.limit() as u64;
        stats
    }

    /// What the drivers answer, in the order of the addresses. One that is gone does not.
    async fn ask<T>(&self, question: impl Fn(oneshot::Sender<T>) -> ShardCommand) -> Vec<Option<T>> {
        let mut asked = Vec::with_capacity(self.inboxes.len());
        for inbox in &self.inboxes {
            let (reply, answer) = oneshot::channel();
            inbox.command(question(reply));
            asked.push(answer);
        }
        let mut answers = Vec::with_capacity(asked.len());
        for answer in asked {
            answers.push(answer.await.ok());
        }
        answers
    }

    fn go_away(&self) {
        self.shared.close();
        if self.shared.tells(0) {
            self.inboxes.iter().for_each(|inbox| inbox.command(ShardCommand::GoAway));
        }
    }

    /// Closes every session that was accepted, with this code and this reason, as
    /// [`WebTransport::close`](crate::WebTransport::close) closes one: data of finished streams is still delivered, and a page
    /// hears the code and the reason in its `closed`. Those that are closed already keep what they were closed with. Returns at
    /// once. New sessions are still taken: a server that ends calls [`shutdown`](Self::shutdown) before, which asks clients to
    /// end by themselves, and after, which waits until they have heard.
    ///
    /// ```no_run
    /// # async fn example(server: wt_api::Server) {
    /// use std::time::Duration;
    /// use wt_api::CloseInfo;
    /// // Ten seconds to end by themselves; dropped, a shutdown leaves sessions as they are.
    /// if tokio::time::timeout(Duration::from_secs(10), server.shutdown(Duration::MAX)).await.is_err() {
    ///     server.close_sessions(CloseInfo::new(1, "the server restarts"));
    ///     server.shutdown(Duration::ZERO).await;
    /// }
    /// # }
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "as the close of one session")]
    pub fn close_sessions(&self, info: CloseInfo) {
        self.inboxes.iter().for_each(|inbox| inbox.command(ShardCommand::CloseSessions(info.clone())));
    }

    /// Shuts down: no further sessions, and all clients are told (their `draining` resolves); then waits until they have
    /// gone, at most `deadline`; then all connections are closed. Requests that wait are rejected unseen
    /// (`H3_REQUEST_REJECTED`). Returns when every close has been sent and the sockets are closed: the process may end, and
    /// the port is free. Where a session was closed before then, its client has up
    /// to 4 s more, 12 s on paths with long probe timeouts, to hear the code and the reason.
    ///
    /// Clients hear it by GOAWAY, those of draft 02 by the session's own `WT_DRAIN_SESSION`, and by GOAWAY when the session
    /// is over: a Chromium of today that opens a bidirectional stream after GOAWAY crashes. Cancel safe: dropped, no session
    /// is taken any more and those that exist go on; another call waits anew.
    pub async fn shutdown(&self, deadline: Duration) {
        self.go_away();
        let until = self.runtime.now() + deadline;
        let mut limit = pin!(runtime::sleep_until(&self.runtime, until));
        wait(&*self.shared, ServerQueue::Idlers, |shared, cx, place| {
            if shared.poll_idle(cx, place).is_ready() {
                return Poll::Ready(());
            }
            limit.as_mut().poll(&mut Context::from_waker(cx.waker()))
        })
        .await;
        if self.shared.tells(1) {
            self.inboxes.iter().for_each(|inbox| inbox.command(ShardCommand::CloseAll));
        }
        // The drivers end when the last words have left.
        wait(&*self.shared, ServerQueue::Idlers, ServerShared::poll_over).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.go_away();
    }
}
