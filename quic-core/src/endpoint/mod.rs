//! One or many connections behind a socket: the routing of datagrams, and responses that need no connection
//! (RFC 9000 §5.2, §6, §8.1.2, §10.3).
//!
//! Owns the table of connection IDs and reset tokens. Never knows what happens inside a connection.

mod event;
mod limiter;
mod peek;
mod spent;
mod stateless;
mod table;

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use bytes::BytesMut;

use limiter::Limiter;
use spent::SpentTokens;
use table::Table;

pub use event::{AcceptError, Caller, DatagramEvent, Incoming, Response};
pub use table::ConnectionHandle;

use crate::{
    base::{Admission, AdmissionLimit, DatagramMeta, EndpointBudget, Entropy, Timestamp},
    cids::CidChange,
    config::{ClientConfig, EndpointConfig, ServerConfig},
    connection::{CONNECTION_COST, Connection, ServerSetup},
    crypto::{TlsError, TokenKey, Verdict},
    error::{DropReason, TransportErrorCode},
    ids::{ConnectionId, Side},
    packet::{self, Header, HeaderError, LongType, MIN_INITIAL_SIZE},
    stats::EndpointStats,
    version::Version,
};

/// The smallest size of a client's first destination connection ID, in bytes (RFC 9000 §7.2).
const MIN_INITIAL_DCID: usize = 8;

/// Routes datagrams to connections, and makes new connections.
#[derive(Debug)]
pub struct Endpoint {
    config: EndpointConfig,
    server: Option<(Arc<ServerConfig>, Arc<TokenKey>)>,
    /// Why the TLS library refuses the server's configuration, if it does.
    tls_problem: Option<TlsError>,
    entropy: EntropySource,
    table: Table,
    limiter: Limiter,
    spent: SpentTokens,
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
    /// How much memory must be free for another client to be admitted, in bytes. A budget below this admits
    /// none.
    pub const LEAST_MEMORY: usize = 2 * CONNECTION_COST;

    /// An endpoint. With `server` it accepts connections.
    #[must_use]
    pub fn new(config: EndpointConfig, server: Option<Arc<ServerConfig>>, entropy: Box<dyn Entropy>) -> Self {
        let limiter = Limiter::new(config.stateless_packets_per_second);
        let mut endpoint = Self {
            config,
            server: None,
            tls_problem: None,
            entropy: EntropySource(entropy),
            table: Table::default(),
            limiter,
            spent: SpentTokens::default(),
            stats: EndpointStats::default(),
        };
        endpoint.set_server(server);
        endpoint
    }

    /// Changes how new connections are accepted; those that exist keep their settings.
    pub fn set_server(&mut self, server: Option<Arc<ServerConfig>>) {
        self.tls_problem = server.as_ref().and_then(|server| server.tls.check().err());
        self.server = server.map(|server| {
            let lifetime = server.address_tokens.unwrap_or_default();
            let key = TokenKey::new(&server.token_key, lifetime, server.unix_time_of_origin);
            (server, Arc::new(key))
        });
    }

    /// How many connections were not forgotten yet.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.table.len()
    }

    /// The budget that the endpoint's connections draw on, with those of other endpoints that share it.
    #[must_use]
    pub fn budget(&self) -> &EndpointBudget {
        &self.config.budget
    }

    /// Counts of what was done with datagrams that belong to no connection.
    #[must_use]
    pub fn stats(&self) -> EndpointStats {
        self.stats
    }

    /// Finds out what a datagram is for.
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
        // RFC 9000 §10.3.1: any datagram that belongs to no connection may be a stateless reset, whatever
        // form its first bits have.
        if let Some(token) = data.last_chunk::<16>().filter(|_| data.len() >= stateless::MIN_RESET)
            && let Some(handle) = self.table.find_reset(&meta.remote, token)
        {
            return DatagramEvent::StatelessReset(handle);
        }
        // This comes before the check of the fixed bit: the sibling knows what its connection agreed to.
        if let Some(shard) = header.as_ref().ok().and_then(|header| self.sibling_for(header)) {
            return DatagramEvent::Sibling(shard, data);
        }
        match header {
            // RFC 9287 §3: only a connection can have agreed to a zero fixed bit.
            Ok(Header::Long(long)) if !self.accepts(long.version) => {
                let (version, size) = (long.version.number(), data.len());
                self.on_unknown_version(now, meta, version, long.dcid.as_bytes(), long.scid.as_bytes(), size)
            }
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
            Ok(Header::UnknownVersion { version, dcid, scid }) => {
                self.on_unknown_version(now, meta, version, dcid, scid, data.len())
            }
            Err(HeaderError::FixedBit) => DatagramEvent::Dropped(DropReason::FixedBit),
            Err(HeaderError::CidTooLong) => DatagramEvent::Dropped(DropReason::CidTooLong),
            Err(HeaderError::Truncated) => DatagramEvent::Dropped(DropReason::HeaderMalformed),
        }
    }

    /// Whether a server accepts connections of this version. An endpoint without a server has no say in it.
    fn accepts(&self, version: Version) -> bool {
        self.server.as_ref().is_none_or(|(server, _)| server.transport.versions.accepts(version))
    }

    /// The sibling whose connection a packet is for.
    ///
    /// An Initial packet may be the first of a client, whose connection ID is random and names no shard.
    /// Siblings that open connections may also get a server's Initial. A client's packet that is mistaken for
    /// one reaches a sibling that can serve it, too. Retry and Version Negotiation packets are for clients
    /// alone.
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

    /// The sibling that a connection ID names, if one of them has issued the ID.
    fn sibling_of(&self, id: &ConnectionId) -> Option<u8> {
        let shard = self.config.cids.shard_of(id)?;
        (shard != self.config.cids.shard() && self.config.siblings.contains(&shard)).then_some(shard)
    }

    /// Handles a datagram for a [sibling](DatagramEvent::Sibling) that is gone. Its peer gets a stateless
    /// reset, if one is due, as from a server that has restarted (RFC 9000 §10.3).
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

    /// Handles an Initial packet that belongs to no connection.
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
        let (before_retry, is_known) =
            match token_key.open(long.version, token, &meta.remote, &long.dcid, now) {
                Verdict::Retried(original) => (Some(original), false),
                // RFC 9000 §8.1.4: whoever saw a token could send it again from the client's address.
                Verdict::Known(number) => (None, self.spent.spend(number)),
                Verdict::Unknown => (None, false),
                Verdict::Invalid => {
                    self.stats.invalid_tokens += 1;
                    let close = stateless::close(
                        long.version,
                        &long.dcid,
                        &long.scid,
                        TransportErrorCode::INVALID_TOKEN,
                    );
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
            is_known,
        })
    }

    /// Handles a short header with an unknown connection ID: a stateless reset is due (RFC 9000 §10.3).
    fn on_unknown_short(
        &mut self,
        now: Timestamp,
        meta: &DatagramMeta,
        dcid: &ConnectionId,
        data: &[u8],
    ) -> DatagramEvent {
        let token = self.config.cids.reset_token(dcid);
        let reset = stateless::reset(&token, data.len(), self.entropy.0.as_mut());
        // A datagram larger than any of our resets is no reset, so answering it cannot start an exchange of
        // resets.
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

    /// RFC 9000 §5.2.2, §6.1: answers with Version Negotiation if the datagram could have started a
    /// connection.
    fn on_unknown_version(
        &mut self,
        now: Timestamp,
        meta: &DatagramMeta,
        version: u32,
        dcid: &[u8],
        scid: &[u8],
        size: usize,
    ) -> DatagramEvent {
        let server = self.server.as_ref().filter(|_| size >= MIN_INITIAL_SIZE);
        let Some((server, _)) = server.filter(|_| self.limiter.permits(meta.remote, now)) else {
            return DatagramEvent::Dropped(DropReason::Version);
        };
        self.stats.version_negotiations += 1;
        let offered = server.transport.versions;
        let entropy = self.entropy.0.as_mut();
        respond(meta, stateless::version_negotiation(offered.offered(), version, dcid, scid, entropy))
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

    /// What the limits of the endpoint and of the client's address advise: pending handshakes, connections,
    /// memory.
    #[must_use]
    pub fn admission(&self, now: Timestamp, incoming: &Incoming) -> Admission {
        let budget = &self.config.budget;
        // The extra memory of a handshake must not be the first that is refused.
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
    /// [`admission`](Self::admission) is only advice; this enforces the memory budget alone.
    ///
    /// # Errors
    /// The datagram was not authentic after all, TLS could not be set up, or the memory budget is spent.
    pub fn accept(
        &mut self,
        now: Timestamp,
        incoming: Incoming,
    ) -> Result<(ConnectionHandle, Connection), AcceptError> {
        let Some((server, tokens)) = &self.server else { return Err(AcceptError::NoServer) };
        if let Some(problem) = &self.tls_problem {
            return Err(AcceptError::Tls(problem.clone()));
        }
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
            is_known: incoming.is_known,
            tokens: server
                .address_tokens
                .is_some_and(|lifetime| !lifetime.is_zero())
                .then(|| Arc::clone(tokens)),
        };
        let entropy = self.entropy.0.fork();
        let mut connection = Connection::server(now, server, &setup, &self.config, entropy);
        connection.handle_datagram(now, &incoming.meta, incoming.data);
        if connection.stats().packets_received == 0 {
            return Err(AcceptError::NotAuthentic);
        }
        let proved = setup.is_known || setup.retry_source.is_some();
        connection.set_place(self.config.budget.take_place(incoming.meta.remote.ip(), proved, now));
        let handle = self.table.insert(incoming.meta.remote);
        // The client uses the connection ID that it chose until it learns ours.
        self.table.add_cid(handle, incoming.dcid);
        for id in connection.local_ids() {
            self.table.add_cid(handle, id);
        }
        Ok((handle, connection))
    }

    /// Answers with a Retry packet: the client has to prove its address before anything is kept (RFC 9000
    /// §8.1.2). Returns `None` if the client has done so, now or by a token of an earlier connection, or if
    /// the endpoint is no server.
    pub fn retry(&mut self, now: Timestamp, incoming: &Incoming) -> Option<Response> {
        let (_, token_key) = self.server.as_ref().filter(|_| !incoming.is_validated())?;
        let entropy = self.entropy.0.as_mut();
        let scid = self.config.cids.generate(entropy);
        let token = token_key.seal_retry(
            incoming.version,
            &incoming.meta.remote,
            &incoming.dcid,
            &scid,
            now,
            entropy,
        );
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

    /// Answers with `INTERNAL_ERROR` (RFC 9000 §20.1) a client whose connection failed because code of the
    /// application panicked in [`accept`](Self::accept). The endpoint keeps nothing of such a call.
    #[must_use]
    pub fn fail(&mut self, caller: &Caller) -> Response {
        let bytes =
            stateless::close(caller.version, &caller.dcid, &caller.scid, TransportErrorCode::INTERNAL_ERROR);
        Response { remote: caller.meta.remote, local_ip: caller.meta.local_ip, bytes }
    }

    /// Applies a change that [`Connection::poll_cid_change`] returned.
    pub fn handle_cid_change(&mut self, handle: ConnectionHandle, change: CidChange) {
        match change {
            CidChange::Added(id) => self.table.add_cid(handle, id),
            CidChange::Removed(id) => self.table.remove_cid(handle, &id),
            CidChange::ResetTokenAdded(token) => self.table.add_token(handle, token),
            CidChange::ResetTokenRemoved(token) => self.table.remove_token(handle, &token),
            CidChange::Moved(remote) => self.table.move_to(handle, remote),
        }
    }

    /// The connection is drained: no datagram is routed to it any more.
    pub fn forget(&mut self, handle: ConnectionHandle) {
        self.table.remove(handle);
    }

    /// The role of the endpoint. A server can also open connections.
    #[must_use]
    pub fn side(&self) -> Side {
        if self.server.is_some() { Side::Server } else { Side::Client }
    }
}

/// Whether the bit is zero that is one in our versions (RFC 9000 §17.2, §17.3.1).
fn has_zero_fixed_bit(data: &[u8]) -> bool {
    data.first().is_some_and(|first| first & packet::FIXED_BIT == 0)
}

/// The connection ID by which a packet finds its connection, if we speak its version or it is a Version
/// Negotiation packet.
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
