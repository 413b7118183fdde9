//! A client and an echo server on a simulated network.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use netsim::{LinkConfig, LinkId, MILLISECOND, NodeId, Random, SECOND, Simulation};
use quic_core::{ClientConfig, ConnectionHandle, Event, ServerConfig, TransportConfig, testing};

use crate::{host::Host, peer::Peer};

/// The application protocol of all simulated connections.
pub const ALPN: &[u8] = b"test";

/// A client and an echo server on a network.
pub struct World {
    /// The network.
    pub sim: Simulation<Host>,
    /// The client's node.
    pub client: NodeId,
    /// The server's node.
    pub server: NodeId,
    /// From the client to the server, and back.
    pub links: [LinkId; 2],
    /// The client's configuration for new connections.
    pub client_config: ClientConfig,
    /// The server's configuration, for a server that restarts.
    pub server_config: Arc<ServerConfig>,
    /// The client's address, before any address translation.
    pub client_address: SocketAddr,
    /// The server's address.
    pub server_address: SocketAddr,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("seed", &self.sim.seed()).finish_non_exhaustive()
    }
}

/// The differences of a world from the default.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// The client's transport settings.
    pub client: TransportConfig,
    /// The server's transport settings.
    pub server: TransportConfig,
    /// The link from the server to the client, if it differs from the other direction.
    pub back: Option<LinkConfig>,
}

/// A fast network: 12.5 Mbit/s, 10 ms round trip.
#[must_use]
pub fn lan() -> LinkConfig {
    LinkConfig::new().rate(100_000_000 / 8).delay(5 * MILLISECOND)
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("the addresses here are well formed")
}

impl World {
    /// A world with default settings.
    #[must_use]
    pub fn new(seed: u64, link: &LinkConfig) -> Self {
        Self::with(seed, link, &Setup::default())
    }

    /// A world with the settings of `setup`.
    #[must_use]
    pub fn with(seed: u64, link: &LinkConfig, setup: &Setup) -> Self {
        let (tls, certificate) = testing::tls_server_config(ALPN);
        let server_config = Arc::new(
            ServerConfig::new(tls, [seed as u8 ^ 0x55; 32]).transport(Arc::new(setup.server.clone())),
        );
        let client_config = ClientConfig::new(testing::tls_client_config(&certificate, ALPN))
            .transport(Arc::new(setup.client.clone()));
        let (client_address, server_address) = (address("192.0.2.1:50000"), address("192.0.2.2:443"));
        let mut sim = Simulation::new(seed);
        let client = sim.add_node(Host::new(seed ^ 1, client_address, None), client_address);
        let host = Host::new(seed ^ 2, server_address, Some(Arc::clone(&server_config)));
        let server = sim.add_node(host, server_address);
        let (there, back) = sim.connect(client, server, link);
        if let Some(config) = &setup.back {
            *sim.link_mut(back) = config.clone();
        }
        Self {
            sim,
            client,
            server,
            links: [there, back],
            client_config,
            server_config,
            client_address,
            server_address,
        }
    }

    /// From now on both directions carry at most `mtu` bytes of payload.
    pub fn shrink(&mut self, mtu: usize) {
        for link in self.links {
            self.sim.link_mut(link).mtu = mtu;
        }
    }

    /// Opens a connection.
    pub fn connect(&mut self) -> ConnectionHandle {
        let (now, config, remote) = (self.sim.now(), self.client_config.clone(), self.server_address);
        self.client_host().connect(now, &config, remote)
    }

    /// The client's endpoint.
    pub fn client_host(&mut self) -> &mut Host {
        self.sim.endpoint_mut(self.client)
    }

    /// The server's endpoint.
    pub fn server_host(&mut self) -> &mut Host {
        self.sim.endpoint_mut(self.server)
    }

    /// The client's only connection.
    pub fn client(&mut self) -> &mut Peer {
        self.client_host().peer_mut()
    }

    /// The server's only connection.
    pub fn server(&mut self) -> &mut Peer {
        self.server_host().peer_mut()
    }

    /// Connects and waits for the confirmed handshake.
    ///
    /// # Panics
    /// If it takes more than a minute.
    pub fn establish(&mut self) {
        self.connect();
        let client = self.client;
        let done = |sim: &Simulation<Host>| sim.endpoint(client).peer().has(&Event::HandshakeConfirmed);
        self.sim.expect_until("a confirmed handshake", done, 60 * SECOND);
    }

    /// Runs until `condition` holds for client and server.
    ///
    /// # Panics
    /// If it does not hold within `limit` nanoseconds.
    pub fn wait(&mut self, what: &str, limit: u64, condition: impl Fn(&Host, &Host) -> bool) {
        let (client, server) = (self.client, self.server);
        let limit = self.sim.now() + limit;
        self.sim.expect_until(what, |sim| condition(sim.endpoint(client), sim.endpoint(server)), limit);
    }

    /// Lets `nanos` nanoseconds pass.
    pub fn pass(&mut self, nanos: u64) {
        let end = self.sim.now() + nanos;
        self.sim.run_until(|_| false, end);
    }
}

/// Bytes that depend on their offset.
#[must_use]
pub fn pattern(size: usize) -> Bytes {
    (0..size).map(|i| (i % 251) as u8 ^ (i >> 8) as u8).collect::<Vec<u8>>().into()
}

/// Bytes that depend on their stream and offset: the output of a generator seeded by `key`.
#[must_use]
pub fn content(key: u64, size: usize) -> Bytes {
    let mut random = Random::new(key);
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        bytes.extend_from_slice(&random.next_u64().to_le_bytes());
    }
    bytes.truncate(size);
    bytes.into()
}
