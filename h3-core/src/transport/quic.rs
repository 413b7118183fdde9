//! [`Transport`] over a QUIC connection of quic-core, at one point in time.

use bytes::Bytes;
use quic_core::{
    Connection, DatagramOptions, Dir, Priority, Side, StreamId, StreamTag,
    base::Timestamp,
    error::call::{DatagramError, Read, ReadError, ReadProgress, WriteError},
};

use super::{ExportError, Transport};

/// A QUIC connection and the time, borrowed for one or several calls.
#[derive(Debug)]
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
    fn side(&self) -> Side {
        self.conn.side()
    }

    fn open(&mut self, dir: Dir) -> Option<StreamId> {
        self.conn.open(dir)
    }

    fn read(&mut self, id: StreamId, max: usize) -> Result<Read, ReadError> {
        self.conn.read(self.now, id, max)
    }

    fn read_chunks(
        &mut self,
        id: StreamId,
        max: usize,
        chunks: &mut Vec<Bytes>,
    ) -> Result<ReadProgress, ReadError> {
        self.conn.read_chunks(self.now, id, max, chunks)
    }

    fn write(&mut self, id: StreamId, data: &mut Bytes) -> Result<usize, WriteError> {
        self.conn.write(id, data)
    }

    fn writable(&mut self, id: StreamId) -> usize {
        self.conn.writable(id)
    }

    fn write_within_limit(&mut self, id: StreamId, data: &mut Bytes) -> Result<usize, WriteError> {
        self.conn.write_within_limit(id, data)
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

    fn hold_back(&mut self, id: StreamId, until: StreamId) {
        self.conn.hold_back(id, until);
    }

    fn set_tag(&mut self, id: StreamId, tag: StreamTag) {
        self.conn.set_tag(id, tag);
    }

    fn set_priority(&mut self, id: StreamId, priority: Priority) {
        self.conn.set_priority(id, priority);
    }

    fn bytes_read(&mut self, id: StreamId) -> Option<u64> {
        self.conn.recv_stream_stats(id).map(|stats| stats.bytes_read)
    }

    fn bytes_written(&mut self, id: StreamId) -> Option<u64> {
        self.conn.send_stream_stats(id).map(|stats| stats.bytes_written)
    }

    fn sent_end(&mut self, id: StreamId) -> Option<u64> {
        self.conn.send_stream_stats(id).map(|stats| stats.final_size.unwrap_or(stats.bytes_sent))
    }

    fn received_end(&mut self, id: StreamId) -> Option<u64> {
        self.conn.recv_stream_stats(id).map(|stats| stats.highest_offset)
    }

    fn bytes_dropped(&self) -> u64 {
        self.conn.bytes_dropped()
    }

    fn hand_over(&mut self, id: StreamId) {
        self.conn.hand_over(id);
    }

    fn withholds_credit(&self) -> bool {
        self.conn.withholds_credit()
    }

    fn final_size(&mut self, id: StreamId) -> Option<u64> {
        self.conn.final_size(id)
    }

    fn is_whole(&mut self, id: StreamId) -> bool {
        self.conn.is_whole(id).unwrap_or(false)
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

    fn peer_supports_reset_stream_at(&self) -> bool {
        self.conn.peer_parameters().reset_stream_at
    }

    fn export_keying_material(
        &self,
        out: &mut [u8],
        label: &[u8],
        context: &[u8],
    ) -> Result<(), ExportError> {
        self.conn.export_keying_material(out, label, context).map_err(|_| ExportError)
    }

    fn close(&mut self, code: u64, reason: &[u8]) {
        self.conn.close(self.now, code, reason);
    }
}
