//! What a session's handles and the driver say to each other.

use std::{net::SocketAddr, sync::Arc};

use http::{HeaderMap, StatusCode};
use quic_core::{ConnectionStats, Dir, StreamId};
use tokio::sync::oneshot;

use super::{RecvBox, SendBox};
use crate::close::CloseInfo;

/// The boxes of a new stream; a unidirectional one has only one of them. On its way to the application until the boxes are
/// taken out: dropped before, the stream goes back, for nobody would end it.
#[derive(Debug)]
pub(crate) struct NewStream {
    pub(crate) send: Option<Arc<SendBox>>,
    pub(crate) recv: Option<Arc<RecvBox>>,
}

impl Drop for NewStream {
    fn drop(&mut self) {
        self.send.iter().for_each(|send| send.abandon());
        self.recv.iter().for_each(|recv| recv.stop(0));
    }
}

/// Bytes of a sending half, or of several together; each at most the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamCounts {
    pub(crate) written: u64,
    /// At least once.
    pub(crate) sent: u64,
    /// Without a gap from the start.
    pub(crate) acknowledged: u64,
}

impl std::ops::AddAssign for StreamCounts {
    fn add_assign(&mut self, other: Self) {
        self.written += other.written;
        self.sent += other.sent;
        self.acknowledged += other.acknowledged;
    }
}

/// What handles ask of the driver.
#[derive(Debug)]
pub(crate) enum Command {
    /// Close the session.
    Close(CloseInfo),
    /// Keying material of the session, `length` bytes of it.
    Export { label: Vec<u8>, context: Vec<u8>, length: usize, reply: oneshot::Sender<Vec<u8>> },
    /// A snapshot of the counters.
    Stats(oneshot::Sender<ConnectionStats>),
    /// The counts of a stream's sending half.
    SendStats(StreamId, oneshot::Sender<StreamCounts>),
    /// Bytes of a stream received without a gap.
    RecvStats(StreamId, oneshot::Sender<u64>),
    /// The sums over all streams of a group, also those that are over.
    GroupStats(u32, oneshot::Sender<StreamCounts>),
    /// Accept the request (server).
    Accept(StatusCode, HeaderMap),
    /// Refuse the request (server).
    Reject(StatusCode, HeaderMap),
    /// Refuse the request without an answer (server): it was not looked at, and may be sent again elsewhere.
    Refuse,
}

impl Command {
    /// Whoever asked does not wait for the answer any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        match self {
            Self::Export { reply, .. } => reply.is_closed(),
            Self::Stats(reply) => reply.is_closed(),
            Self::SendStats(_, reply) | Self::GroupStats(_, reply) => reply.is_closed(),
            Self::RecvStats(_, reply) => reply.is_closed(),
            Self::Close(_) | Self::Accept(..) | Self::Reject(..) | Self::Refuse => false,
        }
    }
}

/// What handles want that is said once, however often they ask.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wishes {
    /// Announce that the session is to end.
    pub(crate) drain: bool,
    /// More streams of the peer are expected: [`SessionBox::anticipated`](super::SessionBox::anticipated) says how many.
    pub(crate) anticipate: bool,
    /// Ask for the session no longer here, unless it is answered: another connection may take it.
    pub(crate) retract: bool,
}

/// What becomes of a session on a connection that others share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is established, or known not to be.
    Settled,
    /// The connection cannot take it.
    HandedBack,
    /// The connection says nothing; it may still.
    Unanswered,
}

/// What tasks wait for at a session.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SessionQueue {
    /// Its beginning, its end, and what is between.
    State,
    /// Streams that the peer opens.
    Incoming(Dir),
    /// Received datagrams.
    DatagramReaders,
    /// Room for outgoing ones.
    DatagramWriters,
    /// Another maximum of their size.
    Size,
}

/// The ends of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    pub(crate) remote: SocketAddr,
    pub(crate) local: Option<SocketAddr>,
}

/// How the peer answered.
#[derive(Clone, Debug)]
pub(crate) struct Established {
    pub(crate) headers: Arc<HeaderMap>,
    pub(crate) protocol: Option<Arc<str>>,
    pub(crate) draft: &'static str,
    pub(crate) why: Arc<str>,
}
