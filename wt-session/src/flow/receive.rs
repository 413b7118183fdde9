//! The limits that this side grants, and how much of them the peer has used.
//!
//! This side grants more as data is consumed and streams close (§5.6), without waiting to be asked. The data
//! window doubles when the window blocked the peer although the application had read everything: then it is
//! too small. This rule needs no clock. The window blocked the peer if the peer came close to the limit, if
//! it says that it is blocked, or if it stopped exactly at an earlier limit: a peer that is not blocked
//! passes such an offset without a stop. The window also grows for unread data, so that unread streams do not
//! block the others. The caller bounds the sum of all windows of a connection.

use quic_core::Dir;

use super::limits::{FlowMessage, FlowViolation, Limited, Limits, MAX_STREAMS};
use quic_core::base::varint;

#[derive(Debug)]
pub(crate) struct Data {
    pub(crate) limit: u64,
    pub(super) window: u64,
    ceiling: u64,
    /// Bytes received; a stream that was reset counts with its final size.
    pub(crate) received: u64,
    /// How many of these were read or dropped.
    consumed: u64,
    /// How many of these a layer above holds for the application; they earn no new credit.
    held: u64,
    /// The window may be what blocks the peer.
    window_limited: bool,
    /// The peer said that this limit blocks it. It counts all data that it has to send, including data that a
    /// stream's limit still blocks.
    blocked: bool,
    /// The last limits before this one: the peer may not have received a newer one.
    earlier_limits: [u64; 4],
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Streams {
    pub(super) limit: u64,
    /// How many streams may be open at once.
    window: u64,
    opened: u64,
    closed: u64,
    /// The caller widened the window: the peer is told, however small the change.
    widened: bool,
}

/// The receiving side of a session.
#[derive(Debug)]
pub(crate) struct ReceiveSide {
    pub(crate) data: Data,
    pub(super) streams: [Streams; 2],
}

impl ReceiveSide {
    pub(super) fn new(granting: Limits, ceiling: u64) -> Self {
        let Limits { data, streams } = granting;
        Self {
            data: Data {
                limit: data,
                window: data,
                ceiling: ceiling.max(data),
                received: 0,
                consumed: 0,
                held: 0,
                window_limited: false,
                blocked: false,
                earlier_limits: [0; 4],
            },
            streams: streams.map(|limit| Streams {
                limit,
                window: limit,
                opened: 0,
                closed: 0,
                widened: false,
            }),
        }
    }

    /// Counts `bytes` more received bytes.
    pub(crate) fn receive(&mut self, bytes: u64) -> Result<(), FlowViolation> {
        let data = &mut self.data;
        data.received = data.received.saturating_add(bytes);
        data.window_limited |= data.received >= data.limit - data.window.min(data.limit) / 4;
        data.window_limited |= bytes > 0 && data.earlier_limits.contains(&data.received);
        if data.received > data.limit {
            // §5.6.4.
            return Err(FlowViolation::Exceeded { what: Limited::Data, limit: data.limit });
        }
        Ok(())
    }

    /// Counts received bytes that were read or dropped.
    pub(crate) fn consume(&mut self, bytes: u64) {
        self.data.consumed = self.data.consumed.saturating_add(bytes).min(self.data.received);
    }

    /// Sets how many of the read bytes a layer above holds. Returns `Some(most)` if only these prevent new
    /// credit: it can be granted once at most `most` bytes are held.
    pub(crate) fn hold(&mut self, bytes: u64) -> Option<u64> {
        self.data.held = bytes.min(self.data.consumed);
        self.data.most_held().filter(|most| self.data.held > *most)
    }

    /// Whether unread data takes more than half of a window that can still grow.
    pub(crate) fn is_crowded(&self) -> bool {
        self.data.taken() > self.data.window / 2 && self.data.window < self.data.ceiling
    }

    /// Makes the window twice as wide as what is taken of it, but not wider than `most`: unread streams must
    /// not block the one that is read.
    pub(crate) fn make_room(&mut self, most: u64) {
        let data = &mut self.data;
        data.window = data.window.max(data.taken().saturating_mul(2).min(most).min(data.ceiling));
    }

    /// How far the limit may exceed the consumed bytes.
    pub(crate) fn window(&self) -> u64 {
        self.data.window
    }

    /// Whether the window blocks the peer, now that more can be granted.
    pub(crate) fn wants_wider(&self) -> bool {
        self.data.window_limited && self.data.next().is_some() && self.data.window < self.data.ceiling
    }

    /// Makes the data window at most twice as wide and at most `spare` bytes wider, if the application keeps
    /// up.
    pub(crate) fn grow(&mut self, spare: u64) {
        self.data.tune(spare);
    }

    /// Counts a stream that the peer opened.
    pub(crate) fn open(&mut self, dir: Dir) -> Result<(), FlowViolation> {
        let streams = &mut self.streams[dir as usize];
        // §5.6.2.
        if streams.opened >= streams.limit {
            return Err(FlowViolation::Exceeded { what: Limited::Streams(dir), limit: streams.limit });
        }
        streams.opened += 1;
        Ok(())
    }

    /// Counts a stream of the peer that is over on both sides.
    pub(crate) fn close(&mut self, dir: Dir) {
        let streams = &mut self.streams[dir as usize];
        streams.closed = streams.closed.saturating_add(1).min(streams.opened);
    }

    /// Lets the peer have at least `count` streams open at once.
    pub(crate) fn widen(&mut self, dir: Dir, count: u64) {
        let streams = &mut self.streams[dir as usize];
        let count = count.min(MAX_STREAMS);
        if count > streams.window {
            (streams.window, streams.widened) = (count, true);
        }
    }

    /// The peer says that a limit blocks it. Credit is granted by the usual rules, but the window may be too
    /// small.
    pub(super) fn on_blocked(&mut self, what: Limited, limit: u64) {
        let data = &mut self.data;
        if what == Limited::Data {
            data.blocked |= limit >= data.limit;
            data.window_limited |= data.blocked || data.earlier_limits.contains(&limit);
        }
    }

    pub(super) fn is_due(&self) -> bool {
        self.data.next().is_some() || self.streams.iter().any(|streams| streams.next().is_some())
    }

    pub(super) fn take_message(&mut self) -> Option<FlowMessage> {
        if let Some(limit) = self.data.next() {
            self.data.blocked = false;
            self.data.earlier_limits.rotate_right(1);
            self.data.earlier_limits[0] = std::mem::replace(&mut self.data.limit, limit);
            return Some(FlowMessage::Max(Limited::Data, limit));
        }
        [Dir::Bidi, Dir::Uni].into_iter().find_map(|dir| {
            let streams = &mut self.streams[dir as usize];
            streams.next().map(|limit| {
                (streams.limit, streams.widened) = (limit, false);
                FlowMessage::Max(Limited::Streams(dir), limit)
            })
        })
    }
}

impl Data {
    /// The new limit, if the increase is large enough to grant.
    fn next(&self) -> Option<u64> {
        let target = self.target().saturating_sub(self.held).min(varint::MAX);
        (target.saturating_sub(self.limit) >= self.step()).then_some(target)
    }

    /// The limit to grant if nothing is held.
    fn target(&self) -> u64 {
        self.consumed.saturating_add(self.window)
    }

    /// Whether the peer has no credit left.
    fn is_used_up(&self) -> bool {
        self.blocked || self.received >= self.limit
    }

    /// Bytes that were received and that the application has not taken.
    fn unread(&self) -> u64 {
        self.received.saturating_sub(self.consumed).saturating_add(self.held)
    }

    /// The unread bytes, and those that a blocked peer has ready to send.
    fn taken(&self) -> u64 {
        let rest = if self.blocked { self.limit.saturating_sub(self.received) } else { 0 };
        self.unread().saturating_add(rest)
    }

    /// The least increase that is granted: half a window, or a sixteenth if the peer has no credit left.
    fn step(&self) -> u64 {
        let part = if self.is_used_up() { 16 } else { 2 };
        (self.window / part).max(1)
    }

    /// The most bytes that may be held for an increase to be granted; `None` if none could be granted even
    /// without held bytes.
    fn most_held(&self) -> Option<u64> {
        self.target().checked_sub(self.limit.saturating_add(self.step()))
    }

    fn tune(&mut self, spare: u64) {
        if std::mem::take(&mut self.window_limited) && self.unread() <= self.window / 8 {
            let wider = self.window.saturating_mul(2).min(self.window.saturating_add(spare));
            self.window = wider.min(self.ceiling);
        }
    }
}

impl Streams {
    /// The new limit, if it grants at least a quarter of a window or the peer seems to have no stream left.
    /// The peer may have opened more streams than have arrived.
    fn next(&self) -> Option<u64> {
        let target = self.closed.saturating_add(self.window).min(MAX_STREAMS);
        let more = target.saturating_sub(self.limit);
        let due = self.widened || more >= self.window / 4 || self.opened >= self.limit;
        (more > 0 && due).then_some(target)
    }
}
