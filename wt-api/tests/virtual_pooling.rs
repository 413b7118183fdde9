//! Sessions that share a connection, on a virtual network.

mod virtual_common;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use quic_core::{
    TransportConfig,
    congestion::{Algorithm, CongestionConfig, Controller, ControllerFactory, NewPath, NewReno},
};
use virtual_common::{
    pattern, seconds,
    world::{World, trusting},
};
use wt_api::{
    AcceptOptions, CloseInfo, ConnectOptionsError, ConnectionCloser, ErrorCause, SendStreamOptions, Server,
    WebTransport, WebTransportOptions,
    testing::{LinkConfig, MILLISECOND, Network},
};

fn pooled() -> WebTransportOptions {
    trusting().allow_pooling(true)
}

async fn exchange(from: &WebTransport, to: &WebTransport, size: usize) {
    let mut stream = from.create_unidirectional_stream(SendStreamOptions::new()).await.unwrap();
    let data = pattern(size as u64, size);
    let received = async {
        to.incoming_unidirectional_streams().next().await.unwrap().unwrap().read_to_end(size).await.unwrap()
    };
    let sent = async {
        stream.write_all(&data).await.unwrap();
        stream.finished().await.unwrap();
    };
    let (received, ()) = tokio::join!(received, sent);
    assert!(received == data);
}

#[test]
fn pooled_sessions_share_a_connection_and_end_separately() {
    let world = World::new(31, |builder| builder);
    world.network.run(async {
        let (one, one_server, number) = world.session(pooled(), AcceptOptions::new()).await;
        let (two, two_server, other) = world.session(pooled(), AcceptOptions::new()).await;
        assert_eq!(number, other, "the same connection");
        assert_eq!(one.negotiated_draft().unwrap().0, "draft-16");
        exchange(&one, &one_server, 3_000_000).await;
        exchange(&two_server, &two, 100_000).await;
        one.datagrams().writable.send("one".into()).await.unwrap();
        two.datagrams().writable.send("two".into()).await.unwrap();
        assert_eq!(two_server.datagrams().readable.recv().await.unwrap(), "two");
        assert_eq!(one_server.datagrams().readable.recv().await.unwrap(), "one");
        let info = CloseInfo::new(5, "one is enough");
        one.close(info.clone());
        assert_eq!(one_server.closed().await.unwrap(), info);
        exchange(&two, &two_server, 100_000).await;
        let info = CloseInfo::new(6, "so is two");
        two_server.close(info.clone());
        assert_eq!(two.closed().await.unwrap(), info);
        let mut first = [0; 32];
        let error = one.export_keying_material(b"label", b"", &mut first).await.unwrap_err();
        assert!(matches!(error, wt_api::ExportError::Session(_)));
    });
}

#[test]
fn simultaneous_requests_share_the_connection_in_progress() {
    let world = World::new(32, |builder| builder);
    world.network.run(async {
        let sessions: Vec<WebTransport> = (0..8).map(|_| world.ask(pooled())).collect();
        let mut accepted = Vec::new();
        for _ in 0..8 {
            let request = world.server.accept().await.unwrap();
            let number = request.connection().id();
            accepted.push((request.accept(AcceptOptions::new()).await.unwrap(), number));
        }
        for session in &sessions {
            session.ready().await.unwrap();
        }
        assert!(accepted.iter().all(|(_, number)| *number == accepted[0].1), "{accepted:?}");
    });
}

/// A client learns that a session was closed even if the server's shutdown waits for nobody. A session that
/// was not closed fails with its connection.
#[test]
fn an_immediate_shutdown_still_delivers_earlier_closes() {
    let world = World::new(35, |builder| builder);
    world.network.run(async {
        let (one, one_server, number) = world.session(pooled(), AcceptOptions::new()).await;
        let (two, _two_server, other) = world.session(pooled(), AcceptOptions::new()).await;
        assert_eq!(number, other, "the same connection");
        let begin = world.network.now();
        let info = CloseInfo::new(9, "back at noon");
        one_server.close(info.clone());
        world.server.shutdown(Duration::ZERO).await;
        assert_eq!(one.closed().await.unwrap(), info);
        let error = two.closed().await.unwrap_err();
        assert!(
            matches!(error.cause(), ErrorCause::ConnectionClosed { by: ConnectionCloser::Peer, .. }),
            "{error}"
        );
        assert!(world.network.now() - begin < Duration::from_millis(200), "a round trip and a half");
    });
}

/// The same with a client that has vanished: the shutdown waits for it no longer than a close takes.
#[test]
fn an_immediate_shutdown_does_not_wait_for_a_vanished_client() {
    let network = Network::new(36);
    let (host, client) = (network.host("server"), network.host("client"));
    let link = network.link(&host, &client, &LinkConfig::new().delay(10 * MILLISECOND));
    let builder = Server::builder().identity(network.identity(["server"]));
    let server = host.enter(|| builder.build().unwrap());
    network.run(async {
        let session = client.enter(|| WebTransport::new("https://server/", pooled()).unwrap());
        let accepted = server.accept().await.unwrap().accept(AcceptOptions::new()).await.unwrap();
        session.ready().await.unwrap();
        link.outage(seconds(60));
        let begin = network.now();
        accepted.close(CloseInfo::default());
        server.shutdown(Duration::ZERO).await;
        let took = network.now() - begin;
        assert!(took >= seconds(2) && took < seconds(4), "{took:?}");
    });
}

/// Not distinguishable from other factories of its type.
#[derive(Debug)]
struct OwnReno;

impl ControllerFactory for OwnReno {
    fn build(&self, path: &NewPath) -> Box<dyn Controller> {
        Box::new(NewReno::new(path.mtu))
    }
}

#[test]
fn a_connection_is_shared_under_one_factory_of_controllers() {
    let world = World::new(34, |builder| builder);
    let [one, other] = [(); 2].map(|()| Algorithm::Custom(Arc::new(OwnReno)));
    let controlled = |algorithm: &Algorithm| {
        let congestion = CongestionConfig::new(algorithm.clone());
        pooled().transport(TransportConfig::new().congestion(congestion))
    };
    world.network.run(async {
        let (mut numbers, mut sessions) = (Vec::new(), Vec::new());
        for algorithm in [&one, &one, &other, &Algorithm::NewReno, &Algorithm::Cubic] {
            sessions.push(world.ask(controlled(algorithm)));
            let request = world.server.accept().await.unwrap();
            numbers.push(request.connection().id());
            sessions.push(request.accept(AcceptOptions::new()).await.unwrap());
        }
        assert_eq!(numbers[0], numbers[1]);
        let distinct: BTreeSet<_> = numbers.iter().collect();
        assert_eq!(distinct.len(), 4, "{numbers:?}");
    });
}

#[test]
fn sessions_that_cannot_share_get_their_own_connections() {
    let dedicated = || pooled().allow_pooling(false);
    let world = World::new(33, |builder| builder);
    world.network.run(async {
        let mut numbers = Vec::new();
        let mut sessions = Vec::new();
        // The last one differs in an option, and therefore needs its own connection.
        let quick = || pooled().congestion_control(wt_api::CongestionControl::LowLatency);
        for options in [pooled(), dedicated(), dedicated(), quick()] {
            sessions.push(world.ask(options));
            let request = world.server.accept().await.unwrap();
            numbers.push(request.connection().id());
            sessions.push(request.accept(AcceptOptions::new()).await.unwrap());
        }
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 4);
    });
}

#[test]
fn a_full_connection_is_followed_by_another_one() {
    for (limit, connections) in [(1, 5), (2, 3)] {
        let world = World::new(34, |builder| builder.max_sessions_per_connection(limit));
        world.network.run(async {
            let mut sessions = Vec::new();
            for _ in 0..5 {
                sessions.push(world.session(pooled(), AcceptOptions::new()).await);
            }
            let mut numbers: Vec<u64> = sessions.iter().map(|(_, _, number)| *number).collect();
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), connections, "at most {limit} on each");
            for (client, server, _) in &sessions {
                exchange(client, server, 1_000).await;
            }
        });
    }
}

#[test]
fn a_connection_without_sessions_stays_open_for_a_while() {
    let world = World::new(35, |builder| builder);
    world.network.run(async {
        let mut numbers = Vec::new();
        for pause in [seconds(3), seconds(8), seconds(0)] {
            let (client, server, number) = world.session(pooled(), AcceptOptions::new()).await;
            numbers.push(number);
            client.close(CloseInfo::default());
            server.closed().await.unwrap();
            world.network.sleep(pause).await;
        }
        assert_eq!(numbers[0], numbers[1], "3 s later");
        assert_ne!(numbers[1], numbers[2], "8 s later");
    });
}

#[test]
fn a_refused_or_abandoned_request_does_not_affect_other_sessions() {
    let world = World::new(36, |builder| builder);
    world.network.run(async {
        // The server refuses the first request of the connection, while the second one waits for it.
        let (refused, kept) = (world.ask(pooled()), world.ask(pooled()));
        world.server.accept().await.unwrap().reject(StatusCode::FORBIDDEN).await;
        let request = world.server.accept().await.unwrap();
        let number = request.connection().id();
        let server = request.accept(AcceptOptions::new()).await.unwrap();
        let error = refused.ready().await.unwrap_err();
        assert!(matches!(error.cause(), ErrorCause::Status { status: 403 }), "{error}");
        kept.ready().await.unwrap();
        // Given up before the server answers.
        let abandoned = world.ask(pooled());
        let request = world.server.accept().await.unwrap();
        abandoned.close(CloseInfo::default());
        assert!(abandoned.ready().await.is_err());
        // The server does not answer this one in time.
        let late = world.ask(pooled().connect_timeout(Duration::from_secs(10)));
        let silent = world.server.accept().await.unwrap();
        let error = late.ready().await.unwrap_err();
        assert!(matches!(error.cause(), ErrorCause::Timeout { .. }), "{error}");
        drop((request, silent));
        exchange(&kept, &server, 10_000).await;
        let (_, _, other) = world.session(pooled(), AcceptOptions::new()).await;
        assert_eq!(other, number);
    });
}

#[test]
fn sessions_share_the_rate_equally_however_many_streams_they_have() {
    let world = World::new(37, |builder| builder);
    world.network.run(async {
        let (one, one_server, _) = world.session(pooled(), AcceptOptions::new()).await;
        let (two, two_server, _) = world.session(pooled(), AcceptOptions::new()).await;
        for (session, streams) in [(&one_server, 5), (&two_server, 1)] {
            for _ in 0..streams {
                let mut stream =
                    session.create_unidirectional_stream(SendStreamOptions::new()).await.unwrap();
                drop(world.client.spawn(async move {
                    while stream.write_chunk(Bytes::from(vec![7; 16 << 10])).await.is_ok() {}
                }));
            }
        }
        let count = async |session: &WebTransport, streams: usize| {
            let mut incoming = session.incoming_unidirectional_streams();
            let until = world.network.now() + seconds(5);
            let mut readers = Vec::new();
            for _ in 0..streams {
                let mut stream = incoming.next().await.unwrap().unwrap();
                let network = world.network.clone();
                readers.push(world.client.spawn(async move {
                    let mut total = 0;
                    while let Some(left) = until.checked_sub(network.now())
                        && let Some(Ok(Some(chunk))) =
                            network.within(left, stream.read_chunk(usize::MAX)).await
                    {
                        total += chunk.len();
                    }
                    total
                }));
            }
            let mut total = 0;
            for reader in readers {
                total += reader.await;
            }
            total as f64
        };
        let (first, second) = tokio::join!(count(&one, 5), count(&two, 1));
        let share = first / (first + second);
        assert!((0.46..0.54).contains(&share), "{first} and {second} bytes");
    });
}

#[test]
fn a_poolable_session_learns_only_about_the_path() {
    let world = World::new(38, |builder| builder);
    world.network.run(async {
        let (client, server, _) = world.session(pooled(), AcceptOptions::new()).await;
        exchange(&client, &server, 10_000).await;
        let stats = client.get_stats().await.unwrap();
        assert!(stats.smoothed_rtt >= Duration::from_millis(20), "{stats:?}");
        assert!(stats.min_rtt.is_some());
        let hidden = (stats.bytes_sent, stats.packets_sent, stats.bytes_received, stats.datagrams);
        assert_eq!(hidden, (None, None, None, None));
        assert!(stats.connection.is_none());
        let stats = server.get_stats().await.unwrap();
        assert!(stats.bytes_received > Some(10_000), "a server sees its connections");
    });
}

#[test]
fn too_many_sessions_are_answered_with_429() {
    let world = World::new(39, |builder| builder.max_sessions(2));
    world.network.run(async {
        let (one, _one, _) = world.session(pooled(), AcceptOptions::new()).await;
        let (_two, _two_server, _) = world.session(pooled(), AcceptOptions::new()).await;
        let error = world.ask(pooled()).ready().await.unwrap_err();
        assert!(matches!(error.cause(), ErrorCause::Status { status: 429 }), "{error}");
        one.close(CloseInfo::default());
        world.network.sleep(seconds(1)).await;
        drop(world.session(pooled(), AcceptOptions::new()).await);
    });
}

#[test]
fn hashes_and_pooling_exclude_each_other() {
    let world = World::new(40, |builder| builder);
    let hash = world.server.certificate_hash().unwrap();
    let options = WebTransportOptions::new().server_certificate_hashes([hash]).allow_pooling(true);
    let error = world.client.enter(|| WebTransport::new("https://server/", options)).unwrap_err();
    assert_eq!(error, ConnectOptionsError::PoolingWithHashes);
}

#[test]
fn a_request_refused_unprocessed_is_retried_once_on_another_connection() {
    // Also when the session that made the connection has ended: the server may not know that yet.
    for keeps in [true, false] {
        let world = World::new(41, |builder| builder);
        world.network.run(async {
            let (kept, server, number) = world.session(pooled(), AcceptOptions::new()).await;
            let kept = Some(kept).filter(|_| keeps);
            world.network.sleep(Duration::from_millis(100)).await;
            let refused = world.ask(pooled());
            let request = world.server.accept().await.unwrap();
            assert_eq!(request.connection().id(), number);
            request.refuse().await;
            let request = world.server.accept().await.unwrap();
            assert_ne!(request.connection().id(), number);
            request.refuse().await;
            let error = refused.ready().await.unwrap_err();
            assert!(error.to_string().contains("0x10b"), "{error}");
            if let Some(kept) = kept {
                exchange(&kept, &server, 1_000).await;
            }
        });
    }
}

/// The attempt that lost, here one that gets no answer, ends without affecting the established connection.
#[test]
fn a_connection_that_won_the_address_race_is_shared() {
    let network = Network::new(42);
    let (four, six) = ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
    let host = network.host_at("server", [four]);
    let client = network.host_at("client", ["192.0.2.2".parse().unwrap(), "2001:db8::2".parse().unwrap()]);
    let server = host.enter(|| Server::builder().identity(network.identity(["server"])).build().unwrap());
    network.name("both", [six, four]);
    network.run(async {
        let mut numbers = Vec::new();
        let mut sessions = Vec::new();
        for _ in 0..3 {
            sessions.push(client.enter(|| WebTransport::new("https://both/", pooled()).unwrap()));
            let request = server.accept().await.unwrap();
            numbers.push(request.connection().id());
            sessions.push(request.accept(AcceptOptions::new()).await.unwrap());
            network.sleep(seconds(1)).await;
        }
        assert!(numbers.iter().all(|number| *number == numbers[0]), "{numbers:?}");
    });
}

/// RFC 9218: the more urgent of two sessions on a connection goes first, as its client requested.
#[test]
fn a_session_has_the_urgency_its_client_requested() {
    let world = World::new(43, |builder| builder);
    world.network.run(async {
        let mut headers = http::HeaderMap::new();
        headers.insert("priority", "u=6".parse().unwrap());
        let late = world.ask(pooled().headers(headers));
        let late_server = world.server.accept().await.unwrap().accept(AcceptOptions::new()).await.unwrap();
        late.ready().await.unwrap();
        let (usual, usual_server, _) = world.session(pooled(), AcceptOptions::new()).await;
        let send = async |session: &WebTransport| {
            let mut stream = session.create_unidirectional_stream(SendStreamOptions::new()).await.unwrap();
            stream.write_all(&pattern(1, 1_000_000)).await.unwrap();
            stream.finished().await.unwrap();
        };
        let receive = async |session: &WebTransport| {
            let mut stream = session.incoming_unidirectional_streams().next().await.unwrap().unwrap();
            assert_eq!(stream.read_to_end(1_000_000).await.unwrap().len(), 1_000_000);
            world.network.now()
        };
        let begin = world.network.now();
        let (.., first, last) =
            tokio::join!(send(&late_server), send(&usual_server), receive(&usual), receive(&late));
        // 10 Mbit/s carry a megabyte in 0.8 s. The urgent one goes first, and the other one waits for it.
        let (first, last) = (first - begin, last - begin);
        assert!(
            first < Duration::from_millis(1_200) && last > Duration::from_millis(1_500),
            "{first:?} {last:?}"
        );
    });
}
