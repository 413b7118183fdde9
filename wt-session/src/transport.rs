//! The trait through which sessions use a QUIC connection.

use bytes::Bytes;
use h3_core::{Transport, transport::ConnTransport};
use quic_core::{
    StreamId, StreamTag,
    error::call::{ReadError, ReadProgress, WriteError},
};

/// The TLS exporter is not ready, or the requested size is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the TLS exporter is not ready, or a length is invalid")]
#[expect(clippy::exhaustive_structs, reason = "an error with one cause")]
pub struct ExportError;

/// What sessions need from a QUIC connection in addition to [`Transport`]. It is synchronous and never calls
/// back.
pub trait SessionTransport: Transport {
    /// As [`Transport::read`], but reads until it has `max` bytes, nothing is left, or the stream ends. It
    /// appends what it read to `chunks`, also if it then fails.
    fn read_chunks(
        &mut self,
        id: StreamId,
        max: usize,
        chunks: &mut Vec<Bytes>,
    ) -> Result<ReadProgress, ReadError>;
    /// As [`Transport::write`], but takes only what the peer's limit of the stream (`MAX_STREAM_DATA`,
    /// RFC 9000 §4.1) permits. `Event::StreamWritable` also follows when the limit rises.
    fn write_within_limit(&mut self, id: StreamId, data: &mut Bytes) -> Result<usize, WriteError>;
    /// Holds back the frames of a later reset or stop of `id` until everything written to `until`, and its
    /// end, is acknowledged. The reset or stop takes effect here at once. Nothing is held back if `until` has
    /// nothing left to send.
    fn hold_back(&mut self, id: StreamId, until: StreamId);
    /// Sets the tag of a stream, which its later events carry.
    fn set_tag(&mut self, id: StreamId, tag: StreamTag);
    /// How many bytes were read from a stream so far; `None` once it is gone.
    fn bytes_read(&mut self, id: StreamId) -> Option<u64>;
    /// How many bytes were written to a stream so far; `None` once its sending side is gone.
    fn bytes_written(&mut self, id: StreamId) -> Option<u64>;
    /// How much a stream counts against the peer's flow control, in bytes: the highest offset sent, or the
    /// final size once it was reset, also in answer to STOP_SENDING. `None` once its sending side is gone.
    fn sent_end(&mut self, id: StreamId) -> Option<u64>;
    /// How much a stream counts against this side's flow control, in bytes: the highest offset received, or
    /// the final size once that is known. `None` once its receiving side is gone.
    fn received_end(&mut self, id: StreamId) -> Option<u64>;
    /// How many bytes arrived for closed streams, on all of them together.
    fn bytes_dropped(&self) -> u64;
    /// Hands a stream over to the application, which from now on decides when its data is read.
    fn hand_over(&mut self, id: StreamId);
    /// The final size of a finished or reset stream, if known.
    fn final_size(&mut self, id: StreamId) -> Option<u64>;
    /// Whether a stream has arrived completely: every byte and its end, or a reset and the bytes that it
    /// guarantees.
    fn is_whole(&mut self, id: StreamId) -> bool;
    /// Whether the peer understands `RESET_STREAM_AT`.
    fn peer_supports_reset_stream_at(&self) -> bool;
    /// The TLS exporter (RFC 8446 §7.5): fills `out`.
    fn export_keying_material(&self, out: &mut [u8], label: &[u8], context: &[u8])
    -> Result<(), ExportError>;
}

impl SessionTransport for ConnTransport<'_> {
    fn read_chunks(
        &mut self,
        id: StreamId,
        max: usize,
        chunks: &mut Vec<Bytes>,
    ) -> Result<ReadProgress, ReadError> {
        self.conn.read_chunks(self.now, id, max, chunks)
    }

    fn write_within_limit(&mut self, id: StreamId, data: &mut Bytes) -> Result<usize, WriteError> {
        self.conn.write_within_limit(id, data)
    }

    fn hold_back(&mut self, id: StreamId, until: StreamId) {
        self.conn.hold_back(id, until);
    }

    fn set_tag(&mut self, id: StreamId, tag: StreamTag) {
        self.conn.set_tag(id, tag);
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

    fn final_size(&mut self, id: StreamId) -> Option<u64> {
        self.conn.final_size(id)
    }

    fn is_whole(&mut self, id: StreamId) -> bool {
        self.conn.is_whole(id).unwrap_or(false)
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
}
