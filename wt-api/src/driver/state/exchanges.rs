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

/// What a request costs that waits, or a message that is not acknowledged, beside text, fields and content, in bytes.
pub(crate) const EXCHANGE: usize = 256;
/// So many messages are made at once however much they hold, unless memory is short: a large one that its peer takes slowly, or
/// has paused, is not to hold up all others. And so many tasks may be making something that is not counted yet.
const TOGETHER: usize = 8;
/// A message that has had a piece of this size, in bytes, goes on however much the others hold: that is counted.
const LARGE: usize = 64 << 10;

/// All exchanges of a connection.
#[derive(Debug, Default)]
pub(crate) struct Exchanges {
    pub(crate) all: BTreeMap<StreamId, Exchange>,
    /// Requests of which the application has not heard, in their order (server).
    pub(crate) waiting: VecDeque<StreamId>,
    /// What their heads cost.
    pub(crate) heads: usize,
    /// Requests for which there is no stream (client).
    pub(crate) unopened: VecDeque<ExchangeJob>,
    /// Exchanges whose message may be able to go on.
    pub(crate) ready: VecDeque<StreamId>,
    /// Those whose writers were not granted their next piece, for want of room.
    pub(crate) parked: VecDeque<StreamId>,
    /// What each message costs until it is acknowledged.
    pub(crate) costs: StreamMap<usize>,
    /// The sum.
    pub(crate) held: usize,
    /// How large pieces were of late, in bytes.
    pub(crate) typical: usize,
    /// Tasks that make something that is not counted yet.
    pub(crate) tickets: Arc<Tickets>,
    /// When contents that stand still are looked for.
    pub(crate) check_at: Option<Timestamp>,
}

/// One exchange.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) shared: Arc<ExchangeBox>,
    /// The content that arrives; `None` once it is over, or nobody reads it.
    pub(crate) body: Option<Arc<RecvBox>>,
    /// The head of a request of which the application has not heard, and what that costs (server).
    pub(crate) waiting: Option<(Box<RequestHead>, usize)>,
    pub(crate) message: Outgoing,
    /// How much content the application had read when contents that stand still were looked for.
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
    /// In the queue of those that may go on, or parked.
    pub(crate) queued: bool,
    /// The writer may make its next piece.
    pub(crate) granted: bool,
    /// HTTP/3 has taken its end, or it was given up.
    pub(crate) over: bool,
}

/// The end of a content whose exchange has the reason.
pub(crate) fn failed(text: &str) -> WebTransportError {
    WebTransportError::session(ErrorCause::Http(text.into()))
}

impl Exchange {
    pub(crate) fn new(shared: Arc<ExchangeBox>, body: Arc<RecvBox>) -> Self {
        let message = Outgoing::default();
        Self { shared, body: Some(body), waiting: None, message, read: None }
    }

    /// Nothing arrives and nothing leaves any more.
    pub(crate) fn is_over(&self) -> bool {
        self.body.is_none() && self.message.over
    }
}

impl Exchanges {
    /// There is no exchange, and every message is acknowledged.
    pub(crate) fn is_idle(&self) -> bool {
        self.all.is_empty() && self.costs.is_empty() && self.unopened.is_empty()
    }

    /// What the application gave and the peer has not acknowledged, in bytes.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// What the heads of requests that wait cost, in bytes.
    pub(crate) fn heads(&self) -> usize {
        self.heads
    }

    pub(crate) fn charge(&mut self, stream: StreamId, bytes: usize) {
        *self.costs.entry(stream).or_default() += bytes;
        self.held += bytes;
    }

    /// A message is acknowledged, or its stream is given up; false if there was none.
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

    /// A piece has come: tasks that make something are expected to make as much.
    pub(crate) fn learn(&mut self, piece: usize) {
        self.typical = piece.max(self.typical - self.typical / 8);
    }

    /// Whether what is held, and what tasks may be making, is within the connection's room.
    fn has_room(&self, quic: &quic_core::Connection) -> bool {
        let room = quic.send_room_above();
        self.held < room
            && self.tickets.permit(|out| self.held.saturating_add(out.saturating_mul(self.typical)) < room)
    }

    /// Whether one more task may make something that is not counted yet. Where memory is short, one after the other.
    fn has_ticket(&self, quic: &quic_core::Connection) -> bool {
        let most = if quic.is_memory_short() { 1 } else { TOGETHER };
        self.tickets.permit(|out| out < most)
    }

    /// Whether the application may hear of one more request. Where memory is short, responses are made one by one.
    pub(crate) fn may_begin(&self, quic: &quic_core::Connection) -> bool {
        let room = self.has_room(quic) || (self.costs.len() < TOGETHER && !quic.is_memory_short());
        room && self.has_ticket(quic)
    }

    /// Whether a writer may make its next piece. The oldest message always may, so that one goes on.
    pub(crate) fn may_go_on(&self, stream: StreamId, largest: usize, quic: &quic_core::Connection) -> bool {
        let unfinished =
            |(_, exchange): &(&StreamId, &Exchange)| !exchange.message.over && exchange.waiting.is_none();
        let room = self.has_room(quic)
            || largest >= LARGE
            || self.all.iter().find(unfinished).map(|(oldest, _)| oldest) == Some(&stream);
        room && self.has_ticket(quic)
    }
}
