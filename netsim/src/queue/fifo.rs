//! A queue of datagrams that counts its bytes.

use std::collections::VecDeque;

/// A queued datagram.
#[derive(Debug)]
pub(crate) struct Waiting<T> {
    /// Its index in the order in which datagrams were offered.
    pub(crate) index: u64,
    /// When it was queued.
    pub(crate) since: u64,
    /// The ECN bits.
    pub(crate) ecn: u8,
    /// Its size on the link in bytes, headers included.
    pub(crate) bytes: u64,
    /// The flow to which it belongs.
    pub(crate) flow: u64,
    /// The contents.
    pub(crate) payload: Vec<u8>,
    /// The tag that was offered with it.
    pub(crate) tag: T,
}

/// First in, first out.
#[derive(Debug)]
pub(crate) struct Fifo<T> {
    line: VecDeque<Waiting<T>>,
    bytes: u64,
}

impl<T> Default for Fifo<T> {
    fn default() -> Self {
        Self { line: VecDeque::new(), bytes: 0 }
    }
}

impl<T> Fifo<T> {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn push(&mut self, waiting: Waiting<T>) {
        self.bytes += waiting.bytes;
        self.line.push_back(waiting);
    }

    pub(crate) fn pop(&mut self) -> Option<Waiting<T>> {
        let waiting = self.line.pop_front()?;
        self.bytes -= waiting.bytes;
        Some(waiting)
    }

    /// How long the first datagram has waited.
    pub(crate) fn delay(&self, now: u64) -> u64 {
        self.line.front().map_or(0, |first| now - first.since)
    }
}
