//! The memory that a connection is charged for, besides received data: written data that is not acknowledged,
//! and data that the layers above hold on behalf of the peer.

use super::Connection;
use crate::{event::HeldAbove, streams::Streams};

/// How many unacknowledged bytes all streams may hold when the endpoint's memory runs short.
const TIGHT_SEND_LIMIT: u64 = 64 << 10;

/// Written data that is not acknowledged: the peer decides how long it is held.
impl Connection {
    /// Sets the send limit. Two windows may wait, so that one stays full while another is in flight; four
    /// windows include data that arrived behind a packet that is sent again. The limit is small if the
    /// endpoint's memory runs short.
    pub(super) fn set_send_limit(&mut self) {
        let least = self.config.send_buffer as u64;
        let most = (self.config.max_send_memory as u64).max(least);
        if self.is_memory_short() {
            let limit = least.min(TIGHT_SEND_LIMIT);
            return self.streams.set_send_limits(limit, limit);
        }
        let windows = |count: u64| self.paths.active.window().saturating_mul(count).clamp(least, most);
        self.streams.set_send_limits(windows(2), windows(4));
    }

    /// Tells the budget how much is held.
    pub(super) fn charge_buffered(&mut self) {
        self.memory.set_buffered(self.streams.send_memory().saturating_add(self.recovery.loss_memory()));
    }
}

/// Data that layers above hold on behalf of the peer.
impl Connection {
    /// How many bytes besides stream data a layer above may hold: half of
    /// [`memory_budget`](crate::TransportConfig::memory_budget), so that they fit beside what the windows
    /// permit. The layer reports them by [`set_held_above`](Self::set_held_above).
    pub fn room_above(&self) -> usize {
        self.config.memory_budget / 2
    }

    /// How many bytes of the application a layer above may hold before QUIC takes them: a quarter of
    /// [`max_send_memory`](crate::TransportConfig::max_send_memory), at least 64 KiB, and exactly that if the
    /// endpoint's memory runs short. Beyond that, writers wait. The layer reports what it holds by
    /// [`set_held_above`](Self::set_held_above), because the endpoint's budget counts it.
    pub fn send_room_above(&self) -> usize {
        let least = TIGHT_SEND_LIMIT as usize;
        if self.is_memory_short() { least } else { (self.config.max_send_memory / 4).max(least) }
    }

    /// Whether more than three quarters of the endpoint's memory is spent: then only little may be written,
    /// here and above.
    pub fn is_memory_short(&self) -> bool {
        self.memory.is_short()
    }

    /// Whether more than seven eighths of the endpoint's memory is spent: a layer above that can refuse work
    /// then does so.
    pub fn is_memory_nearly_spent(&self) -> bool {
        self.memory.is_nearly_spent()
    }

    /// Reports how much received data is held above because the application has not taken it. It is charged
    /// to the memory budgets. The connection's window does not move for held stream bytes, and the peer may
    /// not open a stream in place of a held one. Returns `Some(most)` if nothing is granted now for that
    /// reason: the caller calls this again when at most `most` stream bytes are held.
    ///
    /// Unread data, above or here, takes at most half of the connection's window while that can grow (to
    /// [`max_receive_window`](crate::TransportConfig::max_receive_window)), so that streams without a reader
    /// do not block the others.
    ///
    /// A layer that passes everything on at once need not call this.
    pub fn set_held_above(&mut self, held: &HeldAbove) -> Option<usize> {
        self.memory.set_held_above([Streams::cost_above(held), held.other_bytes, held.send_bytes]);
        let most = self.streams.set_held_above(held)?;
        Some(usize::try_from(most).unwrap_or(usize::MAX))
    }

    /// Whether the peer would be permitted more streams now if fewer were held above.
    pub fn withholds_streams(&self) -> bool {
        self.streams.withholds_streams()
    }
}
