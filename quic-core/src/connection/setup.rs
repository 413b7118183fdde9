//! Creation of connections.

use std::{net::IpAddr, net::SocketAddr, sync::Arc, time::Duration};

use super::{
    charges::Charges,
    close::Failure,
    early::EarlyPackets,
    flood::FloodGuard,
    limited::Limited,
    membership::Membership,
    outgoing::Outgoing,
    parameters::{ACK_DELAY_EXPONENT, fixed_parameters, local_parameters},
    start::ClientStart,
    state::{Connection, Counters, Out},
};
use crate::{
    acks::{AckRequests, AckTracker},
    base::{Clock, Entropy, Place, Timestamp},
    cids::{Cids, LocalCids},
    config::{ClientConfig, EndpointConfig, ServerConfig, TransportConfig},
    control::Control,
    crypto::{TlsError, TokenKey, initial_secrets},
    datagrams::{Datagrams, DatagramsConfig},
    event::EarlyData,
    handshake::{FirstFlight, Handshake, Opening},
    ids::{ConnectionId, Level, PathId, Side, Space},
    keyring::Keyring,
    life::{Life, Timeouts},
    params::{PreferredAddress, TransportParameters},
    path::{Path, Paths, Route},
    recovery::Recovery,
    schedule::Schedule,
    spaces::Spaces,
    streams::{Streams, StreamsConfig},
    version::Version,
};

/// The values from which a server connection starts.
pub(crate) struct ServerSetup {
    pub(crate) remote: SocketAddr,
    pub(crate) local_ip: Option<IpAddr>,
    /// The version of the client's Initial.
    pub(crate) version: Version,
    /// The destination connection ID of the client's Initial that is being accepted.
    pub(crate) initial_destination: ConnectionId,
    /// The destination connection ID of the client's first Initial, which differs after a Retry.
    pub(crate) original_destination: ConnectionId,
    /// The source connection ID of the Retry packet.
    pub(crate) retry_source: Option<ConnectionId>,
    /// The client's source connection ID.
    pub(crate) peer_source: ConnectionId,
    /// Whether the client has presented a token from an earlier connection, so that its address is validated
    /// (RFC 9000 §8.1.3).
    pub(crate) is_known: bool,
    /// Makes the tokens for the client's later connections.
    pub(crate) tokens: Option<Arc<TokenKey>>,
}

/// The values that both roles have in common.
struct Parts {
    side: Side,
    handshake: Handshake,
    client: Option<Box<ClientStart>>,
    local: LocalCids,
    remote: ConnectionId,
    route: Route,
    keyring: Keyring,
    first_flight: FirstFlight,
}

/// What a connection costs before its peer has sent any data: its own state, TLS, keys and first flight, and
/// the structures of fixed size that a peer can fill (received ranges, connection IDs, remembered losses).
pub(crate) const CONNECTION_COST: usize = 32 << 10;

impl Connection {
    /// Opens a connection; the first flight is ready to be sent.
    pub(crate) fn client(
        now: Timestamp,
        config: &ClientConfig,
        server_name: &str,
        remote: SocketAddr,
        endpoint: &EndpointConfig,
        mut entropy: Box<dyn Entropy>,
    ) -> Result<Self, TlsError> {
        let cids = &endpoint.cids;
        let local = cids.generate(entropy.as_mut());
        let destination = first_destination(entropy.as_mut());
        let transport = config.transport.in_range();
        let start = ClientStart {
            config: config.clone(),
            server_name: server_name.into(),
            port: remote.port(),
            source: local,
        };
        let version = start.first_version();
        let (tls, token) = start.begin(version, &transport, config.early_data, entropy.as_mut())?;
        let versions = transport.versions;
        let mut keyring = Keyring::new();
        let (client, server) = initial_secrets(version, &destination);
        keyring.install(Level::Initial, &client, &server);
        let parts = Parts {
            side: Side::Client,
            handshake: Handshake::new(Side::Client, tls),
            client: Some(Box::new(start)),
            local: LocalCids::new(cids.clone(), local),
            remote: destination,
            route: Route::new(remote, None, true),
            keyring,
            first_flight: FirstFlight::of_client(versions, version, destination).with_token(token),
        };
        let mut connection = Self::assemble(parts, &transport, endpoint, entropy, now);
        connection.find_observer();
        match connection.handshake.start() {
            Ok(progress) => connection.apply_progress(progress, now).map_err(|failure| match failure {
                Failure::Tls(error) => error,
                other => TlsError::internal(other.to_string()),
            })?,
            Err(error) => return Err(TlsError::internal(format!("{error:?}"))),
        }
        Ok(connection)
    }

    /// Accepts a connection. The caller then passes it its first datagram.
    pub(crate) fn server(
        now: Timestamp,
        config: &ServerConfig,
        setup: &ServerSetup,
        endpoint: &EndpointConfig,
        mut entropy: Box<dyn Entropy>,
    ) -> Self {
        let cids = &endpoint.cids;
        let local = cids.generate(entropy.as_mut());
        let transport = config.transport.in_range();
        let mut ids = LocalCids::new(cids.clone(), local);
        let parameters = TransportParameters {
            preferred_address: preferred_address(&transport, &mut ids, entropy.as_mut()),
            original_destination_connection_id: Some(setup.original_destination),
            retry_source_connection_id: setup.retry_source,
            stateless_reset_token: Some(cids.reset_token(&local)),
            ..local_parameters(&transport, setup.version, local, entropy.as_mut())
        };
        let opening = Opening {
            tls: config.tls.clone(),
            parameters,
            promise: Arc::clone(&config.early_promise),
            versions: transport.versions,
            original: setup.version,
            reserved: Version::reserved(entropy.next_u64() as u32),
            held: Vec::new(),
        };
        let mut keyring = Keyring::new();
        let (client, server) = initial_secrets(setup.version, &setup.initial_destination);
        keyring.install(Level::Initial, &server, &client);
        let validated = setup.retry_source.is_some() || setup.is_known;
        let parts = Parts {
            side: Side::Server,
            handshake: Handshake::of_server(opening),
            client: None,
            local: ids,
            remote: setup.peer_source,
            route: Route::new(setup.remote, setup.local_ip, validated),
            keyring,
            first_flight: FirstFlight::of_server(
                transport.versions,
                setup.version,
                setup.original_destination,
                setup.retry_source,
                setup.peer_source,
            ),
        };
        let membership = Membership::of_handshake(endpoint.budget.begin_handshake());
        let tokens = setup.tokens.clone();
        let mut connection =
            Self { membership, tokens, ..Self::assemble(parts, &transport, endpoint, entropy, now) };
        connection.find_observer();
        connection
    }

    /// Gives the connection a place among those of its client's address, until it is dropped.
    pub(crate) fn set_place(&mut self, mut place: Place) {
        if self.handshake.is_complete() {
            place.on_complete();
        }
        self.membership.set_place(place);
    }

    /// Asks whether somebody wants to see the connection.
    fn find_observer(&mut self) {
        if let Some(factory) = self.config.observers.clone()
            && let Some(observer) = factory.observer(&self.start_of_trace())
        {
            self.watch(observer);
        }
    }

    /// The parameters that this end has told, as far as they do not depend on chance.
    pub(super) fn parameters_as_told(&self) -> TransportParameters {
        let (version, source) = (self.first_flight.version(), self.cids.local.handshake());
        let ids = self.first_flight.expected_ids();
        let server = !self.side.is_client();
        TransportParameters {
            original_destination_connection_id: server.then_some(ids.original_destination),
            retry_source_connection_id: ids.retry_source.filter(|_| server),
            ..fixed_parameters(&self.config, version, source)
        }
    }

    fn assemble(
        parts: Parts,
        config: &Arc<TransportConfig>,
        endpoint: &EndpointConfig,
        mut entropy: Box<dyn Entropy>,
        now: Timestamp,
    ) -> Self {
        let streams = Streams::new(streams_config(parts.side, config));
        let mut memory = Charges::new(config.memory_budget, streams.memory_limit(), &endpoint.budget);
        // A server has checked for room before; a connection that this client wants is not refused.
        let _ = memory.fed.charge(CONNECTION_COST);
        let path = Path::new(PathId::FIRST, parts.route, config, now, entropy.next_u64());
        Self {
            side: parts.side,
            config: Arc::clone(config),
            clock: Clock::new(now),
            keyring: parts.keyring,
            handshake: parts.handshake,
            acks: Spaces::new(|space| match space {
                Space::Data => AckTracker::new(space, config.max_ack_delay, ACK_DELAY_EXPONENT),
                _ => AckTracker::new(space, Duration::ZERO, 0),
            }),
            requests: AckRequests::default(),
            recovery: Recovery::new(),
            paths: Paths::new(path),
            cids: Cids::new(parts.local, parts.remote),
            schedule: Schedule::default(),
            streams,
            datagrams: Datagrams::new(datagrams_config(config)),
            control: Control::default(),
            life: Life::new(&Timeouts::of(config, parts.side), now),
            memory,
            membership: Membership::default(),
            first_flight: parts.first_flight,
            client: parts.client,
            peer: TransportParameters::default(),
            early: EarlyPackets::default(),
            early_data: EarlyData::None,
            tokens: None,
            outgoing: Outgoing::new(config.spin_bit, entropy.as_mut()),
            flood: FloodGuard::new(now, config.max_receive_window),
            limited: Limited::new(now),
            counters: Counters::default(),
            out: Out::default(),
            entropy,
        }
    }
}

/// The ID to which a client sends its first Initial: at least 8 unpredictable bytes (RFC 9000 §7.2).
pub(super) fn first_destination(entropy: &mut dyn Entropy) -> ConnectionId {
    let mut destination = [0; 16];
    entropy.fill(&mut destination);
    ConnectionId::new(&destination).expect("16 bytes")
}

/// The address where the server prefers to be reached, with its own connection ID (RFC 9000 §9.6).
fn preferred_address(
    config: &TransportConfig,
    ids: &mut LocalCids,
    entropy: &mut dyn Entropy,
) -> Option<PreferredAddress> {
    let (v4, v6) = (config.preferred_v4, config.preferred_v6);
    if v4.is_none() && v6.is_none() {
        return None;
    }
    let (connection_id, token) = ids.issue_preferred(entropy);
    Some(PreferredAddress { v4, v6, connection_id, token })
}

/// How long a client that receives data hears nothing more before it asks whether it is still reached. Within this
/// time most senders that pause have gone on, and a PING costs nobody much.
const QUIET: Duration = Duration::from_secs(1);

impl Timeouts {
    /// A server has no address that changes behind its back: only clients ask whether they are still reached.
    fn of(config: &TransportConfig, side: Side) -> Self {
        Self {
            idle: config.idle_timeout,
            keep_alive: config.keep_alive,
            handshake: config.handshake_timeout,
            quiet: side.is_client().then_some(QUIET),
        }
    }
}

fn streams_config(side: Side, config: &TransportConfig) -> StreamsConfig {
    StreamsConfig {
        side,
        stream_receive_window: config.stream_receive_window,
        stream_receive_window_max: config.max_stream_receive_window,
        connection_receive_window: config.receive_window,
        connection_receive_window_max: config.max_receive_window,
        max_bidi: config.max_streams_bidi,
        max_uni: config.max_streams_uni,
        send_buffer: config.send_buffer,
        tags_claim: true,
    }
}

fn datagrams_config(config: &TransportConfig) -> DatagramsConfig {
    DatagramsConfig {
        max_frame_size: config.max_datagram_frame_size,
        incoming_bytes: config.datagram_receive_buffer,
        outgoing_bytes: config.datagram_send_buffer,
        ..DatagramsConfig::default()
    }
}
