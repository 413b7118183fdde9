//! A server with several sockets at one address: each datagram reaches its connection, whichever socket
//! receives it.

mod virtual_common;

use std::{num::NonZeroUsize, sync::Arc};

use virtual_common::{echo_all, options, pattern, round_trip, seconds};
use wt_api::{
    AddressLimits, CertificateHash, Client, CloseInfo, Server, ServerBuilder, WebTransport,
    testing::{Host, LinkConfig, MILLISECOND, Network},
};

struct World {
    network: Network,
    host: Host,
    client: Host,
    server: Arc<Server>,
    hash: CertificateHash,
}

fn world(seed: u64, shards: usize, configure: impl FnOnce(ServerBuilder) -> ServerBuilder) -> World {
    let network = Network::new(seed);
    let (host, client) = (network.host("server"), network.host("client"));
    drop(network.link(&host, &client, &LinkConfig::new().delay(10 * MILLISECOND)));
    let identity = network.identity(["server"]);
    let hash = identity.certificate_hash();
    let shards = NonZeroUsize::new(shards).unwrap();
    let builder = Server::builder().identity(identity).shards(shards);
    let server = host.enter(|| configure(builder).build().unwrap());
    World { network, host, client, server: Arc::new(server), hash }
}

impl World {
    /// A session on a socket of its own.
    fn session(&self) -> WebTransport {
        let client = self.client.enter(|| Client::builder().build().unwrap());
        client.connect_with("https://server/", options(self.hash)).unwrap()
    }

    async fn sessions(&self, count: usize) -> Vec<WebTransport> {
        let sessions: Vec<_> = (0..count).map(|_| self.session()).collect();
        for session in &sessions {
            session.ready().await.unwrap();
        }
        sessions
    }
}

#[test]
fn every_datagram_reaches_its_connection_from_any_socket() {
    for (seed, shards) in [(1, 1), (2, 2), (3, 3), (4, 7)] {
        let world = world(seed, shards, |builder| builder);
        drop(world.host.spawn(echo_all(world.host.clone(), Arc::clone(&world.server))));
        world.network.run(async {
            let sessions = world.sessions(10).await;
            assert_eq!(world.server.local_addresses().len(), 1, "one address, however many sockets");
            for scattered in [false, true] {
                if scattered {
                    world.host.scatter_datagrams();
                }
                for (index, session) in sessions.iter().enumerate() {
                    let data = pattern(index as u64, 200_000);
                    let answer = round_trip(session, data.clone()).await.unwrap();
                    assert!(answer == data, "seed {seed}: session {index}, scattered: {scattered}");
                }
            }
            let stats = world.server.stats().await;
            assert_eq!((stats.connections, stats.connections_total, stats.sessions), (10, 10, 10));
            assert_eq!(stats.handshakes.done, 10);
            assert_eq!(stats.endpoint.stateless_resets, 0, "seed {seed}: no shard disowns a connection");
            assert!(stats.traffic.bytes_received > 10 * 400_000, "the sums are those of all shards");
            assert_eq!(world.server.connections().await.len(), 10);
        });
    }
}

#[test]
fn limits_for_an_address_count_over_all_shards() {
    for (seed, shards) in [(1, 1), (2, 4)] {
        let limits = AddressLimits::UNLIMITED.connections(3);
        let world = world(seed, shards, |builder| builder.address_limits(limits));
        drop(world.host.spawn(echo_all(world.host.clone(), Arc::clone(&world.server))));
        world.network.run(async {
            let _sessions = world.sessions(3).await;
            for _ in 0..8 {
                world.session().ready().await.unwrap_err();
            }
            let stats = world.server.stats().await;
            assert_eq!((stats.connections, stats.admission.refused_address_connections), (3, 8), "{shards}");
        });
    }
}

#[test]
fn a_server_of_several_shards_sends_its_closes_from_all_of_them() {
    let world = world(5, 5, |builder| builder);
    drop(world.host.spawn(echo_all(world.host.clone(), Arc::clone(&world.server))));
    world.network.run(async {
        let sessions = world.sessions(20).await;
        // Shards without connections close their sockets first, and the system then distributes datagrams
        // differently.
        world.host.scatter_datagrams();
        world.server.close_sessions(CloseInfo::new(7, "enough"));
        world.server.shutdown(seconds(10)).await;
        for session in &sessions {
            assert_eq!(session.closed().await.unwrap(), CloseInfo::new(7, "enough"));
        }
        let identity = world.network.identity(["server"]);
        let again = world.host.enter(|| Server::builder().identity(identity).build());
        again.expect("the port is free");
    });
}
