//! The trait through which HTTP/3 uses a QUIC connection.

use bytes::Bytes;
use quic_core::{
    DatagramOptions, Dir, LayerEvent, Priority, Side, StreamId,
    error::call::{DatagramError, Read, ReadError, WriteError},
};

/// What HTTP/3 needs from a QUIC connection. It is synchronous and never calls back.
///
/// A stream whose [`StreamTag`](quic_core::StreamTag) is 0 belongs to HTTP/3. A layer above that takes over a
/// stream sets another tag.
pub trait Transport {
    /// Opens a stream. Returns `None` if there is no credit now; `Event::StreamsAvailable` follows.
    fn open(&mut self, dir: Dir) -> Option<StreamId>;
    /// Reads the next bytes of a stream, at most `max` of them. It returns a reset once; then the stream is
    /// closed. As long as the stream has no tag, the bytes that arrived in order before the reset are read
    /// first, because they may identify the stream.
    fn read(&mut self, id: StreamId, max: usize) -> Result<Read, ReadError>;
    /// Writes a prefix of `data` and advances it. 0 means blocked; `Event::StreamWritable` follows.
    fn write(&mut self, id: StreamId, data: &mut Bytes) -> Result<usize, WriteError>;
    /// How many bytes [`Transport::write`] would take now; 0 if the sending side is over.
    fn writable(&mut self, id: StreamId) -> usize;
    /// How many more bytes of a stream the peer's flow-control limits permit to send now (RFC 9000 §4.1).
    fn send_credit(&mut self, id: StreamId) -> u64;
    /// Ends the sending side after the data written so far.
    fn finish(&mut self, id: StreamId) -> Result<(), WriteError>;
    /// Resets the sending side. The peer still gets the first `reliable_size` bytes if it supports
    /// `RESET_STREAM_AT`. With a size of 0 or without that support, it is a plain `RESET_STREAM`.
    fn reset(&mut self, id: StreamId, code: u64, reliable_size: u64) -> Result<(), WriteError>;
    /// Asks the peer to stop sending; unread and later data is discarded.
    fn stop_sending(&mut self, id: StreamId, code: u64) -> Result<(), ReadError>;
    /// Sets the priority of a stream's data.
    fn set_priority(&mut self, id: StreamId, priority: Priority);
    /// Whether the connection's limit (`MAX_DATA`, RFC 9000 §4.1) leaves the peer no credit for stream data,
    /// and the unread data of the streams [handed over](quic_core::Connection::hand_over) to the application
    /// alone would be enough for that. Then a peer that sends nothing is not late.
    fn withholds_credit(&self) -> bool;
    /// How many streams of this kind may be opened in total: the last `MAX_STREAMS` sent (for the peer's
    /// streams) or received (for own streams).
    fn stream_limit(&self, initiator: Side, dir: Dir) -> u64;
    /// Queues a datagram.
    fn send_datagram(&mut self, data: Bytes, options: DatagramOptions) -> Result<(), DatagramError>;
    /// Takes the next received datagram.
    fn receive_datagram(&mut self) -> Option<Bytes>;
    /// The largest datagram that can be sent now, in bytes; `None` if the peer accepts none.
    fn max_datagram_size(&self) -> Option<usize>;
    /// Closes the connection with an application code (`CONNECTION_CLOSE` of type 0x1d).
    fn close(&mut self, code: u64, reason: &[u8]);
    /// Whether somebody observes the connection, so that [`Transport::trace`] has an effect. By default nobody does.
    fn is_observed(&self) -> bool {
        false
    }
    /// Shows an event to the observer of the connection.
    fn trace(&mut self, event: &LayerEvent<'_>) {
        let _ = event;
    }
}
