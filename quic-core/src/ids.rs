//! Identifiers and kinds: connection IDs, stream IDs, directions, sides, packet number spaces, encryption
//! levels.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasherDefault, Hasher},
};

/// Which end of a connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a connection has two ends")]
pub enum Side {
    /// The end that opened the connection.
    Client,
    /// The end that accepted it.
    Server,
}

impl Side {
    /// The other end.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// True for the client.
    #[must_use]
    pub const fn is_client(self) -> bool {
        matches!(self, Self::Client)
    }
}

/// Names a path of a connection, or rather what is known of a way through the network. A name is never
/// reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PathId(pub(crate) u32);

impl PathId {
    /// The path of the handshake.
    pub(crate) const FIRST: Self = Self(0);
}

/// Whether a stream carries data one way or both ways (RFC 9000 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the two kinds of RFC 9000 §2.1")]
pub enum Dir {
    /// Both ends send.
    Bidi = 0,
    /// Only the end that opened the stream sends.
    Uni = 1,
}

/// A stream identifier (RFC 9000 §2.1). Bit 0 tells which end opened the stream, bit 1 its direction.
///
/// ```
/// use quic_core::{Dir, Side, StreamId};
/// let id = StreamId::new(Side::Server, Dir::Uni, 2);
/// assert_eq!(id.value(), 11);
/// assert_eq!((id.initiator(), id.dir(), id.index()), (Side::Server, Dir::Uni, 2));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(u64);

/// A table of streams. Stream IDs are not secret, and few exist at once, so one multiplication spreads them
/// well enough.
pub type StreamMap<V> = HashMap<StreamId, V, BuildHasherDefault<StreamIdHasher>>;

/// The hasher of [`StreamMap`].
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamIdHasher(u64);

impl Hasher for StreamIdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        // The product of 64 by 64 bits is kept whole, so that the largest stream ID fits.
        let wide = u128::from(self.0 ^ value ^ 0x9e37_79b9) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (wide >> 64) as u64 ^ wide as u64;
    }
}

impl StreamId {
    /// The stream with this number; `None` above 2^62-1.
    #[must_use]
    pub const fn from_value(value: u64) -> Option<Self> {
        if value <= crate::base::varint::MAX { Some(Self(value)) } else { None }
    }

    /// The `index`-th stream (from 0) of its kind. The index is truncated to 60 bits.
    #[must_use]
    pub const fn new(initiator: Side, dir: Dir, index: u64) -> Self {
        let low = (dir as u64) << 1 | matches!(initiator, Side::Server) as u64;
        Self((index << 2 | low) & crate::base::varint::MAX)
    }

    /// The number on the wire.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }

    /// The end that opened the stream.
    #[must_use]
    pub const fn initiator(self) -> Side {
        if self.0 & 1 == 0 { Side::Client } else { Side::Server }
    }

    /// Unidirectional or bidirectional.
    #[must_use]
    pub const fn dir(self) -> Dir {
        if self.0 & 2 == 0 { Dir::Bidi } else { Dir::Uni }
    }

    /// How many streams of its kind come before it.
    #[must_use]
    pub const fn index(self) -> u64 {
        self.0 >> 2
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamId({})", self.0)
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.initiator().is_client() { "client" } else { "server" };
        let dir = if self.dir() == Dir::Bidi { "bidirectional" } else { "unidirectional" };
        write!(f, "{side} {dir} stream {}", self.0)
    }
}

/// The longest connection ID of QUIC version 1, in bytes (RFC 9000 §17.2).
pub const MAX_CID_LENGTH: usize = 20;

/// A connection ID of 0 to 20 bytes (RFC 9000 §5.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ConnectionId {
    length: u8,
    bytes: [u8; MAX_CID_LENGTH],
}

impl ConnectionId {
    /// The empty connection ID.
    pub const EMPTY: Self = Self { length: 0, bytes: [0; MAX_CID_LENGTH] };

    /// A connection ID with these bytes; `None` for more than 20.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut id = Self { length: u8::try_from(bytes.len()).ok()?, ..Self::EMPTY };
        id.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(id)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// The length in bytes, 0 to 20.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length as usize
    }

    /// True for the connection ID of length zero.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionId({self})")
    }
}

/// A packet number space (RFC 9000 §12.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the three of RFC 9000 §12.3")]
pub enum Space {
    /// Initial packets.
    Initial = 0,
    /// Handshake packets.
    Handshake = 1,
    /// 0-RTT and 1-RTT packets.
    Data = 2,
}

impl Space {
    /// All spaces, lowest first.
    pub const ALL: [Self; 3] = [Self::Initial, Self::Handshake, Self::Data];

    /// The level at which this end sends the packets of the space. The last space also has 0-RTT packets, for
    /// a client that has no 1-RTT keys yet.
    pub(crate) const fn level(self) -> Level {
        match self {
            Self::Initial => Level::Initial,
            Self::Handshake => Level::Handshake,
            Self::Data => Level::OneRtt,
        }
    }
}

/// An encryption level: it determines which keys protect a packet (RFC 9001 §2.1, §5), and which frames the
/// packet may carry (RFC 9000 §12.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the four of RFC 9001 §4")]
pub enum Level {
    /// Initial packets.
    Initial = 0,
    /// 0-RTT packets.
    ZeroRtt = 1,
    /// Handshake packets.
    Handshake = 2,
    /// 1-RTT packets.
    OneRtt = 3,
}

impl Level {
    /// The space in which packets of the level are numbered. 0-RTT and 1-RTT packets share one (RFC 9000
    /// §12.3).
    #[must_use]
    pub const fn space(self) -> Space {
        match self {
            Self::Initial => Space::Initial,
            Self::Handshake => Space::Handshake,
            Self::ZeroRtt | Self::OneRtt => Space::Data,
        }
    }
}
