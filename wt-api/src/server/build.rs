//! Builds a server from a builder's settings: sockets, TLS and shards.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, SystemTime},
};

use quic_core::{
    CidFactory, Endpoint, EndpointConfig, ServerConfig,
    base::{EndpointBudget, Entropy},
    crypto::{Resumption, TlsServerConfig},
};

use super::{builder::ServerBuilder, handle::Server, keys::ServerKeys, ways::Ways};
use crate::{
    congestion::Congestion,
    driver::{Shard, Siblings},
    error::ServerError,
    jobs::Inbox,
    limits::{LEAST_DATAGRAM_FRAME, keep_early_streams, permit, permit_in_sessions, share, suit_http3},
    mailbox::ShardBox,
    origin::check_origin,
    reception::{Origins, Rules, ServerShared},
    runtime::{self, MissingDriver, RuntimeHandle},
    socket::{DatagramSocket, KERNEL_BUFFER, families, fit, must_be_only_v6},
    tls::{self, Identities},
    udp::SocketOptions,
};

/// Binds `count` sockets. It binds one if the system refuses to share an address, as in some sandboxes, and
/// the number was not requested explicitly.
fn share_or_not<T>(count: usize, asked_for: bool, bind: impl Fn(usize) -> io::Result<T>) -> io::Result<T> {
    bind(count).or_else(|error| {
        if asked_for || count == 1 {
            return Err(error);
        }
        let one = bind(1)?;
        tracing::warn!(%error, "the system refuses to share an address among sockets: the server listens with one");
        Ok(one)
    })
}

/// The most shards, because connection IDs name their shard in one byte.
const MAX_SHARDS: usize = 255;
/// The size of the server's connection IDs in bytes.
const CID_LENGTH: usize = 8;

/// TLS sessions that a server keeps, unless the application says otherwise.
const SESSIONS: usize = 4096;

/// The Unix time at which the runtime's clock showed nothing.
fn unix_time_of_origin(runtime: &RuntimeHandle) -> Duration {
    let unix_time = runtime.wall_clock().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    unix_time.saturating_sub(Duration::from_nanos(runtime.now().as_nanos()))
}

/// Sessions resume in this way, or as `tls` says.
fn resuming(tls: rustls::ServerConfig, resumption: Option<Resumption>) -> TlsServerConfig {
    let tls = TlsServerConfig::new(Arc::new(tls));
    resumption.map(|way| tls.with_resumption(&way.without_early_data())).unwrap_or(tls)
}

/// What is needed to make shards.
struct Making {
    limits: EndpointConfig,
    reset_key: [u8; 32],
    config: Arc<ServerConfig>,
    shared: Arc<ServerShared>,
    runtime: RuntimeHandle,
    entropy: Box<dyn Entropy>,
}

impl Making {
    /// The shards of one address, numbered from `first` on: one for each socket, with these inboxes.
    fn shards(
        &mut self,
        first: usize,
        sockets: Vec<Box<dyn DatagramSocket>>,
        inboxes: &[Arc<Inbox>],
    ) -> Vec<Shard> {
        let number = |place: usize| u8::try_from(first + place).unwrap_or(u8::MAX);
        let count = u32::try_from(inboxes.len()).unwrap_or(u32::MAX);
        let group = Siblings::group(number(0), inboxes);
        let mut shards = Vec::with_capacity(inboxes.len());
        for (place, ((socket, inbox), siblings)) in sockets.into_iter().zip(inboxes).zip(group).enumerate() {
            let limits = self
                .limits
                .clone()
                .cids(CidFactory::new(CID_LENGTH, number(place), &self.reset_key))
                .siblings(number(0)..number(inboxes.len()))
                .stateless_packets_per_second(self.limits.stateless_packets_per_second / count);
            let endpoint = Endpoint::new(limits, Some(Arc::clone(&self.config)), self.entropy.fork());
            let (runtime, server) = (Arc::clone(&self.runtime), Some(Arc::clone(&self.shared)));
            let shard = Shard::new(runtime, socket, Arc::clone(inbox), endpoint, server);
            shards.push(shard.among(siblings));
        }
        shards
    }
}

impl ServerBuilder {
    /// The TLS configuration, and the identities unless it is the application's own configuration.
    fn tls(
        &mut self,
        runtime: &RuntimeHandle,
    ) -> Result<(rustls::ServerConfig, Option<Arc<Identities>>), ServerError> {
        if let Some(config) = &self.rustls {
            return Ok((tls::own_server_config(config)?, None));
        }
        let identities = Arc::new(match self.renewing.take() {
            Some(renewing) => Identities::renewing(renewing),
            None => Identities::new(self.identity.take().ok_or(ServerError::NoIdentity)?),
        });
        for (name, identity) in &self.named {
            identities.set_named(name, identity)?;
        }
        let mut config = tls::server_config(Arc::clone(&identities))?;
        if self.key_log_file {
            config.key_log = Arc::new(rustls::KeyLogFile::new());
        }
        config.time_provider = tls::clock(runtime);
        Ok((config, Some(identities)))
    }

    /// Raises the initial stream limits of clients to the expected numbers.
    fn permit_anticipated(&mut self) {
        let Self { transport, sessions, anticipated, .. } = self;
        suit_http3(transport, 1);
        permit(transport, *anticipated, sessions.max_sessions);
        // With a single session and without its own windows, there is no session flow control.
        if sessions.max_sessions > 1 || sessions.flow_control.is_some() {
            permit_in_sessions(sessions.flow_control.get_or_insert_default(), *anticipated);
        }
        share(transport, sessions);
        keep_early_streams(transport, sessions);
    }

    /// How many shards each address gets.
    fn shards_of_each(&self, runtime: &RuntimeHandle) -> usize {
        let wanted = self.shards.map_or_else(|| runtime.parallelism(), NonZeroUsize::get);
        wanted.min(MAX_SHARDS / self.addresses.len().max(1)).max(1)
    }

    /// Binds the sockets of each address, either all or none.
    fn bind(&self, runtime: &RuntimeHandle) -> Result<Vec<Vec<Box<dyn DatagramSocket>>>, ServerError> {
        let shards = self.shards_of_each(runtime);
        let bind = |address: &SocketAddr| {
            let only_v6 = must_be_only_v6(address, &self.addresses);
            let options =
                SocketOptions { address: *address, only_v6, transport_errors: false, buffer: KERNEL_BUFFER };
            let sockets =
                share_or_not(shards, self.shards.is_some(), |count| runtime.bind_shared(&options, count));
            sockets.map_err(|error| ServerError::Bind { address: *address, error: Arc::new(error) })
        };
        self.addresses.iter().map(bind).collect()
    }

    /// The congestion control of new connections.
    fn congestion(&self) -> Congestion {
        Congestion::new(self.congestion_control, self.transport.congestion.clone())
    }

    /// The state that the server's `shards` shards share. It is taken out of the builder once.
    pub(crate) fn shared(&mut self, shards: usize) -> ServerShared {
        let rules = Rules {
            origins: std::mem::replace(&mut self.origins, Origins::Any),
            service: self.service.take(),
            hook: self.hook.take(),
            max_connections: self.max_connections,
            keep_alive: self.keep_alive,
            request_timeout: self.request_timeout,
            body_timeout: self.body_timeout,
            max_sessions: self.max_sessions,
            sessions: self.sessions.clone(),
            anticipated: self.anticipated,
            congestion: self.congestion(),
        };
        ServerShared::new(rules, shards)
    }

    /// Binds the sockets and starts to serve.
    ///
    /// # Errors
    /// There is no identity, or an identity is for a name that is not a DNS name; QUIC cannot use the rustls
    /// configuration; the transport settings refuse datagrams; the server cannot listen on an address; there
    /// is no runtime around the call, or it lacks a time or I/O driver.
    pub fn build(mut self) -> Result<Server, ServerError> {
        let runtime = runtime::current().ok_or(ServerError::NoRuntime)?;
        runtime.check().map_err(|MissingDriver(missing)| ServerError::RuntimeDriver { missing })?;
        if self.transport.max_datagram_frame_size < LEAST_DATAGRAM_FRAME {
            return Err(ServerError::NoDatagrams { size: self.transport.max_datagram_frame_size });
        }
        if let Origins::These(origins) = &self.origins {
            // Sorted, so that the same one of several errors is reported each time.
            origins
                .iter()
                .collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .try_for_each(|origin| check_origin(origin))?;
        }
        let (tls, identities) = self.tls(&runtime)?;
        if self.addresses.is_empty() {
            self.addresses.push(SocketAddr::from((IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED), 443)));
        }
        self.permit_anticipated();
        let sockets = self.bind(&runtime)?;
        let all = sockets.iter().flatten();
        all.for_each(|socket| fit(&mut self.transport, &**socket));
        let mut entropy = runtime.entropy();
        let shared = Arc::new(self.shared(sockets.iter().map(Vec::len).sum()));
        self.transport.congestion = shared.congestion().config();
        self.transport.observers = self.observers.take().or(self.transport.observers);
        let keys = self.keys.unwrap_or_else(|| ServerKeys::passing(&mut *entropy));
        let resumption =
            self.resumption.or_else(|| self.rustls.is_none().then(|| Resumption::stateful(SESSIONS)));
        let config = ServerConfig::new(resuming(tls, resumption), keys.token)
            .transport(Arc::new(self.transport))
            .unix_time_of_origin(unix_time_of_origin(&runtime));
        let config = Arc::new(config);
        let budget = EndpointBudget::new(self.memory);
        let mut making = Making {
            limits: EndpointConfig::new(CidFactory::new(CID_LENGTH, 0, &keys.reset))
                .budget(budget.clone())
                .retry_threshold(self.retry_threshold)
                .per_address(self.per_address),
            reset_key: keys.reset,
            config,
            shared: Arc::clone(&shared),
            runtime: Arc::clone(&runtime),
            entropy,
        };
        let (mut shards, mut inboxes, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
        let mut ways = Ways::default();
        for (sockets, address) in sockets.into_iter().zip(&self.addresses) {
            let failed = |error| ServerError::Bind { address: *address, error: Arc::new(error) };
            let bound = sockets.first().map(|socket| socket.local_address()).transpose().map_err(failed)?;
            addresses.extend(bound);
            let own: Vec<_> = sockets.iter().map(|_| ShardBox::new()).collect();
            if let Some(socket) = sockets.first() {
                ways.add(*address, families(&**socket), &own);
            }
            shards.append(&mut making.shards(shards.len(), sockets, &own));
            inboxes.extend(own);
        }
        let bequests = shards.iter().map(|shard| Arc::clone(shard.bequest())).collect();
        // All or none, so that no task is left behind if an address fails.
        for shard in shards {
            runtime.spawn(Box::pin(shard));
        }
        if let Some(identities) = identities.as_ref().filter(|identities| identities.self_signed().is_some())
        {
            let renewal = tls::renew(Arc::downgrade(identities), Arc::clone(&runtime));
            runtime.spawn(Box::pin(renewal));
        }
        Ok(Server { shared, inboxes, ways, bequests, budget, addresses, identities, runtime })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use quic_core::AddressLimits;

    use super::*;

    /// The limits in `docs/security.md`.
    #[test]
    fn the_default_bounds_are_those_of_the_documentation() {
        let builder = ServerBuilder::new();
        assert_eq!((builder.max_connections, builder.memory), (10_000, 1 << 30));
        assert_eq!((builder.retry_threshold, builder.per_address), (256, AddressLimits::default()));
        assert_eq!((builder.max_sessions, builder.sessions.max_sessions), (usize::MAX, 16));
        assert_eq!(builder.request_timeout, Some(Duration::from_secs(30)));
        assert_eq!(builder.body_timeout, Some(Duration::from_secs(60)));
    }

    #[test]
    fn without_address_sharing_there_is_one_socket_unless_more_were_requested() {
        let refusing =
            |count: usize| if count > 1 { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(count) };
        assert_eq!(share_or_not(4, false, refusing).unwrap(), 1);
        assert_eq!(share_or_not(4, true, refusing).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(share_or_not(1, false, refusing).unwrap(), 1);
        // The error for an address in use is kept.
        let in_use = |_| Err::<usize, _>(io::ErrorKind::AddrInUse.into());
        assert_eq!(share_or_not(4, false, in_use).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn settings_of_sessions_reach_their_flow_control() {
        let mut builder = ServerBuilder::new()
            .session_receive_window(0)
            .max_session_receive_window(5_000)
            .anticipated_concurrent_incoming_bidirectional_streams(Some(u16::MAX))
            .anticipated_concurrent_incoming_unidirectional_streams(Some(10));
        builder.permit_anticipated();
        let flow = builder.sessions.flow_control.unwrap();
        assert_eq!(
            (flow.max_data, flow.max_data_ceiling),
            (1, 5_000),
            "a window of nothing lets nobody send"
        );
        assert_eq!(
            (flow.max_streams_bidi, flow.max_streams_uni),
            (65_535, 256),
            "never fewer than the default"
        );
        // The requests for 16 sessions use streams too.
        assert_eq!((builder.transport.max_streams_bidi, builder.transport.max_streams_uni), (65_551, 4_099));
        // With one session and no windows, there is no session flow control.
        let mut builder = ServerBuilder::new()
            .max_sessions_per_connection(1)
            .anticipated_concurrent_incoming_bidirectional_streams(Some(2_000));
        builder.permit_anticipated();
        assert_eq!((builder.sessions.flow_control, builder.transport.max_streams_bidi), (None, 2_001));
    }
}
