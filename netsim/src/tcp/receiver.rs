//! The receiving end: it acknowledges segments.

use std::net::SocketAddr;

use crate::{
    endpoint::{Datagram, Endpoint},
    units::MILLISECOND,
};

use super::{
    SEGMENT,
    wire::{Ack, BLOCKS, Segment},
};

/// How long an acknowledgment may wait for the next segment.
const DELAY: u64 = 40 * MILLISECOND;
/// How many segments of a new connection are acknowledged at once, each by itself.
const QUICK: u64 = 16;

/// The receiving end of modelled TCP flows from one sender.
#[derive(Debug)]
pub struct TcpReceiver {
    own: SocketAddr,
    connection: u32,
    next: u64,
    /// The ranges that arrived above `next`, the latest first.
    blocks: Vec<(u64, u64)>,
    /// A delayed acknowledgment: since when, to whom, and the time that it echoes.
    delayed: Option<(u64, SocketAddr, u64)>,
    ready: Option<(SocketAddr, u64)>,
    bytes: u64,
}

impl TcpReceiver {
    /// A receiver at `own`.
    #[must_use]
    pub fn new(own: SocketAddr) -> Self {
        Self { own, connection: 0, next: 0, blocks: Vec::new(), delayed: None, ready: None, bytes: 0 }
    }

    /// How many bytes of data arrived in order.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn on_segment(&mut self, now: u64, from: SocketAddr, segment: Segment) {
        if segment.connection > self.connection {
            let (own, bytes) = (self.own, self.bytes);
            *self = Self { connection: segment.connection, bytes, ..Self::new(own) };
        }
        if segment.connection < self.connection {
            return;
        }
        let in_order = segment.number == self.next && self.blocks.is_empty();
        self.store(segment.number);
        // The earlier time of two segments is echoed, so that the sender's estimate includes the delay here
        // (RFC 7323 §4.3).
        match self.delayed.take() {
            None if in_order && segment.number >= QUICK => self.delayed = Some((now, from, segment.sent)),
            Some((.., echo)) if in_order => self.ready = Some((from, echo)),
            _ => self.ready = Some((from, segment.sent)),
        }
    }

    fn store(&mut self, number: u64) {
        let is_known = |(first, end): &(u64, u64)| (*first..*end).contains(&number);
        if number < self.next || self.blocks.iter().any(is_known) {
            return;
        }
        let mut block = (number, number + 1);
        self.blocks.retain(|(first, end)| {
            let joins = *end == block.0 || *first == block.1;
            if joins {
                block = (block.0.min(*first), block.1.max(*end));
            }
            !joins
        });
        if block.0 > self.next {
            self.blocks.insert(0, block);
            return;
        }
        let opened = u64::from(self.next == 0);
        self.bytes += (block.1 - self.next - opened) * SEGMENT;
        self.next = block.1;
    }
}

impl Endpoint for TcpReceiver {
    fn handle_datagram(&mut self, now: u64, from: SocketAddr, _to: SocketAddr, _ecn: u8, data: &[u8]) {
        if let Some(segment) = Segment::read(data) {
            self.on_segment(now, from, segment);
        }
    }

    fn handle_timeout(&mut self, now: u64) {
        if let Some((_, to, echo)) = self.delayed.take_if(|(since, ..)| *since + DELAY <= now) {
            self.ready = Some((to, echo));
        }
    }

    fn poll_transmit(&mut self, _now: u64) -> Option<Datagram> {
        let (to, echo) = self.ready.take()?;
        let blocks = self.blocks.iter().take(BLOCKS).copied().collect();
        let ack = Ack { connection: self.connection, next: self.next, echo, blocks };
        Some(Datagram { from: self.own, to, ecn: 0, payload: ack.write() })
    }

    fn poll_timeout(&self) -> Option<u64> {
        self.delayed.map(|(since, ..)| since + DELAY)
    }
}
