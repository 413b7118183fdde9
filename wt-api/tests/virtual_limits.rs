//! The limits that each side grants the other: anticipated streams, and the server's limits for its sessions.

mod virtual_common;

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use virtual_common::{open_all, open_all_uni, pattern, seconds, session};
use wt_api::{
    AcceptOptions, ErrorCause, SendStreamOptions, Server, ServerBuilder, TransportConfig, WebTransport,
    WebTransportOptions,
    testing::{Host, LinkConfig, MILLISECOND, Network},
};
use wt_session::Dialect;

/// A server named `server`, and a client's host.
fn serve(seed: u64, configure: impl FnOnce(ServerBuilder) -> ServerBuilder) -> (Network, Arc<Server>, Host) {
    let network = Network::new(seed);
    let (host, client) = (network.host("server"), network.host("client"));
    let config = LinkConfig::new().rate(100_000_000).delay(20 * MILLISECOND);
    drop(network.link(&host, &client, &config));
    let builder = configure(Server::builder().identity(network.identity(["server"])));
    let server = Arc::new(host.enter(|| builder.build().unwrap()));
    (network, server, client)
}

fn options() -> WebTransportOptions {
    WebTransportOptions::new().dangerous().no_certificate_verification()
}

/// The fields of a session count as long as it lasts, and may use at most half of the connection's memory
/// budget.
#[test]
fn fields_of_sessions_are_charged_and_one_session_too_many_is_refused() {
    let transport = TransportConfig::new().memory_budget(400_000);
    let (network, server, client) = serve(81, |builder| builder.transport(transport));
    network.run(async {
        let accepting = client.spawn(async move {
            let mut sessions = Vec::new();
            while let Some(request) = server.accept().await {
                sessions.push(request.accept(AcceptOptions::new()).await.unwrap());
            }
        });
        let mut headers = http::HeaderMap::new();
        for n in 0..20 {
            let name = http::HeaderName::try_from(format!("x-field-{n}")).unwrap();
            headers.insert(name, "v".repeat(2_000).parse().unwrap());
        }
        let connect = || async {
            let options = options().allow_pooling(true).headers(headers.clone());
            let session = client.enter(|| WebTransport::new("https://server/", options).unwrap());
            session.ready().await.map(|()| session)
        };
        let mut sessions = Vec::new();
        let refused = loop {
            match connect().await {
                Ok(session) => sessions.push(session),
                Err(error) => break error,
            }
        };
        // 45 kB each.
        assert_eq!(sessions.len(), 4);
        assert!(matches!(refused.cause(), ErrorCause::Status { status: 431 }), "{refused}");
        // A session that ends makes room.
        let over = sessions.remove(0);
        over.close(Default::default());
        network.sleep(seconds(10)).await;
        drop(connect().await.unwrap());
        drop(accepting);
    });
}

/// Limits for a client: five bidirectional streams, one of which requests the session, and seven
/// unidirectional ones, three of which HTTP/3 uses.
fn few() -> TransportConfig {
    TransportConfig::new().max_streams_bidi(5).max_streams_uni(7)
}

#[test]
fn anticipated_streams_are_permitted_at_first_and_later() {
    let network = Network::new(71);
    let (host, client) = (network.host("server"), network.host("client"));
    let builder = Server::builder().identity(network.identity(["server"]));
    let server = Arc::new(host.enter(|| builder.build().unwrap()));
    let options = || WebTransportOptions::new().dangerous().no_certificate_verification();
    network.run(async {
        // Without session flow control only the connection's limits apply: 1000, or more if more are
        // anticipated. The three unidirectional streams of HTTP/3 come on top of the anticipated ones.
        let expecting = options()
            .anticipated_concurrent_incoming_bidirectional_streams(Some(1_200))
            .anticipated_concurrent_incoming_unidirectional_streams(Some(1_300));
        for (options, expected) in [(options(), (1_000, 997)), (expecting, (1_200, 1_300))] {
            let (one, accepted) = session(&server, &client, options).await;
            assert_eq!((open_all(&accepted).await.len(), open_all_uni(&accepted).await.len()), expected);
            drop(one);
        }
        // With session flow control the session's limits apply, which are lower at first and grow as the
        // session goes on.
        let (one, accepted) = session(&server, &client, options().allow_pooling(true)).await;
        let (mut bidi, mut uni) = (open_all(&accepted).await, open_all_uni(&accepted).await);
        assert_eq!((bidi.len(), uni.len()), (256, 256));
        one.set_anticipated_concurrent_incoming_bidirectional_streams(Some(350));
        one.set_anticipated_concurrent_incoming_unidirectional_streams(Some(400));
        network.sleep(seconds(1)).await;
        bidi.extend(open_all(&accepted).await);
        uni.extend(open_all_uni(&accepted).await);
        assert_eq!((bidi.len(), uni.len()), (350, 400));
        // The server's end has them as well.
        let bidi = open_all(&one).await;
        accepted.set_anticipated_concurrent_incoming_bidirectional_streams(Some(500));
        network.sleep(seconds(1)).await;
        assert_eq!((bidi.len(), open_all(&one).await.len()), (256, 244));
    });
}

/// How many more streams of both kinds `session` can open.
async fn more(network: &Network, session: &WebTransport) -> (usize, usize) {
    network.sleep(seconds(1)).await;
    let streams = (open_all(session).await, open_all_uni(session).await);
    let counts = (streams.0.len(), streams.1.len());
    // They stay open: dropping one would reset it and make room.
    std::mem::forget(streams);
    counts
}

#[test]
fn anticipated_streams_raise_the_connections_limits_in_every_dialect() {
    for (at, dialect) in (0..).zip(Dialect::ALL) {
        for pooled in [false, true] {
            let (network, server, client) =
                serve(90 + at, |builder| builder.transport(few()).only_dialect(dialect));
            network.run(async {
                let transport = few().max_streams_bidi(4);
                let options = options().transport(transport).allow_pooling(pooled);
                let one = client.enter(|| WebTransport::new("https://server/", options).unwrap());
                // Before the session is ready.
                one.set_anticipated_concurrent_incoming_bidirectional_streams(Some(6));
                let accepted = server.accept().await.unwrap().accept(AcceptOptions::new()).await.unwrap();
                one.ready().await.unwrap();
                assert_eq!(more(&network, &accepted).await, (6, 4), "{dialect:?}");
                assert_eq!(more(&network, &one).await, (4, 4));
                // While it is open, at both ends.
                for (session, peer) in [(&one, &accepted), (&accepted, &one)] {
                    session.set_anticipated_concurrent_incoming_bidirectional_streams(Some(300));
                    session.set_anticipated_concurrent_incoming_unidirectional_streams(Some(5));
                    let open = if std::ptr::eq(session, &raw const one) { 6 } else { 4 };
                    assert_eq!(more(&network, peer).await, (300 - open, 1), "{dialect:?} {pooled}");
                    session.set_anticipated_concurrent_incoming_bidirectional_streams(Some(7));
                    session.set_anticipated_concurrent_incoming_unidirectional_streams(None);
                    assert_eq!(more(&network, peer).await, (0, 0), "nothing is added, and nothing broken");
                    assert_eq!(
                        (
                            session.anticipated_concurrent_incoming_bidirectional_streams(),
                            session.anticipated_concurrent_incoming_unidirectional_streams()
                        ),
                        (Some(7), None)
                    );
                }
            });
        }
    }
}

#[test]
fn sessions_of_one_connection_have_what_each_of_them_anticipates() {
    let (network, server, client) = serve(81, |builder| builder);
    network.run(async {
        // Together more than the 1000 of the connection.
        let options = || {
            options()
                .allow_pooling(true)
                .anticipated_concurrent_incoming_bidirectional_streams(Some(700))
                .anticipated_concurrent_incoming_unidirectional_streams(Some(600))
        };
        let mut sessions = Vec::new();
        for _ in 0..2 {
            sessions.push(session(&server, &client, options()).await);
        }
        for (one, accepted) in &sessions {
            assert_eq!(one.anticipated_concurrent_incoming_bidirectional_streams(), Some(700));
            assert_eq!(more(&network, accepted).await, (700, 600));
        }
    });
}

#[test]
fn a_server_sets_anticipated_streams_for_all_clients_and_for_each() {
    for dialect in [Dialect::Draft02, Dialect::Draft16] {
        for pooled in [false, true] {
            let (network, server, client) = serve(82, |builder| {
                builder
                    .transport(TransportConfig::new().max_streams_bidi(0).max_streams_uni(3))
                    .max_sessions_per_connection(1)
                    .anticipated_concurrent_incoming_bidirectional_streams(Some(20))
                    .anticipated_concurrent_incoming_unidirectional_streams(Some(30))
                    .only_dialect(dialect)
            });
            network.run(async {
                let options = || options().allow_pooling(pooled);
                let (one, accepted) = session(&server, &client, options()).await;
                assert_eq!(
                    (
                        accepted.anticipated_concurrent_incoming_bidirectional_streams(),
                        accepted.anticipated_concurrent_incoming_unidirectional_streams()
                    ),
                    (Some(20), Some(30))
                );
                assert_eq!(more(&network, &one).await, (20, 30));
                let other = client.enter(|| WebTransport::new("https://server/", options()).unwrap());
                let answer = AcceptOptions::new()
                    .anticipated_concurrent_incoming_bidirectional_streams(Some(25))
                    .anticipated_concurrent_incoming_unidirectional_streams(Some(10));
                let accepted = server.accept().await.unwrap().accept(answer).await.unwrap();
                other.ready().await.unwrap();
                assert_eq!(accepted.anticipated_concurrent_incoming_unidirectional_streams(), Some(10));
                assert_eq!(more(&network, &other).await, (25, 30), "{dialect:?}");
                drop(one);
            });
        }
    }
}

#[test]
fn a_server_accepts_with_a_status_of_2xx() {
    let (network, server, client) = serve(83, |builder| builder);
    network.run(async {
        for status in [200, 204, 299] {
            let one = client.enter(|| WebTransport::new("https://server/", options()).unwrap());
            let answer = AcceptOptions::new().status(StatusCode::from_u16(status).unwrap());
            let accepted = server.accept().await.unwrap().accept(answer).await.unwrap();
            one.ready().await.unwrap();
            drop(accepted);
        }
        for status in [101, 302, 404] {
            let one = client.enter(|| WebTransport::new("https://server/", options()).unwrap());
            let answer = AcceptOptions::new().status(StatusCode::from_u16(status).unwrap());
            let error = server.accept().await.unwrap().accept(answer).await.unwrap_err();
            assert!(matches!(error.cause(), ErrorCause::NotAccepting { status: told } if *told == status));
            let error = one.ready().await.unwrap_err();
            assert!(matches!(error.cause(), ErrorCause::Status { status: 404 }), "{error}");
        }
    });
}

/// Returns how much of 400 kB a client sends in a session before it gets an answer from the server, and how
/// long it takes until the server has read everything.
fn send(configure: impl Fn(ServerBuilder) -> ServerBuilder, pooled: bool) -> (u64, Duration) {
    let (network, server, client) = serve(85, configure);
    network.run(async {
        let (one, accepted) = session(&server, &client, options().allow_pooling(pooled)).await;
        let mut stream = one.create_unidirectional_stream(SendStreamOptions::new()).await.unwrap();
        let begin = network.now();
        stream.write_chunk(pattern(1, 400_000)).await.unwrap();
        stream.finish().unwrap();
        // A round trip takes 40 ms.
        network.sleep(Duration::from_millis(35)).await;
        let sent = stream.get_stats().await.bytes_sent;
        let mut incoming = accepted.incoming_unidirectional_streams().next().await.unwrap().unwrap();
        assert_eq!(incoming.read_to_end(400_000).await.unwrap(), pattern(1, 400_000));
        (sent, network.now() - begin)
    })
}

#[test]
fn a_server_sets_the_first_window_of_its_sessions() {
    let narrow = |builder: ServerBuilder| builder.session_receive_window(8_000).max_session_receive_window(0);
    let (sent, slow) = send(narrow, true);
    assert_eq!(sent, 8_000);
    // Fifty windows, at most one in each round trip.
    assert!(slow > Duration::from_millis(1_900), "{slow:?}");
    // A connection for a single session has the same limit, if the client supports session flow control.
    let single = |builder: ServerBuilder| narrow(builder).max_sessions_per_connection(1);
    assert_eq!(send(single, true).0, 8_000);
    // Without the option, and for clients without session flow control, only congestion control limits the
    // client at first.
    for (sent, fast) in [send(|builder| builder, true), send(narrow, false)] {
        assert!(sent > 9_000 && fast < slow / 3, "{sent} {fast:?} {slow:?}");
    }
}
