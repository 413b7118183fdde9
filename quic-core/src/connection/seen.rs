//! What the observer of a connection was last shown: whoever compares it with what is tells the changes.

use std::net::{IpAddr, SocketAddr};

use crate::{
    base::Timestamp,
    congestion::Phase,
    event::EarlyData,
    ids::{ConnectionId, PathId},
    stats::{EcnState, SendLimit},
    trace::{ConnectionState, PathMetrics, RecoveryTimer},
};

/// A path that was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeenPath {
    pub(super) id: PathId,
    pub(super) remote: SocketAddr,
    pub(super) local_ip: Option<IpAddr>,
    pub(super) validated: bool,
}

/// What was shown last.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) state: Option<ConnectionState>,
    pub(super) keys: [bool; 4],
    pub(super) updates: u64,
    pub(super) metrics: PathMetrics,
    pub(super) phase: Option<Phase>,
    pub(super) ecn: Option<EcnState>,
    pub(super) mtu: Option<u16>,
    pub(super) timer: Option<(RecoveryTimer, Timestamp)>,
    pub(super) active: Option<SeenPath>,
    pub(super) others: Vec<SeenPath>,
    pub(super) local_cids: Vec<ConnectionId>,
    pub(super) remote_cid: ConnectionId,
    pub(super) early: EarlyData,
    pub(super) alpn: bool,
    /// The parameters of this end.
    pub(super) local_parameters: bool,
    pub(super) limit: SendLimit,
    /// How many of the events that wait for the driver were shown.
    pub(super) events: usize,
}

impl Seen {
    /// Nothing but the connection IDs of the beginning.
    pub(super) fn new(local_cids: Vec<ConnectionId>, remote_cid: ConnectionId, limit: SendLimit) -> Self {
        Self {
            state: None,
            keys: [false; 4],
            updates: 0,
            metrics: PathMetrics::default(),
            phase: None,
            ecn: None,
            mtu: None,
            timer: None,
            active: None,
            others: Vec::new(),
            local_cids,
            remote_cid,
            early: EarlyData::None,
            alpn: false,
            local_parameters: false,
            limit,
            events: 0,
        }
    }
}
