//! The queue before a link: the order of its datagrams, and which are dropped or marked.
//!
//! Lowest first: [`fifo`] is a queue that counts its bytes; [`control`] has the control laws of `CoDel` and
//! PI2, without datagrams; the disciplines are built from both. A discipline sees arrival times, sizes, flows
//! and ECN bits, and never the contents of a datagram.

mod codel;
mod control;
mod dual;
mod fate;
mod fifo;
mod flows;
#[cfg(test)]
mod tests;

pub(crate) use fate::{CE, ECT0, ECT1, Fate, NOT_ECT};
pub(crate) use fifo::Waiting;
use {codel::CoDelQueue, dual::DualQueue, fifo::Fifo, flows::FlowQueue};

use crate::{config::Discipline, random::Random};

/// A queue with one of the disciplines.
#[derive(Debug)]
pub(crate) enum Queue<T> {
    DropTail(Fifo<T>),
    Step(Fifo<T>, u64),
    CoDel(CoDelQueue<T>),
    Flows(FlowQueue<T>),
    Dual(Box<DualQueue<T>>),
}

impl<T> Queue<T> {
    pub(crate) fn new(discipline: &Discipline, random: Random) -> Self {
        match discipline {
            Discipline::DropTail => Self::DropTail(Fifo::default()),
            Discipline::Step { threshold } => Self::Step(Fifo::default(), *threshold),
            Discipline::CoDel { target, interval } => Self::CoDel(CoDelQueue::new(*target, *interval)),
            Discipline::FqCoDel { target, interval, quantum } => {
                Self::Flows(FlowQueue::new(*target, *interval, *quantum))
            }
            Discipline::Pi2 { target } => Self::Dual(Box::new(DualQueue::classic(*target, random))),
            Discipline::DualPi2 { target, step } => {
                Self::Dual(Box::new(DualQueue::coupled(*target, *step, random)))
            }
        }
    }

    /// How many bytes are queued.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::DropTail(fifo) | Self::Step(fifo, _) => fifo.bytes(),
            Self::CoDel(queue) => queue.bytes(),
            Self::Flows(queue) => queue.bytes(),
            Self::Dual(queue) => queue.bytes(),
        }
    }

    /// Queues a datagram. All together have at most `limit` bytes: if the new datagram does not fit, it is
    /// dropped, unless the discipline drops another one.
    pub(crate) fn push(&mut self, now: u64, waiting: Waiting<T>, limit: u64, fate: &mut Fate<T>) {
        let room = self.bytes().saturating_add(waiting.bytes) <= limit;
        match self {
            Self::Flows(queue) => queue.push(waiting, limit, fate),
            _ if !room => fate.dropped.push(waiting.tag),
            Self::DropTail(fifo) | Self::Step(fifo, _) => fifo.push(waiting),
            Self::CoDel(queue) => queue.push(waiting),
            Self::Dual(queue) => queue.push(now, waiting),
        }
    }

    /// The next datagram to leave.
    pub(crate) fn pop(&mut self, now: u64, fate: &mut Fate<T>) -> Option<Waiting<T>> {
        match self {
            Self::DropTail(fifo) => fifo.pop(),
            Self::Step(fifo, threshold) => {
                let mut waiting = fifo.pop()?;
                if now - waiting.since > *threshold {
                    // A datagram that cannot be marked leaves unchanged: only the queue's limit drops it.
                    let _ = fate.mark(&mut waiting);
                }
                Some(waiting)
            }
            Self::CoDel(queue) => queue.pop(now, fate),
            Self::Flows(queue) => queue.pop(now, fate),
            Self::Dual(queue) => queue.pop(now, fate),
        }
    }
}
