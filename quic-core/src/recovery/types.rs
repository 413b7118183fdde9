//! The values that go into recovery and come out of it.

use std::time::Duration;

use crate::{
    base::{Ecn, Timestamp},
    congestion::{PacketRate, RateSampler, Rtt, SpuriousLoss},
    ids::{Level, PathId, Space},
};

/// What recovery keeps of a sent packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SentInfo {
    /// The level whose keys protected the packet. The packet number belongs to that level's space.
    pub(crate) level: Level,
    /// When it was sent.
    pub(crate) time: Timestamp,
    /// The packet's size in bytes, including header and AEAD tag, without the UDP header.
    pub(crate) bytes: u16,
    /// Whether the peer must acknowledge the packet; implies `in_flight`.
    pub(crate) ack_eliciting: bool,
    /// Whether the packet counts towards the bytes in flight.
    pub(crate) in_flight: bool,
    /// The delivery state when the packet was sent.
    pub(crate) rate: PacketRate,
    /// The ECN codepoint that the packet was sent with.
    pub(crate) ecn: Ecn,
    /// Whether the packet tries a larger MTU: its loss says nothing about congestion.
    pub(crate) mtu_probe: bool,
}

/// What became of a packet, reported for each of its receipts.
///
/// A receipt hears `Acked` at most once, and that is final. It hears `Lost` at most once; `Recovered` may
/// follow if the packet arrived late, and the component can then drop what it wants to send again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The peer has received the packet.
    Acked,
    /// The packet is believed not to have arrived.
    Lost,
    /// The peer has received the packet, although it was reported lost.
    Recovered,
}

/// The state of the connection that timers and losses depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions {
    /// The peer's limit for delaying acknowledgments in the Data space.
    pub(crate) max_ack_delay: Duration,
    /// Whether the handshake is confirmed (RFC 9001 §4.1.2).
    pub(crate) handshake_confirmed: bool,
    /// True at a server. True at a client once a Handshake packet was acknowledged or the handshake is
    /// confirmed.
    pub(crate) peer_completed_address_validation: bool,
    /// Whether Handshake packets can be sent.
    pub(crate) has_handshake_keys: bool,
    /// The lowest level at which CRYPTO data waits to be sent or sent again.
    pub(crate) crypto_waits: Option<Space>,
    /// Whether this is a server that the anti-amplification limit blocks (RFC 9000 §8.1).
    pub(crate) amplification_limited: bool,
    /// Whether the endpoint's memory runs short.
    pub(crate) scarce_memory: bool,
    /// The longest round-trip time of the paths that are not in use: packets sent there may take this long.
    pub(crate) elsewhere_rtt: Duration,
}

/// The parts of the path and the connection that recovery uses and changes.
pub(crate) struct Context<'a> {
    pub(crate) now: Timestamp,
    /// The path in use. The next three fields belong to it.
    pub(crate) path: PathId,
    pub(crate) rtt: &'a mut Rtt,
    pub(crate) sampler: &'a mut RateSampler,
    /// The bytes in flight on this path.
    pub(crate) in_flight: &'a mut u64,
    pub(crate) conditions: Conditions,
}

/// Packets that were declared lost together. `bytes` and `packets` count only the current path, without MTU
/// probes, as a controller needs them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LossSummary {
    pub(crate) packets: u32,
    pub(crate) bytes: u64,
    /// When the first of them was sent.
    pub(crate) first_sent: Option<Timestamp>,
    /// When the last of them was sent.
    pub(crate) last_sent: Option<Timestamp>,
    /// Of the packets sent with an ECN mark, how many have no acknowledged marked packet that was sent after
    /// them.
    pub(crate) marked: u64,
    /// The size of the largest, for black hole detection (RFC 8899 §4.3).
    pub(crate) largest_bytes: u16,
    /// The size of the largest MTU probe that was lost.
    pub(crate) mtu_probe: Option<u16>,
    /// Whether this amounts to persistent congestion (RFC 9002 §7.6).
    pub(crate) persistent: bool,
}

/// The results of one ACK frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AckResult {
    /// Packets newly acknowledged.
    pub(crate) newly_acked: u32,
    /// How many of them were sent on other paths.
    pub(crate) acked_elsewhere: u32,
    /// Their bytes that were in flight on the current path.
    pub(crate) acked_bytes: u64,
    /// The largest newly acknowledged packet number.
    pub(crate) largest_newly_acked: Option<u64>,
    /// The number and send time of the newest ack-eliciting packet that was newly acknowledged.
    pub(crate) newest_ack_eliciting: Option<(u64, Timestamp)>,
    /// Whether the frame raised the largest acknowledged number; only then may it feed ECN validation.
    pub(crate) raised_largest_acked: bool,
    /// The round-trip sample that was taken.
    pub(crate) rtt_sample: Option<Duration>,
    /// Newly acknowledged packets that were sent with ECT(0).
    pub(crate) ect0: u64,
    /// Newly acknowledged packets that were sent with ECT(1).
    pub(crate) ect1: u64,
    /// The size of the largest MTU probe newly acknowledged.
    pub(crate) mtu_probe_acked: Option<u16>,
    /// The size of the largest packet newly acknowledged.
    pub(crate) largest_bytes: u16,
    /// Packets of the current path that arrived after they were declared lost.
    pub(crate) spurious: Option<SpuriousLoss>,
    /// The losses that the frame showed.
    pub(crate) loss: LossSummary,
    /// Bytes in flight before the frame.
    pub(crate) prior_in_flight: u64,
    /// Bytes in flight after it.
    pub(crate) in_flight: u64,
}

/// Ack-eliciting packets that are sent even if the window is full (RFC 9002 §6.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    /// The space that needs probes; other spaces with packets in flight should add theirs.
    pub(crate) space: Space,
    /// How many datagrams: two, or one if nothing is in flight.
    pub(crate) count: u8,
}

/// The results of a timer that fired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TimeoutResult {
    pub(crate) loss: LossSummary,
    pub(crate) probe: Option<Probe>,
    pub(crate) prior_in_flight: u64,
    pub(crate) in_flight: u64,
}

/// Which timer a deadline belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimerKind {
    /// A packet that was sent before an acknowledged one will count as lost (RFC 9002 §6.1.2).
    LossTime,
    /// The probe timeout (RFC 9002 §6.2).
    Pto,
}

/// Totals over the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) packets_sent: u64,
    pub(crate) packets_acked: u64,
    pub(crate) packets_lost: u64,
    pub(crate) bytes_lost: u64,
    /// The bytes of packets that arrived after they were declared lost.
    pub(crate) spurious_bytes: u64,
    pub(crate) spurious_losses: u64,
    pub(crate) probe_timeouts: u64,
    pub(crate) persistent_congestions: u64,
    /// MTU probes that were lost; `packets_lost` does not include them.
    pub(crate) mtu_probes_lost: u64,
}
