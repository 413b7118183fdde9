//! Requests of application tasks to a shard: connections, sessions, HTTP requests, and the end.
//!
//! Owns the messages between these tasks and the driver, and the place where sessions wait for a connection
//! that is being established. It must never know how the requests are carried out.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock},
};

use http::{HeaderMap, StatusCode};
use quic_core::ClientConfig;
use tokio::sync::oneshot;
use wt_session::ConnectRequest;

use crate::{
    close::CloseInfo,
    congestion::{Congestion, CongestionControl},
    connection::Connection,
    error::{ErrorCause, WebTransportError},
    mailbox::{Abandoned, SessionBox, ShardBox, lock},
    race::Race,
    reception::stats::ShardStats,
    socket::DatagramSocket,
    streams::ReceiveStream,
    tls,
};

/// A command from outside the driver's task.
#[derive(Debug)]
pub(crate) enum ShardCommand {
    /// Open a connection.
    Connect(Box<Connect>),
    /// Add a session to the connection of an attempt.
    Join(Arc<Attempt>, Box<SessionJob>),
    /// Close the connection of an attempt, because it is not wanted any more.
    GiveUp(Arc<Attempt>),
    /// Replace the socket of a client by this one, which is at another address.
    Rebind(Box<dyn DatagramSocket>),
    /// No client uses the socket any more: the task ends with the last connection.
    Release,
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
            Self::Connect(_) | Self::Join(..) | Self::GiveUp(_) | Self::Rebind(_) | Self::Release => false,
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
    /// A plain HTTP request.
    Get(Arc<GetJob>),
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

/// A plain HTTP request to send.
#[derive(Debug)]
pub(crate) struct GetJob {
    pub(crate) head: h3_core::RequestHead,
    pub(crate) reply: std::sync::Mutex<Option<oneshot::Sender<Result<Head, WebTransportError>>>>,
}

impl SessionJob {
    /// The shared connection cannot take the session.
    pub(crate) fn hand_back(&self) {
        self.shared.hand_back(std::collections::VecDeque::new());
    }
}

impl GetJob {
    pub(crate) fn fail(&self, error: &WebTransportError) {
        if let Some(reply) = crate::mailbox::lock(&self.reply).take() {
            let _ = reply.send(Err(error.clone()));
        }
    }
}

/// The head of a response, and its content.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// If it is dropped, the rest of the content is not wanted.
    pub(crate) body: ReceiveStream,
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

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    /// A driver that ends serves what arrived at the last moment, or the caller goes elsewhere.
    #[test]
    fn an_inbox_closes_while_it_is_empty_and_not_before() {
        let inbox = Inbox::new();
        inbox.command(ShardCommand::Release);
        assert!(!inbox.close_if_idle(), "somebody asked");
        let cx = Context::from_waker(Waker::noop());
        let (mut commands, mut woken) = (Vec::new(), Vec::new());
        inbox.take(&mut commands, &mut woken, &cx);
        assert!(inbox.close_if_idle());
        assert!(inbox.try_command(ShardCommand::Release).is_err(), "a later command is refused");
    }
}
