//! Send groups, which share a session's rate equally.

use std::{fmt, sync::Arc};

use tokio::sync::oneshot;

use crate::{
    error::{ErrorCause, WebTransportError},
    mailbox::{Command, SessionBox, SessionQueue, wait},
    stats::SendStreamStats,
};

/// Streams and datagrams that are ranked among each other by `send_order` (W3C `WebTransportSendGroup`). The
/// groups of a session share its rate equally. Streams and datagrams without a group form one group together.
/// This is a handle: clones refer to the same group.
///
/// [`create_send_group`](crate::WebTransport::create_send_group) makes one.
#[derive(Clone)]
pub struct SendGroup {
    shared: Arc<SessionBox>,
    id: u32,
}

impl fmt::Debug for SendGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendGroup").field("id", &self.id).finish_non_exhaustive()
    }
}

impl PartialEq for SendGroup {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Eq for SendGroup {}

impl SendGroup {
    pub(crate) fn new(shared: &Arc<SessionBox>, id: u32) -> Self {
        Self { shared: Arc::clone(shared), id }
    }

    /// The group's number, if it belongs to this session.
    pub(crate) fn id_in(&self, session: &Arc<SessionBox>) -> Result<u32, WebTransportError> {
        if Arc::ptr_eq(&self.shared, session) {
            Ok(self.id)
        } else {
            Err(WebTransportError::session(ErrorCause::ForeignSendGroup))
        }
    }

    /// The group with this number; `None` for number 0, which means no group.
    pub(crate) fn named(session: &Arc<SessionBox>, id: u32) -> Option<Self> {
        (id != 0).then(|| Self::new(session, id))
    }

    /// The sums over the group's streams, including those that have ended (W3C `getStats`); the last ones
    /// once the session has ended. A stream that changes its group takes its counts with it. Cancel safe.
    pub async fn get_stats(&self) -> SendStreamStats {
        let (reply, answer) = oneshot::channel();
        if self.shared.enquire(Command::GroupStats(self.id, reply))
            && let Ok(counts) = answer.await
        {
            return counts.into();
        }
        let _ = wait(&*self.shared, SessionQueue::State, SessionBox::poll_closed).await;
        self.shared.last_group_counts(self.id).into()
    }
}
