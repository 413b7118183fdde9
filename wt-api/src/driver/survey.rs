//! The counters of a server's shard, collected on request.
//!
//! Each connection has its own counters. A survey visits them in order, some in each turn, so that many
//! connections block nobody. Connections that end meanwhile leave their counters.

use quic_core::ConnectionStats;

use super::{panics::contain, shard::Shard, state::conn::Conn, surveys::Survey};
use crate::reception::stats::{ShardStats, TrafficStats};

/// Connections that a survey visits in one turn.
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
    /// Continues the survey that a caller waits for. True: there is more of it.
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
            // A caller that gave up does not get it.
            for reply in replies {
                let _ = reply.send(stats);
            }
        }
        self.surveys.is_wanted()
    }

    /// Keeps the counters of a connection that ends. `None`: they cannot be trusted.
    pub(super) fn retire(&mut self, index: usize, connection: &Conn) {
        // This may call a congestion controller of the application.
        if connection.is_server()
            && let Ok(counts) = contain(|| connection.traffic())
        {
            self.surveys.retire(index, counts);
        }
    }

    /// The last counters, when the shard ends.
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
