//! What the two ends of a connection agreed on.

use std::time::Duration;

/// What both ends of a connection have agreed upon, and what the peer permits and takes: its transport parameters (RFC 9000
/// §18.2), as they were in the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionParameters {
    /// The application protocol (ALPN): `h3`.
    pub alpn: String,
    /// The name that the client asked for in TLS (SNI); `None` if it asked by an address, and at a client.
    pub server_name: Option<String>,
    /// How long the peer lets a connection be silent; `None`: without an end.
    pub peer_idle_timeout: Option<Duration>,
    /// The largest UDP payload that the peer takes, in bytes.
    pub peer_max_udp_payload_size: u64,
    /// Bytes of stream data that the peer takes at first on all streams together.
    pub peer_initial_max_data: u64,
    /// Bidirectional streams that this end may open at first, those of requests included.
    pub peer_initial_max_streams_bidi: u64,
    /// Unidirectional streams that this end may open at first, three of them for HTTP/3.
    pub peer_initial_max_streams_uni: u64,
    /// The largest DATAGRAM frame that the peer takes, in bytes; 0: none (RFC 9221 §3).
    pub peer_max_datagram_frame_size: u64,
    /// The longest that the peer delays acknowledgments.
    pub peer_max_ack_delay: Duration,
    /// Whether the peer knows `RESET_STREAM_AT`, by which what was committed to a stream outlives its reset.
    pub peer_reset_stream_at: bool,
}
