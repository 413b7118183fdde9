//! Datagrams in and out of a shard's socket.

use std::{
    collections::VecDeque,
    io::{self, IoSliceMut},
    task::{Context, Poll},
};

use bytes::BytesMut;
use quic_core::{
    Connection, ConnectionHandle, DatagramEvent, DatagramMeta, Response, Transmit,
    base::{Ecn, Timestamp},
};
use quinn_udp::{EcnCodepoint, RecvMeta};

use super::{Shard, contain::contain};

/// Messages of one receive call.
const BATCH: usize = 4;
/// The largest message: a train of segments that the kernel joined.
const MESSAGE: usize = 64 << 10;
/// Buffers are made in this size and handed out in slices.
const BLOCK: usize = 256 << 10;
/// Receive calls of one turn, so that a flood leaves time to answer.
const RECEIVES: usize = 32;
/// Bytes after which the connections have their turn, so that their queues, of datagrams above all, hold what came.
const RECEIVED: usize = 192 << 10;
/// Trains that a connection sends before another one has its turn.
const TRAINS: usize = 8;
/// Answers without a connection that wait for the socket.
const RESPONSES: usize = 64;

/// Receive buffers.
pub(super) struct Receiver {
    buffers: [BytesMut; BATCH],
    metas: [RecvMeta; BATCH],
}

impl Receiver {
    pub(super) fn new() -> Self {
        Self { buffers: Default::default(), metas: [RecvMeta::default(); BATCH] }
    }

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

/// The send buffer, and what the socket did not take.
pub(super) struct Sender {
    buffer: Vec<u8>,
    /// A train in `buffer` that waits for the socket.
    blocked: Option<Transmit>,
    responses: VecDeque<Response>,
}

impl Sender {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; MESSAGE], blocked: None, responses: VecDeque::new() }
    }

    /// Queues an answer that belongs to no connection; beyond a limit it is dropped.
    pub(super) fn queue(&mut self, response: Response) {
        if self.responses.len() < RESPONSES {
            self.responses.push_back(response);
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.blocked.is_some() || !self.responses.is_empty()
    }
}

fn to_ecn(ecn: Option<EcnCodepoint>) -> Ecn {
    ecn.map_or(Ecn::NotEct, |codepoint| Ecn::from_bits(codepoint as u8))
}

/// False: the socket takes nothing now. Other errors are the network's business: QUIC sends again.
fn send(socket: &dyn super::DatagramSocket, transmit: &Transmit, contents: &[u8]) -> bool {
    let sent = socket.try_send(&quinn_udp::Transmit {
        destination: transmit.remote,
        ecn: EcnCodepoint::from_bits(transmit.ecn as u8),
        contents,
        segment_size: (transmit.segment_size < contents.len()).then_some(transmit.segment_size),
        src_ip: transmit.local_ip,
    });
    match sent {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
        Err(error) => {
            tracing::debug!(%error, remote = %transmit.remote, "send failed");
            true
        }
        Ok(()) => true,
    }
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
        if self.server.is_none() && error.kind() == io::ErrorKind::ConnectionRefused {
            for index in 0..self.connections.len() {
                self.enter(index, now, |connection| connection.on_refused(now));
                self.touch(index);
            }
        }
    }

    /// Sends what the connections with news have to say. True: there is more, and the socket takes it.
    pub(super) fn transmit(&mut self, cx: &mut Context<'_>, now: Timestamp) -> bool {
        if self.send_waiting() {
            let mut again = Vec::new();
            while let Some(index) = self.dirty.pop() {
                match self.transmit_one(index, now) {
                    Sent::All => self.settle(index, now),
                    Sent::Turn => again.push(index),
                    Sent::Blocked => {
                        self.dirty.push(index);
                        break;
                    }
                }
            }
            self.dirty.append(&mut again);
        }
        // A turn that ended with news left over goes on, unless the socket is what it waits for.
        if self.sender.is_busy() {
            return self.socket.poll_writable(cx).is_ready();
        }
        !self.dirty.is_empty()
    }

    /// What the socket did not take before. False: it still does not.
    fn send_waiting(&mut self) -> bool {
        if let Some(transmit) = self.sender.blocked {
            if !send(&*self.socket, &transmit, self.sender.buffer.get(..transmit.size).unwrap_or_default()) {
                return false;
            }
            self.sender.blocked = None;
        }
        while let Some(Response { remote, local_ip, bytes }) = self.sender.responses.front() {
            let (size, segment_size) = (bytes.len(), bytes.len());
            let transmit =
                Transmit { remote: *remote, local_ip: *local_ip, ecn: Ecn::NotEct, size, segment_size };
            if !send(&*self.socket, &transmit, bytes) {
                return false;
            }
            self.sender.responses.pop_front();
        }
        true
    }

    fn transmit_one(&mut self, index: usize, now: Timestamp) -> Sent {
        let Some(connection) = self.connections.get_mut(index).and_then(Option::as_mut) else {
            return Sent::All;
        };
        let (quic, sender, socket) = (connection.quic(), &mut self.sender, &*self.socket);
        contain(|| send_trains(quic, sender, socket, now)).unwrap_or_else(|panicked| {
            self.bury(index, &panicked, now);
            Sent::All
        })
    }
}

/// Sends some of what a connection has to say.
fn send_trains(
    quic: &mut Connection,
    sender: &mut Sender,
    socket: &dyn super::DatagramSocket,
    now: Timestamp,
) -> Sent {
    for _ in 0..TRAINS {
        let train = quic.datagram_size() * socket.max_gso_segments().max(1);
        let whole = sender.buffer.len() - MESSAGE % quic.datagram_size().max(1);
        let room = train.min(whole).max(quic.next_datagram_size(now));
        let Some(buffer) = sender.buffer.get_mut(..room) else { return Sent::All };
        let Some(transmit) = quic.poll_transmit(now, buffer) else { return Sent::All };
        let contents = sender.buffer.get(..transmit.size).unwrap_or_default();
        if !send(socket, &transmit, contents) {
            sender.blocked = Some(transmit);
            return Sent::Blocked;
        }
    }
    Sent::Turn
}

/// How far a connection came.
enum Sent {
    All,
    /// There may be more; others have their turn first.
    Turn,
    /// The socket takes nothing more.
    Blocked,
}
