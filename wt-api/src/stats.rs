//! The counters that the application sees.

use std::time::Duration;

use quic_core::ConnectionStats;

use crate::mailbox::StreamCounts;

/// A snapshot of a session's counters (W3C `WebTransportConnectionStats`).
///
/// If several sessions may share the connection ([`allow_pooling`]), only values of the path are set and the
/// others are `None`, as W3C requires. At a server the counts are the connection's.
///
/// ```no_run
/// # async fn example(session: wt_api::WebTransport) -> Result<(), wt_api::WebTransportError> {
/// let stats = session.get_stats().await?;
/// println!("round trip {:?}, {:?} packets lost", stats.smoothed_rtt, stats.packets_lost);
/// # Ok(())
/// # }
/// ```
///
/// [`allow_pooling`]: crate::WebTransportOptions::allow_pooling
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WebTransportStats {
    /// Payload of streams and datagrams sent, without framing and retransmissions, in bytes.
    pub bytes_sent: Option<u64>,
    /// Framing and retransmissions, in bytes.
    pub bytes_sent_overhead: Option<u64>,
    /// Payload of streams and datagrams acknowledged, in bytes.
    pub bytes_acknowledged: Option<u64>,
    /// QUIC packets sent.
    pub packets_sent: Option<u64>,
    /// QUIC packets declared lost; goes down when a loss proves spurious.
    pub packets_lost: Option<u64>,
    /// Bytes in the lost packets.
    pub bytes_lost: Option<u64>,
    /// UDP payload received, in bytes.
    pub bytes_received: Option<u64>,
    /// QUIC packets received.
    pub packets_received: Option<u64>,
    /// Smoothed round-trip time (RFC 9002 §5).
    pub smoothed_rtt: Duration,
    /// The variation of the round-trip time (RFC 9002 §5.3).
    pub rtt_variation: Duration,
    /// The minimum of the round-trip samples, once there is one.
    pub min_rtt: Option<Duration>,
    /// The rate that congestion control estimates for the path, in bits per second.
    pub estimated_send_rate: Option<u64>,
    /// Whether the application sends as much as the path carries. If false, the application may be what
    /// limits the rate.
    pub at_send_capacity: bool,
    /// The counts of datagrams.
    pub datagrams: Option<DatagramStats>,
    /// All counters of the connection.
    pub connection: Option<ConnectionStats>,
}

/// Counts of datagrams (W3C `WebTransportDatagramStats`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatagramStats {
    /// Datagrams dropped because the application did not read them in time.
    pub dropped_incoming: u64,
    /// Datagrams that became too old before they were read.
    pub expired_incoming: u64,
    /// Datagrams that became too old before they were sent.
    pub expired_outgoing: u64,
    /// Datagrams sent and declared lost; goes down when a loss proves spurious.
    pub lost_outgoing: u64,
}

impl WebTransportStats {
    /// `own` has the counts of the session's box: incoming dropped, incoming expired, outgoing expired.
    pub(crate) fn new(stats: &ConnectionStats, own: [u64; 3], pooled: bool) -> Self {
        let shown = |value: u64| (!pooled).then_some(value);
        let sent = stats.stream_bytes_sent + stats.dgram_bytes_sent;
        let [dropped, expired_in, expired_out] = own;
        let datagrams = DatagramStats {
            dropped_incoming: stats.dgrams_dropped_incoming + dropped,
            expired_incoming: stats.dgrams_expired_incoming + expired_in,
            expired_outgoing: stats.dgrams_expired_outgoing + expired_out,
            lost_outgoing: stats.dgrams_lost_outgoing,
        };
        Self {
            bytes_sent: shown(sent),
            bytes_sent_overhead: shown(stats.bytes_sent.saturating_sub(sent)),
            bytes_acknowledged: shown(stats.stream_bytes_acked + stats.dgram_bytes_acked),
            packets_sent: shown(stats.packets_sent),
            packets_lost: shown(stats.packets_lost.saturating_sub(stats.spurious_losses)),
            bytes_lost: shown(stats.bytes_lost.saturating_sub(stats.spurious_bytes)),
            bytes_received: shown(stats.bytes_received),
            packets_received: shown(stats.packets_received),
            smoothed_rtt: stats.smoothed_rtt,
            rtt_variation: stats.rtt_variation,
            min_rtt: stats.min_rtt,
            estimated_send_rate: stats.estimated_send_rate.map(quic_core::base::Rate::bits_per_second),
            at_send_capacity: stats.at_send_capacity,
            datagrams: (!pooled).then_some(datagrams),
            connection: (!pooled).then_some(*stats),
        }
    }
}

/// Counts of a sending stream, or of all streams in a group (W3C `WebTransportSendStreamStats`). They are
/// payload in bytes, and each is at most the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendStreamStats {
    /// Written by the application.
    pub bytes_written: u64,
    /// Sent at least once.
    pub bytes_sent: u64,
    /// Acknowledged, without a gap from the start.
    pub bytes_acknowledged: u64,
}

impl From<StreamCounts> for SendStreamStats {
    fn from(counts: StreamCounts) -> Self {
        Self {
            bytes_written: counts.written,
            bytes_sent: counts.sent,
            bytes_acknowledged: counts.acknowledged,
        }
    }
}

/// Counts of a receiving stream (W3C `WebTransportReceiveStreamStats`): payload in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceiveStreamStats {
    /// Received without a gap from the start.
    pub bytes_received: u64,
    /// Read by the application; at most `bytes_received`.
    pub bytes_read: u64,
}
