//! Counters as the application sees them.

use std::time::Duration;

use quic_core::ConnectionStats;

/// A snapshot of a session's counters (W3C `WebTransportConnectionStats`). The connection carries this session alone.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WebTransportStats {
    /// Stream payload sent, without framing and repetition, in bytes.
    pub bytes_sent: u64,
    /// Framing and repetition, in bytes.
    pub bytes_sent_overhead: u64,
    /// Stream payload acknowledged, in bytes.
    pub bytes_acknowledged: u64,
    /// QUIC packets sent.
    pub packets_sent: u64,
    /// QUIC packets declared lost; goes down when a loss proves spurious.
    pub packets_lost: u64,
    /// Bytes in them.
    pub bytes_lost: u64,
    /// UDP payload received, in bytes.
    pub bytes_received: u64,
    /// QUIC packets received.
    pub packets_received: u64,
    /// Smoothed round-trip time (RFC 9002 §5).
    pub smoothed_rtt: Duration,
    /// Its variation.
    pub rtt_variation: Duration,
    /// The smallest sample, once there is one.
    pub min_rtt: Option<Duration>,
    /// What congestion control believes the path carries, in bits per second.
    pub estimated_send_rate: Option<u64>,
    /// Whether the application sends as much as the path carries.
    pub at_send_capacity: bool,
    /// Datagrams that were dropped because the application did not take them in time.
    pub datagrams_dropped_incoming: u64,
    /// Datagrams that were too old before they were read.
    pub datagrams_expired_incoming: u64,
    /// Datagrams that were too old before they were sent.
    pub datagrams_expired_outgoing: u64,
    /// Datagrams sent and declared lost.
    pub datagrams_lost_outgoing: u64,
    /// Everything that the connection counts.
    pub connection: ConnectionStats,
}

impl WebTransportStats {
    pub(crate) fn new(stats: &ConnectionStats, dropped: u64) -> Self {
        Self {
            bytes_sent: stats.stream_bytes_sent,
            bytes_sent_overhead: stats.bytes_sent.saturating_sub(stats.stream_bytes_sent),
            bytes_acknowledged: stats.stream_bytes_acked,
            packets_sent: stats.packets_sent,
            packets_lost: stats.packets_lost,
            bytes_lost: stats.bytes_lost,
            bytes_received: stats.bytes_received,
            packets_received: stats.packets_received,
            smoothed_rtt: stats.smoothed_rtt,
            rtt_variation: stats.rtt_variation,
            min_rtt: stats.min_rtt,
            estimated_send_rate: stats.estimated_send_rate.map(quic_core::base::Rate::bits_per_second),
            at_send_capacity: stats.at_send_capacity,
            datagrams_dropped_incoming: stats.dgrams_dropped_incoming + dropped,
            datagrams_expired_incoming: stats.dgrams_expired_incoming,
            datagrams_expired_outgoing: stats.dgrams_expired_outgoing,
            datagrams_lost_outgoing: stats.dgrams_lost_outgoing,
            connection: *stats,
        }
    }
}
