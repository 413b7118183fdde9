//! A connection with everything above it: QUIC, HTTP/3, sessions, and what the application's boxes hold.
//!
//! Owns the state alone. The scripts beside it work on [`Conn`], and none of them knows another.

use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use quic_core::{Connection, Side, StreamId, StreamMap, base::Timestamp};
use wt_session::Sessions;

use super::{exchanges::Exchanges, patience::Doubt, stack::Stack, stream::DriverStream, table::SessionTable};
use crate::{
    congestion::Congestion,
    error::ErrorCause,
    jobs::{Attempt, ClientJob},
    mailbox::{Addresses, Claimed, ConnectionBox, Work},
    race::Race,
    reception::ServerShared,
    runtime::{Presence, RuntimeHandle},
    socket::unmapped,
    tls::Verdict,
};

/// `H3_NO_ERROR` (RFC 9114 §8.1).
pub(crate) const H3_NO_ERROR: u64 = 0x100;
/// `H3_INTERNAL_ERROR` (RFC 9114 §8.1).
pub(crate) const H3_INTERNAL_ERROR: u64 = 0x102;
/// Which end of the connection this is, and what it serves.
pub(crate) enum Role {
    Client { job: ClientJob, race: Arc<Race>, verdict: Verdict, attempt: Arc<Attempt> },
    Server(Arc<ServerShared>),
}

/// A connection with everything above it.
pub(crate) struct Conn {
    pub(crate) stack: Stack,
    pub(crate) role: Role,
    pub(crate) congestion: Congestion,
    pub(crate) boxes: Arc<ConnectionBox>,
    pub(crate) runtime: RuntimeHandle,
    /// The socket's address.
    pub(crate) bound: Option<SocketAddr>,
    pub(crate) table: SessionTable,
    pub(crate) streams: StreamMap<DriverStream>,
    pub(crate) http: Exchanges,
    /// Until when a connection that sessions may share stays open without one.
    pub(crate) rest_until: Option<Timestamp>,
    /// Whether the client is gone for which the connection waits for further use.
    pub(crate) released: bool,
    /// Sessions that joined an idle connection. The peer has to show that it is still there.
    pub(crate) doubts: VecDeque<Doubt>,
    /// Whether the handshake is complete and, at a client, this connection has won the race.
    pub(crate) started: bool,
    /// Streams that handles have opened and QUIC has not, in the order of their IDs.
    pub(crate) claimed: VecDeque<Claimed>,
    /// How many streams of each direction the handles were told that they may open.
    pub(crate) shown: [Option<u64>; 2],
    /// Streams opened since the shard was last polled. The task that opened one has not run yet and may write
    /// at once.
    pub(crate) unannounced: Vec<StreamId>,
    /// Why this end closed the connection, if it did so of its own accord.
    pub(crate) parting: Option<ErrorCause>,
    /// Why the connection ended, once it has.
    pub(crate) failure: Option<ErrorCause>,
    /// Why the peer cannot be reached, as the network or this host reported during the handshake.
    pub(crate) unreachable: Option<ErrorCause>,
    /// The system's error while nothing of this connection can be sent.
    pub(crate) stuck: Option<ErrorCause>,
    /// Why the system dropped what was sent, unless something was received since.
    pub(crate) cut_from: Option<ErrorCause>,
    /// The system's error while nothing can be received.
    pub(crate) deaf: Option<ErrorCause>,
    /// How often the socket's error queue was read during the handshake.
    pub(crate) looks: u32,
    /// When it is read next.
    pub(crate) look_at: Option<Timestamp>,
    /// Whether QUIC has reported the connection's end.
    pub(crate) over: bool,
    /// Whether the last packets have been sent.
    pub(crate) said_all: bool,
    /// Datagrams of sessions that are over: dropped and expired incoming ones, expired outgoing ones.
    pub(crate) datagrams_retired: [u64; 3],
    /// Keeps the runtime's count of unfinished work up while the connection exists.
    pub(crate) presence: Option<Presence>,
    /// The client's certificates, once somebody asked for them.
    pub(crate) certificates: Option<Arc<[Vec<u8>]>>,
    pub(crate) going_away: bool,
    /// Whether only sessions that are closing keep the connection open.
    pub(crate) cut_off: bool,
    /// Whether the connection is on the shard's list of those with work.
    pub(crate) dirty: bool,
    /// Whether it waits for the socket, with its deadline set.
    pub(crate) parked: bool,
    /// Its entry in the shard's set of deadlines.
    pub(crate) deadline: Option<Timestamp>,
    pub(crate) scratch: Vec<Work>,
    /// Reads go through it; empty between reads.
    pub(crate) chunks: Vec<Bytes>,
    pub(crate) claims_taken: Vec<Claimed>,
    /// Work that was taken from the boxes and is not done.
    pub(crate) backlog: VecDeque<Work>,
}

/// The peer's address. A client's socket may write it as an IPv4-mapped one, which nobody asked for.
fn remote_of(quic: &Connection) -> SocketAddr {
    match quic.side() {
        Side::Client => unmapped(quic.remote_address()),
        Side::Server => quic.remote_address(),
    }
}

impl std::fmt::Debug for Conn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conn").field("quic", &self.stack.quic).finish_non_exhaustive()
    }
}

impl Conn {
    /// Nothing above wakes a client's connection until it has won the race and takes over the job's box.
    pub(crate) fn new(quic: Connection, role: Role, congestion: Congestion, runtime: RuntimeHandle) -> Self {
        let mut config = match &role {
            Role::Client { job: ClientJob::Session(job), .. } => job.sessions.clone(),
            Role::Client { job: ClientJob::Http(_), .. } => wt_session::Config::default(),
            Role::Server(server) => server.sessions(),
        };
        let side = quic.side();
        let presence = (side == Side::Client).then(|| runtime.tally().enter());
        let mut h3 = h3_core::connection::Config::new(Sessions::settings(&config));
        h3.grease = u64::from(quic.remote_address().port());
        if let Role::Server(server) = &role {
            server.connection_began();
            h3.request_timeout = server.request_timeout();
            config.early_timeout = server.request_timeout();
        }
        Self {
            boxes: Arc::new(ConnectionBox::new(remote_of(&quic), congestion.kind())),
            stack: Stack {
                quic,
                h3: h3_core::Connection::new(h3, side),
                sessions: Sessions::new(config, side),
                now: Timestamp::ORIGIN,
            },
            role,
            congestion,
            runtime,
            bound: None,
            table: SessionTable::default(),
            streams: StreamMap::default(),
            http: Exchanges::default(),
            rest_until: None,
            released: false,
            doubts: VecDeque::new(),
            started: false,
            parting: None,
            failure: None,
            unreachable: None,
            stuck: None,
            cut_from: None,
            deaf: None,
            looks: 0,
            look_at: None,
            over: false,
            said_all: false,
            datagrams_retired: [0; 3],
            presence,
            certificates: None,
            going_away: false,
            cut_off: false,
            dirty: false,
            parked: false,
            deadline: None,
            scratch: Vec::new(),
            chunks: Vec::new(),
            claims_taken: Vec::new(),
            claimed: VecDeque::new(),
            shown: [None; 2],
            backlog: VecDeque::new(),
            unannounced: Vec::new(),
        }
    }

    pub(crate) fn boxes(&self) -> &Arc<ConnectionBox> {
        &self.boxes
    }

    pub(crate) fn quic(&mut self) -> &mut Connection {
        &mut self.stack.quic
    }

    /// The addresses of both ends; this end may not know its own.
    pub(crate) fn addresses(&self) -> Addresses {
        let local = self.bound.map(|bound| {
            let ip = self.stack.quic.local_ip().unwrap_or(bound.ip());
            SocketAddr::new(ip.to_canonical(), bound.port())
        });
        Addresses { remote: self.remote_address(), local }
    }

    /// The peer's address, as a client asked for it.
    pub(crate) fn remote_address(&self) -> SocketAddr {
        remote_of(&self.stack.quic)
    }

    /// Whether the connection belongs to this attempt.
    pub(crate) fn is_of(&self, wanted: &Arc<Attempt>) -> bool {
        matches!(&self.role, Role::Client { attempt, .. } if Arc::ptr_eq(attempt, wanted))
    }

    /// Whether the handshake is still going on.
    pub(crate) fn is_connecting(&self) -> bool {
        self.stack.quic.is_handshaking() && !self.stack.quic.is_closed()
    }

    pub(crate) fn is_server(&self) -> bool {
        self.stack.quic.side() == Side::Server
    }
}
