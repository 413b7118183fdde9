//! What a connection tells the program that drives it.

use super::Connection;
use crate::{cids::CidChange, event::Event};

/// How many places for events stay allocated when none is pending, so that bursts do not allocate anew.
const KEPT_EVENTS: usize = 256;
/// The bounds of how many events make [`should_poll_events`](Connection::should_poll_events) true. Fewer would make
/// trains too short where few streams are open; with more, both ends wait for each other.
const ENOUGH_EVENTS: std::ops::RangeInclusive<usize> = 8..=64;

/// Events.
impl Connection {
    /// The next event. After [`Event::Closed`], data received before can still be read until the next call.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.out.events.pop_front();
        self.on_event_taken();
        if event.is_none() {
            // Frees the memory of a burst of events.
            if self.out.events.capacity() > KEPT_EVENTS {
                self.out.events = std::collections::VecDeque::new();
            }
            if self.out.close_told {
                self.release();
            }
        }
        event
    }

    /// Whether [`poll_event`](Self::poll_event) has an event to return. Sending can cause events, too.
    pub fn has_events(&self) -> bool {
        !self.out.events.is_empty()
    }

    /// Whether to take the events, act on them and send before any more datagrams are handed in: true until the
    /// handshake is confirmed, and then once there are half as many events as open streams, at least 8 and at
    /// most 64.
    ///
    /// A socket can have a whole round of requests or answers ready. A program that hands in all of them before it
    /// acts on the first leaves its peer idle meanwhile, and then the peer does the same. With requests of 1 KiB,
    /// 64 at a time, that cost more than a third of the throughput. Of handshakes the same holds: a datagram of one
    /// takes as long as many others. A program may ignore this.
    pub fn should_poll_events(&self) -> bool {
        let (least, most) = (*ENOUGH_EVENTS.start(), *ENOUGH_EVENTS.end());
        let pending = self.out.events.len();
        !self.handshake.is_confirmed() || pending >= least && pending >= (self.streams.live() / 2).min(most)
    }

    /// The next change for [`Endpoint::handle_cid_change`](crate::Endpoint::handle_cid_change).
    pub fn poll_cid_change(&mut self) -> Option<CidChange> {
        if self.out.cid_changes.is_empty() { None } else { Some(self.out.cid_changes.remove(0)) }
    }
}
