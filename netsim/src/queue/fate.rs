//! What becomes of a datagram in a queue, and what its ECN bits say (RFC 3168).

use super::fifo::Waiting;

pub(crate) const NOT_ECT: u8 = 0b00;
pub(crate) const ECT1: u8 = 0b01;
pub(crate) const ECT0: u8 = 0b10;
pub(crate) const CE: u8 = 0b11;

/// What became of a datagram that was not to leave as it came.
#[derive(Debug)]
pub(crate) struct Fate<T> {
    /// Dropped on the way out, or out of the longest queue to make room.
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
    /// Congestion is told to this datagram: by a mark if it can carry one. False if it must be dropped instead.
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
