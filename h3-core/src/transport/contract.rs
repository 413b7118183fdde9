//! What HTTP/3 and WebTransport need of a connection.

use bytes::Bytes;
use quic_core::{
    DatagramOptions, Dir, Priority, Side, StreamId, StreamTag,
    error::call::{DatagramError, Read, ReadError, ReadProgress, WriteError},
};

/// The TLS exporter is not ready, or cannot give what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the TLS exporter cannot give this now")]
pub struct ExportError;

/// What HTTP/3 and WebTransport need of a QUIC connection. Synchronous; it never calls up.
///
/// A stream whose [`StreamTag`] is 0 belongs to HTTP/3. A layer above that takes a stream over sets another tag.
pub trait Transport {
    /// Which end of the connection this is.
    fn side(&self) -> Side;
    /// Opens a stream. `None`: no credit now, `Event::StreamsAvailable` follows.
    fn open(&mut self, dir: Dir) -> Option<StreamId>;
    /// Reads the next bytes of a stream, at most `max` of them. A reset is told once, then the stream is closed. As long as
    /// the stream has no tag, what came in order before the reset is read first: it may tell whose stream it is.
    fn read(&mut self, id: StreamId, max: usize) -> Result<Read, ReadError>;
    /// As [`Transport::read`], but reads until `max` bytes were, nothing is left, or the stream ends, and appends what it
    /// read to `chunks`: also before an error.
    fn read_chunks(
        &mut self,
        id: StreamId,
        max: usize,
        chunks: &mut Vec<Bytes>,
    ) -> Result<ReadProgress, ReadError>;
    /// Writes a prefix of `data` and advances it; 0 is blocked, `Event::StreamWritable` follows.
    fn write(&mut self, id: StreamId, data: &mut Bytes) -> Result<usize, WriteError>;
    /// How many bytes [`Transport::write`] would take now; 0 if the stream takes none any more.
    fn writable(&mut self, id: StreamId) -> usize;
    /// As [`Transport::write`], but takes nothing that the peer's limit of the stream (`MAX_STREAM_DATA`, RFC 9000 §4.1)
    /// keeps from being sent. `Event::StreamWritable` follows when it permits more, too.
    fn write_within_limit(&mut self, id: StreamId, data: &mut Bytes) -> Result<usize, WriteError>;
    /// Ends the sending side after what was written.
    fn finish(&mut self, id: StreamId) -> Result<(), WriteError>;
    /// Resets the sending side. The peer still gets the first `reliable_size` bytes if it supports that; 0, and a
    /// peer without support, make it a plain `RESET_STREAM`.
    fn reset(&mut self, id: StreamId, code: u64, reliable_size: u64) -> Result<(), WriteError>;
    /// Asks the peer to stop sending; what is there and what comes is discarded.
    fn stop_sending(&mut self, id: StreamId, code: u64) -> Result<(), ReadError>;
    /// Lets the frames of a later reset or stop of `id` wait until everything written to `until`, and its end, has been
    /// acknowledged. They take effect here at once; nothing waits if `until` has nothing to send any more.
    fn hold_back(&mut self, id: StreamId, until: StreamId);
    /// Marks a stream; later events carry the mark.
    fn set_tag(&mut self, id: StreamId, tag: StreamTag);
    /// Ranks a stream's data among others.
    fn set_priority(&mut self, id: StreamId, priority: Priority);
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
    /// Whether the peer may send no stream data by the limit of the connection (`MAX_DATA`, RFC 9000 §4.1), and that would be
    /// so though nothing were held but what the application leaves unread of the streams that were [handed
    /// over](Self::hand_over) to it. Only then is a peer not late that does not go on.
    fn withholds_credit(&self) -> bool;
    /// The final size of a finished or reset stream, if known.
    fn final_size(&mut self, id: StreamId) -> Option<u64>;
    /// Whether all that can be read of a stream has come: every byte and its end, or a reset and what it promises.
    fn is_whole(&mut self, id: StreamId) -> bool;
    /// How many streams of this kind may be opened over the life of the connection, by the limits known now: the
    /// last `MAX_STREAMS` sent (peer's streams) or received (own streams).
    fn stream_limit(&self, initiator: Side, dir: Dir) -> u64;
    /// Queues a datagram.
    fn send_datagram(&mut self, data: Bytes, options: DatagramOptions) -> Result<(), DatagramError>;
    /// Takes the next received datagram.
    fn receive_datagram(&mut self) -> Option<Bytes>;
    /// The largest datagram that can be sent now, in bytes; `None`: the peer takes none.
    fn max_datagram_size(&self) -> Option<usize>;
    /// Whether the peer understands `RESET_STREAM_AT`.
    fn peer_supports_reset_stream_at(&self) -> bool;
    /// The TLS exporter (RFC 8446 §7.5): fills `out`.
    fn export_keying_material(&self, out: &mut [u8], label: &[u8], context: &[u8])
    -> Result<(), ExportError>;
    /// Closes the connection with an application code (`CONNECTION_CLOSE` of type 0x1d).
    fn close(&mut self, code: u64, reason: &[u8]);
}
