//! The events that a connection reports to its application.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use crate::{
    base::setters,
    error::ConnectionError,
    ids::{Dir, StreamId},
};

/// An opaque number that upper layers set on a stream; 0 until set. Events carry it, so that a layer can
/// route a stream's events without a look-up of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a mark of the caller")]
pub struct StreamTag(pub u64);

/// An event of a connection, in the order in which it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The server has decided about this client's 0-RTT; [`HandshakeComplete`](Self::HandshakeComplete)
    /// follows. If it did not accept, everything that was written to streams is sent again by itself, under
    /// the limits that the server has now; datagrams count as lost (RFC 9001 §4.6.2).
    EarlyDataDecided {
        /// Whether the server accepted it.
        accepted: bool,
    },
    /// TLS is complete: keys, the peer's identity and its transport parameters are authenticated.
    HandshakeComplete,
    /// The handshake is confirmed (RFC 9001 §4.1.2).
    HandshakeConfirmed,
    /// The first frame about this stream of the peer arrived. All lower ones of its kind are open with it
    /// (RFC 9000 §2.1) and may be used. Each of those has this event when its first frame arrives, unless it
    /// was used before.
    StreamOpened(StreamId),
    /// The stream has data, a FIN or a reset to read: for the first time, or after a read that was blocked.
    StreamReadable(StreamId, StreamTag),
    /// A write that was blocked can continue.
    StreamWritable(StreamId, StreamTag),
    /// The peer sent STOP_SENDING with this code (RFC 9000 §19.5).
    StreamStopped(StreamId, StreamTag, u64),
    /// A receiving half that was given up ([`Connection::stop_sending`](crate::Connection::stop_sending)) is
    /// gone, because the peer has sent its final size, in bytes. There is no such event if the final size was
    /// known before.
    StreamDiscarded(StreamId, StreamTag, u64),
    /// All data and the FIN, or the reset, are acknowledged: the sending half is gone.
    StreamSent(StreamId, StreamTag),
    /// A stream can be opened again, after an attempt was refused for want of credit.
    StreamsAvailable(Dir),
    /// Datagrams are waiting to be received.
    DatagramReadable,
    /// The datagram queue has room again after it was full.
    DatagramWritable,
    /// The largest datagram payload changed.
    DatagramSizeChanged,
    /// Packets go to another address of the peer, or leave from another address of this host, because an end
    /// has moved (RFC 9000 §9). Several moves in a row are reported as one.
    PathChanged {
        /// Where packets go.
        remote: SocketAddr,
        /// The address of this host from which they leave, if known.
        local_ip: Option<IpAddr>,
    },
    /// A path did not work: the peer did not answer there (RFC 9000 §8.2.4). The connection stays where it
    /// was.
    PathFailed {
        /// The peer's address on the path.
        remote: SocketAddr,
        /// The address of this host on the path, if known.
        local_ip: Option<IpAddr>,
    },
    /// The connection has ended; this is the last event. Data received before can be read until the next call
    /// of [`Connection::poll_event`](crate::Connection::poll_event).
    Closed(ConnectionError),
}

/// What became of the 0-RTT of a connection (RFC 9001 §4.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the states of RFC 9001 §4.6.2")]
pub enum EarlyData {
    /// The client offers none.
    #[default]
    None,
    /// The client sends 0-RTT and does not know yet whether the server accepts it.
    Offered,
    /// The server accepts it. At a server it is safe to assume that the client sent it now, and not somebody
    /// else later, once the handshake is complete (RFC 8470 §3).
    Accepted,
    /// The server has not accepted it. A server does not know what it has not accepted.
    Rejected,
}

/// How a stream's data is ranked among others (RFC 9218 §4 and W3C send groups and orders).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Priority {
    /// 0 (first) to 7 (last); streams of a lower number go first. Default 3.
    pub urgency: u8,
    /// Whether streams of equal rank share (true), or go one after the other in the order of their IDs.
    pub incremental: bool,
    /// Bundles of equal urgency share equally, however many groups and streams each has. A bundle is what one
    /// user of the connection sends, such as a WebTransport session. Default 0.
    pub bundle: u32,
    /// Groups of one bundle share equally; streams of one group rank by `order` among themselves. Default 0.
    pub group: u32,
    /// Within a group, a higher order goes strictly first. Default 0.
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
    /// The datagram's rank among streams and other datagrams. Datagrams of one rank take turns with streams
    /// of that rank, and go in the order in which they were queued; `incremental` has no effect. The default
    /// is urgency 0, which is before streams of the default urgency.
    pub priority: Priority,
    /// The datagram is dropped if it has waited longer than this when its turn comes. With `None`, the
    /// default, the connection's maximum age of outgoing datagrams applies.
    pub max_age: Option<Duration>,
    /// How long the datagram has already waited in a layer above; this counts, too. Default zero.
    pub waited: Duration,
}

impl Default for DatagramOptions {
    fn default() -> Self {
        let priority = Priority { urgency: 0, ..Priority::default() };
        Self { priority, max_age: None, waited: Duration::ZERO }
    }
}

impl DatagramOptions {
    /// The same options with this rank.
    #[must_use]
    pub fn with_priority(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }

    /// The same options with this maximum age; `None` applies the connection's.
    #[must_use]
    pub fn with_max_age(self, max_age: Option<Duration>) -> Self {
        Self { max_age, ..self }
    }

    /// The same options after this wait elsewhere.
    #[must_use]
    pub fn after(self, waited: Duration) -> Self {
        Self { waited, ..self }
    }
}

/// What layers above hold: received data that the application has not taken, and data to be sent. See
/// [`Connection::set_held_above`](crate::Connection::set_held_above).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldAbove {
    /// Bytes that were read from streams.
    pub stream_bytes: usize,
    /// Bidirectional and unidirectional streams of the peer whose receiving half was read to its end.
    pub streams: [u64; 2],
    /// Bytes of other things, such as datagrams.
    pub other_bytes: usize,
    /// Bytes of the application to be sent that QUIC does not have yet: the peer decides how long they wait.
    pub send_bytes: usize,
}

impl HeldAbove {
    /// Nothing is held.
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
