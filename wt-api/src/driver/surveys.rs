//! The callers that want a shard's counters, and counters that belong to no open connection.

use tokio::sync::oneshot;

use crate::reception::stats::{ShardStats, SocketStats, TrafficStats};

type Reply = oneshot::Sender<ShardStats>;

/// A shard's counters besides those of its connections, and the callers that want them.
#[derive(Debug, Default)]
pub(super) struct Surveys {
    /// Sums of the connections that have ended.
    pub(super) ended: TrafficStats,
    pub(super) sockets: SocketStats,
    /// The callers that asked since the current survey began.
    pub(super) waiting: Vec<Reply>,
    pub(super) current: Option<Survey>,
}

/// A sum in progress, from the first connection to the last.
#[derive(Debug)]
pub(super) struct Survey {
    /// The slot of the next connection to visit.
    pub(super) next: usize,
    pub(super) sum: TrafficStats,
    pub(super) replies: Vec<Reply>,
}

impl Surveys {
    /// A caller asks. The answer contains everything counted before.
    pub(super) fn ask(&mut self, reply: Reply) {
        // A caller that gave up uses no memory.
        self.waiting.retain(|reply| !reply.is_closed());
        self.waiting.push(reply);
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.current.is_some() || !self.waiting.is_empty()
    }

    /// The connection in this slot has ended.
    pub(super) fn retire(&mut self, index: usize, counts: TrafficStats) {
        self.ended += counts;
        // The survey will not visit it, and began with the sums of those that had ended before.
        if let Some(survey) = self.current.as_mut().filter(|survey| survey.next <= index) {
            survey.sum += counts;
        }
    }
}
