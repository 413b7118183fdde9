//! What a connection tells its application.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use crate::{
    base::setters,
    error::ConnectionError,
    ids::{Dir, StreamId},
};

/// An opaque mark that upper layers put on a stream; 0 until set. Events carry it, so that a layer can route a
/// stream's events without a look-up of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a mark of the caller")]
pub struct StreamTag(pub u64);

/// An event of a connection, in the order in which it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// TLS is done: keys, the peer's identity and its transport parameters are authenticated.
    HandshakeComplete,
    /// The handshake is confirmed (RFC 9001 §4.1.2).
    HandshakeConfirmed,
    /// The first frame about this stream of the peer's came. All lower ones of its kind are open with it (RFC 9000 §2.1)
    /// and may be used; those have their event when something comes for them, unless they were used before.
    StreamOpened(StreamId),
    /// The stream has data, a FIN or a reset to read, after a read that was blocked or for the first time.
    StreamReadable(StreamId, StreamTag),
    /// A write that was blocked can go on.
    StreamWritable(StreamId, StreamTag),
    /// The peer sent STOP_SENDING with this code (RFC 9000 §19.5).
    StreamStopped(StreamId, StreamTag, u64),
    /// A receiving side that was given up ([`Connection::stop_sending`](crate::Connection::stop_sending)) is gone: the
    /// peer has told its final size, in bytes. There is no such event if that was known before.
    StreamDiscarded(StreamId, StreamTag, u64),
    /// All data and the FIN, or the reset, are acknowledged: the sending side is gone.
    StreamSent(StreamId, StreamTag),
    /// Opening a stream, refused before for want of credit, is possible again.
    StreamsAvailable(Dir),
    /// Datagrams are waiting to be received.
    DatagramReadable,
    /// The datagram queue, full before, has room again.
    DatagramWritable,
    /// The largest datagram payload changed.
    DatagramSizeChanged,
    /// Packets go to another address of the peer, or from another one of this host: the peer has moved, or this end has
    /// (RFC 9000 §9). Several in a row are told as one.
    PathChanged {
        /// Where packets go.
        remote: SocketAddr,
        /// The address of this host that they leave from, if known.
        local_ip: Option<IpAddr>,
    },
    /// A path did not work: the peer did not answer there (RFC 9000 §8.2.4). The connection goes on where it did before.
    PathFailed {
        /// Where the path leads.
        remote: SocketAddr,
        /// The address of this host that it begins at, if known.
        local_ip: Option<IpAddr>,
    },
    /// The connection ended; the last event. What came before it can be read until the next call of
    /// [`Connection::poll_event`](crate::Connection::poll_event).
    Closed(ConnectionError),
}

/// How a stream's data is ranked among others (RFC 9218 §4 and W3C send groups and orders).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Priority {
    /// 0 (first) to 7 (last); streams of a lower number go first. Default 3.
    pub urgency: u8,
    /// Whether streams of equal rank share (true) or go one after the other in the order of their ids.
    pub incremental: bool,
    /// Bundles of equal urgency share equally, however many groups and streams each has: a bundle is what one user of the
    /// connection sends, such as a WebTransport session. Default 0.
    pub bundle: u32,
    /// Groups of one bundle share equally; streams of one group rank by `order` among themselves. Default 0.
    pub group: u32,
    /// Within a group, a higher order goes first, strictly. Default 0.
    pub order: i64,
}

impl Default for Priority {
    fn default() -> Self {
        Self { urgency: 3, incremental: true, bundle: 0, group: 0, order: 0 }
    }
}

impl Priority {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        urgency: u8,
        incremental: bool,
        bundle: u32,
        group: u32,
        order: i64,
    }
}

/// How a datagram is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatagramOptions {
    /// The datagram's rank among streams and other datagrams. Those of one rank take turns with streams of that rank
    /// and go in the order in which they were given; `incremental` says nothing here. The default is urgency 0: before
    /// streams of the default urgency.
    pub priority: Priority,
    /// The datagram is dropped if it has waited longer when its turn comes. `None`, the default: the connection's
    /// outgoing maximum age counts.
    pub max_age: Option<Duration>,
    /// How long it has waited before, above the connection: counts as well. Default zero.
    pub waited: Duration,
}

impl Default for DatagramOptions {
    fn default() -> Self {
        let priority = Priority { urgency: 0, ..Priority::default() };
        Self { priority, max_age: None, waited: Duration::ZERO }
    }
}

impl DatagramOptions {
    /// With this rank.
    #[must_use]
    pub fn with_priority(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }

    /// With this maximum age; `None` leaves it to the connection.
    #[must_use]
    pub fn with_max_age(self, max_age: Option<Duration>) -> Self {
        Self { max_age, ..self }
    }

    /// After this wait elsewhere.
    #[must_use]
    pub fn after(self, waited: Duration) -> Self {
        Self { waited, ..self }
    }
}

/// What layers above hold of what was received and the application has not taken, and of what it gave to be sent, see
/// [`Connection::set_held_above`](crate::Connection::set_held_above).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldAbove {
    /// Bytes that were read from streams.
    pub stream_bytes: usize,
    /// Bidirectional and unidirectional streams of the peer whose receiving part was read to its end.
    pub streams: [u64; 2],
    /// Bytes of other things, such as datagrams.
    pub other_bytes: usize,
    /// Bytes that the application gave to be sent, and that are not with QUIC yet: the peer decides how long they wait.
    pub send_bytes: usize,
}

impl HeldAbove {
    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        stream_bytes: usize,
        streams: [u64; 2],
        other_bytes: usize,
        send_bytes: usize,
    }
}
