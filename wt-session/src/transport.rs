//! What sessions need of a connection beside what HTTP/3 does.

use bytes::Bytes;
use h3_core::{Transport, transport::ConnTransport};
use quic_core::{
    StreamId, StreamTag,
    error::call::{ReadError, ReadProgress, WriteError},
};

/// The TLS exporter is not ready, or cannot give what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the TLS exporter cannot give this now")]
#[expect(clippy::exhaustive_structs, reason = "an error with one cause")]
pub struct ExportError;

/// What sessions need of a QUIC connection beside what HTTP/3 does. Synchronous; it never calls up.
pub trait SessionTransport: Transport {
    /// As [`Transport::read`], but reads until `max` bytes were, nothing is left, or the stream ends, and appends what it
    /// read to `chunks`: also before an error.
    fn read_chunks(
        &mut self,
        id: StreamId,
        max: usize,
        chunks: &mut Vec<Bytes>,
    ) -> Result<ReadProgress, ReadError>;
    /// As [`Transport::write`], but takes nothing that the peer's limit of the stream (`MAX_STREAM_DATA`, RFC 9000 §4.1)
    /// keeps from being sent. `Event::StreamWritable` follows when it permits more, too.
    fn write_within_limit(&mut self, id: StreamId, data: &mut Bytes) -> Result<usize, WriteError>;
    /// Lets the frames of a later reset or stop of `id` wait until everything written to `until`, and its end, has been
    /// acknowledged. They take effect here at once; nothing waits if `until` has nothing to send any more.
    fn hold_back(&mut self, id: StreamId, until: StreamId);
    /// Marks a stream; later events carry the mark.
    fn set_tag(&mut self, id: StreamId, tag: StreamTag);
    /// Bytes read of a stream so far; `None` once it is gone.
    fn bytes_read(&mut self, id: StreamId) -> Option<u64>;
    /// Bytes written to a stream so far; `None` once its sending side is gone.
    fn bytes_written(&mut self, id: StreamId) -> Option<u64>;
    /// One past the highest byte sent of a stream, or its final size once it was reset, also in answer to the peer's
    /// STOP_SENDING: what counts against the peer's flow control. `None` once its sending side is gone.
    fn sent_end(&mut self, id: StreamId) -> Option<u64>;
    /// One past the highest byte received of a stream, gaps included, or the final size once that is known: what counts
    /// against flow control. `None` once its receiving side is gone.
    fn received_end(&mut self, id: StreamId) -> Option<u64>;
    /// Bytes that have come for streams that were given up, of all of them together.
    fn bytes_dropped(&self) -> u64;
    /// Hands a stream over to the application: from now on it is up to the application how long what can be read of it stays
    /// unread.
    fn hand_over(&mut self, id: StreamId);
    /// The final size of a finished or reset stream, if known.
    fn final_size(&mut self, id: StreamId) -> Option<u64>;
    /// Whether all that can be read of a stream has come: every byte and its end, or a reset and what it promises.
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
