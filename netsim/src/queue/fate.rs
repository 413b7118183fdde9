//! What a queue does to datagrams, and the values of the ECN bits (RFC 3168).

use super::fifo::Waiting;

pub(crate) const NOT_ECT: u8 = 0b00;
pub(crate) const ECT1: u8 = 0b01;
pub(crate) const ECT0: u8 = 0b10;
pub(crate) const CE: u8 = 0b11;

/// The datagrams that a queue dropped or marked.
#[derive(Debug)]
pub(crate) struct Fate<T> {
    /// The dropped ones: by the discipline, or to make room.
    pub(crate) dropped: Vec<T>,
    /// How many were marked Congestion Experienced.
    pub(crate) marked: u64,
}

impl<T> Default for Fate<T> {
    fn default() -> Self {
        Self { dropped: Vec::new(), marked: 0 }
    }
}

impl<T> Fate<T> {
    /// Signals congestion with this datagram: marks it, or returns false if it cannot carry a mark and must
    /// be dropped.
    pub(super) fn mark(&mut self, waiting: &mut Waiting<T>) -> bool {
        match waiting.ecn {
            NOT_ECT => return false,
            CE => {}
            _ => {
                waiting.ecn = CE;
                self.marked += 1;
            }
        }
        true
    }
}
