//! The state of a connection: its components, and what belongs to none of them. The scripts in this folder
//! work on it.

use std::{collections::VecDeque, sync::Arc};

use super::{
    charges::Charges, early::EarlyPackets, flood::FloodGuard, limited::Limited, membership::Membership,
    outgoing::Outgoing, seen::Seen, start::ClientStart,
};
use crate::{
    acks::{AckRequests, AckTracker},
    base::{Clock, Entropy},
    cids::{CidChange, Cids},
    config::TransportConfig,
    control::Control,
    crypto::TokenKey,
    datagrams::Datagrams,
    event::{EarlyData, Event},
    frame::Receipt,
    handshake::{FirstFlight, Handshake},
    ids::Side,
    keyring::Keyring,
    life::Life,
    params::TransportParameters,
    path::Paths,
    recovery::Recovery,
    schedule::Schedule,
    spaces::Spaces,
    streams::Streams,
    trace::Trace,
};

/// A QUIC connection, client or server, driven by five calls: [`handle_datagram`](Self::handle_datagram),
/// [`handle_timeout`](Self::handle_timeout), [`poll_transmit`](Self::poll_transmit),
/// [`poll_timeout`](Self::poll_timeout), [`poll_event`](Self::poll_event). After either of the first two, and
/// after calls of the application, the caller calls the other three until they return nothing more. If the
/// caller's clock is set back, the connection's own time goes on from where it stood.
pub struct Connection {
    pub(super) side: Side,
    pub(super) config: Arc<TransportConfig>,
    /// Every call that is given the time reads it through this clock first.
    pub(super) clock: Clock,
    pub(super) entropy: Box<dyn Entropy>,
    pub(super) keyring: Keyring,
    pub(super) handshake: Handshake,
    pub(super) acks: Spaces<AckTracker>,
    /// What is asked of the peer's acknowledgments.
    pub(super) requests: AckRequests,
    pub(super) recovery: Recovery<Receipt>,
    pub(super) paths: Paths,
    pub(super) cids: Cids,
    /// Decides which stream or datagram queue sends next.
    pub(super) schedule: Schedule,
    pub(super) streams: Streams,
    pub(super) datagrams: Datagrams,
    pub(super) control: Control,
    pub(super) life: Life,
    pub(super) memory: Charges,
    pub(super) membership: Membership,
    pub(super) first_flight: FirstFlight,
    /// What a client needs to begin again in another version, until it hears from the server.
    pub(super) client: Option<Box<ClientStart>>,
    /// The peer's parameters; defaults until they arrive.
    pub(super) peer: TransportParameters,
    pub(super) early: EarlyPackets,
    /// What became of 0-RTT.
    pub(super) early_data: EarlyData,
    /// Makes the tokens that a server gives its clients for later connections.
    pub(super) tokens: Option<Arc<TokenKey>>,
    pub(super) outgoing: Outgoing,
    pub(super) flood: FloodGuard,
    pub(super) limited: Limited,
    pub(super) counters: Counters,
    pub(super) out: Out,
}

/// Output that waits for the driver.
#[derive(Debug, Default)]
pub(super) struct Out {
    pub(super) events: VecDeque<Event>,
    pub(super) cid_changes: Vec<CidChange>,
    pub(super) receipts: Vec<Receipt>,
    pub(super) trace: Trace,
    /// What the observer was shown, if there is one.
    pub(super) seen: Option<Box<Seen>>,
    /// Whether [`Event::Closed`] was reported.
    pub(super) close_told: bool,
    /// Whether the application knows of the end, so that nothing is kept for it any more.
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
    /// When TLS was complete, and when the handshake was confirmed.
    pub(super) complete: Option<crate::base::Timestamp>,
    pub(super) confirmed: Option<crate::base::Timestamp>,
    pub(super) dropped: crate::stats::DropCounts,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("side", &self.side)
            .field("remote", &self.paths.active.route.remote)
            .finish_non_exhaustive()
    }
}
