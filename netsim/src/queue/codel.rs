//! One queue under `CoDel` (RFC 8289), which marks ECN-capable datagrams instead of dropping them.

use super::{
    Fate,
    control::CoDel,
    fifo::{Fifo, Waiting},
};

#[derive(Debug)]
pub(crate) struct CoDelQueue<T> {
    line: Fifo<T>,
    law: CoDel,
}

impl<T> CoDelQueue<T> {
    pub(super) fn new(target: u64, interval: u64) -> Self {
        Self { line: Fifo::default(), law: CoDel::new(target, interval) }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.line.bytes()
    }

    pub(super) fn push(&mut self, waiting: Waiting<T>) {
        self.line.push(waiting);
    }

    pub(super) fn pop(&mut self, now: u64, fate: &mut Fate<T>) -> Option<Waiting<T>> {
        while let Some(mut waiting) = self.line.pop() {
            let too_many = self.law.drops(now, now - waiting.since, self.line.bytes());
            if !too_many || fate.mark(&mut waiting) {
                return Some(waiting);
            }
            fate.dropped.push(waiting.tag);
        }
        self.law.on_empty();
        None
    }

    /// Drops the first datagram, to make room.
    pub(super) fn drop_head(&mut self, fate: &mut Fate<T>) {
        fate.dropped.extend(self.line.pop().map(|waiting| waiting.tag));
    }
}
