//! What HTTP/3 needs of a connection.

use bytes::Bytes;
use quic_core::{
    DatagramOptions, Dir, Priority, Side, StreamId,
    error::call::{DatagramError, Read, ReadError, WriteError},
};

/// What HTTP/3 needs of a QUIC connection. Synchronous; it never calls up.
///
/// A stream whose [`StreamTag`](quic_core::StreamTag) is 0 belongs to HTTP/3. A layer above that takes a stream over sets
/// another tag.
pub trait Transport {
    /// Opens a stream. `None`: no credit now, `Event::StreamsAvailable` follows.
    fn open(&mut self, dir: Dir) -> Option<StreamId>;
    /// Reads the next bytes of a stream, at most `max` of them. A reset is told once, then the stream is closed. As long as
    /// the stream has no tag, what came in order before the reset is read first: it may tell whose stream it is.
    fn read(&mut self, id: StreamId, max: usize) -> Result<Read, ReadError>;
    /// Writes a prefix of `data` and advances it; 0 is blocked, `Event::StreamWritable` follows.
    fn write(&mut self, id: StreamId, data: &mut Bytes) -> Result<usize, WriteError>;
    /// How many bytes [`Transport::write`] would take now; 0 if the stream takes none any more.
    fn writable(&mut self, id: StreamId) -> usize;
    /// Ends the sending side after what was written.
    fn finish(&mut self, id: StreamId) -> Result<(), WriteError>;
    /// Resets the sending side. The peer still gets the first `reliable_size` bytes if it supports that; 0, and a
    /// peer without support, make it a plain `RESET_STREAM`.
    fn reset(&mut self, id: StreamId, code: u64, reliable_size: u64) -> Result<(), WriteError>;
    /// Asks the peer to stop sending; what is there and what comes is discarded.
    fn stop_sending(&mut self, id: StreamId, code: u64) -> Result<(), ReadError>;
    /// Ranks a stream's data among others.
    fn set_priority(&mut self, id: StreamId, priority: Priority);
    /// Whether the peer may send no stream data by the limit of the connection (`MAX_DATA`, RFC 9000 §4.1), and that would be
    /// so though nothing were held but what the application leaves unread of the streams that were [handed
    /// over](quic_core::Connection::hand_over) to it. Only then is a peer not late that does not go on.
    fn withholds_credit(&self) -> bool;
    /// How many streams of this kind may be opened over the life of the connection, by the limits known now: the
    /// last `MAX_STREAMS` sent (peer's streams) or received (own streams).
    fn stream_limit(&self, initiator: Side, dir: Dir) -> u64;
    /// Queues a datagram.
    fn send_datagram(&mut self, data: Bytes, options: DatagramOptions) -> Result<(), DatagramError>;
    /// Takes the next received datagram.
    fn receive_datagram(&mut self) -> Option<Bytes>;
    /// The largest datagram that can be sent now, in bytes; `None`: the peer takes none.
    fn max_datagram_size(&self) -> Option<usize>;
    /// Closes the connection with an application code (`CONNECTION_CLOSE` of type 0x1d).
    fn close(&mut self, code: u64, reason: &[u8]);
}
