//! The datagrams to send. There is one queue for each rank in use, and the schedule has an entry for each
//! queue that is not empty.

use std::collections::VecDeque;

use super::queued::Queued;
use crate::{
    event::Priority,
    schedule::{Schedule, Sender},
};

#[derive(Debug)]
struct Queue {
    /// The queue's priority in the schedule.
    priority: Priority,
    waiting: VecDeque<Queued>,
}

/// There are never more queues than datagrams that waited at once, and [`Datagrams`](super::Datagrams) limits
/// those.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    queues: Vec<Queue>,
    len: usize,
    bytes: usize,
}

impl Outgoing {
    /// How many datagrams all queues hold.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The payload bytes of all queues.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many datagrams of one bundle are queued.
    pub(super) fn len_of(&self, bundle: u32) -> usize {
        let queues = self.queues.iter().filter(|queue| queue.priority.bundle == bundle);
        queues.map(|queue| queue.waiting.len()).sum()
    }

    /// The datagrams of one bundle.
    pub(super) fn of(&mut self, bundle: u32) -> impl Iterator<Item = &mut Queued> {
        let queues = self.queues.iter_mut().filter(move |queue| queue.priority.bundle == bundle);
        queues.flat_map(|queue| queue.waiting.iter_mut())
    }

    pub(super) fn push(&mut self, datagram: Queued, priority: Priority, schedule: &mut Schedule) {
        // Datagrams of one rank go in the order of their arrival, so `incremental` is no part of a rank.
        let priority = Priority { incremental: true, ..priority };
        let at = self.queue(priority);
        let Some(queue) = self.queues.get_mut(at) else { return };
        if queue.waiting.is_empty() {
            schedule.insert(Sender::Datagrams(at as u32), 0, &priority);
        }
        self.len += 1;
        self.bytes += datagram.data.len();
        queue.waiting.push_back(datagram);
    }

    /// The oldest datagram of a queue.
    pub(super) fn front(&self, queue: u32) -> Option<&Queued> {
        self.queues.get(queue as usize)?.waiting.front()
    }

    /// Drops the oldest datagram of a queue. A queue leaves the schedule with its last datagram.
    pub(super) fn pop(&mut self, queue: u32, schedule: &mut Schedule) {
        let Some(ranked) = self.queues.get_mut(queue as usize) else { return };
        let Some(gone) = ranked.waiting.pop_front() else { return };
        self.len -= 1;
        self.bytes -= gone.data.len();
        if ranked.waiting.is_empty() {
            schedule.remove(Sender::Datagrams(queue), 0, &ranked.priority);
            // The first queue keeps its memory, because it is mostly the only one.
            if queue > 0 {
                ranked.waiting = VecDeque::new();
            }
            while self.queues.len() > 1 && self.queues.last().is_some_and(|queue| queue.waiting.is_empty()) {
                self.queues.pop();
            }
        }
    }

    /// Forgets all datagrams. The schedule is not used after this.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The queue of this rank, or a free one.
    fn queue(&mut self, priority: Priority) -> usize {
        let of_rank = self.queues.iter().position(|queue| queue.priority == priority);
        let free = || self.queues.iter().position(|queue| queue.waiting.is_empty());
        let at = of_rank.or_else(free).unwrap_or(self.queues.len());
        match self.queues.get_mut(at) {
            Some(queue) => queue.priority = priority,
            None => self.queues.push(Queue { priority, waiting: VecDeque::new() }),
        }
        at
    }
}
