//! Stream counts (RFC 9000 §4.6): how many streams each side has opened and may open.

use crate::{buf::RangeSet, error::Violation, ids::Dir};

/// The largest stream limit that is possible.
pub(super) const MAX_STREAMS: u64 = 1 << 60;

/// The most streams of one direction that a peer may have open at once; no configuration exceeds it.
pub(super) const MAX_CONCURRENT: u64 = 60_000;

/// Up to this window, an idle peer gets every stream back at once and not only in batches.
const EXACT_WINDOW: u64 = 256;

/// Streams of one direction that this endpoint opens.
#[derive(Debug, Default)]
pub(super) struct LocalStreams {
    pub(super) opened: u64,
    pub(super) limit: u64,
    /// Whether an `open` was refused since the limit last rose.
    pub(super) refused: bool,
    blocked_at: Option<u64>,
    pub(super) blocked_wanted: bool,
}

impl LocalStreams {
    /// The index of the next stream. At the limit it returns `None` and requests `STREAMS_BLOCKED`, once per
    /// limit.
    pub(super) fn next(&mut self, limit_known: bool) -> Option<u64> {
        if self.opened < self.limit {
            return Some(self.opened);
        }
        self.refused = true;
        if limit_known && self.blocked_at.replace(self.limit) != Some(self.limit) {
            self.blocked_wanted = true;
        }
        None
    }

    /// Returns true if this raised the limit and an `open` had been refused.
    pub(super) fn raise(&mut self, limit: u64) -> bool {
        if limit <= self.limit {
            return false;
        }
        self.limit = limit;
        self.blocked_wanted = false;
        std::mem::take(&mut self.refused)
    }

    /// The peer's limit is this one, and not the one that was remembered. It may be below the streams that are
    /// open.
    pub(super) fn replace(&mut self, limit: u64) {
        self.limit = limit;
        self.blocked_wanted = self.opened > limit;
        self.blocked_at = self.blocked_wanted.then_some(limit);
        self.refused |= self.opened > limit;
    }

    /// `STREAMS_BLOCKED` was lost: requests it again if it is still true.
    pub(super) fn on_blocked_lost(&mut self) {
        self.blocked_wanted |= self.refused && self.blocked_at == Some(self.limit);
    }
}

/// Streams of one direction that the peer opens.
#[derive(Debug, Default)]
pub(super) struct RemoteStreams {
    pub(super) opened: u64,
    closed: u64,
    /// Closed streams that a layer above still holds: the peer may not open others in their place.
    held: u64,
    pub(super) advertised: u64,
    window: u64,
    /// Streams that a higher ID opened implicitly (RFC 9000 §3.2) and that had no frame of their own yet.
    /// They have no entry in the table, so that one frame cannot cost us a table full of streams.
    unseen: RangeSet,
    update_lost: bool,
    asked: bool,
    /// Whether the window was raised and the peer does not know it yet.
    widened: bool,
    /// Whether `MAX_STREAMS` is to be sent. It follows from the other fields, but every packet asks for it.
    due: bool,
}

/// What the arrival of a frame means for its stream, which the peer opens.
pub(super) enum Arrival {
    /// The frame opens this stream and all from `first_new` on.
    Opens { first_new: u64 },
    /// The stream was opened implicitly before, and needs an entry now.
    FirstSeen,
    /// The table has the stream, or it is closed and forgotten.
    Known,
}

impl RemoteStreams {
    pub(super) fn new(window: u64) -> Self {
        let window = window.min(MAX_STREAMS);
        Self { advertised: window, window, ..Self::default() }
    }

    /// Sets how many streams that are closed here a layer above still holds.
    pub(super) fn hold(&mut self, count: u64) {
        self.held = count;
        self.consider();
    }

    /// Streams that may be open at once.
    pub(super) fn window(&self) -> u64 {
        self.window
    }

    /// RFC 9000 §4.6: a stream beyond the limit ends the connection.
    pub(super) fn arrive(&mut self, index: u64) -> Result<Arrival, Violation> {
        if index >= self.advertised {
            return Err(Violation::StreamLimit);
        }
        if index >= self.opened {
            let first_new = self.opened;
            self.unseen.insert(first_new..index);
            self.opened = index + 1;
            self.consider();
            return Ok(Arrival::Opens { first_new });
        }
        Ok(if self.see(index) { Arrival::FirstSeen } else { Arrival::Known })
    }

    /// Raises the window because the application expects more streams; the peer is told at once. Never lowers
    /// it, because an advertised limit cannot be taken back (RFC 9000 §4.6).
    pub(super) fn widen(&mut self, window: u64) {
        let window = window.min(MAX_CONCURRENT);
        if window > self.window {
            self.window = window;
            self.widened = true;
            self.consider();
        }
    }

    /// Returns true if the stream is open, has no entry yet, and needs one from now on.
    pub(super) fn see(&mut self, index: u64) -> bool {
        !self.unseen.is_empty() && self.unseen.remove(index..index + 1) == 1
    }

    /// The connection has ended: a stream without an entry gets none any more.
    pub(super) fn forget_unseen(&mut self) {
        self.unseen = RangeSet::default();
    }

    pub(super) fn on_closed(&mut self) {
        self.closed += 1;
        self.consider();
    }

    /// `MAX_STREAMS` was lost: it is sent again, with the limit of that time.
    pub(super) fn on_update_lost(&mut self) {
        self.update_lost = true;
        self.consider();
    }

    /// The peer says that it is blocked. This is only a hint: a raise that is possible anyway is sent at
    /// once.
    pub(super) fn on_blocked(&mut self) {
        self.asked = true;
        self.consider();
    }

    /// Whether to send `MAX_STREAMS`.
    pub(super) fn update_due(&self) -> bool {
        debug_assert_eq!(self.due, self.is_due(self.next_limit()), "{self:?}");
        self.due
    }

    /// Updates whether `MAX_STREAMS` is due. Every method that changes a count, the window or a flag calls
    /// it.
    fn consider(&mut self) {
        self.due = self.is_due(self.next_limit());
    }

    /// Whether `MAX_STREAMS` would be sent if a layer above held no streams.
    pub(super) fn withholds(&self) -> bool {
        self.held > 0 && !self.update_due() && self.is_due(self.closed.saturating_add(self.window))
    }

    /// Raises come in batches of an eighth of the window. They come at once if the peer could run out: it has
    /// less than half of the window left, or said that it is blocked. With a small window they also come at
    /// once when all its streams are closed, because a peer may need all of it at once.
    fn is_due(&self, limit: u64) -> bool {
        let gain = limit.saturating_sub(self.advertised);
        let left = self.advertised - self.opened.min(self.advertised);
        self.update_lost
            || gain > 0
                && (self.widened
                    || gain >= self.window / 8
                    || left <= self.window / 2
                    || (self.opened == self.closed && self.window <= EXACT_WINDOW)
                    || self.asked)
    }

    pub(super) fn advance(&mut self) -> u64 {
        self.advertised = self.advertised.max(self.next_limit());
        self.update_lost = false;
        self.asked = false;
        self.widened = false;
        self.consider();
        self.advertised
    }

    pub(super) fn next_limit(&self) -> u64 {
        self.closed.saturating_sub(self.held).saturating_add(self.window).min(MAX_STREAMS)
    }
}

/// The stream counts of one connection.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) local: [LocalStreams; 2],
    pub(super) remote: [RemoteStreams; 2],
}

impl Limits {
    pub(super) fn new(max_bidi: u64, max_uni: u64) -> Self {
        Self {
            local: [LocalStreams::default(), LocalStreams::default()],
            remote: [RemoteStreams::new(max_bidi), RemoteStreams::new(max_uni)],
        }
    }

    pub(super) fn local(&mut self, dir: Dir) -> &mut LocalStreams {
        &mut self.local[dir as usize]
    }

    pub(super) fn remote(&mut self, dir: Dir) -> &mut RemoteStreams {
        &mut self.remote[dir as usize]
    }
}
