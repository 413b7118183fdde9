//! What a shard receives into, and how much of it at once.

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

/// The largest message: a train of segments that the kernel joined.
const MESSAGE: usize = 64 << 10;
/// Buffers are made in this size and handed out in slices.
pub(super) const BLOCK: usize = 256 << 10;
/// Datagrams of applications that one poll takes, and the bytes they come in: then the tasks that read them have their turn,
/// be there only one thread. A quarter of what waits for an application by default, and whatever came meanwhile waits
/// in the socket: more at once would push out what nobody could have read.
const DATAGRAMS: u64 = 256;
const DATAGRAM_BYTES: usize = 128 << 10;

/// Failures in a row after which receiving pauses: the network's answers come one by one, and a socket that fails each time
/// would keep a processor busy with nothing.
pub(super) const FAILURES: u32 = 16;
/// The first pause; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// How often it doubles.
const DOUBLINGS: u32 = 9;
/// Receives into the buffers of the runtime.
#[derive(Default)]
pub(super) struct Receiver {
    /// None unless the shard is being polled.
    pub(super) buffers: [BytesMut; BATCH],
    pub(super) metas: [RecvMeta; BATCH],
    /// Messages, of one receive call at most, or what is left of them, that came behind the last datagram that was taken.
    pub(super) waiting: VecDeque<(RecvMeta, BytesMut)>,
    /// Datagrams of applications that this poll took.
    pub(super) datagrams: u64,
    pub(super) datagram_bytes: usize,
    /// A connection has so many events that the tasks which wait for them are to run first.
    pub(super) has_many_events: bool,
    /// Failures since anything came, or nothing was there; when that began.
    pub(super) failures: u32,
    pub(super) failing_since: Option<Timestamp>,
    /// When the socket is asked again.
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
                // The allocator zeroes a block that it recycles. Copying each datagram out of buffers that are kept was
                // no cheaper when measured with the example `bulk`.
                *buffer = BytesMut::zeroed(BLOCK);
            }
        }
        let mut slices = self.buffers.each_mut().map(|buffer| IoSliceMut::new(&mut buffer[..MESSAGE]));
        socket.poll_recv(cx, &mut slices, &mut self.metas)
    }

    /// The message of this place in the batch.
    pub(super) fn message(&mut self, position: usize) -> Option<(RecvMeta, BytesMut)> {
        let (meta, buffer) = (self.metas.get(position)?, self.buffers.get_mut(position)?);
        Some((*meta, buffer.split_to(meta.len.min(buffer.len()))))
    }

    /// The shard is polled: applications may have read since.
    pub(super) fn begin(&mut self) {
        (self.datagrams, self.datagram_bytes, self.has_many_events) = (0, 0, false);
    }

    /// Applications are to read first.
    pub(super) fn is_sated(&self) -> bool {
        self.datagrams >= DATAGRAMS || self.datagram_bytes >= DATAGRAM_BYTES || self.has_many_events
    }

    /// When the shard has to have a turn, for it is not woken.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.again_at
    }

    /// The socket works.
    pub(super) fn on_working(&mut self) {
        (self.failures, self.failing_since) = (0, None);
    }

    /// The socket failed: whether it is to be left alone for a while.
    pub(super) fn on_failure(&mut self, now: Timestamp) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.failing_since.get_or_insert(now);
        let Some(pauses) = self.failures.checked_sub(FAILURES) else { return false };
        self.again_at = Some(now + FIRST_PAUSE * (1 << pauses.min(DOUBLINGS)));
        true
    }

    /// A datagram of this many bytes came, with so many datagrams of the application.
    pub(super) fn count(&mut self, datagrams: u64, bytes: usize) {
        if datagrams > 0 {
            self.datagrams += datagrams;
            self.datagram_bytes += bytes;
        }
    }
}
