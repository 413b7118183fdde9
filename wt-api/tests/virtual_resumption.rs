//! Connections that resume earlier sessions of TLS, and address tokens.

mod virtual_common;

use std::sync::Arc;

use virtual_common::{echo_all, pattern, round_trip, seconds};
use wt_api::{
    Client, ClientBuilder, Resumption, Server, ServerBuilder, ServerKeys, SessionCache, WebTransport,
    WebTransportOptions,
    testing::{Host, LinkConfig, MILLISECOND, Network},
};

struct World {
    network: Network,
    client: Host,
    server: Host,
}

impl World {
    fn new(seed: u64) -> Self {
        let network = Network::new(seed);
        let (server, client) = (network.host("server"), network.host("client"));
        drop(network.link(&server, &client, &LinkConfig::new().delay(10 * MILLISECOND)));
        Self { network, client, server }
    }

    fn serve(&self, configure: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Arc<Server> {
        let builder = Server::builder().identity(self.network.identity(["server"]));
        let server = Arc::new(self.server.enter(|| configure(builder).build().unwrap()));
        drop(self.server.spawn(echo_all(self.server.clone(), Arc::clone(&server))));
        server
    }

    fn client(&self, configure: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
        self.client.enter(|| configure(Client::builder().options(trusting())).build().unwrap())
    }

    /// A session of its own connection. Returns whether that resumed an earlier one.
    async fn visit(&self, session: Result<WebTransport, wt_api::ConnectOptionsError>) -> bool {
        let session = session.unwrap();
        session.ready().await.unwrap();
        assert!(round_trip(&session, pattern(1, 100)).await.unwrap() == pattern(1, 100));
        // What the server has to give comes with, or after, its answer.
        self.network.sleep(seconds(1)).await;
        let resumed = session.connection().unwrap().parameters().unwrap().resumed;
        session.close(Default::default());
        session.closed().await.unwrap();
        resumed
    }
}

fn trusting() -> WebTransportOptions {
    WebTransportOptions::new().dangerous().no_certificate_verification()
}

#[test]
fn connections_of_a_client_resume_and_those_of_others_do_not() {
    let world = World::new(1);
    world.network.run(async {
        let server = world.serve(|builder| builder);
        let (client, other) = (world.client(|builder| builder), world.client(|builder| builder));
        let url = "https://server/";
        assert!(!world.visit(client.connect(url)).await);
        for _ in 0..3 {
            assert!(world.visit(client.connect(url)).await);
        }
        assert!(!world.visit(other.connect(url)).await, "another client");
        let hash = world.client.enter(|| WebTransport::new(url, trusting()));
        assert!(!world.visit(hash).await, "nobody's client");
        let forgetful = world.client(|builder| builder.session_cache(SessionCache::new(0)));
        let shared = SessionCache::new(3);
        let [one, two] = [(); 2].map(|()| world.client(|builder| builder.session_cache(shared.clone())));
        for _ in 0..2 {
            assert!(!world.visit(forgetful.connect(url)).await);
        }
        assert!(!world.visit(one.connect(url)).await);
        assert_eq!(shared.servers(), 1);
        // Whoever judges certificates in another way verifies anew, and each client judges by itself.
        assert!(!world.visit(two.connect(url)).await);
        assert!(world.visit(two.connect(url)).await);
        let pinned = WebTransportOptions::new().server_certificate_hashes(server.certificate_hash());
        assert!(!world.visit(client.connect_with(url, pinned.clone())).await);
        assert!(world.visit(client.connect_with(url, pinned)).await);
    });
}

#[test]
fn sealed_tickets_outlive_the_server_and_others_do_not() {
    for (seed, sealed) in [(2, true), (3, false)] {
        let world = World::new(seed);
        world.network.run(async {
            let serve = || {
                let keys = ServerKeys::from_secret(&[7; 32]).unwrap();
                let tickets = Resumption::tickets(keys.ticket_keys());
                world.serve(|builder| {
                    let builder = builder.keys(keys);
                    if sealed { builder.resumption(tickets) } else { builder }
                })
            };
            let first = serve();
            let client = world.client(|builder| builder);
            assert!(!world.visit(client.connect("https://server/")).await);
            assert!(world.visit(client.connect("https://server/")).await);
            world.server.vanish();
            drop(first);
            let _second = serve();
            assert_eq!(world.visit(client.connect("https://server/")).await, sealed, "seed {seed}");
        });
    }
}

/// Each connection that resumes gets new sessions: without an end no certificate would be verified again (RFC 8446 §4.6.1).
#[test]
fn a_certificate_is_verified_again_after_a_day_however_often_a_client_resumes() {
    let world = World::new(5);
    world.network.set_limit(seconds(2 * 24 * 60 * 60));
    world.network.run(async {
        let _server = world.serve(|builder| builder);
        let client = world.client(|builder| builder);
        let mut resumed = Vec::new();
        for _ in 0..6 {
            resumed.push(world.visit(client.connect("https://server/")).await);
            world.network.sleep(seconds(6 * 60 * 60)).await;
        }
        assert_eq!(resumed, [false, true, true, true, false, true]);
    });
}

#[test]
fn a_server_without_resumption_gives_no_tickets() {
    let world = World::new(4);
    world.network.run(async {
        let _server = world.serve(|builder| builder.resumption(Resumption::none()));
        let client = world.client(|builder| builder);
        for _ in 0..2 {
            assert!(!world.visit(client.connect("https://server/")).await);
        }
    });
}

/// A server that asks every client for proof of its address asks those that it knows no more.
#[test]
fn a_client_that_is_known_needs_no_retry() {
    let world = World::new(5);
    world.network.run(async {
        let server = world.serve(|builder| builder.retry_threshold(0));
        let client = world.client(|builder| builder);
        let retries = async || server.stats().await.endpoint.retries;
        for _ in 0..3 {
            world.visit(client.connect("https://server/")).await;
            assert_eq!(retries().await, 1);
        }
        // From a file, as a program does that was started again.
        let file = SessionCache::new(8);
        let kept = world.client(|builder| builder.session_cache(file.clone()));
        world.visit(kept.connect("https://server/")).await;
        assert_eq!(retries().await, 2);
        let read = SessionCache::from_bytes(8, &file.to_bytes()).unwrap();
        let again = world.client(|builder| builder.session_cache(read));
        assert!(!world.visit(again.connect("https://server/")).await, "tokens alone can be kept");
        assert_eq!(retries().await, 2);
    });
}
