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
    /// What protected it; its number is one of that level's space.
    pub(crate) level: Level,
    /// When it was sent.
    pub(crate) time: Timestamp,
    /// Its size in bytes, header and AEAD tag included, UDP header not.
    pub(crate) bytes: u16,
    /// Whether the peer must acknowledge it; implies `in_flight`.
    pub(crate) ack_eliciting: bool,
    /// Whether it counts towards the bytes in flight.
    pub(crate) in_flight: bool,
    /// The delivery state when it was sent.
    pub(crate) rate: PacketRate,
    /// The codepoint it was sent with.
    pub(crate) ecn: Ecn,
    /// Whether it tries a larger MTU: its loss says nothing about congestion.
    pub(crate) mtu_probe: bool,
}

/// What became of a packet, told for each of its receipts.
///
/// `Acked` is told at most once for a receipt and is final. `Lost` is told at most once and may be followed by
/// `Acked`, if the packet turns out to have arrived late: the owner can then drop what it wants to send again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The peer has it.
    Acked,
    /// It is believed not to have arrived.
    Lost,
    /// The peer has it, although it was told as lost.
    Recovered,
}

/// What the connection knows that the timers depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation {
    /// The peer's limit for delaying acknowledgments in the Data space.
    pub(crate) max_ack_delay: Duration,
    /// RFC 9001 §4.1.2.
    pub(crate) handshake_confirmed: bool,
    /// True at a server; at a client once a Handshake packet was acknowledged or the handshake is confirmed.
    pub(crate) peer_completed_address_validation: bool,
    /// Whether Handshake packets can be sent.
    pub(crate) has_handshake_keys: bool,
    /// The lowest level at which CRYPTO data waits to be sent (again).
    pub(crate) crypto_waits: Option<Space>,
    /// Whether this is a server that may not send a byte more (RFC 9000 §8.1).
    pub(crate) amplification_limited: bool,
    /// Whether the endpoint's memory runs short.
    pub(crate) scarce_memory: bool,
    /// The longest round trip of the paths that are not in use: what was sent there may take so long.
    pub(crate) elsewhere_rtt: Duration,
}

/// What recovery uses and changes of the path and the connection.
pub(crate) struct Context<'a> {
    pub(crate) now: Timestamp,
    /// The path in use, whose the next three are.
    pub(crate) path: PathId,
    pub(crate) rtt: &'a mut Rtt,
    pub(crate) sampler: &'a mut RateSampler,
    /// Bytes in flight on it.
    pub(crate) in_flight: &'a mut u64,
    pub(crate) situation: Situation,
}

/// Packets that were declared lost together. Bytes and packets are those of the current path and without MTU
/// probes: what a controller is to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LossSummary {
    pub(crate) packets: u32,
    pub(crate) bytes: u64,
    /// When the first of them was sent.
    pub(crate) first_sent: Option<Timestamp>,
    /// When the last of them was sent.
    pub(crate) last_sent: Option<Timestamp>,
    /// Of all that were sent with an ECN mark, those that no acknowledged packet with a mark was sent after.
    pub(crate) marked: u64,
    /// The size of the largest, for black hole detection (RFC 8899 §4.3).
    pub(crate) largest_bytes: u16,
    /// The size of the largest MTU probe that was lost.
    pub(crate) mtu_probe: Option<u16>,
    /// Whether this amounts to persistent congestion (RFC 9002 §7.6).
    pub(crate) persistent: bool,
}

/// What one ACK frame told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AckResult {
    /// Packets newly acknowledged.
    pub(crate) newly_acked: u32,
    /// Those of them that were sent on other paths.
    pub(crate) acked_elsewhere: u32,
    /// Bytes of them that were in flight on the current path.
    pub(crate) acked_bytes: u64,
    /// The largest newly acknowledged packet number.
    pub(crate) largest_newly_acked: Option<u64>,
    /// Number and send time of the newest newly acknowledged ack-eliciting packet.
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
    /// Packets of the current path declared lost before that arrived after all.
    pub(crate) spurious: Option<SpuriousLoss>,
    /// What was declared lost because of the frame.
    pub(crate) loss: LossSummary,
    /// Bytes in flight before the frame.
    pub(crate) prior_in_flight: u64,
    /// Bytes in flight after it.
    pub(crate) in_flight: u64,
}

/// Ack-eliciting packets to send regardless of the window (RFC 9002 §6.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    /// The space that needs them; others with packets in flight should join.
    pub(crate) space: Space,
    /// How many datagrams: two, or one if nothing is in flight.
    pub(crate) count: u8,
}

/// What a firing of the timer told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TimeoutResult {
    pub(crate) loss: LossSummary,
    pub(crate) probe: Option<Probe>,
    pub(crate) prior_in_flight: u64,
    pub(crate) in_flight: u64,
}

/// Which timer a deadline belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// A packet sent before an acknowledged one will count as lost (RFC 9002 §6.1.2).
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
    /// Bytes in packets declared lost that arrived after all.
    pub(crate) spurious_bytes: u64,
    pub(crate) spurious_losses: u64,
    pub(crate) probe_timeouts: u64,
    pub(crate) persistent_congestions: u64,
    /// MTU probes lost; not among `packets_lost`.
    pub(crate) mtu_probes_lost: u64,
}
