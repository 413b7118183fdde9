//! One or many connections behind a socket: who gets a datagram, and answers that need no connection (RFC 9000 §5.2,
//! §6, §8.1.2, §10.3).
//!
//! Owns the table of connection IDs and reset tokens. Must never know what happens inside a connection.

mod event;
mod limiter;
mod peek;
mod stateless;
mod table;
mod token;

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use bytes::BytesMut;

use limiter::Limiter;
use table::Table;
use token::{TokenKey, Verdict};

pub use event::{AcceptError, Caller, DatagramEvent, Incoming, Response};
pub use table::ConnectionHandle;

use crate::{
    base::{Admission, AdmissionLimit, DatagramMeta, EndpointBudget, Entropy, Timestamp},
    cids::CidChange,
    config::{ClientConfig, EndpointConfig, ServerConfig},
    connection::{CONNECTION_COST, Connection, ServerSetup},
    crypto::TlsError,
    error::{DropReason, TransportErrorCode},
    ids::{ConnectionId, Side},
    packet::{self, Header, HeaderError, LongType, MIN_INITIAL_SIZE},
    stats::EndpointStats,
};

/// The client's first destination connection ID has at least this many bytes (RFC 9000 §7.2).
const MIN_INITIAL_DCID: usize = 8;

/// Demultiplexes datagrams to connections and makes new ones.
#[derive(Debug)]
pub struct Endpoint {
    config: EndpointConfig,
    server: Option<(Arc<ServerConfig>, TokenKey)>,
    entropy: EntropySource,
    table: Table,
    limiter: Limiter,
    stats: EndpointStats,
}

/// Gives the endpoint's entropy a `Debug` that shows nothing.
struct EntropySource(Box<dyn Entropy>);

impl std::fmt::Debug for EntropySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entropy")
    }
}

impl Endpoint {
    /// Memory that has to be free for a further client to be admitted, in bytes: a budget below it admits none.
    pub const LEAST_MEMORY: usize = 2 * CONNECTION_COST;

    /// An endpoint; with `server` it accepts connections.
    #[must_use]
    pub fn new(config: EndpointConfig, server: Option<Arc<ServerConfig>>, entropy: Box<dyn Entropy>) -> Self {
        let limiter = Limiter::new(config.stateless_packets_per_second);
        let mut endpoint = Self {
            config,
            server: None,
            entropy: EntropySource(entropy),
            table: Table::default(),
            limiter,
            stats: EndpointStats::default(),
        };
        endpoint.set_server(server);
        endpoint
    }

    /// Changes how new connections are accepted; those that exist keep their settings.
    pub fn set_server(&mut self, server: Option<Arc<ServerConfig>>) {
        self.server = server.map(|server| {
            let key = TokenKey::new(&server.token_key);
            (server, key)
        });
    }

    /// Connections that were not forgotten.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.table.len()
    }

    /// What the connections draw on, and those of other endpoints that share it.
    #[must_use]
    pub fn budget(&self) -> &EndpointBudget {
        &self.config.budget
    }

    /// What was done for datagrams that belong to no connection.
    #[must_use]
    pub fn stats(&self) -> EndpointStats {
        self.stats
    }

    /// Finds out whom a datagram is for.
    pub fn handle_datagram(&mut self, now: Timestamp, meta: &DatagramMeta, data: BytesMut) -> DatagramEvent {
        let event = self.judge_datagram(now, meta, data);
        if let DatagramEvent::Dropped(reason) = &event {
            self.stats.dropped.add(*reason);
        }
        event
    }

    fn judge_datagram(&mut self, now: Timestamp, meta: &DatagramMeta, data: BytesMut) -> DatagramEvent {
        let header = packet::parse(&data, self.config.cids.length(), true);
        if let Some(handle) = header.as_ref().ok().and_then(destination).and_then(|id| self.table.find(&id)) {
            return DatagramEvent::Connection(handle, data);
        }
        // RFC 9000 §10.3.1: whatever cannot be attributed may be a stateless reset, whichever form its first bits have.
        if let Some(token) = data.last_chunk::<16>().filter(|_| data.len() >= stateless::MIN_RESET)
            && let Some(handle) = self.table.find_reset(&meta.remote, token)
        {
            return DatagramEvent::StatelessReset(handle);
        }
        // Before the fixed bit is looked at: what its connection agreed to, the sibling knows.
        if let Some(shard) = header.as_ref().ok().and_then(|header| self.sibling_for(header)) {
            return DatagramEvent::Sibling(shard, data);
        }
        match header {
            // RFC 9287 §3: only a connection can have agreed to a zero fixed bit.
            Ok(Header::Long(_) | Header::Short(_) | Header::Retry(_)) if has_zero_fixed_bit(&data) => {
                DatagramEvent::Dropped(DropReason::FixedBit)
            }
            Ok(Header::Long(long)) if long.kind == LongType::Initial => {
                self.on_initial(now, meta, &long, data)
            }
            Ok(Header::Long(_) | Header::Retry(_) | Header::VersionNegotiation(_)) => {
                DatagramEvent::Dropped(DropReason::UnknownConnection)
            }
            Ok(Header::Short(short)) => self.on_unknown_short(now, meta, &short.dcid, &data),
            Ok(Header::UnknownVersion { dcid, scid, .. }) => {
                self.on_unknown_version(now, meta, dcid, scid, data.len())
            }
            Err(HeaderError::FixedBit) => DatagramEvent::Dropped(DropReason::FixedBit),
            Err(HeaderError::CidTooLong) => DatagramEvent::Dropped(DropReason::CidTooLong),
            Err(HeaderError::Truncated) => DatagramEvent::Dropped(DropReason::HeaderMalformed),
        }
    }

    /// The sibling whose connection a packet is for.
    ///
    /// An Initial packet may be the first of a client, whose choice of a connection ID is random and names nobody. Once siblings
    /// open connections it may be a server's answer as well: a client that is taken for a server then comes to a sibling that
    /// serves it as well. Retry and Version Negotiation packets are for clients alone.
    fn sibling_for(&self, header: &Header<'_>) -> Option<u8> {
        let is_issued = match header {
            Header::Long(long) => long.kind != LongType::Initial,
            Header::Short(_) => true,
            Header::Retry(_) | Header::VersionNegotiation(_) => false,
            Header::UnknownVersion { .. } => return None,
        };
        let asked = is_issued || self.config.connects.load(Relaxed);
        destination(header).filter(|_| asked).and_then(|id| self.sibling_of(&id))
    }

    /// The sibling that a connection ID names, if one of them has issued it.
    fn sibling_of(&self, id: &ConnectionId) -> Option<u8> {
        let shard = self.config.cids.shard_of(id)?;
        (shard != self.config.cids.shard() && self.config.siblings.contains(&shard)).then_some(shard)
    }

    /// A datagram for a [sibling](DatagramEvent::Sibling) that is gone: its peer gets a stateless reset, if one is due, as from
    /// a server that was started again (RFC 9000 §10.3).
    pub fn handle_orphan(&mut self, now: Timestamp, meta: &DatagramMeta, data: &[u8]) -> DatagramEvent {
        let event = match packet::parse(data, self.config.cids.length(), true) {
            Ok(Header::Short(short)) => self.on_unknown_short(now, meta, &short.dcid, data),
            _ => DatagramEvent::Dropped(DropReason::UnknownConnection),
        };
        if let DatagramEvent::Dropped(reason) = &event {
            self.stats.dropped.add(*reason);
        }
        event
    }

    /// An Initial that belongs to no connection.
    fn on_initial(
        &mut self,
        now: Timestamp,
        meta: &DatagramMeta,
        long: &packet::Long,
        data: BytesMut,
    ) -> DatagramEvent {
        let Some((_, token_key)) = &self.server else {
            return DatagramEvent::Dropped(DropReason::UnknownConnection);
        };
        // RFC 9000 §14.1: a client pads its first datagrams.
        if data.len() < MIN_INITIAL_SIZE {
            return DatagramEvent::Dropped(DropReason::DatagramTooSmall);
        }
        let token = &data[long.token.clone()];
        let before_retry = match token_key.open(token, &meta.remote, &long.dcid, now) {
            Verdict::Valid(original) => Some(original),
            Verdict::Unknown => None,
            Verdict::Invalid => {
                self.stats.invalid_tokens += 1;
                let close =
                    stateless::close(long.version, &long.dcid, &long.scid, TransportErrorCode::INVALID_TOKEN);
                return respond(meta, close);
            }
        };
        if before_retry.is_none() && long.dcid.len() < MIN_INITIAL_DCID {
            return DatagramEvent::Dropped(DropReason::HeaderMalformed);
        }
        DatagramEvent::Incoming(Incoming {
            meta: *meta,
            data,
            version: long.version,
            dcid: long.dcid,
            scid: long.scid,
            before_retry,
        })
    }

    /// A short header with an unknown connection ID: a stateless reset is due from us (RFC 9000 §10.3).
    fn on_unknown_short(
        &mut self,
        now: Timestamp,
        meta: &DatagramMeta,
        dcid: &ConnectionId,
        data: &[u8],
    ) -> DatagramEvent {
        let token = self.config.cids.reset_token(dcid);
        let reset = stateless::reset(&token, data.len(), self.entropy.0.as_mut());
        // What is larger than any reset of ours is none, and begins no exchange of resets.
        let is_none = data.len() > stateless::TYPICAL_RESET;
        let limiter = &mut self.limiter;
        let mut permits = || {
            if is_none { limiter.permits_last(meta.remote, now) } else { limiter.permits(meta.remote, now) }
        };
        match reset.filter(|_| permits()) {
            Some(bytes) => {
                self.stats.stateless_resets += 1;
                respond(meta, bytes)
            }
            None => DatagramEvent::Dropped(DropReason::UnknownConnection),
        }
    }

    /// RFC 9000 §5.2.2, §6.1: Version Negotiation, if the datagram could have started a connection.
    fn on_unknown_version(
        &mut self,
        now: Timestamp,
        meta: &DatagramMeta,
        dcid: &[u8],
        scid: &[u8],
        size: usize,
    ) -> DatagramEvent {
        if self.server.is_none() || size < MIN_INITIAL_SIZE || !self.limiter.permits(meta.remote, now) {
            return DatagramEvent::Dropped(DropReason::Version);
        }
        self.stats.version_negotiations += 1;
        respond(meta, stateless::version_negotiation(dcid, scid, self.entropy.0.as_mut()))
    }

    /// Opens a connection to `remote`, whose certificate must be valid for `server_name`.
    pub fn connect(
        &mut self,
        now: Timestamp,
        config: &ClientConfig,
        server_name: &str,
        remote: SocketAddr,
    ) -> Result<(ConnectionHandle, Connection), TlsError> {
        let entropy = self.entropy.0.fork();
        let connection = Connection::client(now, config, server_name, remote, &self.config, entropy)?;
        self.config.connects.store(true, Relaxed);
        let handle = self.table.insert(remote);
        for id in connection.local_ids() {
            self.table.add_cid(handle, id);
        }
        Ok((handle, connection))
    }

    /// What the limits of the endpoint, and those of its address, say of a client: pending handshakes, connections, memory.
    #[must_use]
    pub fn admission(&self, now: Timestamp, incoming: &Incoming) -> Admission {
        let budget = &self.config.budget;
        // What the handshake needs on top must not be the first thing that is refused.
        let has_memory = budget.has_room_for(Self::LEAST_MEMORY);
        if self.table.len() >= self.config.max_connections {
            Admission::Refuse(AdmissionLimit::Connections)
        } else if !has_memory {
            Admission::Refuse(AdmissionLimit::Memory)
        } else if budget.pending_handshakes() >= self.config.retry_threshold && !incoming.is_validated() {
            Admission::Retry
        } else {
            let (address, proved) = (incoming.remote_address().ip(), incoming.is_validated());
            budget.judge(&self.config.per_address, address, proved, now)
        }
    }

    /// Accepts a connection and lets it process the client's first datagram.
    ///
    /// [`admission`](Self::admission) is advice; this holds to the memory budget alone.
    ///
    /// # Errors
    /// The datagram was not authentic after all, TLS could not be set up, or the memory budget is spent.
    pub fn accept(
        &mut self,
        now: Timestamp,
        incoming: Incoming,
    ) -> Result<(ConnectionHandle, Connection), AcceptError> {
        let Some((server, _)) = &self.server else { return Err(AcceptError::NoServer) };
        if !self.config.budget.has_room_for(CONNECTION_COST) {
            return Err(AcceptError::Memory);
        }
        let setup = ServerSetup {
            remote: incoming.meta.remote,
            local_ip: incoming.meta.local_ip,
            version: incoming.version,
            initial_destination: incoming.dcid,
            original_destination: incoming.before_retry.unwrap_or(incoming.dcid),
            retry_source: incoming.before_retry.map(|_| incoming.dcid),
            peer_source: incoming.scid,
        };
        let entropy = self.entropy.0.fork();
        let mut connection = Connection::server(now, server, &setup, &self.config, entropy)?;
        connection.handle_datagram(now, &incoming.meta, incoming.data);
        if connection.stats().packets_received == 0 {
            return Err(AcceptError::NotAuthentic);
        }
        let proved = incoming.before_retry.is_some();
        connection.set_place(self.config.budget.take_place(incoming.meta.remote.ip(), proved, now));
        let handle = self.table.insert(incoming.meta.remote);
        // The client goes on using the connection ID that it chose until it hears ours.
        self.table.add_cid(handle, incoming.dcid);
        for id in connection.local_ids() {
            self.table.add_cid(handle, id);
        }
        Ok((handle, connection))
    }

    /// Answers with a Retry packet: the client has to prove its address before anything is kept (RFC 9000 §8.1.2).
    /// `None` if it has done so, or there is no server.
    pub fn retry(&mut self, now: Timestamp, incoming: &Incoming) -> Option<Response> {
        let (_, token_key) = self.server.as_ref().filter(|_| !incoming.is_validated())?;
        let entropy = self.entropy.0.as_mut();
        let scid = self.config.cids.generate(entropy);
        let token = token_key.seal(&incoming.meta.remote, &incoming.dcid, &scid, now, entropy);
        let bytes = stateless::retry(incoming.version, &incoming.dcid, &incoming.scid, &scid, &token)?;
        self.stats.retries += 1;
        Some(Response { remote: incoming.meta.remote, local_ip: incoming.meta.local_ip, bytes })
    }

    /// Answers with `CONNECTION_REFUSED` (RFC 9000 §5.2.2).
    #[must_use]
    pub fn refuse(&mut self, incoming: &Incoming) -> Response {
        let bytes = stateless::close(
            incoming.version,
            &incoming.dcid,
            &incoming.scid,
            TransportErrorCode::CONNECTION_REFUSED,
        );
        Response { remote: incoming.meta.remote, local_ip: incoming.meta.local_ip, bytes }
    }

    /// Answers with `INTERNAL_ERROR` (RFC 9000 §20.1) a client whose connection came to nothing, because code of the
    /// application panicked in [`accept`](Self::accept). Of such a call the endpoint keeps nothing.
    #[must_use]
    pub fn fail(&mut self, caller: &Caller) -> Response {
        let bytes =
            stateless::close(caller.version, &caller.dcid, &caller.scid, TransportErrorCode::INTERNAL_ERROR);
        Response { remote: caller.meta.remote, local_ip: caller.meta.local_ip, bytes }
    }

    /// Takes what [`Connection::poll_cid_change`] told.
    pub fn handle_cid_change(&mut self, handle: ConnectionHandle, change: CidChange) {
        match change {
            CidChange::Added(id) => self.table.add_cid(handle, id),
            CidChange::Removed(id) => self.table.remove_cid(handle, &id),
            CidChange::ResetTokenAdded(token) => self.table.add_token(handle, token),
            CidChange::ResetTokenRemoved(token) => self.table.remove_token(handle, &token),
            CidChange::Moved(remote) => self.table.move_to(handle, remote),
        }
    }

    /// The connection is drained: nothing is routed to it any more.
    pub fn forget(&mut self, handle: ConnectionHandle) {
        self.table.remove(handle);
    }

    /// Which roles the endpoint plays: a server can also open connections.
    #[must_use]
    pub fn side(&self) -> Side {
        if self.server.is_some() { Side::Server } else { Side::Client }
    }
}

/// Whether there is a zero where our versions have a one (RFC 9000 §17.2, §17.3.1).
fn has_zero_fixed_bit(data: &[u8]) -> bool {
    data.first().is_some_and(|first| first & packet::FIXED_BIT == 0)
}

/// The connection ID by which a packet of a version that we speak, or a Version Negotiation packet, finds its connection.
fn destination(header: &Header<'_>) -> Option<ConnectionId> {
    match header {
        Header::Long(long) => Some(long.dcid),
        Header::Short(short) => Some(short.dcid),
        Header::Retry(retry) => Some(retry.dcid),
        Header::VersionNegotiation(vn) => ConnectionId::new(vn.dcid),
        Header::UnknownVersion { .. } => None,
    }
}

fn respond(meta: &DatagramMeta, bytes: Vec<u8>) -> DatagramEvent {
    DatagramEvent::Respond(Response { remote: meta.remote, local_ip: meta.local_ip, bytes })
}
