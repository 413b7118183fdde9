//! What a shard is: a socket, its connections, and what waits between them.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, OnceLock},
};

use quic_core::{Endpoint, base::Timestamp};

use super::{outgoing::Sender, receiver::Receiver, siblings::Siblings, state::conn::Conn, surveys::Surveys};
use crate::{
    buffers::BufferPool,
    jobs::{Inbox, ShardCommand},
    lines::LineLimit,
    reception::{ServerShared, stats::ShardStats},
    runtime::{RuntimeHandle, Timer},
    socket::DatagramSocket,
};

/// The future that drives a socket.
pub(crate) struct Shard {
    pub(super) runtime: RuntimeHandle,
    pub(super) socket: Box<dyn DatagramSocket>,
    /// Where the socket is bound: it is asked once, and not with each connection.
    pub(super) bound: Option<SocketAddr>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) endpoint: Endpoint,
    pub(super) connections: Vec<Option<Box<Conn>>>,
    /// Connections that have news.
    pub(super) dirty: Vec<usize>,
    /// Connections whose turn ended before they were done.
    pub(super) unfinished: Vec<usize>,
    /// Connections with streams of which their peers do not know yet.
    pub(super) unannounced: BTreeSet<usize>,
    pub(super) deadlines: BTreeSet<(Timestamp, usize)>,
    pub(super) timer: Pin<Box<dyn Timer>>,
    pub(super) pool: Arc<BufferPool>,
    pub(super) receiver: Receiver,
    /// The other shards of its address, if it is a server's.
    pub(super) siblings: Siblings,
    pub(super) sender: Sender,
    pub(super) server: Option<Arc<ServerShared>>,
    /// Lines about what servers make go wrong, for a client.
    pub(super) lines: LineLimit,
    pub(super) going_away: bool,
    /// The task ends when its connections have.
    pub(super) closing: bool,
    /// Somebody may want further connections of a client's socket. Else the task ends with the last one.
    pub(super) kept: bool,
    /// Connections of clients that may be in their handshake.
    pub(super) knocking: Vec<usize>,
    /// It ends as soon as its connections have said their last words.
    pub(super) cut_off: bool,
    pub(super) commands: Vec<ShardCommand>,
    pub(super) woken: Vec<usize>,
    pub(super) surveys: Surveys,
    /// Where the last counts stay when the shard is gone.
    pub(super) bequest: Arc<OnceLock<ShardStats>>,
    /// Behind the socket: when the server hears of the end, the port is free.
    pub(super) _end: Option<ShardEnd>,
}

/// Tells the server that one of its shards is over, in whichever way.
pub(super) struct ShardEnd(pub(super) Arc<ServerShared>);

impl Drop for ShardEnd {
    fn drop(&mut self) {
        self.0.shard_ended();
    }
}

impl Shard {
    /// A shard on a bound socket; with `server` it accepts connections.
    pub(crate) fn new(
        runtime: RuntimeHandle,
        socket: Box<dyn DatagramSocket>,
        inbox: Arc<Inbox>,
        endpoint: Endpoint,
        server: Option<Arc<ServerShared>>,
    ) -> Self {
        let timer = runtime.timer();
        let pool = runtime.buffers();
        let sender = Sender::new(&*socket);
        let bound = socket.local_address().ok();
        Self {
            runtime,
            socket,
            bound,
            inbox,
            endpoint,
            connections: Vec::new(),
            dirty: Vec::new(),
            unfinished: Vec::new(),
            unannounced: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            timer,
            pool,
            receiver: Receiver::default(),
            siblings: Siblings::alone(),
            sender,
            _end: server.clone().map(ShardEnd),
            server,
            lines: LineLimit::default(),
            cut_off: false,
            going_away: false,
            closing: false,
            kept: false,
            knocking: Vec::new(),
            commands: Vec::new(),
            woken: Vec::new(),
            surveys: Surveys::default(),
            bequest: Arc::default(),
        }
    }

    /// It stays without connections, until it is [released](ShardCommand::Release).
    pub(crate) fn keep(mut self) -> Self {
        self.kept = true;
        self
    }

    /// One of several on the same address.
    pub(crate) fn among(mut self, siblings: Siblings) -> Self {
        self.siblings = siblings;
        self
    }

    /// The shard's last counts, once it is gone.
    pub(crate) fn bequest(&self) -> &Arc<OnceLock<ShardStats>> {
        &self.bequest
    }
}
