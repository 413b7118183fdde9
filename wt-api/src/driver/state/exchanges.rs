//! The HTTP exchanges of a connection: what waits, what they hold, and whose turn it is.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use h3_core::RequestHead;
use quic_core::{StreamId, StreamMap, base::Timestamp};

use crate::{
    error::{ErrorCause, WebTransportError},
    jobs::ExchangeJob,
    mailbox::{ExchangeBox, Part, RecvBox, Tickets},
};

/// The cost of a waiting request, or of a message that is not acknowledged, besides its text, fields and content, in
/// bytes.
pub(crate) const EXCHANGE: usize = 256;
/// How many messages may be made at once however much they hold, unless memory is short. A large one whose peer is
/// slow or has paused must not hold up the others. It is also how many tasks may be making something that is not
/// counted yet.
const TOGETHER: usize = 8;
/// A message with a piece of at least this size, in bytes, goes on however much the others hold: its pieces are
/// counted one by one.
const LARGE: usize = 64 << 10;

/// All exchanges of a connection.
#[derive(Debug, Default)]
pub(crate) struct Exchanges {
    pub(crate) all: BTreeMap<StreamId, Exchange>,
    /// A server's requests that the application does not know yet, oldest first.
    pub(crate) waiting: VecDeque<StreamId>,
    /// The cost of their heads, in bytes.
    pub(crate) heads: usize,
    /// A client's requests that have no stream yet.
    pub(crate) unopened: VecDeque<ExchangeJob>,
    /// Exchanges whose message may go on.
    pub(crate) ready: VecDeque<StreamId>,
    /// Exchanges whose writers wait for room for their next piece.
    pub(crate) parked: VecDeque<StreamId>,
    /// The cost of each message until it is acknowledged, in bytes.
    pub(crate) costs: StreamMap<usize>,
    /// The sum of these costs.
    pub(crate) held: usize,
    /// The size of recent pieces, in bytes.
    pub(crate) typical: usize,
    /// Tasks that make something that is not counted yet.
    pub(crate) tickets: Arc<Tickets>,
    /// When to look for contents that make no progress.
    pub(crate) check_at: Option<Timestamp>,
}

/// One exchange.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) shared: Arc<ExchangeBox>,
    /// The content that arrives; `None` once it is over, or nobody reads it.
    pub(crate) body: Option<Arc<RecvBox>>,
    /// At a server, the head of a request that the application does not know yet, and its cost in bytes.
    pub(crate) waiting: Option<(Box<RequestHead>, usize)>,
    pub(crate) message: Outgoing,
    /// How much content the application had read at the last look.
    pub(crate) read: Option<u64>,
}

/// The message that this end sends.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// Content that HTTP/3 has not taken.
    pub(crate) current: VecDeque<Bytes>,
    /// Parts that follow it.
    pub(crate) parts: VecDeque<Part>,
    /// The largest piece so far.
    pub(crate) largest: usize,
    /// Whether it is in the queue of those that may go on, or parked.
    pub(crate) queued: bool,
    /// Whether the writer may make its next piece.
    pub(crate) granted: bool,
    /// Whether HTTP/3 has taken its end, or it was given up.
    pub(crate) over: bool,
}

/// The error of content that ended early; the exchange knows the reason as well.
pub(crate) fn failed(text: &str) -> WebTransportError {
    WebTransportError::session(ErrorCause::Http(text.into()))
}

impl Exchange {
    pub(crate) fn new(shared: Arc<ExchangeBox>, body: Arc<RecvBox>) -> Self {
        let message = Outgoing::default();
        Self { shared, body: Some(body), waiting: None, message, read: None }
    }

    /// Whether nothing more arrives or leaves.
    pub(crate) fn is_over(&self) -> bool {
        self.body.is_none() && self.message.over
    }
}

impl Exchanges {
    /// Whether there is no exchange, and every message is acknowledged.
    pub(crate) fn is_idle(&self) -> bool {
        self.all.is_empty() && self.costs.is_empty() && self.unopened.is_empty()
    }

    /// How much the application gave that the peer has not acknowledged, in bytes.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// The cost of the heads of waiting requests, in bytes.
    pub(crate) fn heads(&self) -> usize {
        self.heads
    }

    pub(crate) fn charge(&mut self, stream: StreamId, bytes: usize) {
        *self.costs.entry(stream).or_default() += bytes;
        self.held += bytes;
    }

    /// A message is acknowledged, or its stream is given up. Returns false if there was none.
    pub(crate) fn release(&mut self, stream: StreamId) -> bool {
        let Some(bytes) = self.costs.remove(&stream) else { return false };
        self.held -= bytes;
        self.unpark();
        if self.costs.is_empty() {
            self.costs = StreamMap::default();
        }
        true
    }

    /// There may be room, or another message is the oldest now.
    pub(crate) fn unpark(&mut self) {
        self.ready.extend(self.parked.drain(..));
    }

    /// There may be room for one more piece.
    pub(crate) fn unpark_one(&mut self) {
        self.ready.extend(self.parked.pop_front());
    }

    /// Takes an exchange out, with what it holds.
    pub(crate) fn remove(&mut self, stream: StreamId) -> Option<Exchange> {
        let exchange = self.all.remove(&stream)?;
        if let Some((_, cost)) = &exchange.waiting {
            self.heads -= cost;
            self.waiting.retain(|waiting| *waiting != stream);
        }
        self.unpark();
        Some(exchange)
    }

    /// The message may be able to go on.
    pub(crate) fn wake(&mut self, stream: StreamId) {
        if let Some(exchange) = self.all.get_mut(&stream)
            && !std::mem::replace(&mut exchange.message.queued, true)
        {
            self.ready.push_back(stream);
        }
    }

    /// Notes the size of a piece. Tasks are expected to make pieces of that size.
    pub(crate) fn learn(&mut self, piece: usize) {
        self.typical = piece.max(self.typical - self.typical / 8);
    }

    /// Whether the connection has room for more than it holds and than tasks are expected to make.
    fn has_room(&self, quic: &quic_core::Connection) -> bool {
        let room = quic.send_room_above();
        self.held < room
            && self.tickets.permit(|out| self.held.saturating_add(out.saturating_mul(self.typical)) < room)
    }

    /// Whether one more task may make something that is not counted yet. While memory is short, one at a time may.
    fn has_ticket(&self, quic: &quic_core::Connection) -> bool {
        let most = if quic.is_memory_short() { 1 } else { TOGETHER };
        self.tickets.permit(|out| out < most)
    }

    /// Whether the application may get one more request. While memory is short, responses are made one by one.
    pub(crate) fn may_begin(&self, quic: &quic_core::Connection) -> bool {
        let room = self.has_room(quic) || (self.costs.len() < TOGETHER && !quic.is_memory_short());
        room && self.has_ticket(quic)
    }

    /// Whether a writer may make its next piece. The oldest message always may, so that at least one goes on.
    pub(crate) fn may_go_on(&self, stream: StreamId, largest: usize, quic: &quic_core::Connection) -> bool {
        let unfinished =
            |(_, exchange): &(&StreamId, &Exchange)| !exchange.message.over && exchange.waiting.is_none();
        let room = self.has_room(quic)
            || largest >= LARGE
            || self.all.iter().find(unfinished).map(|(oldest, _)| oldest) == Some(&stream);
        room && self.has_ticket(quic)
    }
}
