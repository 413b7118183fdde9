//! What tasks of the application ask of a shard: connections, sessions, requests, and the end.
//!
//! Owns the words between those who ask and the driver, and where a session waits whose connection is being made. Must never
//! know how any of it is done.

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
    streams::ReceiveStream,
    tls,
};

/// Work from outside the task.
#[derive(Debug)]
pub(crate) enum ShardCommand {
    /// Open a connection.
    Connect(Box<Connect>),
    /// One more session on the connection that an attempt came to.
    Join(Arc<Attempt>, Box<SessionJob>),
    /// The connection of an attempt is not wanted, or not any more.
    GiveUp(Arc<Attempt>),
    /// No client has the socket any more: the task ends with the last connection.
    Release,
    /// Accept no further connection, and let those that exist wind up (RFC 9114 §5.2). The task ends with the last.
    GoAway,
    /// Close all sessions that were accepted.
    CloseSessions(CloseInfo),
    /// Close all connections.
    CloseAll,
    /// Tell which connections there are.
    Connections(oneshot::Sender<Vec<Connection>>),
    /// Tell what the shard and its connections count.
    Stats(oneshot::Sender<ShardStats>),
}

impl Abandoned for ShardCommand {
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Connections(reply) => reply.is_closed(),
            Self::Stats(reply) => reply.is_closed(),
            Self::Connect(_) | Self::Join(..) | Self::GiveUp(_) | Self::Release => false,
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

/// An attempt to reach an address: what those who ask call the connection by that a shard makes of it.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) remote: SocketAddr,
    /// Where the connection is among those of its shard. Another one may have the place when it is gone.
    pub(crate) place: OnceLock<usize>,
}

impl Attempt {
    pub(crate) fn new(remote: SocketAddr) -> Arc<Self> {
        Arc::new(Self { remote, place: OnceLock::new() })
    }
}

/// The shard's inbox.
pub(crate) type Inbox = ShardBox<ShardCommand>;

/// The way to a connection: its driver, and the attempt that it came from.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) attempt: Arc<Attempt>,
}

impl Way {
    /// The connection is not wanted.
    pub(crate) fn give_up(&self) {
        self.inbox.command(ShardCommand::GiveUp(Arc::clone(&self.attempt)));
    }
}

/// The socket of a server went with it.
pub(crate) fn ended_with_server() -> ErrorCause {
    let cause = "it is a server's, which has shut down or ended";
    ErrorCause::Socket(Arc::new(io::Error::new(io::ErrorKind::NotConnected, cause)))
}

/// What a client opens a connection for.
#[derive(Clone, Debug)]
pub(crate) enum ClientJob {
    /// A session.
    Session(Box<SessionJob>),
    /// One plain request.
    Get(Arc<GetJob>),
}

/// A session to ask for.
#[derive(Clone, Debug)]
pub(crate) struct SessionJob {
    pub(crate) request: ConnectRequest,
    pub(crate) shared: Arc<SessionBox>,
    pub(crate) sessions: wt_session::Config,
    /// The connection is kept alive while a session is open.
    pub(crate) keep_alive: bool,
    /// The kind of congestion control that it is for.
    pub(crate) congestion: CongestionControl,
    /// The session is asked for as soon as the connection stands. Else somebody joins.
    pub(crate) asks: bool,
    /// Others may share the connection.
    pub(crate) pooled: Option<Arc<Pooled>>,
}

/// A request to make.
#[derive(Debug)]
pub(crate) struct GetJob {
    pub(crate) head: h3_core::RequestHead,
    pub(crate) reply: std::sync::Mutex<Option<oneshot::Sender<Result<Head, WebTransportError>>>>,
}

impl SessionJob {
    /// The connection that was to be shared does not take it.
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

/// What the driver knows of a response.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Not taken, the rest is not wanted.
    pub(crate) body: ReceiveStream,
}

/// What has to agree for sessions to share a connection (W3C "obtain a connection"): runtime, host, port and options.
pub(crate) type PoolKey = String;

/// A connection that sessions may share, from the first attempt to make it on.
#[derive(Debug)]
pub(crate) struct Pooled {
    key: PoolKey,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// It is being made; these wait for it.
    Connecting(Vec<SessionJob>),
    Open(Way),
    /// It takes no session any more.
    Closed,
}

impl Pooled {
    pub(crate) fn new(key: PoolKey) -> Self {
        Self { key, state: Mutex::new(State::Connecting(Vec::new())) }
    }

    /// Whether sessions of this key may join it.
    pub(crate) fn is_for(&self, key: &PoolKey) -> bool {
        self.key == *key && !matches!(*lock(&self.state), State::Closed)
    }

    /// Asks the connection to take a session. One that cannot hands it back.
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

    /// The connection stands; `way` leads to it.
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

    /// Nobody makes the connection any more, if it does not stand yet.
    pub(crate) fn abandon(&self) {
        if matches!(*lock(&self.state), State::Connecting(_)) {
            self.close();
        }
    }

    /// The connection takes no further session; those that wait for it go elsewhere.
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

    /// A driver that ends leaves nobody behind: what came at its last moment is served, or goes elsewhere.
    #[test]
    fn an_inbox_closes_while_it_is_empty_and_not_before() {
        let inbox = Inbox::new();
        inbox.command(ShardCommand::Release);
        assert!(!inbox.close_if_idle(), "somebody asked");
        let cx = Context::from_waker(Waker::noop());
        let (mut commands, mut woken) = (Vec::new(), Vec::new());
        inbox.take(&mut commands, &mut woken, &cx);
        assert!(inbox.close_if_idle());
        assert!(inbox.try_command(ShardCommand::Release).is_err(), "whoever asks now is told");
    }
}
