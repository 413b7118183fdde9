//! Statistics: snapshots of the components' counters.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use crate::{
    base::{Ecn, Rate},
    error::DropReason,
};

/// How many datagrams or packets were ignored, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DropCounts([u64; DropReason::ALL.len()]);

impl DropCounts {
    /// How many were ignored for this reason.
    #[must_use]
    pub const fn of(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    /// How many were ignored in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// One more.
    pub(crate) const fn add(&mut self, reason: DropReason) {
        self.0[reason as usize] += 1;
    }
}

impl std::ops::AddAssign for DropCounts {
    fn add_assign(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, count)| *sum += count);
    }
}

/// What an endpoint has done with datagrams that belong to no connection, since it was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointStats {
    /// Retry packets sent (RFC 9000 §8.1.2).
    pub retries: u64,
    /// Version Negotiation packets sent (RFC 9000 §6).
    pub version_negotiations: u64,
    /// Stateless resets sent (RFC 9000 §10.3).
    pub stateless_resets: u64,
    /// Clients with a Retry token of this server that was issued to another client or has expired; each was
    /// sent `INVALID_TOKEN`.
    pub invalid_tokens: u64,
    /// Datagrams that were ignored.
    pub dropped: DropCounts,
}

impl std::ops::AddAssign for EndpointStats {
    fn add_assign(&mut self, other: Self) {
        self.retries += other.retries;
        self.version_negotiations += other.version_negotiations;
        self.stateless_resets += other.stateless_resets;
        self.invalid_tokens += other.invalid_tokens;
        self.dropped += other.dropped;
    }
}

/// What is known of ECN on a path (RFC 9000 §13.4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EcnState {
    /// Marked packets are being sent to find out.
    #[default]
    Testing,
    /// Enough marked packets were sent; none of them has been acknowledged yet.
    Unknown,
    /// The path carries marks.
    Capable,
    /// Packets go without marks: ECN is off, or the path or the peer changes or drops them.
    Failed,
}

impl EcnState {
    /// A name for tables: a word in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Testing => "testing",
            Self::Unknown => "unknown",
            Self::Capable => "capable",
            Self::Failed => "failed",
        }
    }
}

/// What keeps a connection from sending more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SendLimit {
    /// The handshake is not complete, and there is nothing to send before the peer answers.
    Handshake,
    /// The application has nothing to send.
    Application,
    /// The congestion window is full (RFC 9002 §7).
    CongestionWindow,
    /// The pacer has not released the next packet yet (RFC 9002 §7.7).
    Pacing,
    /// The peer's limit for all streams together (`MAX_DATA`, RFC 9000 §4.1).
    ConnectionFlowControl,
    /// The peer's limits for the streams that have data (`MAX_STREAM_DATA`, RFC 9000 §4.1).
    StreamFlowControl,
    /// The peer has not proved its address (RFC 9000 §8.1).
    Amplification,
}

impl SendLimit {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Handshake,
        Self::Application,
        Self::CongestionWindow,
        Self::Pacing,
        Self::ConnectionFlowControl,
        Self::StreamFlowControl,
        Self::Amplification,
    ];

    /// A name for tables: words with underscores.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Application => "application",
            Self::CongestionWindow => "congestion_window",
            Self::Pacing => "pacing",
            Self::ConnectionFlowControl => "connection_flow_control",
            Self::StreamFlowControl => "stream_flow_control",
            Self::Amplification => "amplification",
        }
    }
}

/// How long each [`SendLimit`] kept a connection from sending more. The times add up to the connection's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitedTimes([Duration; SendLimit::ALL.len()]);

impl LimitedTimes {
    /// How long this limit did.
    #[must_use]
    pub const fn of(&self, limit: SendLimit) -> Duration {
        self.0[limit as usize]
    }

    /// How long all of them did.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.0.iter().sum()
    }

    /// So much longer.
    pub(crate) fn add(&mut self, limit: SendLimit, time: Duration) {
        self.0[limit as usize] += time;
    }
}

/// A snapshot of a connection's counters. Bytes are UDP payload unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionStats {
    /// Datagrams sent.
    pub datagrams_sent: u64,
    /// Datagrams received.
    pub datagrams_received: u64,
    /// Bytes sent, everything included.
    pub bytes_sent: u64,
    /// Bytes received, everything included.
    pub bytes_received: u64,
    /// Packets sent.
    pub packets_sent: u64,
    /// Packets received and authenticated.
    pub packets_received: u64,
    /// Packets or datagrams ignored.
    pub packets_dropped: u64,
    /// Packets or datagrams ignored, by reason.
    pub dropped: DropCounts,
    /// Packets acknowledged by the peer.
    pub packets_acked: u64,
    /// Packets declared lost.
    pub packets_lost: u64,
    /// Bytes declared lost.
    pub bytes_lost: u64,
    /// Packets that arrived after they were declared lost.
    pub spurious_losses: u64,
    /// Bytes in these packets.
    pub spurious_bytes: u64,
    /// Probe timeouts.
    pub probe_timeouts: u64,
    /// Probe timeouts since the peer last acknowledged something.
    pub probe_timeouts_in_a_row: u32,
    /// How often losses amounted to persistent congestion (RFC 9002 §7.6).
    pub persistent_congestions: u64,
    /// Key updates, by either end.
    pub key_updates: u64,
    /// Latest round-trip time.
    pub latest_rtt: Duration,
    /// Smoothed round-trip time.
    pub smoothed_rtt: Duration,
    /// Variation of the round-trip time.
    pub rtt_variation: Duration,
    /// Lowest round-trip time; `None` before the first sample.
    pub min_rtt: Option<Duration>,
    /// The name of the congestion controller in charge.
    pub congestion_controller: &'static str,
    /// Congestion window in bytes.
    pub congestion_window: u64,
    /// Bytes in flight.
    pub bytes_in_flight: u64,
    /// The rate at which packets leave, not counting bursts of a quantum (RFC 9002 §7.7).
    pub pacing_rate: Rate,
    /// The rate at which acknowledged data last arrived; `None` before the first sample.
    pub delivery_rate: Option<Rate>,
    /// How often the controller reduced its window on the path in use.
    pub window_reductions: u64,
    /// The rate that the controller believes it can send at; `None` before it has an estimate.
    pub estimated_send_rate: Option<Rate>,
    /// Whether the connection sends as much as the path carries.
    pub at_send_capacity: bool,
    /// The ECN codepoint that packets are sent with now.
    pub ecn: Ecn,
    /// What is known of ECN on the path in use.
    pub ecn_state: EcnState,
    /// How many of this end's packets the peer says that it received with a mark of congestion (CE).
    pub ecn_ce: u64,
    /// UDP payload of full datagrams in bytes.
    pub datagram_size: u16,
    /// MTU probes lost; `packets_lost` does not include them.
    pub mtu_probes_lost: u64,
    /// How often the path was found to carry less than before.
    pub black_holes: u64,
    /// Stream bytes sent for the first time.
    pub stream_bytes_sent: u64,
    /// Stream bytes sent again.
    pub stream_bytes_retransmitted: u64,
    /// Stream bytes acknowledged.
    pub stream_bytes_acked: u64,
    /// Stream bytes read by the application.
    pub stream_bytes_read: u64,
    /// Stream bytes written that the peer has not acknowledged, sent or not.
    pub stream_bytes_buffered: u64,
    /// DATAGRAM frames sent.
    pub dgrams_sent: u64,
    /// Payload bytes in them.
    pub dgram_bytes_sent: u64,
    /// Payload bytes of DATAGRAM frames acknowledged.
    pub dgram_bytes_acked: u64,
    /// DATAGRAM frames received.
    pub dgrams_received: u64,
    /// Received DATAGRAM payloads that were pushed out of the queue unread.
    pub dgrams_dropped_incoming: u64,
    /// Received DATAGRAM payloads that were too old when they were read.
    pub dgrams_expired_incoming: u64,
    /// DATAGRAM payloads that were too old before they could be sent.
    pub dgrams_expired_outgoing: u64,
    /// DATAGRAM frames declared lost. It decreases when a loss proves spurious.
    pub dgrams_lost_outgoing: u64,
    /// How long the connection has existed, up to its end.
    pub lifetime: Duration,
    /// What kept this end from sending more, and for how long.
    pub limited: LimitedTimes,
    /// How long the handshake took until TLS was complete (RFC 9001 §4.1.1); `None` before.
    pub handshake_time: Option<Duration>,
    /// How long it took until the handshake was confirmed (RFC 9001 §4.1.2); `None` before.
    pub confirmation_time: Option<Duration>,
    /// Resets with a reliable size that were sent as plain resets, because the peer does not know
    /// `RESET_STREAM_AT`.
    pub reset_fallbacks: u64,
    /// Memory held on behalf of the peer now, in bytes.
    pub memory_used: usize,
    /// The most that may be held on behalf of the peer, in bytes: `memory_budget`, plus the most that the
    /// largest window of the connection and all streams that may be open at once can cost.
    pub memory_limit: usize,
    /// The most memory held on behalf of the peer at once, in bytes.
    pub memory_peak: usize,
}

/// The statistics of a path (RFC 9000 §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PathStats {
    /// The peer's address.
    pub remote: SocketAddr,
    /// The address of this host, if known.
    pub local_ip: Option<IpAddr>,
    /// Whether the peer has proved that it receives there. A client that has not moved asks for no proof.
    pub validated: bool,
    /// Latest round-trip time.
    pub latest_rtt: Duration,
    /// Smoothed round-trip time.
    pub smoothed_rtt: Duration,
    /// Variation of the round-trip time.
    pub rtt_variation: Duration,
    /// Lowest round-trip time; `None` before the first sample.
    pub min_rtt: Option<Duration>,
    /// The rate at which acknowledged data last arrived; `None` before the first sample.
    pub delivery_rate: Option<Rate>,
    /// Congestion window in bytes.
    pub congestion_window: u64,
    /// Bytes in flight.
    pub bytes_in_flight: u64,
    /// What is known of ECN.
    pub ecn_state: EcnState,
    /// UDP payload of full datagrams in bytes.
    pub datagram_size: u16,
}

/// Counters of a stream's sending half, each at most the one before it. None of them ever decreases, whatever
/// a reset or the peer's STOP_SENDING cuts off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendStreamStats {
    /// Bytes written by the application.
    pub bytes_written: u64,
    /// Bytes sent at least once.
    pub bytes_sent: u64,
    /// Bytes acknowledged without a gap from the start.
    pub bytes_acknowledged: u64,
    /// The final size that the peer knows, in bytes, if the stream was reset, even in response to
    /// STOP_SENDING. It is what the stream uses of flow control (RFC 9000 §4.5). Later resets with a smaller
    /// reliable size may lower it until it was sent.
    pub final_size: Option<u64>,
}

/// Counters of a stream's receiving half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecvStreamStats {
    /// Bytes received without a gap from the start.
    pub bytes_received: u64,
    /// Bytes read by the application.
    pub bytes_read: u64,
    /// One past the highest byte received, including gaps; the final size once that is known.
    pub highest_offset: u64,
}
