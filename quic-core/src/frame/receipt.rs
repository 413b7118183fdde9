//! What a packet carried, in a few bytes: enough to tell the component that wrote a frame that it arrived or
//! was lost.

use crate::ids::{Dir, Space};

/// A retransmittable frame that was written into a packet. After a loss its component writes the *current*
/// value again; frame contents are not kept (RFC 9000 §13.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receipt {
    /// An ACK up to this packet number. Once it has arrived, older ranges need no more reporting (RFC 9000
    /// §13.2.4).
    Ack {
        /// The packet number space that it reports on.
        space: Space,
        /// The largest packet number acknowledged.
        largest: u64,
    },
    /// CRYPTO data.
    Crypto {
        /// The level.
        space: Space,
        /// Start in the level's stream.
        offset: u64,
        /// Bytes.
        length: u32,
    },
    /// STREAM data.
    Stream {
        /// Slot of the stream table.
        slot: u32,
        /// Start in the stream.
        offset: u64,
        /// Bytes.
        length: u32,
        /// Whether the frame ended the stream.
        fin: bool,
    },
    /// RESET_STREAM or RESET_STREAM_AT.
    ResetStream {
        /// Slot of the stream table.
        slot: u32,
    },
    /// STOP_SENDING.
    StopSending {
        /// Slot of the stream table.
        slot: u32,
    },
    /// MAX_STREAM_DATA.
    MaxStreamData {
        /// Slot of the stream table.
        slot: u32,
    },
    /// STREAM_DATA_BLOCKED.
    StreamDataBlocked {
        /// Slot of the stream table.
        slot: u32,
    },
    /// MAX_DATA.
    MaxData,
    /// DATA_BLOCKED.
    DataBlocked,
    /// MAX_STREAMS.
    MaxStreams(Dir),
    /// STREAMS_BLOCKED.
    StreamsBlocked(Dir),
    /// NEW_CONNECTION_ID with this sequence number.
    NewConnectionId(u64),
    /// RETIRE_CONNECTION_ID with this sequence number.
    RetireConnectionId(u64),
    /// HANDSHAKE_DONE.
    HandshakeDone,
    /// NEW_TOKEN.
    NewToken,
    /// ACK_FREQUENCY with this sequence number.
    AckFrequency(u64),
    /// Consecutive DATAGRAM frames of a packet. They are only counted.
    Datagrams {
        /// How many.
        count: u32,
        /// Payload bytes of all.
        bytes: u32,
    },
    /// A frame that nobody writes again after a loss: PING, PATH_CHALLENGE, PATH_RESPONSE.
    Nothing,
}
