//! What observers are shown.

use std::{net::IpAddr, net::SocketAddr, time::Duration};

use super::{
    packet::{PacketFrames, TracedHeader},
    start::ConnectionStart,
};
use crate::{
    base::{Ecn, Rate},
    congestion::Phase,
    error::{ConnectionError, DropReason},
    event::EarlyData,
    ids::{ConnectionId, Level, Side, Space, StreamId},
    params::TransportParameters,
    stats::{EcnState, SendLimit},
};

/// An event that happened, with borrowed data.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TraceEvent<'a> {
    /// The observer sees a connection from here on, which usually is its beginning.
    Started(&'a ConnectionStart),
    /// A version is in use.
    VersionChosen {
        /// The version.
        chosen: u32,
        /// What this end speaks.
        local: &'a [u32],
        /// What the peer says that it speaks (RFC 9368 §3); empty if it does not say.
        peer: &'a [u32],
    },
    /// TLS has chosen an application protocol (RFC 7301).
    AlpnChosen(&'a [u8]),
    /// Transport parameters apply from now on (RFC 9000 §7.4).
    ParametersSet {
        /// Which end sent them.
        owner: Side,
        /// Which end observes.
        observer: Side,
        /// The parameters. Those of this end lack the stateless reset token and what is drawn by lot.
        parameters: &'a TransportParameters,
    },
    /// A client assumes these parameters of an earlier connection for 0-RTT (RFC 9000 §7.4.1).
    ParametersRestored(&'a TransportParameters),
    /// What became of 0-RTT (RFC 9001 §4.6).
    EarlyData(EarlyData),
    /// The connection's state changed.
    StateChanged {
        /// The state before; `None` at the beginning.
        old: Option<ConnectionState>,
        /// The state now.
        new: ConnectionState,
    },
    /// A packet is about to be sealed.
    PacketSent {
        /// The packet's level, which determines its packet number space ([`Level::space`]).
        level: Level,
        /// Its packet number.
        number: u64,
        /// Its size on the wire in bytes.
        size: usize,
        /// Whether the peer must acknowledge it.
        ack_eliciting: bool,
        /// Its header.
        header: TracedHeader,
        /// Its frames, padding included.
        frames: PacketFrames<'a>,
        /// Whether it tries a larger datagram size (RFC 9000 §14.4).
        mtu_probe: bool,
        /// Whether it is a probe after a timeout (RFC 9002 §6.2.4).
        probe: bool,
        /// Which datagram it leaves in, counted from 0 over the connection's life.
        datagram: u64,
    },
    /// A packet was authenticated.
    PacketReceived {
        /// The packet's level, which determines its packet number space ([`Level::space`]).
        level: Level,
        /// Its packet number.
        number: u64,
        /// Its size on the wire in bytes.
        size: usize,
        /// Its header.
        header: TracedHeader,
        /// Its frames, as far as they can be parsed. They are about to be processed.
        frames: PacketFrames<'a>,
        /// The mark that its datagram came with.
        ecn: Ecn,
        /// Whether it waited for its keys ([`PacketBuffered`](Self::PacketBuffered)).
        waited: bool,
        /// Which datagram was received last when it was processed, counted from 0.
        datagram: u64,
    },
    /// A Retry packet was accepted (RFC 9000 §17.2.5).
    RetryReceived {
        /// The connection ID that the server chose.
        scid: ConnectionId,
        /// The size of the token in bytes.
        token_size: usize,
        /// The packet's size in bytes.
        size: usize,
    },
    /// A Version Negotiation packet ended the attempt (RFC 9000 §6.2).
    VersionNegotiationReceived {
        /// The versions that the server speaks.
        versions: &'a [u32],
        /// The packet's size in bytes.
        size: usize,
    },
    /// A packet waits for its keys (RFC 9001 §5.7).
    PacketBuffered {
        /// Its level.
        level: Level,
        /// Its size in bytes.
        size: usize,
    },
    /// A packet, or the rest of a datagram, was ignored.
    PacketDropped {
        /// The reason.
        reason: DropReason,
        /// The size in bytes.
        size: usize,
    },
    /// A datagram is ready to be sent.
    DatagramSent {
        /// Its size in bytes.
        size: usize,
        /// Its mark.
        ecn: Ecn,
    },
    /// A datagram was received.
    DatagramReceived {
        /// Its size in bytes.
        size: usize,
        /// Its mark.
        ecn: Ecn,
    },
    /// Packets were acknowledged for the first time.
    PacketsAcked {
        /// Their packet number space.
        space: Space,
        /// Their numbers.
        numbers: &'a [u64],
    },
    /// A packet was declared lost.
    PacketLost {
        /// Its level.
        level: Level,
        /// Its packet number.
        number: u64,
        /// Its size in bytes.
        size: usize,
        /// What showed the loss.
        trigger: LossTrigger,
        /// Whether it tried a larger datagram size, so that its loss says nothing of congestion.
        mtu_probe: bool,
    },
    /// Packets were declared lost together, on the path in use.
    PacketsLost {
        /// The number of packets.
        count: u64,
        /// Their size in bytes.
        bytes: u64,
    },
    /// Round-trip times, or what congestion control permits, have changed.
    MetricsChanged {
        /// The figures before.
        old: PathMetrics,
        /// The figures now.
        new: PathMetrics,
    },
    /// The congestion controller does something else.
    CongestionChanged {
        /// What it did before; `None` at the beginning and on a new path.
        old: Option<Phase>,
        /// What it does now.
        new: Phase,
        /// Its name.
        controller: &'static str,
    },
    /// What is known of ECN on the path has changed (RFC 9000 §13.4.2).
    EcnChanged {
        /// The state before; `None` at the beginning and on a new path.
        old: Option<EcnState>,
        /// The state now.
        new: EcnState,
    },
    /// Full datagrams have another size.
    MtuChanged {
        /// The size before, in bytes; `None` at the beginning.
        old: Option<u16>,
        /// The size now, in bytes of UDP payload.
        new: u16,
    },
    /// The recovery timer changed (RFC 9002 §6.2).
    TimerChanged {
        /// Which timer.
        timer: RecoveryTimer,
        /// How.
        change: TimerChange,
    },
    /// Keys of a level are in use, or 1-RTT keys were updated (RFC 9001 §6).
    KeyUpdated {
        /// Their level.
        level: Level,
        /// How many updates there have been; 0 for keys from TLS.
        phase: u64,
        /// What caused it.
        trigger: KeyUpdate,
    },
    /// The keys of a level were discarded (RFC 9001 §4.9).
    KeyDiscarded {
        /// Their level.
        level: Level,
    },
    /// Packets go to another address, or leave from another one, or a first time.
    PathInUse {
        /// Names the path within the connection.
        path: u32,
        /// The peer's address.
        remote: SocketAddr,
        /// The address of this host, if known.
        local_ip: Option<IpAddr>,
    },
    /// An attempt to move went on (RFC 9000 §9).
    Migration {
        /// Names the path within the connection.
        path: u32,
        /// What happened.
        state: MigrationState,
        /// The peer's address on the path.
        remote: SocketAddr,
        /// The address of this host on the path, if known.
        local_ip: Option<IpAddr>,
    },
    /// Packets carry another connection ID, or may (RFC 9000 §5.1).
    CidChanged {
        /// The end that the connection ID names.
        owner: Side,
        /// Which end observes.
        observer: Side,
        /// The connection ID that is no longer used, if one is not.
        old: Option<ConnectionId>,
        /// The connection ID that is new, if one is.
        new: Option<ConnectionId>,
    },
    /// A stream changed its state (RFC 9000 §3).
    StreamChanged {
        /// The stream.
        id: StreamId,
        /// How.
        change: StreamChange,
    },
    /// Something else keeps the connection from sending more.
    LimitChanged {
        /// What it was.
        old: SendLimit,
        /// What it is.
        new: SendLimit,
    },
    /// An event of a layer above ([`Connection::trace`](crate::Connection::trace)).
    Layer(&'a LayerEvent<'a>),
    /// The connection ended.
    Closed(&'a ConnectionError),
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ConnectionState {
    /// The first packet was sent or received.
    Attempted,
    /// There are Handshake keys.
    HandshakeStarted,
    /// TLS is complete (RFC 9001 §4.1.1).
    HandshakeComplete,
    /// The handshake is confirmed (RFC 9001 §4.1.2).
    HandshakeConfirmed,
    /// This end has closed the connection (RFC 9000 §10.2.1).
    Closing,
    /// The peer has closed it (RFC 9000 §10.2.2).
    Draining,
    /// It is over.
    Closed,
}

/// The figures of the path in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PathMetrics {
    /// Congestion window in bytes.
    pub congestion_window: u64,
    /// Bytes in flight.
    pub bytes_in_flight: u64,
    /// Smoothed round-trip time.
    pub smoothed_rtt: Duration,
    /// Lowest round-trip time; `None` before the first sample.
    pub min_rtt: Option<Duration>,
    /// Latest round-trip time.
    pub latest_rtt: Duration,
    /// Variation of the round-trip time.
    pub rtt_variation: Duration,
    /// Probe timeouts since the last acknowledgment.
    pub pto_count: u32,
    /// The slow start threshold in bytes, if there is one.
    pub ssthresh: Option<u64>,
    /// The rate at which packets leave.
    pub pacing_rate: Rate,
}

/// What showed that a packet was lost (RFC 9002 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LossTrigger {
    /// Enough later packets were acknowledged (RFC 9002 §6.1.1).
    Reordering,
    /// It was sent long before an acknowledged one (RFC 9002 §6.1.2).
    Time,
}

/// A timer of loss recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the two of RFC 9002 §6")]
pub enum RecoveryTimer {
    /// A packet will count as lost (RFC 9002 §6.1.2).
    LossTime,
    /// The probe timeout (RFC 9002 §6.2).
    Pto,
}

/// What became of a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a timer has no other states")]
pub enum TimerChange {
    /// It was set, and is due after this time.
    Set(Duration),
    /// It fired.
    Expired,
    /// It was cancelled.
    Cancelled,
}

/// Why there are other keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the causes of RFC 9001 §4.1.4 and §6")]
pub enum KeyUpdate {
    /// They came from TLS.
    Tls,
    /// This end updated them.
    Local,
    /// The peer updated them.
    Remote,
}

/// What happened to an attempt to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MigrationState {
    /// The path is being validated.
    ProbingStarted,
    /// The peer answered there.
    ProbingSucceeded,
    /// The peer did not answer there, or the path is not needed any more.
    ProbingAbandoned,
    /// Packets other than probes go there.
    MigrationStarted,
    /// The path is in use and validated.
    MigrationComplete,
}

/// What happened to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamChange {
    /// This end opened it.
    OpenedHere,
    /// The peer opened it.
    OpenedByPeer,
    /// The peer has everything that this end sent, or the reset (RFC 9000 §3.1).
    AllAcknowledged,
    /// The peer wants nothing more (RFC 9000 §3.5).
    Stopped,
    /// The receiving half was given up and is over.
    Discarded,
}

/// An event of a layer above QUIC. The observer need not know the layer: the fields say what they are.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "layers above make them")]
pub struct LayerEvent<'a> {
    /// The name space of the event, such as `http3`.
    pub namespace: &'static str,
    /// Its name within it, such as `frame_parsed`.
    pub name: &'static str,
    /// Its fields.
    pub fields: &'a [(&'static str, FieldValue<'a>)],
}

/// The value of a field of a [`LayerEvent`].
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_enums, reason = "the values that JSON has")]
pub enum FieldValue<'a> {
    /// A number.
    Number(u64),
    /// A truth value.
    Bool(bool),
    /// Text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A value with fields of its own.
    Fields(&'a [(&'static str, FieldValue<'a>)]),
    /// Several values.
    List(&'a [FieldValue<'a>]),
}
