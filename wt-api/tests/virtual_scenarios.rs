//! Named cases on virtual networks: outages, peers that vanish, rebinding, silence, shutdowns.

mod virtual_common;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use heap_meter::{HeapMeter, Measure};
use quic_core::error::ConnectionError;
use virtual_common::{connect, echo_all, is_idle_timeout, options, pattern, round_trip, seconds, serve};
use wt_api::{
    CertificateHash, CloseInfo, CloseOutcome, ConnectionCloser, ErrorCause, Resumption, Server,
    ServerBuilder, TransportConfig, WebTransport, WebTransportError,
    testing::{self, Host, Link, LinkConfig, MILLISECOND, Network},
};

#[global_allocator]
static HEAP: HeapMeter = HeapMeter;

/// An echo server and a client, 20 ms apart.
struct World {
    network: Network,
    server: Arc<Server>,
    server_host: Host,
    client: Host,
    link: Link,
    hash: CertificateHash,
}

impl World {
    fn new(seed: u64) -> Self {
        Self::with(seed, TransportConfig::default())
    }

    fn with(seed: u64, transport: TransportConfig) -> Self {
        Self::configured(seed, |builder| builder.transport(transport))
    }

    fn configured(seed: u64, configure: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        let network = Network::new(seed);
        let (server_host, client) = (network.host("server"), network.host("client"));
        let config = LinkConfig::new().rate(50_000_000).delay(10 * MILLISECOND);
        let link = network.link(&server_host, &client, &config);
        let identity = network.identity([server_host.name()]);
        let hash = identity.certificate_hash();
        let builder = configure(Server::builder().identity(identity));
        let server = Arc::new(server_host.enter(|| builder.build().unwrap()));
        drop(server_host.spawn(echo_all(server_host.clone(), Arc::clone(&server))));
        Self { network, server, server_host, client, link, hash }
    }

    async fn connect(&self) -> WebTransport {
        connect("server", options(self.hash)).await.unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        self.network.sleep(duration).await;
    }
}

fn close(code: u32) -> CloseInfo {
    CloseInfo::new(code, format!("reason {code}"))
}

/// Echoes continue soon after the network does: each probe timeout at most doubles the one before.
async fn outage(world: &World, length: Duration) {
    let session = world.connect().await;
    let data = pattern(1, 500_000);
    let (echoed, ()) = tokio::join!(round_trip(&session, data.clone()), async {
        // In the middle of the transfer.
        world.sleep(Duration::from_millis(50)).await;
        world.link.outage(length);
    });
    assert!(echoed.unwrap() == data);
    assert!(world.network.now() > length && world.network.now() < length * 2 + seconds(2));
    session.close(close(4));
    assert_eq!(session.closed().await.unwrap(), close(4));
}

#[test]
fn a_session_survives_an_outage_of_five_seconds() {
    let world = World::new(1);
    world.client.run(outage(&world, seconds(5)));
}

#[test]
fn a_session_survives_an_outage_of_29_seconds_with_a_longer_idle_timeout() {
    let transport = || TransportConfig::new().idle_timeout(Some(seconds(90)));
    let world = World::with(2, transport());
    world.client.run(async {
        let options = options(world.hash).transport(transport());
        let session = connect("server", options).await.unwrap();
        let data = pattern(2, 500_000);
        let (echoed, ()) = tokio::join!(round_trip(&session, data.clone()), async {
            world.sleep(Duration::from_millis(50)).await;
            world.link.outage(seconds(29));
        });
        assert!(echoed.unwrap() == data);
    });
}

/// Whether the error says that the peer answered without any state of the connection.
fn is_forgotten(error: &WebTransportError) -> bool {
    matches!(error.cause(), ErrorCause::Connection(ConnectionError::StatelessReset))
}

/// With 30 s on both sides, an outage of 29 s in the middle of a transfer ends in equal bytes or an idle
/// timeout: of this end, or of the other end, which reports it by a stateless reset.
#[test]
fn an_outage_of_29_seconds_ends_cleanly_either_way() {
    let (mut whole, mut lost) = (0, 0);
    testing::for_seeds(0..20, |seed| {
        let world = World::new(seed);
        world.client.run(async {
            let session = world.connect().await;
            let data = pattern(seed, 500_000);
            let (echoed, ()) = tokio::join!(round_trip(&session, data.clone()), async {
                world.sleep(Duration::from_millis(20 + 10 * seed)).await;
                world.link.outage(seconds(29));
            });
            match echoed {
                Ok(echoed) => {
                    assert!(echoed == data);
                    whole += 1;
                }
                Err(error) => {
                    // The end that still sends may learn that the other one has given up.
                    let ended = |error| is_idle_timeout(error) || is_forgotten(error);
                    assert!(ended(&error), "{error}");
                    assert!(ended(&session.closed().await.unwrap_err()));
                    assert!(world.network.now() < seconds(62), "{:?}", world.network.now());
                    lost += 1;
                }
            }
        });
    });
    println!("{whole} survived, {lost} did not");
}

#[test]
fn an_idle_session_survives_an_outage_without_noticing() {
    let world = World::new(3);
    world.client.run(async {
        let session = world.connect().await;
        world.sleep(seconds(1)).await;
        world.link.outage(seconds(28));
        world.sleep(seconds(28)).await;
        assert_eq!(round_trip(&session, Bytes::from_static(b"back")).await.unwrap(), "back");
    });
}

#[test]
fn the_idle_timeout_reports_a_vanished_peer_on_time() {
    let world = World::new(4);
    world.client.run(async {
        // Keep-alive would send packets itself, which restarts the timeout.
        let session = connect("server", options(world.hash).keep_alive_sessions(false)).await.unwrap();
        assert_eq!(round_trip(&session, Bytes::from_static(b"hi")).await.unwrap(), "hi");
        // The last packet that the client gets leaves at most one acknowledgment delay from now.
        let before = world.network.now();
        world.sleep(Duration::from_millis(100)).await;
        let after = world.network.now();
        world.server_host.vanish();
        let error = session.closed().await.unwrap_err();
        assert!(is_idle_timeout(&error), "{error}");
        let ended = world.network.now();
        assert!(ended >= before + seconds(30) && ended <= after + seconds(30), "{ended:?}");
        for error in [
            session.create_bidirectional_stream(Default::default()).await.unwrap_err(),
            session.datagrams().readable.recv().await.unwrap_err(),
            session.incoming_bidirectional_streams().next().await.unwrap().unwrap_err(),
        ] {
            assert!(is_idle_timeout(&error), "{error}");
        }
    });
}

#[test]
fn a_vanished_client_leaves_the_server_after_the_idle_timeout() {
    let world = World::new(5);
    let client = world.client.clone();
    let session = world.client.run(world.connect());
    world.network.run(async {
        client.vanish();
        // This end's driver is gone, so nobody reports more.
        assert!(matches!(session.closed().await.unwrap_err().cause(), ErrorCause::RuntimeGone));
        world.server.shutdown(seconds(600)).await;
        // The server's connection heard from the client a moment before that vanished.
        let now = world.network.now();
        assert!(now > seconds(29) && now < seconds(32), "{now:?}");
    });
}

#[test]
fn keep_alive_holds_an_idle_session_and_nothing_else_does() {
    let world = World::new(6);
    world.client.run(async {
        let unkept = || options(world.hash).keep_alive_sessions(false);
        let silent = connect("server", unkept()).await.unwrap();
        let transport = TransportConfig::new().keep_alive(Some(seconds(10)));
        let kept = connect("server", unkept().transport(transport)).await.unwrap();
        let error = silent.closed().await.unwrap_err();
        assert!(is_idle_timeout(&error), "{error}");
        assert!(world.network.now() < seconds(32));
        world.sleep(seconds(600)).await;
        assert_eq!(round_trip(&kept, Bytes::from_static(b"still")).await.unwrap(), "still");
        kept.close(close(1));
        assert_eq!(kept.closed().await.unwrap(), close(1));
    });
}

#[test]
fn a_session_behind_a_forgetful_nat_ends_cleanly_at_least() {
    let world = World::new(7);
    world.client.run(async {
        let session = world.connect().await;
        let data = pattern(7, 200_000);
        let (echoed, ()) = tokio::join!(round_trip(&session, data.clone()), async {
            world.sleep(Duration::from_millis(30)).await;
            world.client.rebind();
        });
        // Connections do not follow a new address of their peer yet. The echo needs that, the end does not.
        match echoed {
            Ok(echoed) => assert!(echoed == data),
            Err(error) => assert!(is_idle_timeout(&error), "{error}"),
        }
        let again = world.connect().await;
        assert!(round_trip(&again, data.clone()).await.unwrap() == data);
        assert!(world.network.now() < seconds(62));
    });
}

/// The application reads nothing of one session. Other sessions, also of the same server, are not affected.
#[test]
fn a_silent_application_on_one_session_does_not_block_others() {
    let network = Network::new(8);
    let (server_host, client) = (network.host("server"), network.host("client"));
    network.link(&server_host, &client, &LinkConfig::new().rate(100_000_000).delay(5 * MILLISECOND));
    let (server, hash) = serve(&network, &server_host, TransportConfig::default());
    let silent_server = Arc::clone(&server);
    let silent = server_host.spawn(async move {
        silent_server.accept().await.unwrap().accept(Default::default()).await.unwrap()
    });
    client.run(async {
        let blocked = connect("server", options(hash)).await.unwrap();
        let silent = silent.await;
        drop(server_host.spawn(echo_all(server_host.clone(), server)));
        let mut stream = blocked.create_unidirectional_stream(Default::default()).await.unwrap();
        let filling = async {
            // Until flow control and the mailboxes are full.
            let piece = pattern(0, 64 << 10);
            while network.within(seconds(5), stream.write_chunk(piece.clone())).await.is_some() {}
            assert!(stream.bytes_written() < 64 << 20, "{}", stream.bytes_written());
        };
        let others = async {
            let session = connect("server", options(hash)).await.unwrap();
            let begin = network.now();
            for index in 0..20 {
                let data = pattern(index, 100_000);
                assert!(round_trip(&session, data.clone()).await.unwrap() == data);
            }
            // 20 round trips of 100 kB over 100 Mbit/s, shared with a session that fills its windows.
            assert!(network.now() - begin < seconds(10), "{:?}", network.now() - begin);
        };
        tokio::join!(filling, others);
        // The session still accepts commands.
        blocked.close(close(9));
        assert_eq!(silent.closed().await.unwrap(), close(9));
    });
}

#[test]
fn codes_and_reasons_of_a_close_arrive_from_both_sides() {
    for server_closes in [false, true] {
        let pair = testing::pair(10);
        pair.network.run(async {
            let (one, other) =
                if server_closes { (&pair.server, &pair.client) } else { (&pair.client, &pair.server) };
            let info = CloseInfo::new(u32::MAX, "ü".repeat(512));
            one.close(info.clone());
            assert_eq!(other.closed().await.unwrap(), info);
            assert_eq!(one.closed().await.unwrap(), info);
        });
    }
}

/// The capsule and its first retransmissions are lost: the connection does not end before a later one can
/// arrive.
#[test]
fn data_of_finished_streams_is_delivered_before_the_close() {
    let pair = testing::pair(24);
    pair.network.run(async {
        // All of it fits into the windows, so a late reader delays nothing.
        let data = pattern(5, 200_000);
        for _ in 0..3 {
            let mut stream = pair.client.create_unidirectional_stream(Default::default()).await.unwrap();
            stream.write_chunk(data.clone()).await.unwrap();
            stream.finish().unwrap();
        }
        pair.client.close(close(1));
        let mut incoming = pair.server.incoming_unidirectional_streams();
        let mut whole = 0;
        while let Some(stream) = incoming.next().await {
            assert!(stream.unwrap().read_to_end(data.len()).await.unwrap() == data);
            whole += 1;
        }
        assert_eq!(whole, 3);
        assert_eq!(pair.server.closed().await.unwrap().close_code, 1);
    });
}

#[test]
fn a_close_survives_an_outage_of_a_second() {
    for server_closes in [false, true] {
        let pair = testing::pair(14);
        pair.network.run(async {
            let (one, other) =
                if server_closes { (&pair.server, &pair.client) } else { (&pair.client, &pair.server) };
            pair.link.outage(seconds(1));
            one.close(close(5));
            assert_eq!(one.closed().await.unwrap(), close(5));
            assert!(pair.network.now() > seconds(1), "the peer could not have heard it before");
            assert_eq!(one.close_outcome(), Some(CloseOutcome::Acknowledged));
            assert_eq!(other.closed().await.unwrap(), close(5));
        });
    }
}

/// A server that shuts down tells its clients, serves the current ones until they leave, and accepts no new
/// ones.
#[test]
fn a_server_that_drains_waits_for_its_clients() {
    let world = World::new(11);
    world.client.run(async {
        let session = world.connect().await;
        let server = Arc::clone(&world.server);
        let shutdown = world.server_host.spawn(async move { server.shutdown(seconds(3600)).await });
        session.draining().await;
        assert!(world.network.now() < seconds(1));
        let error = connect("server", options(world.hash).connect_timeout(seconds(5))).await.unwrap_err();
        assert!(!matches!(error.cause(), ErrorCause::Timeout { .. }), "refused, not ignored: {error}");
        let data = pattern(11, 300_000);
        assert!(round_trip(&session, data.clone()).await.unwrap() == data);
        session.close(close(3));
        session.closed().await.unwrap();
        shutdown.await;
        assert!(world.network.now() < seconds(10), "{:?}", world.network.now());
    });
}

#[test]
fn a_server_that_has_waited_long_enough_closes() {
    let world = World::new(12);
    world.client.run(async {
        let session = world.connect().await;
        let begin = world.network.now();
        world.server.shutdown(seconds(7)).await;
        let error = session.closed().await.unwrap_err();
        assert!(
            matches!(error.cause(), ErrorCause::ConnectionClosed { by: ConnectionCloser::Peer, .. }),
            "{error}"
        );
        let took = world.network.now() - begin;
        assert!(took >= seconds(7) && took < seconds(8), "{took:?}");
    });
}

/// A server that keeps running keeps nothing of sessions that have ended.
#[test]
fn sessions_leave_no_memory_behind_at_a_server_that_goes_on() {
    // What is kept for resumption has a bound of its own.
    let world = World::configured(13, |builder| builder.resumption(Resumption::none()));
    let session = || {
        world.client.run(async {
            let session = world.connect().await;
            let data = pattern(13, 100_000);
            assert!(round_trip(&session, data.clone()).await.unwrap() == data);
            session.close(close(0));
            session.closed().await.unwrap();
        });
        // Closing states expire by then.
        world.network.run(world.network.sleep(seconds(90)));
    };
    (0..300).for_each(|_| session());
    let measure = Measure::start();
    (0..50).for_each(|_| session());
    assert_eq!(measure.growth(), 0, "bytes after fifty more sessions");
}

/// A long session keeps nothing of ended streams and old datagrams, at either end.
#[test]
fn a_long_session_holds_nothing_of_streams_that_are_over() {
    let world = World::new(15);
    let session = world.client.run(world.connect());
    let use_it = |times: u64| {
        world.client.run(async {
            for index in 0..times {
                let data = pattern(index, 2000);
                assert!(round_trip(&session, data.clone()).await.unwrap() == data);
                let mut stream = session.create_unidirectional_stream(Default::default()).await.unwrap();
                stream.write_chunk(data.clone()).await.unwrap();
                stream.finish().unwrap();
                let mut answer = session.incoming_unidirectional_streams().next().await.unwrap().unwrap();
                assert!(answer.read_to_end(2000).await.unwrap() == data);
                session.datagrams().writable.send(data.slice(..500)).await.unwrap();
                assert_eq!(session.datagrams().readable.recv().await.unwrap(), data.slice(..500));
                let mut reset = session.create_unidirectional_stream(Default::default()).await.unwrap();
                reset.write_chunk(data).await.unwrap();
                reset.reset(1);
                // The server's application may have opened its echo before it learned of the reset.
                world.sleep(Duration::from_millis(100)).await;
                let mut incoming = session.incoming_unidirectional_streams();
                while world.network.within(Duration::ZERO, incoming.next()).await.is_some() {}
            }
            world.sleep(seconds(20)).await;
        });
    };
    // Tables grow to the size that is needed, and stay at it.
    use_it(300);
    let measure = Measure::start();
    use_it(600);
    assert!(measure.growth() < 2_000, "{} bytes", measure.growth());
}
