//! The queue of events for the layer above.
//!
//! The queue holds at most one `PriorityUpdate` for each stream, with the newest priority, and at most two
//! `GoAway`, because a peer can repeat those as often as its credit permits. Every other event happens once
//! to a stream, or its source counts it. The memory of a burst is freed.

use std::collections::VecDeque;

use quic_core::{Priority, StreamMap};

use super::event::Event;

/// The capacity, in events, that an empty queue keeps.
const KEPT: usize = 32;
/// A server shuts down with two GOAWAY frames (RFC 9114 §5.2).
const GOAWAYS: usize = 2;

#[derive(Debug, Default)]
pub(super) struct Events {
    queue: VecDeque<Event>,
    /// How many `GoAway` events are queued.
    goaways: usize,
    /// The newest identifier; the last queued `GoAway` gets it.
    goaway: u64,
    /// The newest priority of each request with a queued `PriorityUpdate`.
    priorities: StreamMap<Priority>,
}

impl Events {
    pub(super) fn push_back(&mut self, event: Event) {
        let queued = match &event {
            Event::GoAway { id } => {
                self.goaway = *id;
                let full = self.goaways == GOAWAYS;
                self.goaways += usize::from(!full);
                full
            }
            Event::PriorityUpdate { stream, priority } => {
                self.priorities.insert(*stream, *priority).is_some()
            }
            _ => false,
        };
        if !queued {
            self.queue.push_back(event);
        }
    }

    pub(super) fn pop_front(&mut self) -> Option<Event> {
        let Some(mut event) = self.queue.pop_front() else {
            if self.queue.capacity() > KEPT || self.priorities.capacity() > KEPT {
                *self = Self::default();
            }
            return None;
        };
        match &mut event {
            Event::GoAway { id } => {
                self.goaways -= 1;
                if self.goaways == 0 {
                    *id = self.goaway;
                }
            }
            Event::PriorityUpdate { stream, priority } => {
                *priority = self.priorities.remove(stream).unwrap_or(*priority);
            }
            _ => {}
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use quic_core::{Dir, Side, StreamId};

    use super::*;

    #[test]
    fn repeated_values_share_a_queued_event() {
        let mut events = Events::default();
        let stream = |index| StreamId::new(Side::Client, Dir::Bidi, index);
        for n in 0..1000_u64 {
            events.push_back(Event::GoAway { id: 4000 - 4 * n });
            let priority = Priority::new().urgency((n % 8) as u8);
            events.push_back(Event::PriorityUpdate { stream: stream(n % 2), priority });
        }
        events.push_back(Event::Data { stream: stream(0) });
        assert!(matches!(events.pop_front(), Some(Event::GoAway { id: 4000 })));
        let urgency = |event| match event {
            Some(Event::PriorityUpdate { stream, priority }) => (stream.index(), priority.urgency),
            other => panic!("{other:?}"),
        };
        assert_eq!(urgency(events.pop_front()), (0, 6));
        assert!(matches!(events.pop_front(), Some(Event::GoAway { id: 4 })));
        assert_eq!(urgency(events.pop_front()), (1, 7));
        assert!(matches!(events.pop_front(), Some(Event::Data { .. })));
        assert!(events.pop_front().is_none());
        // A later change is queued again, and a burst leaves no memory behind.
        for index in 0..1000 {
            events.push_back(Event::Data { stream: stream(index) });
        }
        events.push_back(Event::GoAway { id: 0 });
        while events.pop_front().is_some() {}
        assert_eq!(events.queue.capacity(), 0);
    }
}
