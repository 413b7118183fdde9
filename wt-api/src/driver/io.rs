//! Receives a shard's datagrams, and reads what the network reports about those that it sent.

use std::{
    io::{self},
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use quic_core::{
    ConnectionHandle, DatagramEvent, DatagramMeta,
    base::{Ecn, Timestamp},
};
use quinn_udp::{EcnCodepoint, RecvMeta};

use super::{
    receiver::{BLOCK, FAILURES},
    shard::Shard,
    siblings::Handover,
    state::conn::Conn,
};
use crate::{
    socket::unmapped,
    udp::{NetworkReport, is_answer_unreachable},
};

/// Receive calls in one turn, so that a flood leaves time to answer.
const RECEIVES: usize = 32;
/// Bytes after which the connections get their turn, so that their queues, above all those of datagrams, can
/// hold them.
const RECEIVED: usize = 192 << 10;
/// A client that cannot receive anything for this long cannot connect.
const DEAF: Duration = Duration::from_secs(1);

fn to_ecn(ecn: Option<EcnCodepoint>) -> Ecn {
    ecn.map_or(Ecn::NotEct, |codepoint| Ecn::from_bits(codepoint as u8))
}

impl Shard {
    /// Receives what the socket has. Returns whether there may be more; if not, the task is woken when more
    /// arrives.
    pub(super) fn receive(&mut self, cx: &mut Context<'_>, now: Timestamp) -> bool {
        // While a client connects, the network's errors count (RFC 9000 §14.2.1 permits ignoring later ones).
        if self.anyone_connects() {
            self.take_reports(now);
        }
        while !self.receiver.is_sated()
            && let Some((meta, message)) = self.receiver.waiting.pop_front()
        {
            self.on_message(&meta, message, now);
        }
        if self.receiver.again_at.is_some_and(|at| at > now) {
            return false;
        }
        self.receiver.again_at = None;
        let mut bytes = 0;
        for _ in 0..RECEIVES {
            if bytes >= RECEIVED || self.receiver.is_sated() {
                break;
            }
            match self.receiver.poll(&*self.socket, cx) {
                Poll::Ready(Ok(count)) => {
                    self.receiver.on_working();
                    bytes += self.receiver.metas.iter().take(count).map(|meta| meta.len).sum::<usize>();
                    (0..count).for_each(|position| self.on_received(position, now));
                }
                Poll::Ready(Err(error)) => {
                    // The network's error says nothing about the socket.
                    if self.take_reports(now) {
                        self.receiver.on_working();
                        continue;
                    }
                    self.on_socket_error(&error, None, now);
                    if self.receiver.on_failure(now) {
                        self.on_deaf(&error, now);
                        return false;
                    }
                }
                Poll::Pending => {
                    self.receiver.on_working();
                    return false;
                }
            }
        }
        true
    }

    fn on_received(&mut self, position: usize, now: Timestamp) {
        let Some((meta, message)) = self.receiver.message(position) else { return };
        if self.receiver.is_sated() {
            self.receiver.waiting.push_back((meta, message));
        } else {
            self.on_message(&meta, message, now);
        }
    }

    /// Handles one message: a datagram, or several of the same size and origin. If applications have to read
    /// first, the rest waits, before all others.
    fn on_message(&mut self, meta: &RecvMeta, mut message: BytesMut, now: Timestamp) {
        // No response can go to port 0. A send that is refused as invalid would make the socket give up
        // features that are not to blame.
        if meta.addr.port() == 0 {
            return;
        }
        let origin =
            DatagramMeta::new(meta.addr).local_ip(meta.dst_ip).ecn(to_ecn(meta.ecn)).allocation(BLOCK);
        while !message.is_empty() {
            if self.receiver.is_sated() {
                return self.receiver.waiting.push_front((*meta, message));
            }
            let datagram = message.split_to(meta.stride.clamp(1, message.len()));
            self.on_datagram(&origin, datagram, now);
        }
    }

    fn on_datagram(&mut self, meta: &DatagramMeta, data: BytesMut, now: Timestamp) {
        match self.endpoint.handle_datagram(now, meta, data) {
            DatagramEvent::Connection(ConnectionHandle(index), data) => {
                let size = data.len();
                let came = self.enter(index, now, |connection| {
                    connection.on_hearing();
                    let quic = connection.quic();
                    let before = quic.datagrams_received();
                    quic.handle_datagram(now, meta, data);
                    (quic.datagrams_received() - before, quic.should_poll_events())
                });
                if let Some((datagrams, connection_first)) = came {
                    self.receiver.count(datagrams, size);
                    self.receiver.connection_first |= connection_first;
                }
                self.touch(index);
            }
            DatagramEvent::Sibling(shard, data) => self.forward(shard, meta, &data, now),
            DatagramEvent::StatelessReset(ConnectionHandle(index)) => {
                self.enter(index, now, |connection| connection.quic().handle_stateless_reset(now));
                self.touch(index);
            }
            DatagramEvent::Incoming(incoming) => self.accept(incoming, now),
            DatagramEvent::Respond(response) => self.answer(response),
            DatagramEvent::Dropped(_) => {}
        }
    }

    /// Hands over a datagram that the system delivered to another socket of this address.
    fn forward(&mut self, shard: u8, meta: &DatagramMeta, data: &[u8], now: Timestamp) {
        match self.siblings.forward(shard, meta, data) {
            Handover::Done => {}
            Handover::Full => self.surveys.sockets.forwards_dropped += 1,
            Handover::Gone => {
                if let DatagramEvent::Respond(response) = self.endpoint.handle_orphan(now, meta, data) {
                    self.answer(response);
                }
            }
        }
    }

    /// Takes the datagrams that other sockets of this address received for this one.
    pub(super) fn receive_forwarded(&mut self, now: Timestamp) {
        if self.receiver.is_sated() {
            return;
        }
        for (meta, data) in self.siblings.take() {
            self.on_datagram(&meta, data, now);
        }
    }

    /// Whether a client's connection is in its handshake.
    fn anyone_connects(&mut self) -> bool {
        let connections = &self.connections;
        let is_connecting = |index: &usize| {
            let connection = connections.get(*index).and_then(Option::as_ref);
            connection.is_some_and(|connection| !connection.is_server() && connection.is_connecting())
        };
        self.connecting.retain(is_connecting);
        !self.connecting.is_empty()
    }

    /// Reads what the network reports about sent datagrams. Returns whether there was anything.
    fn take_reports(&mut self, now: Timestamp) -> bool {
        let mut any = false;
        while let Some(NetworkReport { error, to }) = self.socket.take_report() {
            any = true;
            self.on_socket_error(&error, to, now);
        }
        any
    }

    /// The network reported an error for a datagram sent `to` this address. Only clients' connections use it.
    /// If the system does not give the address, the error counts for a connection that is alone on the
    /// socket.
    fn on_socket_error(&mut self, error: &io::Error, to: Option<SocketAddr>, now: Timestamp) {
        tracing::debug!(%error, ?to, "socket error");
        self.surveys.sockets.receive_errors += 1;
        let to = to.map(unmapped);
        let is_meant = |connection: &Conn| match to {
            Some(to) => unmapped(connection.stack.quic.remote_address()) == to,
            None => true,
        };
        let clients = self.connections.iter().enumerate().filter_map(|(index, slot)| {
            slot.as_ref().filter(|connection| !connection.is_server() && is_meant(connection)).map(|_| index)
        });
        let meant: Vec<usize> = clients.collect();
        if to.is_none() && (meant.len() > 1 || self.server.is_some()) {
            return;
        }
        for index in meant {
            if error.kind() == io::ErrorKind::ConnectionRefused {
                self.enter(index, now, Conn::on_refused);
            } else if is_answer_unreachable(error) {
                self.enter(index, now, |connection| connection.on_unreachable(same(error)));
            }
            self.touch(index);
        }
    }

    /// Receiving fails each time.
    fn on_deaf(&mut self, error: &io::Error, now: Timestamp) {
        let error = io::Error::new(error.kind(), format!("the system gives no datagrams that came: {error}"));
        if self.receiver.failures == FAILURES {
            tracing::warn!(%error, "nothing is received");
        }
        let lasts = self.receiver.failing_since.is_some_and(|since| now >= since + DEAF);
        let error = Arc::new(error);
        for index in 0..self.connections.len() {
            self.enter(index, now, |connection| connection.on_deaf(Arc::clone(&error), lasts));
            if lasts {
                self.touch(index);
            }
        }
    }
}

/// Copies an error of the system.
fn same(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}
