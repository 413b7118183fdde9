//! Datagrams out of a shard's socket, and what the network says of those that went.

use std::{
    io::{self, IoSliceMut},
    task::{Context, Poll},
};

use bytes::BytesMut;
use quic_core::{
    ConnectionHandle, DatagramEvent, DatagramMeta,
    base::{Ecn, Timestamp},
};
use quinn_udp::{EcnCodepoint, RecvMeta};

use super::Shard;
use crate::{buffers::BATCH, udp::is_unreachable};

/// The largest message: a train of segments that the kernel joined.
const MESSAGE: usize = 64 << 10;
/// Buffers are made in this size and handed out in slices.
const BLOCK: usize = 256 << 10;
/// Receive calls of one turn, so that a flood leaves time to answer.
const RECEIVES: usize = 32;
/// Bytes after which the connections have their turn, so that their queues, of datagrams above all, hold what came.
const RECEIVED: usize = 192 << 10;

/// Receives into the buffers of the runtime.
#[derive(Default)]
pub(super) struct Receiver {
    /// None unless the shard is being polled.
    pub(super) buffers: [BytesMut; BATCH],
    metas: [RecvMeta; BATCH],
}

impl Receiver {
    /// Receives a batch.
    fn poll(&mut self, socket: &dyn super::DatagramSocket, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
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
}

fn to_ecn(ecn: Option<EcnCodepoint>) -> Ecn {
    ecn.map_or(Ecn::NotEct, |codepoint| Ecn::from_bits(codepoint as u8))
}

impl Shard {
    /// Drains the socket; whether anything came.
    pub(super) fn receive(&mut self, cx: &mut Context<'_>, now: Timestamp) -> bool {
        let mut any = false;
        // While a client knocks, the network's answer counts (RFC 9000 §14.2.1 lets later ones be ignored).
        if self.server.is_none()
            && self.connections.iter().flatten().any(|connection| connection.is_knocking())
        {
            while let Some(error) = self.socket.take_error() {
                any = true;
                self.on_socket_error(&error, now);
            }
        }
        let mut bytes = 0;
        for _ in 0..RECEIVES {
            if bytes >= RECEIVED {
                break;
            }
            match self.receiver.poll(&*self.socket, cx) {
                Poll::Ready(Ok(count)) => {
                    any |= count > 0;
                    bytes += self.receiver.metas.iter().take(count).map(|meta| meta.len).sum::<usize>();
                    (0..count).for_each(|position| self.on_message(position, now));
                }
                Poll::Ready(Err(error)) => {
                    any = true;
                    self.on_socket_error(&error, now);
                }
                Poll::Pending => return any,
            }
        }
        any
    }

    /// One message: a datagram, or several of the same size and origin.
    fn on_message(&mut self, position: usize, now: Timestamp) {
        let (Some(meta), Some(buffer)) =
            (self.receiver.metas.get(position).copied(), self.receiver.buffers.get_mut(position))
        else {
            return;
        };
        let mut message = buffer.split_to(meta.len.min(buffer.len()));
        // No answer can go there, and a send that is refused as invalid makes the socket do without what it had not to do
        // with.
        if meta.addr.port() == 0 {
            return;
        }
        let origin = DatagramMeta {
            remote: meta.addr,
            local_ip: meta.dst_ip,
            ecn: to_ecn(meta.ecn),
            allocation: BLOCK,
        };
        while !message.is_empty() {
            let datagram = message.split_to(meta.stride.clamp(1, message.len()));
            self.on_datagram(&origin, datagram, now);
        }
    }

    fn on_datagram(&mut self, meta: &DatagramMeta, data: BytesMut, now: Timestamp) {
        match self.endpoint.handle_datagram(now, meta, data) {
            DatagramEvent::Connection(ConnectionHandle(index), data) => {
                self.enter(index, now, |connection| connection.quic().handle_datagram(now, meta, data));
                self.touch(index);
            }
            DatagramEvent::StatelessReset(ConnectionHandle(index)) => {
                self.enter(index, now, |connection| connection.quic().handle_stateless_reset(now));
                self.touch(index);
            }
            DatagramEvent::Incoming(incoming) => self.accept(incoming, now),
            DatagramEvent::Respond(response) => self.sender.queue(response),
            DatagramEvent::Dropped(_) => {}
        }
    }

    /// The network answered. Only clients ask for such errors: their socket has one peer.
    fn on_socket_error(&mut self, error: &io::Error, now: Timestamp) {
        tracing::debug!(%error, "socket error");
        if self.server.is_some() {
            return;
        }
        for index in 0..self.connections.len() {
            if error.kind() == io::ErrorKind::ConnectionRefused {
                self.enter(index, now, |connection| connection.on_refused(now));
            } else if is_unreachable(error) {
                self.enter(index, now, |connection| connection.on_unreachable(same(error), now));
            }
            self.touch(index);
        }
    }
}

/// An error of the system again.
fn same(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}
