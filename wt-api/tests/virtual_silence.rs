//! Shared connections that no longer answer, and applications that only take their time.

mod virtual_common;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use virtual_common::{pattern, round_trip, seconds};
use wt_api::{
    AcceptOptions, SendStreamOptions, Server, WebTransport, WebTransportOptions,
    testing::{self, Host, Link, LinkConfig, MILLISECOND, Network, Pair},
};

struct World {
    network: Network,
    server: Host,
    client: Host,
    link: Link,
    /// All sessions that any server's application accepted.
    accepted: Arc<Mutex<Vec<WebTransport>>>,
}

impl World {
    fn new(seed: u64) -> Self {
        let network = Network::new(seed);
        let (server, client) = (network.host("server"), network.host("client"));
        let link = network.link(&server, &client, &LinkConfig::new().delay(10 * MILLISECOND));
        Self { network, server, client, link, accepted: Arc::default() }
    }

    /// Starts a server whose application takes this long to accept.
    fn serve(&self, thinks: Duration) {
        let builder = Server::builder().identity(self.network.identity(["server"]));
        let server = self.server.enter(|| builder.build().unwrap());
        let (host, network, accepted) =
            (self.server.clone(), self.network.clone(), Arc::clone(&self.accepted));
        drop(self.server.spawn(async move {
            while let Some(request) = server.accept().await {
                network.sleep(thinks).await;
                if let Ok(session) = request.accept(AcceptOptions::new()).await {
                    accepted.lock().unwrap().push(session.clone());
                    drop(host.spawn(virtual_common::echo(host.clone(), session)));
                }
            }
        }));
    }

    fn ask(&self) -> WebTransport {
        let options = WebTransportOptions::new().dangerous().no_certificate_verification();
        self.client.enter(|| WebTransport::new("https://server/", options.allow_pooling(true)).unwrap())
    }

    /// How many sessions the servers hold open.
    async fn open(&self) -> usize {
        let all = self.accepted.lock().unwrap().clone();
        let mut open = 0;
        for session in all {
            open += usize::from(self.network.within(Duration::ZERO, session.closed()).await.is_none());
        }
        open
    }

    /// Requests some sessions at once, and checks that all are ready within `limit` and work.
    async fn ready_within(&self, limit: Duration, sessions: usize) -> Vec<WebTransport> {
        let begin = self.network.now();
        let sessions: Vec<WebTransport> = (0..sessions).map(|_| self.ask()).collect();
        for session in &sessions {
            session.ready().await.unwrap();
            let took = self.network.now() - begin;
            assert!(took <= limit, "{took:?}");
            assert_eq!(round_trip(session, pattern(1, 100)).await.unwrap(), pattern(1, 100));
        }
        sessions
    }
}

#[test]
fn a_server_that_was_restarted_is_reached_on_another_connection() {
    let world = World::new(61);
    world.network.run(async {
        world.serve(Duration::ZERO);
        let kept = world.ready_within(seconds(1), 1).await;
        world.server.vanish();
        world.accepted.lock().unwrap().clear();
        world.serve(Duration::ZERO);
        // The client's end of the old connection stays alive for 30 s.
        let new = world.ready_within(seconds(1), 3).await;
        world.network.sleep(seconds(8)).await;
        assert_eq!(world.open().await, 3, "each session once");
        drop((kept, new));
    });
}

#[test]
fn a_lost_nat_mapping_costs_no_session() {
    let world = World::new(62);
    world.network.run(async {
        world.serve(Duration::ZERO);
        let kept = world.ready_within(seconds(1), 1).await;
        world.client.rebind();
        let new = world.ready_within(seconds(1), 3).await;
        assert_eq!(world.open().await, 4);
        drop((kept, new));
    });
}

/// QUIC acknowledges a request that the application has not answered, so the connection is not silent.
#[test]
fn a_slow_application_gets_the_request_once() {
    let world = World::new(63);
    world.network.run(async {
        world.serve(seconds(3));
        let kept = world.ready_within(seconds(4), 1).await;
        let new = world.ready_within(seconds(4), 1).await;
        world.network.sleep(seconds(10)).await;
        assert_eq!(world.accepted.lock().unwrap().len(), 2);
        assert_eq!(world.open().await, 2);
        drop((kept, new));
    });
}

/// Nor is it for a second request a moment later.
#[test]
fn successive_requests_are_made_once_each() {
    let world = World::new(66);
    world.network.run(async {
        world.serve(seconds(1));
        let kept = world.ready_within(seconds(2), 1).await;
        let mut sessions = Vec::new();
        for _ in 0..4 {
            sessions.push(world.ask());
            world.network.sleep(Duration::from_millis(100)).await;
        }
        for session in &sessions {
            session.ready().await.unwrap();
        }
        world.network.sleep(seconds(10)).await;
        assert_eq!(world.accepted.lock().unwrap().len(), 5);
        assert_eq!(world.open().await, 5);
        drop((kept, sessions));
    });
}

/// Whichever connection the network recovers first, the server has each session once.
#[test]
fn a_recovered_path_leaves_no_orphaned_session() {
    for outage in (200..3_000).step_by(100) {
        let world = World::new(64);
        world.network.run(async {
            world.serve(Duration::ZERO);
            let kept = world.ready_within(seconds(1), 1).await;
            world.link.outage(Duration::from_millis(outage));
            let new = world.ready_within(seconds(10), 2).await;
            world.network.sleep(seconds(8)).await;
            assert_eq!(world.open().await, 3, "an outage of {outage} ms");
            drop((kept, new));
        });
    }
}

/// The silent connection answers while the other one tries in vain.
#[test]
fn a_server_that_takes_no_other_connection_answers_on_the_old_one() {
    let network = Network::new(65);
    let (host, client) = (network.host("server"), network.host("client"));
    let link = network.link(&host, &client, &LinkConfig::new().delay(10 * MILLISECOND));
    let builder = Server::builder().identity(network.identity(["server"])).max_connections(1);
    let server = host.enter(|| builder.build().unwrap());
    network.run(async {
        let options =
            || WebTransportOptions::new().dangerous().no_certificate_verification().allow_pooling(true);
        let (kept, _server) = virtual_common::session(&server, &client, options()).await;
        link.outage(Duration::from_millis(900));
        let (new, accepted) = virtual_common::session(&server, &client, options()).await;
        drop((kept, new, accepted));
    });
}

/// One who only receives has nothing to send from its new address, and a server finds it there alone (RFC 9000 §9.3).
#[test]
fn a_client_that_only_receives_is_found_again_in_seconds() {
    for (seed, pause, most) in [(67, 5, 2), (68, 20, 2), (69, 400, 2), (70, 1_500, 5), (71, 2_500, 5)] {
        let Pair { network, client, server, client_host, server_host, .. } = testing::pair(seed);
        network.run(async {
            network.sleep(seconds(1)).await;
            let total = 10_000 / pause * 5_000;
            let sleep = network.clone();
            drop(server_host.spawn(async move {
                let mut stream = server.create_unidirectional_stream(SendStreamOptions::new()).await.unwrap();
                for number in 0..10_000 / pause {
                    stream.write_all(&[number as u8; 5_000]).await.unwrap();
                    sleep.sleep(Duration::from_millis(pause)).await;
                }
                stream.finish().unwrap();
                let _ = stream.finished().await;
            }));
            let mut stream = client.incoming_unidirectional_streams().next().await.unwrap().unwrap();
            let (mut came, mut last, mut longest) = (0, network.now(), Duration::ZERO);
            let mut moved = 0;
            while let Some(chunk) = stream.read_chunk(usize::MAX).await.unwrap() {
                longest = longest.max(network.now() - last);
                (last, came) = (network.now(), came + chunk.len());
                if moved < 2 && came as u64 > (1 + moved) * total / 3 {
                    // Between the first question and the data that comes next, where that takes longer.
                    network.sleep(Duration::from_millis(if pause > 1_200 { 1_200 } else { 0 })).await;
                    client_host.rebind();
                    moved += 1;
                }
            }
            assert_eq!((came as u64, moved), (total, 2), "seed {seed}");
            assert!(longest < seconds(most), "seed {seed}: {longest:?}");
        });
    }
}
