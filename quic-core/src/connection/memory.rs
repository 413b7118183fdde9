//! What the connection's memory is charged for beside what arrives in it: what was written and is not acknowledged, and what the
//! layers above hold on behalf of the peer.

use super::Connection;
use crate::{event::HeldAbove, streams::Streams};

/// What all streams may hold unacknowledged while the endpoint's memory is nearly spent, in bytes.
const TIGHT_SEND_LIMIT: u64 = 64 << 10;

/// What was written and is not acknowledged: the peer decides how long it is held.
impl Connection {
    /// As much may wait as keeps a window full while another is under way, and two more with what arrived behind a packet that
    /// is sent again; little where the endpoint's memory runs short.
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

    /// Tells the budget how much that is.
    pub(super) fn charge_buffered(&mut self) {
        self.memory.set_buffered(self.streams.send_memory().saturating_add(self.recovery.loss_memory()));
    }
}

/// What layers above hold on behalf of the peer.
impl Connection {
    /// How many bytes a layer above may hold that are no stream data: half of
    /// [`memory_budget`](crate::TransportConfig::memory_budget), so that what the windows permit fits beside it. They are told
    /// by [`set_held_above`](Self::set_held_above).
    pub fn room_above(&self) -> usize {
        self.config.memory_budget / 2
    }

    /// How many bytes that the application gave to be sent a layer above may hold before QUIC takes them: a quarter of
    /// [`max_send_memory`](crate::TransportConfig::max_send_memory), at least 64 KiB, and no more than that where the
    /// endpoint's memory runs short. Whoever wants to give more waits. What is held is told by
    /// [`set_held_above`](Self::set_held_above), for the endpoint's budget counts it.
    pub fn send_room_above(&self) -> usize {
        let least = TIGHT_SEND_LIMIT as usize;
        if self.is_memory_short() { least } else { (self.config.max_send_memory / 4).max(least) }
    }

    /// Whether more than three quarters of the endpoint's memory are spent: then what may be written, here and above, is little.
    pub fn is_memory_short(&self) -> bool {
        self.memory.is_short()
    }

    /// Whether more than seven eighths of the endpoint's memory are spent: a layer above that can refuse work does so.
    pub fn is_memory_nearly_spent(&self) -> bool {
        self.memory.is_nearly_spent()
    }

    /// Tells how much of what was received is held above and not taken by the application. It is charged to the memory
    /// budgets, the connection's window does not move on for bytes of streams, and the peer may open no stream for one that
    /// is held. `Some(most)`: for that reason nothing is granted now; this wants to be called again when at most so many
    /// stream bytes are held.
    ///
    /// What lies unread, above or here, takes at most half of the connection's window as long as that can grow (to
    /// [`max_receive_window`](crate::TransportConfig::max_receive_window)): streams that nobody reads do not hold up the
    /// others.
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
