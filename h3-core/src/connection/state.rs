//! The state of a connection. The other files of this folder implement its methods.

use std::collections::{BTreeSet, VecDeque};

use qpack::{Decoder, Encoder};
use quic_core::{
    Priority, Side, StreamId, StreamMap,
    base::{Budget, Timestamp},
};

use super::{
    config::{Config, DEFAULT_MAX_FIELD_SECTION_SIZE},
    control::ControlReader,
    critical::{Critical, CriticalOut},
    implicit::ImplicitStreams,
    limits::{IdleMeter, ResetMeter},
    queue::Events,
    request::Request,
    send::{Outgoing, Stage},
    unknown::Incoming,
    waiting::Waiting,
};
use crate::{error::H3Error, settings::Settings};

/// Requests that are not read for now (server).
#[derive(Debug, Default)]
pub(super) struct HeldRequests {
    pub(super) holding: bool,
    /// The streams that received something meanwhile.
    pub(super) streams: BTreeSet<StreamId>,
}

/// One HTTP/3 connection.
#[derive(Debug)]
pub struct Connection {
    pub(super) side: Side,
    pub(super) config: Config,
    pub(super) encoder: Encoder,
    pub(super) decoder: Decoder,
    pub(super) peer_settings: Option<Settings>,
    /// The server's settings on an earlier connection, while they count (client).
    pub(super) remembered: Option<Box<Settings>>,
    pub(super) control: ControlReader,
    pub(super) critical_in: [Option<StreamId>; 3],
    pub(super) critical_out: [CriticalOut; 3],
    /// The peer's streams whose kind is not known yet.
    pub(super) incoming: StreamMap<Incoming>,
    pub(super) requests: StreamMap<Request>,
    /// How many client-initiated bidirectional streams were opened so far.
    pub(super) opened: u64,
    /// Those that a later stream opened implicitly and that received nothing yet (server).
    pub(super) implicit: ImplicitStreams,
    pub(super) held: HeldRequests,
    /// The deadlines of incomplete requests and unidentified streams (server).
    pub(super) waiting: Waiting,
    pub(super) goaway_sent: Option<u64>,
    pub(super) goaway_received: Option<u64>,
    pub(super) max_push_id: Option<u64>,
    /// The priorities from `PRIORITY_UPDATE` for streams that are not open yet.
    pub(super) early_priorities: VecDeque<(StreamId, Priority)>,
    pub(super) resets: ResetMeter,
    /// Counts frames without effect.
    pub(super) idle: IdleMeter,
    pub(super) budget: Budget,
    pub(super) events: Events,
    pub(super) failed: Option<H3Error>,
    /// The time of the event being handled.
    pub(super) now: Timestamp,
}

impl Connection {
    /// A connection for one side. Nothing is sent before [`Connection::start`].
    #[must_use]
    pub fn new(mut config: Config, side: Side) -> Self {
        let settings = &mut config.settings;
        settings.max_field_section_size.get_or_insert(DEFAULT_MAX_FIELD_SECTION_SIZE);
        let webtransport = settings.webtransport();
        let decoder = Decoder::with_table(settings.qpack_max_table_capacity, settings.qpack_blocked_streams);
        Self {
            side,
            encoder: Encoder::with_options(config.encoder),
            decoder,
            peer_settings: None,
            remembered: None,
            control: ControlReader::new(side, webtransport),
            critical_in: [None; 3],
            critical_out: Critical::ALL.map(|_| CriticalOut { id: None, out: Outgoing::new(Stage::Body) }),
            incoming: StreamMap::default(),
            requests: StreamMap::default(),
            opened: 0,
            implicit: ImplicitStreams::default(),
            held: HeldRequests::default(),
            waiting: Waiting::default(),
            goaway_sent: None,
            goaway_received: None,
            max_push_id: None,
            early_priorities: VecDeque::new(),
            resets: ResetMeter::new(config.resets_per_second),
            idle: IdleMeter::default(),
            budget: Budget::alone(config.header_memory),
            events: Events::default(),
            failed: None,
            now: Timestamp::ORIGIN,
            config,
        }
    }
}
