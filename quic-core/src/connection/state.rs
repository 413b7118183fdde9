//! What a connection owns: its components, and what belongs to none of them. The scripts beside this file work on it.

use std::{collections::VecDeque, sync::Arc};

use super::{early::EarlyPackets, flood::FloodGuard, grease::FixedBits, numbers::PacketNumbers};
use crate::{
    acks::AckTracker,
    base::{Budget, Clock, Entropy, HandshakeSlot, Place, Timestamp},
    cids::{CidChange, LocalCids, RemoteCids},
    config::TransportConfig,
    control::Control,
    datagrams::Datagrams,
    event::Event,
    frame::Receipt,
    handshake::{FirstFlight, Handshake},
    ids::Side,
    keyring::Keyring,
    life::Life,
    params::TransportParameters,
    path::Path,
    recovery::Recovery,
    schedule::Schedule,
    streams::Streams,
    trace::Trace,
};

/// A QUIC connection, client or server, driven by five verbs: [`handle_datagram`](Self::handle_datagram),
/// [`handle_timeout`](Self::handle_timeout), [`poll_transmit`](Self::poll_transmit), [`poll_timeout`](Self::poll_timeout),
/// [`poll_event`](Self::poll_event). After any of the first two, and after calls of the application, the three others
/// are to be asked until they have nothing more to say. Should the caller's clock be set back, time inside goes on from
/// where it stood.
pub struct Connection {
    pub(super) side: Side,
    pub(super) config: Arc<TransportConfig>,
    /// Every call that is told the time reads it here first.
    pub(super) clock: Clock,
    pub(super) entropy: Box<dyn Entropy>,
    pub(super) keyring: Keyring,
    pub(super) handshake: Handshake,
    pub(super) acks: [AckTracker; 3],
    pub(super) numbers: [PacketNumbers; 3],
    pub(super) fixed_bits: FixedBits,
    pub(super) recovery: Recovery<Receipt>,
    pub(super) path: Path,
    pub(super) local_cids: LocalCids,
    pub(super) remote_cids: RemoteCids,
    /// Who sends next, of streams and datagrams.
    pub(super) schedule: Schedule,
    pub(super) streams: Streams,
    pub(super) datagrams: Datagrams,
    pub(super) control: Control,
    pub(super) life: Life,
    /// Peer-fed memory, but for that of streams.
    pub(super) budget: Budget,
    /// Memory of streams and of what layers above hold of them: all that their credit can cost, which nothing else may use.
    pub(super) stream_budget: Budget,
    /// What was written and is not acknowledged, as far as it is charged; the endpoint's limit alone bounds it.
    pub(super) send_budget: Budget,
    pub(super) buffered_charged: usize,
    /// What layers above hold of streams, and of other things, as far as it is charged.
    pub(super) held_above: [usize; 3],
    /// A client's handshake, counted by the endpoint until it is complete.
    pub(super) handshake_slot: Option<HandshakeSlot>,
    /// A client's place among those of its address.
    pub(super) place: Option<Place>,
    pub(super) first_flight: FirstFlight,
    /// The peer's parameters; defaults until they arrive.
    pub(super) peer: TransportParameters,
    pub(super) early: EarlyPackets,
    /// Probe packets that have to go out regardless of the window, per space (RFC 9002 §6.2.4).
    pub(super) probes: [u8; 3],
    /// When the pacer releases the next datagram, if it holds one back.
    pub(super) pacing_release: Option<Timestamp>,
    /// Packets in a row that elicited no acknowledgment (RFC 9000 §13.2.4).
    pub(super) non_eliciting_run: u32,
    pub(super) flood: FloodGuard,
    pub(super) counters: Counters,
    pub(super) out: Out,
}

/// What waits to be fetched by the driver.
#[derive(Debug, Default)]
pub(super) struct Out {
    pub(super) events: VecDeque<Event>,
    pub(super) cid_changes: Vec<CidChange>,
    pub(super) receipts: Vec<Receipt>,
    pub(super) trace: Trace,
    /// Whether [`Event::Closed`] was told.
    pub(super) close_told: bool,
    /// The application knows of the end; nothing is kept for it any more.
    pub(super) released: bool,
}

/// Counters that belong to no component.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    pub(super) datagrams_sent: u64,
    pub(super) datagrams_received: u64,
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
    pub(super) packets_received: u64,
    pub(super) dropped: crate::stats::DropCounts,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("side", &self.side)
            .field("remote", &self.path.remote)
            .finish_non_exhaustive()
    }
}
