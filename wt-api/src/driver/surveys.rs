//! Who wants to know what a shard counts, and what was counted beside its connections.

use tokio::sync::oneshot;

use crate::reception::stats::{ShardStats, SocketStats, TrafficStats};

type Reply = oneshot::Sender<ShardStats>;

/// What a shard counts beside its connections, and who wants to know.
#[derive(Debug, Default)]
pub(super) struct Surveys {
    /// Of the connections that are over.
    pub(super) ended: TrafficStats,
    pub(super) sockets: SocketStats,
    /// Who asked since the current survey began.
    pub(super) waiting: Vec<Reply>,
    pub(super) current: Option<Survey>,
}

/// A sum that grows, from the first connection to the last.
#[derive(Debug)]
pub(super) struct Survey {
    /// The place of the connection that is asked next.
    pub(super) next: usize,
    pub(super) sum: TrafficStats,
    pub(super) replies: Vec<Reply>,
}

impl Surveys {
    /// Somebody asks. What was counted before is in the answer.
    pub(super) fn ask(&mut self, reply: Reply) {
        // Whoever gave up waiting takes no room.
        self.waiting.retain(|reply| !reply.is_closed());
        self.waiting.push(reply);
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.current.is_some() || !self.waiting.is_empty()
    }

    /// The connection at this place is over.
    pub(super) fn retire(&mut self, index: usize, counts: TrafficStats) {
        self.ended += counts;
        // It will not be asked any more, and what has ended was added before.
        if let Some(survey) = self.current.as_mut().filter(|survey| survey.next <= index) {
            survey.sum += counts;
        }
    }
}
