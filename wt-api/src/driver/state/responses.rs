//! A server's responses to plain requests: what waits, what they hold, and whose turn it is.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use h3_core::RequestHead;
use quic_core::{StreamId, StreamMap, base::Timestamp};

use crate::reception::ServerShared;

/// What a request costs that waits, or a response that is not acknowledged, beside text, fields and content, in bytes.
pub(crate) const EXCHANGE: usize = 256;
/// So many responses are made at once however much they hold, unless memory is short: a large one that its client takes
/// slowly, or has paused, is not to hold up all others.
const TOGETHER: usize = 8;
/// A response that has had a piece of this size, in bytes, goes on however much the others hold: that is counted.
const LARGE: usize = 64 << 10;

/// All responses of a connection.
#[derive(Debug, Default)]
pub(crate) struct Responses {
    /// Requests of which the application has not heard, in their order.
    pub(crate) waiting: VecDeque<Waiting>,
    /// What they cost.
    pub(crate) heads: usize,
    /// Those with content that HTTP/3 has not taken.
    pub(crate) sending: BTreeMap<StreamId, Sending>,
    /// Those of them that may be able to go on.
    pub(crate) ready: VecDeque<StreamId>,
    /// Those that were not asked for their next piece, for want of room.
    pub(crate) parked: Vec<StreamId>,
    /// What each response costs until it is acknowledged.
    pub(crate) costs: StreamMap<usize>,
    /// The sum.
    pub(crate) held: usize,
}

#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) stream: StreamId,
    pub(crate) head: Box<RequestHead>,
    pub(crate) cost: usize,
}

/// What is left of a response.
pub(crate) struct Sending {
    pub(crate) current: Bytes,
    pub(crate) rest: Option<Box<dyn Iterator<Item = Bytes> + Send>>,
    /// What is still to come of the length that the fields tell, in bytes.
    pub(crate) declared: Option<u64>,
    /// The largest piece so far.
    pub(crate) largest: usize,
    /// In the queue of those that can go on, or parked.
    pub(crate) queued: bool,
}

impl std::fmt::Debug for Sending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sending").field("current", &self.current.len()).finish_non_exhaustive()
    }
}

/// What comes next of a response.
pub(crate) enum Next {
    Piece(Bytes),
    End,
    /// The application's iterator panicked, or gave more or less than the fields tell.
    Broken,
}

impl Sending {
    /// The next part. The application's code runs on the driver's task, which serves others as well.
    pub(crate) fn next(&mut self, server: &ServerShared, now: Timestamp) -> Next {
        let Some(rest) = &mut self.rest else { return Next::End };
        let next = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| rest.next()));
        let problem = match next {
            Ok(piece) => {
                let size = piece.as_ref().map_or(0, |piece| piece.len() as u64);
                let left = self.declared.map(|left| left.checked_sub(size));
                match (piece, left) {
                    (_, Some(None)) => "there is more than its content-length",
                    (None, Some(Some(1..))) => "there is less than its content-length",
                    (piece, left) => {
                        self.declared = left.flatten();
                        return piece.map_or(Next::End, Next::Piece);
                    }
                }
            }
            Err(_) => "it panicked",
        };
        server.tell_of_content(problem, now);
        Next::Broken
    }
}

impl Responses {
    /// Nothing is to be answered, and every answer is acknowledged.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.sending.is_empty() && self.costs.is_empty()
    }

    /// What the application gave and the peer has not acknowledged, in bytes.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// What the heads of requests that wait cost, in bytes.
    pub(crate) fn heads(&self) -> usize {
        self.heads
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn charge(&mut self, stream: StreamId, bytes: usize) {
        *self.costs.entry(stream).or_default() += bytes;
        self.held += bytes;
    }

    /// A response is acknowledged, or its stream is given up; false if there was none. What was not sent of it goes as well.
    pub(crate) fn release(&mut self, stream: StreamId) -> bool {
        self.sending.remove(&stream);
        let Some(bytes) = self.costs.remove(&stream) else { return false };
        self.held -= bytes;
        self.ready.extend(self.parked.drain(..));
        if self.costs.is_empty() {
            self.costs = StreamMap::default();
        }
        true
    }

    /// Nobody wants the response any more.
    pub(crate) fn forget(&mut self, stream: StreamId) {
        if let Some(at) = self.waiting.iter().position(|waiting| waiting.stream == stream) {
            self.heads -= self.waiting.remove(at).map_or(0, |waiting| waiting.cost);
        }
        self.release(stream);
    }

    /// The response may be able to go on.
    pub(crate) fn wake(&mut self, stream: StreamId) {
        if let Some(sending) = self.sending.get_mut(&stream)
            && !std::mem::replace(&mut sending.queued, true)
        {
            self.ready.push_back(stream);
        }
    }

    /// Whether the handler may be called for one more request. Where memory is short, responses are made one by one.
    pub(crate) fn may_begin(&self, quic: &quic_core::Connection) -> bool {
        self.held < quic.send_room_above() || (self.costs.len() < TOGETHER && !quic.is_memory_short())
    }

    /// Whether a response may be asked for its next piece. The oldest one always is, so that one goes on.
    pub(crate) fn may_ask(&self, stream: StreamId, largest: usize, room: usize) -> bool {
        self.held < room || largest >= LARGE || self.sending.keys().next() == Some(&stream)
    }
}
