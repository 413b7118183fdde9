//! The buffers that a shard receives into, and how much it receives at once.

use std::{
    collections::VecDeque,
    io::{self, IoSliceMut},
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use quic_core::base::Timestamp;
use quinn_udp::RecvMeta;

use crate::{buffers::BATCH, socket::DatagramSocket};

/// The largest message: several datagrams that the kernel joined.
const MESSAGE: usize = 64 << 10;
/// Buffers have this size and are handed out in slices.
pub(super) const BLOCK: usize = 256 << 10;
/// Datagrams of applications that one poll accepts, and their bytes: then the tasks that read them get their
/// turn, even on a single thread. This is a quarter of what waits for an application by default. Later
/// datagrams wait in the socket: more at once would displace some that nobody could have read.
const DATAGRAMS: u64 = 256;
const DATAGRAM_BYTES: usize = 128 << 10;

/// Failures in a row after which receiving pauses. The network's errors arrive one by one, and a socket that
/// fails each time would keep a processor busy for nothing.
pub(super) const FAILURES: u32 = 16;
/// The first pause; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// How often it doubles.
const DOUBLINGS: u32 = 9;
/// Receives into the buffers of the runtime.
#[derive(Default)]
pub(super) struct Receiver {
    /// Empty unless the shard is being polled.
    pub(super) buffers: [BytesMut; BATCH],
    pub(super) metas: [RecvMeta; BATCH],
    /// Messages, of at most one receive call, or the rest of them, that arrived after the last accepted
    /// datagram.
    pub(super) waiting: VecDeque<(RecvMeta, BytesMut)>,
    /// Datagrams of applications that this poll accepted.
    pub(super) datagrams: u64,
    pub(super) datagram_bytes: usize,
    /// Whether a connection, and the tasks that wait for its events, get their turn before more is received.
    pub(super) connection_first: bool,
    /// Failures since anything arrived, or since there was nothing to receive, and when they started.
    pub(super) failures: u32,
    pub(super) failing_since: Option<Timestamp>,
    /// When to try the socket again.
    pub(super) again_at: Option<Timestamp>,
}

impl Receiver {
    /// Receives a batch.
    pub(super) fn poll(
        &mut self,
        socket: &dyn DatagramSocket,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        for buffer in &mut self.buffers {
            if buffer.len() < MESSAGE {
                // The allocator zeroes a block that it recycles. Copying each datagram out of permanent
                // buffers was no cheaper when measured with the example `bulk`.
                *buffer = BytesMut::zeroed(BLOCK);
            }
        }
        let mut slices = self.buffers.each_mut().map(|buffer| IoSliceMut::new(&mut buffer[..MESSAGE]));
        socket.poll_recv(cx, &mut slices, &mut self.metas)
    }

    /// The message at this position in the batch.
    pub(super) fn message(&mut self, position: usize) -> Option<(RecvMeta, BytesMut)> {
        let (meta, buffer) = (self.metas.get(position)?, self.buffers.get_mut(position)?);
        Some((*meta, buffer.split_to(meta.len.min(buffer.len()))))
    }

    /// The shard is polled: applications may have read since the last poll.
    pub(super) fn begin(&mut self) {
        (self.datagrams, self.datagram_bytes, self.connection_first) = (0, 0, false);
    }

    /// Whether applications have to read first.
    pub(super) fn is_sated(&self) -> bool {
        self.datagrams >= DATAGRAMS || self.datagram_bytes >= DATAGRAM_BYTES || self.connection_first
    }

    /// When the shard needs a turn, because nothing wakes it.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.again_at
    }

    /// The socket works.
    pub(super) fn on_working(&mut self) {
        (self.failures, self.failing_since) = (0, None);
    }

    /// The socket failed. Returns whether to pause receiving.
    pub(super) fn on_failure(&mut self, now: Timestamp) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.failing_since.get_or_insert(now);
        let Some(pauses) = self.failures.checked_sub(FAILURES) else { return false };
        self.again_at = Some(now + FIRST_PAUSE * (1 << pauses.min(DOUBLINGS)));
        true
    }

    /// Counts a datagram of this many bytes, with this many datagrams of the application.
    pub(super) fn count(&mut self, datagrams: u64, bytes: usize) {
        if datagrams > 0 {
            self.datagrams += datagrams;
            self.datagram_bytes += bytes;
        }
    }
}
