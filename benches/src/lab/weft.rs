//! Our own endpoints as the subject of a run.

use std::{net::SocketAddr, sync::Arc};

use netsim::{Datagram, Endpoint};
use quic_core::{
    ClientConfig, ServerConfig, TransportConfig,
    congestion::{Algorithm, CongestionConfig},
    testing::{self, HasConnection as _},
};
use soak::{ALPN, Host};

use super::{
    agent::{Agent, Role},
    node::{Ends, Load, Node, Place, Sent, Stack, Taken},
    packets::PacketLog,
};

/// Our endpoints with a controller.
#[derive(Clone, Debug)]
pub struct Weft {
    name: String,
    client: ClientConfig,
    server: Arc<ServerConfig>,
    log: Option<PacketLog>,
}

impl Weft {
    /// Our endpoints with this controller, named `name` in tables.
    #[must_use]
    pub fn new(name: &str, controller: &Algorithm) -> Self {
        let (tls, certificate) = testing::tls_server_config(ALPN);
        let transport = Arc::new(TransportConfig::default());
        // Figures change with what a controller does, and not with what else a connection says at its beginning.
        let server = ServerConfig::new(tls, [7; 32]).transport(transport).address_tokens(None);
        let server = Arc::new(server);
        let tls = testing::tls_client_config(&certificate, ALPN);
        let client = ClientConfig::new(tls).transport(Arc::new(with(controller)));
        Self { name: name.to_owned(), client, server, log: None }
    }

    /// The same; for one run, its connections also write to `log`.
    #[must_use]
    pub fn logging(self, log: &PacketLog) -> Self {
        Self { log: Some(log.clone()), ..self }
    }

    /// The same with another controller.
    pub(super) fn turned_to(&self, controller: &Algorithm) -> Self {
        let client = self.client.clone().transport(Arc::new(with(controller)));
        Self { name: controller.name().to_owned(), client, ..self.clone() }
    }
}

fn with(controller: &Algorithm) -> TransportConfig {
    TransportConfig::new().congestion(CongestionConfig::new(controller.clone()))
}

/// The same with the memory that a flow has.
fn sized(config: &TransportConfig, memory: u64) -> TransportConfig {
    let all = usize::try_from(memory).unwrap_or(usize::MAX);
    let mut config = config.clone();
    (config.stream_receive_window, config.max_stream_receive_window) = (memory, memory);
    (config.receive_window, config.max_receive_window) = (memory, memory);
    (config.send_buffer, config.max_send_memory) = (all, all);
    config
}

impl Stack for Weft {
    fn name(&self) -> &str {
        &self.name
    }

    fn ends(&self, place: &Place, load: &Load) -> Ends {
        let Place { sender, receiver, seed } = *place;
        let (mut client, mut server) = (self.client.clone(), Arc::clone(&self.server));
        if let Some(memory) = load.memory {
            client.transport = Arc::new(sized(&client.transport, memory));
            let transport = Arc::new(sized(&server.transport, memory));
            server = Arc::new(ServerConfig::clone(&server).transport(transport));
        }
        let sending = Host::playing(seed ^ 1, sender, None, (Role::Send(*load), self.log.clone()));
        let receiving = Host::playing(seed ^ 2, receiver, Some(server), (Role::Receive, self.log.clone()));
        let end = |host, client| Box::new(End { host, client }) as Box<dyn Node>;
        (end(sending, Some(client)), end(receiving, None))
    }
}

/// A host with one connection.
#[derive(Debug)]
struct End {
    host: Host<Agent>,
    client: Option<ClientConfig>,
}

impl Endpoint for End {
    fn handle_datagram(&mut self, now: u64, from: SocketAddr, to: SocketAddr, ecn: u8, data: &[u8]) {
        self.host.handle_datagram(now, from, to, ecn, data);
    }

    fn handle_timeout(&mut self, now: u64) {
        self.host.handle_timeout(now);
    }

    fn poll_transmit(&mut self, now: u64) -> Option<Datagram> {
        self.host.poll_transmit(now)
    }

    fn poll_timeout(&self) -> Option<u64> {
        self.host.poll_timeout()
    }
}

impl Node for End {
    fn start(&mut self, now: u64, remote: SocketAddr) {
        if let Some(client) = &self.client {
            self.host.connect(now, client, remote);
        }
    }

    fn taken(&self) -> Option<&Taken> {
        self.host.last_peer().map(|agent| &agent.taken)
    }

    fn sent(&self) -> Option<Sent> {
        let agent = self.host.last_peer()?;
        let stats = agent.connection().stats();
        Some(Sent {
            window: stats.congestion_window,
            in_flight: stats.bytes_in_flight,
            rtt: stats.min_rtt.map_or(0.0, |_| stats.smoothed_rtt.as_secs_f64() * 1e3),
            pacing_rate: stats.pacing_rate.bits_per_second(),
            rate: stats.estimated_send_rate.map_or(0, quic_core::base::Rate::bits_per_second),
            packets: stats.packets_sent,
            lost: stats.packets_lost,
            spurious: stats.spurious_losses,
            stream_bytes: stats.stream_bytes_sent,
            again: stats.stream_bytes_retransmitted,
            frames: agent.frames(),
            datagrams: agent.datagrams(),
            expired: stats.dgrams_expired_outgoing + agent.refused(),
            is_broken: agent.ended.is_some(),
        })
    }
}
