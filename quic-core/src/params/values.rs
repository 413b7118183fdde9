//! The contents of transport parameters and their defaults.

use std::{
    net::{SocketAddrV4, SocketAddrV6},
    time::Duration,
};

use crate::{base::setters, frame::ResetToken, ids::ConnectionId};

/// The most streams of one kind that a connection can ever have (RFC 9000 §4.6).
pub(crate) const MAX_STREAMS: u64 = 1 << 60;

/// The longest delay of acknowledgments that an end may announce (RFC 9000 §18.2).
pub(crate) const MAX_ACK_DELAY: Duration = Duration::from_millis((1 << 14) - 1);

/// What one end told the other about itself. The defaults are the values of absent parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransportParameters {
    /// Destination connection ID of the client's first Initial; servers only.
    pub original_destination_connection_id: Option<ConnectionId>,
    /// Idle timeout; zero means none.
    pub max_idle_timeout: Duration,
    /// Stateless reset token of the handshake's connection ID; servers only.
    pub stateless_reset_token: Option<ResetToken>,
    /// The largest UDP payload that the sender of the parameter accepts, at least 1200 bytes.
    pub max_udp_payload_size: u64,
    /// Connection flow-control limit in bytes.
    pub initial_max_data: u64,
    /// Stream flow-control limit in bytes, for bidirectional streams that the sender of the parameter opens.
    pub initial_max_stream_data_bidi_local: u64,
    /// Stream flow-control limit in bytes, for bidirectional streams that the receiver of the parameter
    /// opens.
    pub initial_max_stream_data_bidi_remote: u64,
    /// Stream flow-control limit in bytes, for unidirectional streams that the receiver of the parameter
    /// opens.
    pub initial_max_stream_data_uni: u64,
    /// Bidirectional streams that the receiver of the parameter may open, at most 2^60.
    pub initial_max_streams_bidi: u64,
    /// Unidirectional streams that the receiver of the parameter may open, at most 2^60.
    pub initial_max_streams_uni: u64,
    /// Exponent of the ACK Delay field, at most 20.
    pub ack_delay_exponent: u8,
    /// How long the sender of the parameter delays acknowledgments at most, below 2^14 ms.
    pub max_ack_delay: Duration,
    /// Whether the receiver must not migrate actively.
    pub disable_active_migration: bool,
    /// Another address of the server; servers only.
    pub preferred_address: Option<PreferredAddress>,
    /// How many connection IDs the sender of the parameter stores, at least 2.
    pub active_connection_id_limit: u64,
    /// The source connection ID of the sender's first Initial.
    pub initial_source_connection_id: Option<ConnectionId>,
    /// The source connection ID of the Retry packet; servers only.
    pub retry_source_connection_id: Option<ConnectionId>,
    /// Chosen and available versions (RFC 9368 §3).
    pub version_information: Option<VersionInformation>,
    /// Whether the sender of the parameter understands RESET_STREAM_AT frames (under either codepoint).
    pub reset_stream_at: bool,
    /// The largest DATAGRAM frame in bytes, including the type and length fields; 0 means none (RFC 9221 §3).
    pub max_datagram_frame_size: u64,
    /// Whether the sender of the parameter accepts packets with a zero fixed bit (RFC 9287).
    pub grease_quic_bit: bool,
    /// The shortest delay of acknowledgments that the receiver may ask for, at most `max_ack_delay`. `None` if it may
    /// ask nothing of acknowledgments (ack-frequency §3).
    pub min_ack_delay: Option<Duration>,
    /// A reserved parameter `31 * N + 27` sent to keep peers tolerant (RFC 9000 §18.1), as (N, value length).
    pub grease: Option<(u32, u8)>,
}

impl Default for TransportParameters {
    fn default() -> Self {
        Self {
            original_destination_connection_id: None,
            max_idle_timeout: Duration::ZERO,
            stateless_reset_token: None,
            max_udp_payload_size: 65_527,
            initial_max_data: 0,
            initial_max_stream_data_bidi_local: 0,
            initial_max_stream_data_bidi_remote: 0,
            initial_max_stream_data_uni: 0,
            initial_max_streams_bidi: 0,
            initial_max_streams_uni: 0,
            ack_delay_exponent: 3,
            max_ack_delay: Duration::from_millis(25),
            disable_active_migration: false,
            preferred_address: None,
            active_connection_id_limit: 2,
            initial_source_connection_id: None,
            retry_source_connection_id: None,
            version_information: None,
            reset_stream_at: false,
            max_datagram_frame_size: 0,
            grease_quic_bit: false,
            min_ack_delay: None,
            grease: None,
        }
    }
}

impl TransportParameters {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        original_destination_connection_id: Option<ConnectionId>,
        max_idle_timeout: Duration,
        stateless_reset_token: Option<ResetToken>,
        max_udp_payload_size: u64,
        initial_max_data: u64,
        initial_max_stream_data_bidi_local: u64,
        initial_max_stream_data_bidi_remote: u64,
        initial_max_stream_data_uni: u64,
        initial_max_streams_bidi: u64,
        initial_max_streams_uni: u64,
        ack_delay_exponent: u8,
        max_ack_delay: Duration,
        disable_active_migration: bool,
        preferred_address: Option<PreferredAddress>,
        active_connection_id_limit: u64,
        initial_source_connection_id: Option<ConnectionId>,
        retry_source_connection_id: Option<ConnectionId>,
        version_information: Option<VersionInformation>,
        reset_stream_at: bool,
        max_datagram_frame_size: u64,
        grease_quic_bit: bool,
        min_ack_delay: Option<Duration>,
        grease: Option<(u32, u8)>,
    }
}

/// An address where the server prefers to be reached (RFC 9000 §9.6, §18.2).
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the fields of RFC 9000 §18.2")]
pub struct PreferredAddress {
    /// The IPv4 address, unless all zeros on the wire.
    pub v4: Option<SocketAddrV4>,
    /// The IPv6 address, unless all zeros on the wire.
    pub v6: Option<SocketAddrV6>,
    /// The connection ID with sequence number 1.
    pub connection_id: ConnectionId,
    /// The stateless reset token of that connection ID.
    pub token: ResetToken,
}

/// Versions in the handshake (RFC 9368 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the fields of RFC 9368 §3")]
pub struct VersionInformation {
    /// The version in use, as the sender of the parameter sees it.
    pub chosen: u32,
    /// The versions that the sender of the parameter would accept. Of a peer's, this list keeps the first 32,
    /// plus the chosen one and those that this stack speaks, if the peer named them.
    pub available: Vec<u32>,
}
