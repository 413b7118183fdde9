//! What waits before a link, in which order it leaves, and what is dropped or marked on the way.
//!
//! Lowest first: [`fifo`] is a line of datagrams that knows its bytes; [`control`] has the two laws by which a queue is managed,
//! `CoDel`'s and PI2's, with no datagram in them; the disciplines are built from both. A discipline sees arrival times, sizes,
//! flows and ECN bits; it never looks into a datagram.

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

/// A queue of one of the disciplines.
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

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::DropTail(fifo) | Self::Step(fifo, _) => fifo.bytes(),
            Self::CoDel(queue) => queue.bytes(),
            Self::Flows(queue) => queue.bytes(),
            Self::Dual(queue) => queue.bytes(),
        }
    }

    /// Takes a datagram. Together they have at most `limit` bytes: what does not fit is dropped, which is the new one unless
    /// the discipline says otherwise.
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
                    // What cannot be marked is left alone: the queue's own limit ends it.
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
