//! The parts of a shard: a socket, its connections, and what waits between them.

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
    /// The socket's address: the system is asked once, and not for each connection.
    pub(super) bound: Option<SocketAddr>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) endpoint: Endpoint,
    pub(super) connections: Vec<Option<Box<Conn>>>,
    /// Connections with news.
    pub(super) dirty: Vec<usize>,
    /// Connections whose turn ended before they were done.
    pub(super) unfinished: Vec<usize>,
    /// Connections with streams that their peers do not know of yet.
    pub(super) unannounced: BTreeSet<usize>,
    pub(super) deadlines: BTreeSet<(Timestamp, usize)>,
    pub(super) timer: Pin<Box<dyn Timer>>,
    pub(super) pool: Arc<BufferPool>,
    pub(super) receiver: Receiver,
    /// The other shards of its address, if it is a server's.
    pub(super) siblings: Siblings,
    pub(super) sender: Sender,
    pub(super) server: Option<Arc<ServerShared>>,
    /// Limits log lines about failures that servers can cause, for a client.
    pub(super) lines: LineLimit,
    pub(super) going_away: bool,
    /// The task ends when its connections have.
    pub(super) closing: bool,
    /// Further connections may use this client's socket. Otherwise the task ends with the last one.
    pub(super) kept: bool,
    /// Connections of clients that may be in their handshake.
    pub(super) connecting: Vec<usize>,
    /// The task ends as soon as its connections have sent their last packets.
    pub(super) cut_off: bool,
    pub(super) commands: Vec<ShardCommand>,
    pub(super) woken: Vec<usize>,
    pub(super) surveys: Surveys,
    /// Where the last counters stay when the shard is gone.
    pub(super) bequest: Arc<OnceLock<ShardStats>>,
    /// Dropped after the socket: when the server learns of the end, the port is free.
    pub(super) _end: Option<ShardEnd>,
}

/// Tells the server that one of its shards has ended, in whichever way.
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
            connecting: Vec::new(),
            commands: Vec::new(),
            woken: Vec::new(),
            surveys: Surveys::default(),
            bequest: Arc::default(),
        }
    }

    /// Keeps the shard without connections, until it is [released](ShardCommand::Release).
    pub(crate) fn keep(mut self) -> Self {
        self.kept = true;
        self
    }

    /// Makes it one of several shards on the same address.
    pub(crate) fn among(mut self, siblings: Siblings) -> Self {
        self.siblings = siblings;
        self
    }

    /// The shard's last counters, once it is gone.
    pub(crate) fn bequest(&self) -> &Arc<OnceLock<ShardStats>> {
        &self.bequest
    }
}
