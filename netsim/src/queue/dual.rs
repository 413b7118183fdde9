//! PI2, and `DualPI2` with a coupled low-latency queue (RFC 9332 appendix A).

use super::{
    CE, ECT1, Fate,
    control::Pi,
    fifo::{Fifo, Waiting},
};
use crate::random::Random;

/// The coupling factor: with it, flows of both queues get equal shares (RFC 9332 §2.1).
const COUPLING: f64 = 2.0;
/// How many turns the low-latency queue gets for one of the other, if both have datagrams (appendix A.1: 1/16
/// for the latter).
const TURNS: u32 = 15;

#[derive(Debug)]
pub(crate) struct DualQueue<T> {
    classic: Fifo<T>,
    low: Fifo<T>,
    law: Pi,
    /// The delay above which every datagram of the low-latency queue is marked; `None` without such a queue.
    step: Option<u64>,
    turns: u32,
    random: Random,
}

impl<T> DualQueue<T> {
    /// One queue under PI2.
    pub(super) fn classic(target: u64, random: Random) -> Self {
        let (classic, low, law) = (Fifo::default(), Fifo::default(), Pi::new(target, 1.0 / COUPLING));
        Self { classic, low, law, step: None, turns: 0, random }
    }

    /// Two coupled queues.
    pub(super) fn coupled(target: u64, step: u64, random: Random) -> Self {
        Self { step: Some(step), ..Self::classic(target, random) }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.classic.bytes() + self.low.bytes()
    }

    pub(super) fn push(&mut self, now: u64, waiting: Waiting<T>) {
        self.update(now);
        // A datagram with CE may have had ECT(1), so it goes to the low-latency queue.
        if self.step.is_some() && matches!(waiting.ecn, ECT1 | CE) {
            self.low.push(waiting);
        } else {
            self.classic.push(waiting);
        }
    }

    pub(super) fn pop(&mut self, now: u64, fate: &mut Fate<T>) -> Option<Waiting<T>> {
        loop {
            self.update(now);
            let low = self.low.bytes() > 0 && (self.classic.bytes() == 0 || self.turns < TURNS);
            if low {
                self.turns += 1;
                let mut waiting = self.low.pop()?;
                if self.is_marked(now - waiting.since) {
                    fate.mark(&mut waiting);
                }
                return Some(waiting);
            }
            self.turns = 0;
            let mut waiting = self.classic.pop()?;
            let probability = self.law.base() * self.law.base();
            if !self.random.chance(probability) || fate.mark(&mut waiting) {
                return Some(waiting);
            }
            fate.dropped.push(waiting.tag);
        }
    }

    fn is_marked(&mut self, delay: u64) -> bool {
        let above = self.step.is_some_and(|step| delay > step);
        self.random.chance((COUPLING * self.law.base()).min(1.0)) || above
    }

    /// The probability follows the longer delay of the two, so that low-latency traffic cannot starve the
    /// other queue.
    fn update(&mut self, now: u64) {
        self.law.update(now, self.classic.delay(now).max(self.low.delay(now)));
    }
}
