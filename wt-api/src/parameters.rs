//! What the two ends of a connection negotiated.

use std::time::Duration;

use quic_core::Version;

/// What both ends of a connection have negotiated, and what the peer permits and accepts: its transport
/// parameters (RFC 9000 §18.2), as they were in the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionParameters {
    /// The application protocol (ALPN): `h3`.
    pub alpn: String,
    /// The server name that the client sent in TLS (SNI). `None` if the client connected to an IP address,
    /// and on the client side.
    pub server_name: Option<String>,
    /// The QUIC version of the connection.
    pub version: Version,
    /// Whether TLS resumed an earlier session. If so, the server sent no certificate.
    pub resumed: bool,
    /// The peer's idle timeout; `None` means no limit.
    pub peer_idle_timeout: Option<Duration>,
    /// The largest UDP payload that the peer accepts, in bytes.
    pub peer_max_udp_payload_size: u64,
    /// How many bytes of stream data the peer accepts initially on all streams together.
    pub peer_initial_max_data: u64,
    /// How many bidirectional streams this end may open initially, including those of requests.
    pub peer_initial_max_streams_bidi: u64,
    /// How many unidirectional streams this end may open initially. HTTP/3 uses three of them.
    pub peer_initial_max_streams_uni: u64,
    /// The largest DATAGRAM frame that the peer accepts, in bytes; 0 means none (RFC 9221 §3).
    pub peer_max_datagram_frame_size: u64,
    /// The longest time by which the peer delays acknowledgments.
    pub peer_max_ack_delay: Duration,
    /// Whether the peer supports `RESET_STREAM_AT`, with which data that was committed to a stream survives a
    /// reset.
    pub peer_reset_stream_at: bool,
}
