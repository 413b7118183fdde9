//! [`Transport`] for a connection of quic-core, at one point in time.

use bytes::Bytes;
use quic_core::{
    Connection, DatagramOptions, Dir, LayerEvent, Priority, Side, StreamId,
    base::Timestamp,
    error::call::{DatagramError, Read, ReadError, WriteError},
};

use super::Transport;

/// A QUIC connection and the time, borrowed for one or several calls.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "what a borrowed connection needs")]
pub struct ConnTransport<'a> {
    /// The connection.
    pub conn: &'a mut Connection,
    /// The time of the calls.
    pub now: Timestamp,
}

impl<'a> ConnTransport<'a> {
    /// Borrows a connection for calls at the time `now`.
    pub fn new(conn: &'a mut Connection, now: Timestamp) -> Self {
        Self { conn, now }
    }
}

impl Transport for ConnTransport<'_> {
    fn open(&mut self, dir: Dir) -> Option<StreamId> {
        self.conn.open(dir)
    }

    fn read(&mut self, id: StreamId, max: usize) -> Result<Read, ReadError> {
        self.conn.read(self.now, id, max)
    }

    fn write(&mut self, id: StreamId, data: &mut Bytes) -> Result<usize, WriteError> {
        self.conn.write(id, data)
    }

    fn writable(&mut self, id: StreamId) -> usize {
        self.conn.writable(id)
    }

    fn send_credit(&mut self, id: StreamId) -> u64 {
        self.conn.send_credit(id)
    }

    fn finish(&mut self, id: StreamId) -> Result<(), WriteError> {
        self.conn.finish(id)
    }

    fn reset(&mut self, id: StreamId, code: u64, reliable_size: u64) -> Result<(), WriteError> {
        self.conn.reset(id, code, reliable_size)
    }

    fn stop_sending(&mut self, id: StreamId, code: u64) -> Result<(), ReadError> {
        self.conn.stop_sending(id, code)
    }

    fn set_priority(&mut self, id: StreamId, priority: Priority) {
        self.conn.set_priority(id, priority);
    }

    fn withholds_credit(&self) -> bool {
        self.conn.withholds_credit()
    }

    fn stream_limit(&self, initiator: Side, dir: Dir) -> u64 {
        self.conn.stream_limit(initiator, dir)
    }

    fn send_datagram(&mut self, data: Bytes, options: DatagramOptions) -> Result<(), DatagramError> {
        self.conn.send_datagram(self.now, data, options)
    }

    fn receive_datagram(&mut self) -> Option<Bytes> {
        self.conn.receive_datagram(self.now)
    }

    fn max_datagram_size(&self) -> Option<usize> {
        self.conn.max_datagram_size()
    }

    fn close(&mut self, code: u64, reason: &[u8]) {
        self.conn.close(self.now, code, reason);
    }

    fn is_observed(&self) -> bool {
        self.conn.is_observed()
    }

    fn trace(&mut self, event: &LayerEvent<'_>) {
        self.conn.trace(self.now, event);
    }
}
