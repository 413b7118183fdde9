//! A queue for each flow, served in turn, each under `CoDel`: `FQ-CoDel` (RFC 8290).

use std::collections::{BTreeMap, VecDeque};

use super::{Fate, codel::CoDelQueue, fifo::Waiting};

#[derive(Debug)]
struct Flow<T> {
    queue: CoDelQueue<T>,
    /// How many bytes it may still send in this turn; negative after a larger datagram.
    credit: i64,
}

/// New flows are served before old ones, so that a flow with few datagrams need not wait.
#[derive(Debug)]
pub(crate) struct FlowQueue<T> {
    target: u64,
    interval: u64,
    quantum: i64,
    /// The key is the flow itself: no two flows share a queue.
    flows: BTreeMap<u64, Flow<T>>,
    new: VecDeque<u64>,
    old: VecDeque<u64>,
    bytes: u64,
}

impl<T> FlowQueue<T> {
    pub(super) fn new(target: u64, interval: u64, quantum: u32) -> Self {
        Self {
            target,
            interval,
            quantum: i64::from(quantum.max(1)),
            flows: BTreeMap::new(),
            new: VecDeque::new(),
            old: VecDeque::new(),
            bytes: 0,
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A datagram that does not fit replaces the first of the longest queue (RFC 8290 §4.1).
    pub(super) fn push(&mut self, waiting: Waiting<T>, limit: u64, fate: &mut Fate<T>) {
        let id = waiting.flow;
        self.bytes += waiting.bytes;
        let Self { target, interval, quantum, .. } = *self;
        let flow = self.flows.entry(id).or_insert_with(|| {
            self.new.push_back(id);
            Flow { queue: CoDelQueue::new(target, interval), credit: quantum }
        });
        flow.queue.push(waiting);
        while self.bytes > limit {
            let longest = self.flows.values_mut().max_by_key(|flow| flow.queue.bytes());
            let Some(longest) = longest else { return };
            let before = longest.queue.bytes();
            longest.queue.drop_head(fate);
            self.bytes -= before - longest.queue.bytes();
        }
    }

    pub(super) fn pop(&mut self, now: u64, fate: &mut Fate<T>) -> Option<Waiting<T>> {
        loop {
            let is_new = !self.new.is_empty();
            let id = *self.new.front().or_else(|| self.old.front())?;
            let turn = if is_new { &mut self.new } else { &mut self.old };
            let Some(flow) = self.flows.get_mut(&id) else {
                turn.pop_front();
                continue;
            };
            if flow.credit <= 0 {
                flow.credit += self.quantum;
                turn.pop_front();
                self.old.push_back(id);
                continue;
            }
            let before = flow.queue.bytes();
            let next = flow.queue.pop(now, fate);
            self.bytes -= before - flow.queue.bytes();
            if let Some(next) = next {
                flow.credit -= next.bytes.cast_signed();
                return Some(next);
            }
            turn.pop_front();
            if is_new && !self.old.is_empty() {
                // It stays for one turn of the others before it is removed. Otherwise a flow that sends
                // little at a time would be new each time.
                self.old.push_back(id);
            } else {
                self.flows.remove(&id);
            }
        }
    }
}
