//! What a server's shard counts, when somebody asks.
//!
//! The connections count for themselves. They are asked in their order, some in each turn, so that many of them hold up
//! nobody; those that end meanwhile leave what they have counted.

use quic_core::ConnectionStats;

use super::{panics::contain, shard::Shard, state::conn::Conn, surveys::Survey};
use crate::reception::stats::{ShardStats, TrafficStats};

/// Connections that are asked in a turn.
const TURN: usize = 256;

impl Conn {
    /// What the connection has counted so far.
    fn traffic(&self) -> TrafficStats {
        let stats: ConnectionStats = self.stack.quic.stats();
        let mut traffic = TrafficStats::from(&stats);
        let open = self.table.iter().filter(|entry| !entry.retired);
        let waiting = open.map(|entry| entry.shared.datagram_counts());
        for [dropped, expired_in, expired_out] in waiting.chain([self.datagrams_retired]) {
            traffic.datagrams_dropped_incoming += dropped;
            traffic.datagrams_expired_incoming += expired_in;
            traffic.datagrams_expired_outgoing += expired_out;
        }
        traffic
    }
}

impl Shard {
    /// A part of the survey that somebody waits for. True: there is more of it.
    pub(super) fn survey(&mut self) -> bool {
        let surveys = &mut self.surveys;
        if surveys.current.is_none() && !surveys.waiting.is_empty() {
            let replies = std::mem::take(&mut surveys.waiting);
            surveys.current = Some(Survey { next: 0, sum: surveys.ended, replies });
        }
        let Some(survey) = &mut surveys.current else { return false };
        let until = survey.next.saturating_add(TURN).min(self.connections.len());
        let asked = self.connections.get(survey.next..until).unwrap_or_default().iter().flatten();
        for connection in asked.filter(|connection| connection.is_server()) {
            survey.sum += connection.traffic();
        }
        survey.next = until;
        if until >= self.connections.len()
            && let Some(Survey { sum, replies, .. }) = surveys.current.take()
        {
            let (endpoint, sockets) = (self.endpoint.stats(), self.surveys.sockets);
            let stats = ShardStats { traffic: sum, endpoint, sockets };
            // Whoever gave up waiting is not there to hear it.
            for reply in replies {
                let _ = reply.send(stats);
            }
        }
        self.surveys.is_wanted()
    }

    /// What a connection has counted outlives it. `None`: there are no counts that could be trusted.
    pub(super) fn retire(&mut self, index: usize, connection: &Conn) {
        // A congestion controller of the application may be asked.
        if connection.is_server()
            && let Ok(counts) = contain(|| connection.traffic())
        {
            self.surveys.retire(index, counts);
        }
    }

    /// The last counts, when the shard ends.
    pub(super) fn last_counts(&self) -> ShardStats {
        let mut traffic = self.surveys.ended;
        for connection in self.connections.iter().flatten().filter(|connection| connection.is_server()) {
            if let Ok(counts) = contain(|| connection.traffic()) {
                traffic += counts;
            }
        }
        ShardStats { traffic, endpoint: self.endpoint.stats(), sockets: self.surveys.sockets }
    }
}
