//! Requests of application tasks to a shard: connections, sessions, HTTP requests, and the end.
//!
//! Owns the messages between these tasks and the driver, and the place where sessions wait for a connection
//! that is being established. It must never know how the requests are carried out.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock},
};

use quic_core::ClientConfig;
use tokio::sync::oneshot;
use wt_session::ConnectRequest;

use crate::{
    close::CloseInfo,
    congestion::{Congestion, CongestionControl},
    connection::Connection,
    error::{ErrorCause, WebTransportError},
    exchange_error::HttpError,
    mailbox::{Abandoned, ExchangeBox, SessionBox, ShardBox, lock},
    race::Race,
    reception::stats::ShardStats,
    runtime::Presence,
    socket::DatagramSocket,
    tls,
};

/// A command from outside the driver's task.
#[derive(Debug)]
pub(crate) enum ShardCommand {
    /// Open a connection.
    Connect(Box<Connect>),
    /// Add a session to the connection of an attempt.
    Join(Arc<Attempt>, Box<SessionJob>),
    /// Send a request on the connection of an attempt.
    Exchange(Arc<Attempt>, Box<ExchangeJob>),
    /// Close the connection of an attempt, because it is not wanted any more.
    GiveUp(Arc<Attempt>),
    /// Replace the socket of a client by this one, which is at another address.
    Rebind(Box<dyn DatagramSocket>),
    /// No client uses the socket any more: the task ends with the last connection. The command counts as a
    /// session until its connections do.
    Release(Presence),
    /// Accept no further connections, and let the existing ones drain (RFC 9114 §5.2). The task ends with the
    /// last one.
    GoAway,
    /// Close all accepted sessions.
    CloseSessions(CloseInfo),
    /// Close all connections.
    CloseAll,
    /// Return the present connections.
    Connections(oneshot::Sender<Vec<Connection>>),
    /// Return the counters of the shard and its connections.
    Stats(oneshot::Sender<ShardStats>),
}

impl Abandoned for ShardCommand {
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Connections(reply) => reply.is_closed(),
            Self::Stats(reply) => reply.is_closed(),
            Self::Exchange(_, job) => job.shared.is_gone(),
            Self::Connect(_) | Self::Join(..) | Self::GiveUp(_) | Self::Rebind(_) | Self::Release(_) => false,
            Self::GoAway | Self::CloseSessions(_) | Self::CloseAll => false,
        }
    }
}

/// A connection to open.
#[derive(Debug)]
pub(crate) struct Connect {
    pub(crate) config: ClientConfig,
    pub(crate) server_name: String,
    pub(crate) congestion: Congestion,
    pub(crate) attempt: Arc<Attempt>,
    pub(crate) race: Arc<Race>,
    pub(crate) verdict: tls::Verdict,
    pub(crate) job: ClientJob,
}

/// An attempt to reach an address. Callers use it to refer to the connection that a shard makes for it.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) remote: SocketAddr,
    /// The index of the connection in its shard. After its end, another connection may get the same index.
    pub(crate) place: OnceLock<usize>,
}

impl Attempt {
    pub(crate) fn new(remote: SocketAddr) -> Arc<Self> {
        Arc::new(Self { remote, place: OnceLock::new() })
    }
}

/// The shard's inbox.
pub(crate) type Inbox = ShardBox<ShardCommand>;

/// A connection: the inbox of its driver, and its attempt.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) attempt: Arc<Attempt>,
}

impl Way {
    /// The connection is not wanted any more.
    pub(crate) fn give_up(&self) {
        self.inbox.command(ShardCommand::GiveUp(Arc::clone(&self.attempt)));
    }
}

/// The error of a client whose server has ended, and the socket with it.
pub(crate) fn ended_with_server() -> ErrorCause {
    let cause = "it is a server's, which has shut down or ended";
    ErrorCause::Socket(Arc::new(io::Error::new(io::ErrorKind::NotConnected, cause)))
}

/// What a client opens a connection for.
#[derive(Clone, Debug)]
pub(crate) enum ClientJob {
    /// A session.
    Session(Box<SessionJob>),
    /// HTTP requests.
    Http(Arc<Link>),
}

/// A session to request.
#[derive(Clone, Debug)]
pub(crate) struct SessionJob {
    pub(crate) request: ConnectRequest,
    pub(crate) shared: Arc<SessionBox>,
    pub(crate) sessions: wt_session::Config,
    /// Whether the connection is kept alive while a session is open.
    pub(crate) keep_alive: bool,
    /// The kind of congestion control for which the connection is made.
    pub(crate) congestion: CongestionControl,
    /// Whether the session is requested as soon as the connection is established. Otherwise sessions join it
    /// later.
    pub(crate) asks: bool,
    /// Set if other sessions may share the connection.
    pub(crate) pooled: Option<Arc<Pooled>>,
}

/// An HTTP request to send.
#[derive(Clone, Debug)]
pub(crate) struct ExchangeJob {
    pub(crate) head: Arc<h3_core::RequestHead>,
    /// There is no content.
    pub(crate) end: bool,
    pub(crate) shared: Arc<ExchangeBox>,
}

impl ExchangeJob {
    /// The connection cannot take the request.
    pub(crate) fn hand_back(&self) {
        self.shared.hand_back();
    }
}

impl SessionJob {
    /// The shared connection cannot take the session.
    pub(crate) fn hand_back(&self) {
        self.shared.hand_back(std::collections::VecDeque::new());
    }
}

/// The values that must be equal for sessions to share a connection (W3C "obtain a connection"): runtime,
/// host, port and options.
pub(crate) type PoolKey = String;

/// A connection that sessions may share, from the first attempt to establish it.
#[derive(Debug)]
pub(crate) struct Pooled {
    key: PoolKey,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// It is being established; these sessions wait for it.
    Connecting(Vec<SessionJob>),
    Open(Way),
    /// It takes no more sessions.
    Closed,
}

impl Pooled {
    pub(crate) fn new(key: PoolKey) -> Self {
        Self { key, state: Mutex::new(State::Connecting(Vec::new())) }
    }

    /// Whether sessions with this key may join it.
    pub(crate) fn is_for(&self, key: &PoolKey) -> bool {
        self.key == *key && !matches!(*lock(&self.state), State::Closed)
    }

    /// Passes a session to the connection. If the connection cannot take it, the session is handed back.
    pub(crate) fn join(&self, job: SessionJob) {
        let refused = match &mut *lock(&self.state) {
            State::Connecting(waiting) => return waiting.push(job),
            State::Open(Way { inbox, attempt }) => {
                inbox.try_command(ShardCommand::Join(Arc::clone(attempt), Box::new(job))).err()
            }
            State::Closed => return job.hand_back(),
        };
        if let Some(ShardCommand::Join(_, job)) = refused {
            job.hand_back();
        }
    }

    /// The connection is established; `way` leads to it.
    pub(crate) fn open(&self, way: &Way) {
        let mut state = lock(&self.state);
        let waiting = match &mut *state {
            State::Connecting(waiting) => std::mem::take(waiting),
            State::Open(_) | State::Closed => return,
        };
        *state = State::Open(way.clone());
        drop(state);
        waiting.into_iter().for_each(|job| self.join(job));
    }

    /// Nobody establishes the connection any more, if it is not established yet.
    pub(crate) fn abandon(&self) {
        if matches!(*lock(&self.state), State::Connecting(_)) {
            self.close();
        }
    }

    /// The connection takes no more sessions. Those that wait for it are handed back.
    pub(crate) fn close(&self) {
        let old = std::mem::replace(&mut *lock(&self.state), State::Closed);
        if let State::Connecting(waiting) = old {
            waiting.iter().for_each(SessionJob::hand_back);
        }
    }
}

/// The way to a connection for HTTP requests, from the first attempt to establish it.
#[derive(Debug)]
pub(crate) struct Link {
    key: PoolKey,
    /// Whether the connection waits for further requests.
    kept: bool,
    /// Whether the connection is kept alive while an exchange goes on.
    keep_alive: bool,
    state: Mutex<LinkState>,
}

#[derive(Debug)]
enum LinkState {
    /// It is being established; these requests wait for it.
    Connecting(Vec<ExchangeJob>),
    Open(Way),
    /// It takes no more requests.
    Closed,
}

impl Link {
    pub(crate) fn new(key: PoolKey, kept: bool, keep_alive: bool) -> Self {
        Self { key, kept, keep_alive, state: Mutex::new(LinkState::Connecting(Vec::new())) }
    }

    /// Whether requests with this key may use it.
    pub(crate) fn is_for(&self, key: &PoolKey) -> bool {
        self.kept && self.key == *key && !self.is_closed()
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(*lock(&self.state), LinkState::Closed)
    }

    pub(crate) fn is_kept(&self) -> bool {
        self.kept
    }

    pub(crate) fn keeps_alive(&self) -> bool {
        self.keep_alive
    }

    /// Passes a request to the connection. If the connection cannot take it, the request is handed back.
    pub(crate) fn send(&self, job: ExchangeJob) {
        let refused = match &mut *lock(&self.state) {
            LinkState::Connecting(waiting) => return waiting.push(job),
            LinkState::Open(Way { inbox, attempt }) => {
                inbox.try_command(ShardCommand::Exchange(Arc::clone(attempt), Box::new(job))).err()
            }
            LinkState::Closed => return job.hand_back(),
        };
        if let Some(ShardCommand::Exchange(_, job)) = refused {
            job.hand_back();
        }
    }

    /// The connection is established; `way` leads to it.
    pub(crate) fn open(&self, way: &Way) {
        let mut state = lock(&self.state);
        let LinkState::Connecting(waiting) = &mut *state else { return };
        let waiting = std::mem::take(waiting);
        *state = LinkState::Open(way.clone());
        drop(state);
        waiting.into_iter().for_each(|job| self.send(job));
    }

    /// There is no connection. Those that wait for it learn why.
    pub(crate) fn fail(&self, error: &WebTransportError) {
        let error = HttpError::Connect(error.clone());
        self.leave().iter().for_each(|job| job.shared.end(&error));
    }

    /// Nobody establishes the connection any more, if it is not established yet.
    pub(crate) fn abandon(&self) {
        if matches!(*lock(&self.state), LinkState::Connecting(_)) {
            self.close();
        }
    }

    /// The connection takes no more requests. Those that wait for it are handed back.
    pub(crate) fn close(&self) {
        self.leave().iter().for_each(ExchangeJob::hand_back);
    }

    /// Closes it, and returns what waits for it.
    fn leave(&self) -> Vec<ExchangeJob> {
        match std::mem::replace(&mut *lock(&self.state), LinkState::Closed) {
            LinkState::Connecting(waiting) => waiting,
            LinkState::Open(_) | LinkState::Closed => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;
    use crate::runtime::Tally;

    /// A driver that ends serves what arrived at the last moment, or the caller goes elsewhere.
    #[test]
    fn an_inbox_closes_while_it_is_empty_and_not_before() {
        let inbox = Inbox::new();
        let tally = Arc::new(Tally::default());
        inbox.command(ShardCommand::Release(tally.enter()));
        assert!(!inbox.close_if_idle(), "somebody asked");
        let cx = Context::from_waker(Waker::noop());
        let (mut commands, mut woken) = (Vec::new(), Vec::new());
        inbox.take(&mut commands, &mut woken, &cx);
        assert!(inbox.close_if_idle());
        assert!(
            inbox.try_command(ShardCommand::Release(tally.enter())).is_err(),
            "a later command is refused"
        );
    }
}
