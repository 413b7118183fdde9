//! The values that a session's handles and the driver exchange.

use std::{net::SocketAddr, sync::Arc};

use http::{HeaderMap, StatusCode};
use quic_core::{ConnectionStats, Dir, StreamId};
use tokio::sync::oneshot;

use super::{RecvBox, SendBox};
use crate::close::CloseInfo;

/// The boxes of a new stream; a unidirectional one has only one of them. The application has not got the
/// stream until the boxes are taken out. If it is dropped before, the stream is given up, because nobody else
/// would end it.
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

/// The byte counts of a sending half, or of several together. Each count is at most the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamCounts {
    pub(crate) written: u64,
    /// Sent at least once.
    pub(crate) sent: u64,
    /// Acknowledged without a gap from the start.
    pub(crate) acknowledged: u64,
}

impl std::ops::AddAssign for StreamCounts {
    fn add_assign(&mut self, other: Self) {
        self.written += other.written;
        self.sent += other.sent;
        self.acknowledged += other.acknowledged;
    }
}

/// A command of the handles to the driver.
#[derive(Debug)]
pub(crate) enum Command {
    /// Close the session.
    Close(CloseInfo),
    /// Export `length` bytes of the session's keying material.
    Export { label: Vec<u8>, context: Vec<u8>, length: usize, reply: oneshot::Sender<Vec<u8>> },
    /// A snapshot of the counters.
    Stats(oneshot::Sender<ConnectionStats>),
    /// The counts of a stream's sending half.
    SendStats(StreamId, oneshot::Sender<StreamCounts>),
    /// How many bytes of a stream were received without a gap.
    RecvStats(StreamId, oneshot::Sender<u64>),
    /// The sums over all streams of a group, including ended ones.
    GroupStats(u32, oneshot::Sender<StreamCounts>),
    /// Accept the request (server).
    Accept(StatusCode, HeaderMap),
    /// Refuse the request (server).
    Reject(StatusCode, HeaderMap),
    /// Refuse the request without a response (server). It was not processed, and may be sent again elsewhere.
    Refuse,
}

impl Command {
    /// Whether nobody waits for the reply any more.
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

/// Requests of the handles that count once, however often they are made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PendingChanges {
    /// Announce that the session will end.
    pub(crate) drain: bool,
    /// Expect more streams of the peer; [`SessionBox::anticipated`](super::SessionBox::anticipated) returns
    /// how many.
    pub(crate) anticipate: bool,
    /// Withdraw the session's request here unless it was answered, because another connection may take the
    /// session.
    pub(crate) retract: bool,
}

/// The fate of a session on a shared connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is established, or will never be.
    Settled,
    /// The connection cannot take it.
    HandedBack,
    /// The connection does not answer, but may still do so.
    Unanswered,
}

/// What tasks wait for at a session.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SessionQueue {
    /// Its start, its end, and changes in between.
    State,
    /// Streams that the peer opens.
    Incoming(Dir),
    /// Received datagrams.
    DatagramReaders,
    /// Room for outgoing datagrams.
    DatagramWriters,
    /// A change of the largest datagram size.
    Size,
}

/// The addresses of both ends of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    pub(crate) remote: SocketAddr,
    pub(crate) local: Option<SocketAddr>,
}

/// The peer's response.
#[derive(Clone, Debug)]
pub(crate) struct Established {
    pub(crate) headers: Arc<HeaderMap>,
    pub(crate) protocol: Option<Arc<str>>,
    pub(crate) draft: &'static str,
    pub(crate) why: Arc<str>,
}
