//! What the peer may send: the limits that this side grants, and what of them the peer has used.
//!
//! More is granted as data is consumed and streams close (§5.6), without waiting to be asked. The window of data doubles
//! when the peer was held back although the application has taken all there was: then the window is too small. There is
//! no clock in this rule. A peer was held back if it came close to the limit, if it says so, or if it stopped exactly
//! where a limit was that has been raised meanwhile: what nothing holds back passes such a place without a halt. It also
//! grows for what lies unread, so that streams that are not read hold up no other one. What all the windows of a
//! connection may be together is the caller's to say.

use quic_core::Dir;

use super::limits::{FlowViolation, Limited, Limits, MAX_STREAMS, Note};
use quic_core::base::varint;

#[derive(Debug)]
pub(crate) struct Data {
    pub(crate) limit: u64,
    pub(super) window: u64,
    ceiling: u64,
    /// Bytes that came, or will have come: of a stream that was reset its final size counts.
    pub(crate) received: u64,
    /// Bytes of these that were read, or that were dropped.
    consumed: u64,
    /// Bytes of these that a layer above holds for the application: no credit is given for them.
    held: u64,
    /// The window may be what holds the peer back.
    tight: bool,
    /// The peer says that this limit leaves it nothing: it counts what it was given to send, and what it cannot send yet
    /// for a stream's limit lies with it.
    blocked: bool,
    /// The limits before this one, of which the peer may not have known better.
    before: [u64; 4],
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Streams {
    pub(super) limit: u64,
    /// How many may be open at once.
    window: u64,
    opened: u64,
    closed: u64,
    /// The window was made wider on purpose: the peer is told, however little it is.
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
                tight: false,
                blocked: false,
                before: [0; 4],
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

    /// So many more bytes came.
    pub(crate) fn receive(&mut self, bytes: u64) -> Result<(), FlowViolation> {
        let data = &mut self.data;
        data.received = data.received.saturating_add(bytes);
        data.tight |= data.received >= data.limit - data.window.min(data.limit) / 4;
        data.tight |= bytes > 0 && data.before.contains(&data.received);
        if data.received > data.limit {
            // §5.6.4.
            return Err(FlowViolation::Exceeded { what: Limited::Data, limit: data.limit });
        }
        Ok(())
    }

    /// So many of the bytes that came were taken, or dropped.
    pub(crate) fn consume(&mut self, bytes: u64) {
        self.data.consumed = self.data.consumed.saturating_add(bytes).min(self.data.received);
    }

    /// So many of the bytes that were taken are held above. `Some(most)`: that is why nothing is granted now, and
    /// something is when at most so many are held.
    pub(crate) fn hold(&mut self, bytes: u64) -> Option<u64> {
        self.data.held = bytes.min(self.data.consumed);
        self.data.most_held().filter(|most| self.data.held > *most)
    }

    /// Whether more than half of the window is taken by what nobody has read.
    pub(crate) fn is_crowded(&self) -> bool {
        self.data.taken() > self.data.window / 2 && self.data.window < self.data.ceiling
    }

    /// Makes the window twice as wide as what is taken of it, and no wider than `most`: streams that are not read are not
    /// to hold up the one that is.
    pub(crate) fn make_room(&mut self, most: u64) {
        let data = &mut self.data;
        data.window = data.window.max(data.taken().saturating_mul(2).min(most).min(data.ceiling));
    }

    /// How far the limit is ahead of what the application took, in bytes.
    pub(crate) fn window(&self) -> u64 {
        self.data.window
    }

    /// Whether the window is what holds the peer back, now that more can be granted.
    pub(crate) fn wants_wider(&self) -> bool {
        self.data.tight && self.data.next().is_some() && self.data.window < self.data.ceiling
    }

    /// Makes the window of data at most twice as wide and at most `spare` bytes wider, if the application keeps up.
    pub(crate) fn grow(&mut self, spare: u64) {
        self.data.tune(spare);
    }

    /// The peer opened a stream.
    pub(crate) fn open(&mut self, dir: Dir) -> Result<(), FlowViolation> {
        let streams = &mut self.streams[dir as usize];
        // §5.6.2.
        if streams.opened >= streams.limit {
            return Err(FlowViolation::Exceeded { what: Limited::Streams(dir), limit: streams.limit });
        }
        streams.opened += 1;
        Ok(())
    }

    /// A stream of the peer is over on both sides.
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

    /// The peer wants more than a limit permits. It gets more when it would anyway; but the window may be too small.
    pub(super) fn on_blocked(&mut self, what: Limited, limit: u64) {
        let data = &mut self.data;
        if what == Limited::Data {
            data.blocked |= limit >= data.limit;
            data.tight |= data.blocked || data.before.contains(&limit);
        }
    }

    pub(super) fn is_due(&self) -> bool {
        self.data.next().is_some() || self.streams.iter().any(|streams| streams.next().is_some())
    }

    pub(super) fn take_note(&mut self) -> Option<Note> {
        if let Some(limit) = self.data.next() {
            self.data.blocked = false;
            self.data.before.rotate_right(1);
            self.data.before[0] = std::mem::replace(&mut self.data.limit, limit);
            return Some(Note::Max(Limited::Data, limit));
        }
        [Dir::Bidi, Dir::Uni].into_iter().find_map(|dir| {
            let streams = &mut self.streams[dir as usize];
            streams.next().map(|limit| {
                (streams.limit, streams.widened) = (limit, false);
                Note::Max(Limited::Streams(dir), limit)
            })
        })
    }
}

impl Data {
    /// The limit to grant, once enough would come of it.
    fn next(&self) -> Option<u64> {
        let target = self.target().saturating_sub(self.held).min(varint::MAX);
        (target.saturating_sub(self.limit) >= self.step()).then_some(target)
    }

    /// The limit if nothing is held.
    fn target(&self) -> u64 {
        self.consumed.saturating_add(self.window)
    }

    /// The peer has nothing left.
    fn is_used_up(&self) -> bool {
        self.blocked || self.received >= self.limit
    }

    /// Bytes that came and were not taken by the application.
    fn unread(&self) -> u64 {
        self.received.saturating_sub(self.consumed).saturating_add(self.held)
    }

    /// These, and what is as good as sent.
    fn taken(&self) -> u64 {
        let rest = if self.blocked { self.limit.saturating_sub(self.received) } else { 0 };
        self.unread().saturating_add(rest)
    }

    /// The least that is granted: half a window, or little if the peer has nothing left.
    fn step(&self) -> u64 {
        let part = if self.is_used_up() { 16 } else { 2 };
        (self.window / part).max(1)
    }

    /// So much may be held while there is something to grant; `None`: there would be nothing anyway.
    fn most_held(&self) -> Option<u64> {
        self.target().checked_sub(self.limit.saturating_add(self.step()))
    }

    fn tune(&mut self, spare: u64) {
        if std::mem::take(&mut self.tight) && self.unread() <= self.window / 8 {
            let wider = self.window.saturating_mul(2).min(self.window.saturating_add(spare));
            self.window = wider.min(self.ceiling);
        }
    }
}

impl Streams {
    /// The limit to grant: when a quarter of a window would come of it, or the peer has none left, as far as is known: it may
    /// have opened more than has arrived.
    fn next(&self) -> Option<u64> {
        let target = self.closed.saturating_add(self.window).min(MAX_STREAMS);
        let more = target.saturating_sub(self.limit);
        let due = self.widened || more >= self.window / 4 || self.opened >= self.limit;
        (more > 0 && due).then_some(target)
    }
}
