//! A frame as a value: its content, which packets may carry it, and what it asks of the receiver.

use super::{ack::Ack, types};
use crate::{
    error::CloseReason,
    ids::{ConnectionId, Dir, Level, StreamId},
};

/// A stateless reset token (RFC 9000 §10.3).
pub type ResetToken = [u8; 16];

/// One frame, borrowing its data from the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Frame<'a> {
    /// A run of this many PADDING frames (RFC 9000 §19.1).
    Padding(usize),
    /// PING (RFC 9000 §19.2).
    Ping,
    /// ACK, with or without ECN counts (RFC 9000 §19.3).
    Ack(Ack<'a>),
    /// RESET_STREAM (RFC 9000 §19.4).
    ResetStream {
        /// The stream.
        id: StreamId,
        /// The application's error code.
        code: u64,
        /// The stream's final size in bytes.
        final_size: u64,
    },
    /// RESET_STREAM_AT (reliable-stream-reset §4).
    ResetStreamAt {
        /// The stream.
        id: StreamId,
        /// The application's error code.
        code: u64,
        /// The stream's final size in bytes.
        final_size: u64,
        /// How many bytes from the start are still delivered.
        reliable_size: u64,
    },
    /// STOP_SENDING (RFC 9000 §19.5).
    StopSending {
        /// The stream.
        id: StreamId,
        /// The application's error code.
        code: u64,
    },
    /// CRYPTO (RFC 9000 §19.6).
    Crypto {
        /// Where the data starts in its level's stream.
        offset: u64,
        /// Handshake bytes.
        data: &'a [u8],
    },
    /// NEW_TOKEN (RFC 9000 §19.7).
    NewToken(&'a [u8]),
    /// STREAM (RFC 9000 §19.8).
    Stream {
        /// The stream.
        id: StreamId,
        /// Where the data starts in the stream.
        offset: u64,
        /// Whether the data ends the stream.
        fin: bool,
        /// Application bytes.
        data: &'a [u8],
    },
    /// MAX_DATA (RFC 9000 §19.9).
    MaxData(u64),
    /// MAX_STREAM_DATA (RFC 9000 §19.10).
    MaxStreamData {
        /// The stream.
        id: StreamId,
        /// The new limit in bytes.
        limit: u64,
    },
    /// MAX_STREAMS (RFC 9000 §19.11).
    MaxStreams {
        /// The kind of stream.
        dir: Dir,
        /// How many streams of this kind may be opened in all, at most 2^60.
        limit: u64,
    },
    /// DATA_BLOCKED (RFC 9000 §19.12).
    DataBlocked(u64),
    /// STREAM_DATA_BLOCKED (RFC 9000 §19.13).
    StreamDataBlocked {
        /// The stream.
        id: StreamId,
        /// The limit at which the sender is blocked.
        limit: u64,
    },
    /// STREAMS_BLOCKED (RFC 9000 §19.14).
    StreamsBlocked {
        /// The kind of stream.
        dir: Dir,
        /// The limit at which the sender is blocked.
        limit: u64,
    },
    /// NEW_CONNECTION_ID (RFC 9000 §19.15).
    NewConnectionId {
        /// The sequence number of the connection ID.
        sequence: u64,
        /// Connection IDs below this sequence number are to be retired.
        retire_prior_to: u64,
        /// The connection ID, 1 to 20 bytes.
        id: ConnectionId,
        /// Its stateless reset token.
        token: ResetToken,
    },
    /// RETIRE_CONNECTION_ID (RFC 9000 §19.16).
    RetireConnectionId(u64),
    /// PATH_CHALLENGE (RFC 9000 §19.17).
    PathChallenge([u8; 8]),
    /// PATH_RESPONSE (RFC 9000 §19.18).
    PathResponse([u8; 8]),
    /// CONNECTION_CLOSE of the transport, type 0x1c (RFC 9000 §19.19).
    TransportClose {
        /// The error code.
        code: u64,
        /// The frame type that caused it, 0 if unknown.
        frame_type: u64,
        /// A reason in words, for people.
        reason: &'a [u8],
    },
    /// CONNECTION_CLOSE of the application, type 0x1d (RFC 9000 §19.19).
    ApplicationClose {
        /// The application's error code.
        code: u64,
        /// A reason in words, for people.
        reason: &'a [u8],
    },
    /// HANDSHAKE_DONE (RFC 9000 §19.20).
    HandshakeDone,
    /// DATAGRAM (RFC 9221 §4).
    Datagram {
        /// The payload, possibly empty.
        data: &'a [u8],
        /// Whether the frame carried its length (type 0x31), which counts against `max_datagram_frame_size`.
        has_length: bool,
    },
    /// IMMEDIATE_ACK (ack-frequency §5).
    ImmediateAck,
    /// ACK_FREQUENCY (ack-frequency §4).
    AckFrequency {
        /// The number of the request; larger ones replace it.
        sequence: u64,
        /// How many ack-eliciting packets may come without being acknowledged.
        threshold: u64,
        /// How long acknowledgments may be delayed, in microseconds.
        max_ack_delay: u64,
        /// By how many packets a missing one must be overtaken to be told at once; 0 for never.
        reordering: u64,
    },
}

/// What RFC 9000 §12.4 Table 3 says about a frame type.
struct Row {
    /// Initial and Handshake packets may carry it.
    in_handshake: bool,
    /// 0-RTT packets may carry it.
    in_zero_rtt: bool,
    /// It elicits an acknowledgment.
    elicits: bool,
    /// It only probes a path.
    probes: bool,
}

impl Frame<'_> {
    /// The frame type on the wire. STREAM returns its lowest type, whatever its flags.
    #[must_use]
    pub fn frame_type(&self) -> u64 {
        match self {
            Self::Padding(_) => types::PADDING,
            Self::Ping => types::PING,
            Self::Ack(ack) => types::ACK + u64::from(ack.ecn.is_some()),
            Self::ResetStream { .. } => types::RESET_STREAM,
            Self::ResetStreamAt { .. } => types::RESET_STREAM_AT,
            Self::StopSending { .. } => types::STOP_SENDING,
            Self::Crypto { .. } => types::CRYPTO,
            Self::NewToken(_) => types::NEW_TOKEN,
            Self::Stream { .. } => types::STREAM,
            Self::MaxData(_) => types::MAX_DATA,
            Self::MaxStreamData { .. } => types::MAX_STREAM_DATA,
            Self::MaxStreams { dir, .. } => types::MAX_STREAMS + *dir as u64,
            Self::DataBlocked(_) => types::DATA_BLOCKED,
            Self::StreamDataBlocked { .. } => types::STREAM_DATA_BLOCKED,
            Self::StreamsBlocked { dir, .. } => types::STREAMS_BLOCKED + *dir as u64,
            Self::NewConnectionId { .. } => types::NEW_CONNECTION_ID,
            Self::RetireConnectionId(_) => types::RETIRE_CONNECTION_ID,
            Self::PathChallenge(_) => types::PATH_CHALLENGE,
            Self::PathResponse(_) => types::PATH_RESPONSE,
            Self::TransportClose { .. } => types::TRANSPORT_CLOSE,
            Self::ApplicationClose { .. } => types::APPLICATION_CLOSE,
            Self::HandshakeDone => types::HANDSHAKE_DONE,
            Self::Datagram { has_length, .. } => types::DATAGRAM + u64::from(*has_length),
            Self::ImmediateAck => types::IMMEDIATE_ACK,
            Self::AckFrequency { .. } => types::ACK_FREQUENCY,
        }
    }

    /// Whether a packet with this frame must be acknowledged (RFC 9000 §13.2): all but ACK, PADDING and
    /// CONNECTION_CLOSE.
    #[must_use]
    pub fn is_ack_eliciting(&self) -> bool {
        self.row().elicits
    }

    /// Whether the frame only probes a path (RFC 9000 §9.1).
    #[must_use]
    pub fn is_probing(&self) -> bool {
        self.row().probes
    }

    /// Whether packets of this level may carry the frame (RFC 9000 §12.4 Table 3, §12.5).
    #[must_use]
    pub fn is_permitted_in(&self, level: Level) -> bool {
        match level {
            Level::Initial | Level::Handshake => self.row().in_handshake,
            Level::ZeroRtt => self.row().in_zero_rtt,
            Level::OneRtt => true,
        }
    }

    /// The frame's row of Table 3. The match names every type, so a new type without a row does not compile.
    const fn row(&self) -> Row {
        let (in_handshake, in_zero_rtt) = match self {
            Self::Padding(_) | Self::Ping | Self::TransportClose { .. } => (true, true),
            Self::Ack(_) | Self::Crypto { .. } => (true, false),
            Self::NewToken(_)
            | Self::PathResponse(_)
            | Self::HandshakeDone
            | Self::RetireConnectionId(_)
            | Self::ImmediateAck
            | Self::AckFrequency { .. } => (false, false),
            Self::ResetStream { .. }
            | Self::ResetStreamAt { .. }
            | Self::StopSending { .. }
            | Self::Stream { .. }
            | Self::MaxData(_)
            | Self::MaxStreamData { .. }
            | Self::MaxStreams { .. }
            | Self::DataBlocked(_)
            | Self::StreamDataBlocked { .. }
            | Self::StreamsBlocked { .. }
            | Self::NewConnectionId { .. }
            | Self::PathChallenge(_)
            | Self::ApplicationClose { .. }
            | Self::Datagram { .. } => (false, true),
        };
        let (elicits, probes) = match self {
            Self::Padding(_) => (false, true),
            Self::Ack(_) | Self::TransportClose { .. } | Self::ApplicationClose { .. } => (false, false),
            Self::PathChallenge(_) | Self::PathResponse(_) | Self::NewConnectionId { .. } => (true, true),
            Self::Ping
            | Self::ResetStream { .. }
            | Self::ResetStreamAt { .. }
            | Self::StopSending { .. }
            | Self::Crypto { .. }
            | Self::NewToken(_)
            | Self::Stream { .. }
            | Self::MaxData(_)
            | Self::MaxStreamData { .. }
            | Self::MaxStreams { .. }
            | Self::DataBlocked(_)
            | Self::StreamDataBlocked { .. }
            | Self::StreamsBlocked { .. }
            | Self::RetireConnectionId(_)
            | Self::HandshakeDone
            | Self::ImmediateAck
            | Self::AckFrequency { .. }
            | Self::Datagram { .. } => (true, false),
        };
        Row { in_handshake, in_zero_rtt, elicits, probes }
    }

    /// The frame that carries `reason`.
    #[must_use]
    pub fn close(reason: &CloseReason) -> Frame<'_> {
        match reason {
            CloseReason::Transport { code, frame_type, reason } => {
                Frame::TransportClose { code: code.0, frame_type: *frame_type, reason }
            }
            CloseReason::Application { code, reason } => Frame::ApplicationClose { code: *code, reason },
        }
    }
}
