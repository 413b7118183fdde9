//! A connection: a dozen components, and the scripts that call them in order.
//!
//! No protocol rule lives here; what a frame means is its owner's business. The scripts: [`ingress`] takes datagrams
//! apart, [`dispatch`] hands frames to their owners, [`ack`] routes receipts home, [`progress`] follows the handshake,
//! [`plan`] decides what the next datagram holds, [`egress`] writes it, [`timeout`] looks at the clocks, [`close`] ends
//! things, [`api`] is what the application calls.

mod ack;
mod api;
mod close;
mod dispatch;
mod early;
mod egress;
mod farewell;
mod flood;
mod grease;
mod ingress;
mod numbers;
mod packets;
mod plan;
mod progress;
mod setup;
mod timeout;

use std::{collections::VecDeque, sync::Arc};

pub use egress::Transmit;
pub(crate) use setup::{CONNECTION_COST, ServerSetup};

use early::EarlyPackets;
use flood::FloodGuard;
use grease::FixedBits;
use numbers::PacketNumbers;

use crate::{
    acks::AckTracker,
    base::{Budget, Clock, Entropy, HandshakeSlot, Place, Timestamp},
    cids::{CidChange, LocalCids, RemoteCids},
    config::TransportConfig,
    control::Control,
    datagrams::Datagrams,
    event::Event,
    frame::Receipt,
    handshake::Handshake,
    ids::{ConnectionId, Side},
    keyring::Keyring,
    life::Life,
    params::TransportParameters,
    path::Path,
    recovery::Recovery,
    streams::Streams,
    trace::Trace,
};

/// A QUIC connection, client or server, driven by five verbs: [`handle_datagram`](Self::handle_datagram),
/// [`handle_timeout`](Self::handle_timeout), [`poll_transmit`](Self::poll_transmit), [`poll_timeout`](Self::poll_timeout),
/// [`poll_event`](Self::poll_event). After any of the first two, and after calls of the application, the three others
/// are to be asked until they have nothing more to say. Should the caller's clock be set back, time inside goes on from
/// where it stood.
pub struct Connection {
    side: Side,
    config: Arc<TransportConfig>,
    /// Every call that is told the time reads it here first.
    clock: Clock,
    entropy: Box<dyn Entropy>,
    keyring: Keyring,
    handshake: Handshake,
    acks: [AckTracker; 3],
    numbers: [PacketNumbers; 3],
    fixed_bits: FixedBits,
    recovery: Recovery<Receipt>,
    path: Path,
    local_cids: LocalCids,
    remote_cids: RemoteCids,
    streams: Streams,
    datagrams: Datagrams,
    control: Control,
    life: Life,
    /// Peer-fed memory, but for that of streams.
    budget: Budget,
    /// Memory of streams and of what layers above hold of them: all that their credit can cost, which nothing else may use.
    stream_budget: Budget,
    /// What was written and is not acknowledged, as far as it is charged; the endpoint's limit alone bounds it.
    send_budget: Budget,
    buffered_charged: usize,
    /// What layers above hold of streams, and of other things, as far as it is charged.
    held_above: [usize; 3],
    /// A client's handshake, counted by the endpoint until it is complete.
    handshake_slot: Option<HandshakeSlot>,
    /// A client's place among those of its address.
    place: Option<Place>,
    first_flight: FirstFlight,
    /// The peer's parameters; defaults until they arrive.
    peer: TransportParameters,
    early: EarlyPackets,
    /// Probe packets that have to go out regardless of the window, per space (RFC 9002 §6.2.4).
    probes: [u8; 3],
    /// When the pacer releases the next datagram, if it holds one back.
    pacing_release: Option<Timestamp>,
    /// Packets in a row that elicited no acknowledgment (RFC 9000 §13.2.4).
    non_eliciting_run: u32,
    flood: FloodGuard,
    counters: Counters,
    out: Out,
}

/// What the first packets carried: checked against the transport parameters later (RFC 9000 §7.3).
#[derive(Debug)]
struct FirstFlight {
    /// The destination connection ID of the client's first Initial.
    original_destination: ConnectionId,
    /// The source connection ID of the Retry packet.
    retry_source: Option<ConnectionId>,
    /// The source connection ID of the peer's first packet.
    peer_source: Option<ConnectionId>,
    /// The token for the client's Initial packets.
    token: Vec<u8>,
}

/// What waits to be fetched by the driver.
#[derive(Debug, Default)]
struct Out {
    events: VecDeque<Event>,
    cid_changes: Vec<CidChange>,
    receipts: Vec<Receipt>,
    trace: Trace,
    /// Whether [`Event::Closed`] was told.
    close_told: bool,
    /// The application knows of the end; nothing is kept for it any more.
    released: bool,
}

/// Counters that belong to no component.
#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    datagrams_sent: u64,
    datagrams_received: u64,
    bytes_sent: u64,
    bytes_received: u64,
    packets_received: u64,
    dropped: crate::stats::DropCounts,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("side", &self.side)
            .field("remote", &self.path.remote)
            .finish_non_exhaustive()
    }
}
