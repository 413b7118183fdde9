//! The connection handle: what it reports, and how closing it ends everything on the connection, at both
//! ends.

mod virtual_common;

use std::{sync::Arc, time::Duration};

use http::{Request, Response, StatusCode};
use virtual_common::{options, seconds, serve, session};
use wt_api::{
    AcceptOptions, CloseInfo, Connection, ConnectionCloser, ErrorCause, Server, TransportConfig,
    WebTransport, WebTransportError, WebTransportOptions,
    http3::{self, IncomingBody},
    protocol::{CloseReason, ConnectionError, TransportErrorCode},
    testing::{self, Host, LinkConfig, MILLISECOND, Network, Pair},
};

/// Who closed, with which code and reason.
fn closed(error: &WebTransportError) -> (ConnectionCloser, u64, &str) {
    match error.cause() {
        ErrorCause::ConnectionClosed { by, code, reason } => (*by, *code, reason),
        _ => panic!("{error}"),
    }
}

fn pooled(client: &Host) -> WebTransport {
    let options = WebTransportOptions::new().dangerous().no_certificate_verification().allow_pooling(true);
    client.enter(|| WebTransport::new("https://server/", options).unwrap())
}

struct World {
    network: Network,
    host: Host,
    client: Host,
    server: Arc<Server>,
    options: WebTransportOptions,
}

fn world(seed: u64, delay: u64) -> World {
    let network = Network::new(seed);
    let (host, client) = (network.host("server"), network.host("client"));
    drop(network.link(&host, &client, &LinkConfig::new().delay(delay)));
    let (server, hash) = serve(&network, &host, TransportConfig::default());
    World { network, host, client, server, options: options(hash) }
}

#[test]
fn all_sessions_of_a_connection_learn_who_closed_it_at_both_ends() {
    for client_closes in [true, false] {
        let World { network, client, server, .. } = world(1, 10 * MILLISECOND);
        network.run(async {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..3 {
                let session = pooled(&client);
                theirs.push(server.accept().await.unwrap().accept(AcceptOptions::new()).await.unwrap());
                session.ready().await.unwrap();
                ours.push(session);
            }
            let connection = |session: &WebTransport| session.connection().expect("it is ready");
            let (here, there) = (connection(&ours[0]), connection(&theirs[0]));
            assert!(ours.iter().all(|session| connection(session) == here));
            assert!(theirs.iter().all(|session| connection(session) == there));
            assert_ne!(here.id(), there.id(), "each end has its own");
            // One more session has been requested, and the server has not answered.
            let asking = pooled(&client);
            let request = server.accept().await.unwrap();
            assert_eq!(request.connection(), &there);
            let stream = ours[1].create_bidirectional_stream(Default::default()).await.unwrap();
            let reading = client.spawn(async move { stream.split().0.read_to_end(1).await });

            let (closer, peer) = if client_closes { (&here, &there) } else { (&there, &here) };
            closer.close(0x107, "too much");
            let by =
                |ours: bool| if ours { ConnectionCloser::ThisApplication } else { ConnectionCloser::Peer };
            assert_eq!(closed(&closer.closed().await), (by(true), 0x107, "too much"));
            assert_eq!(closed(&peer.closed().await), (by(false), 0x107, "too much"));
            for session in &ours {
                let error = session.closed().await.unwrap_err();
                assert_eq!(closed(&error), (by(client_closes), 0x107, "too much"));
                let error = session.create_unidirectional_stream(Default::default()).await.unwrap_err();
                assert_eq!(closed(&error), (by(client_closes), 0x107, "too much"));
            }
            for session in &theirs {
                let error = session.closed().await.unwrap_err();
                assert_eq!(closed(&error), (by(!client_closes), 0x107, "too much"));
            }
            assert_eq!(closed(&reading.await.unwrap_err()).0, by(client_closes));
            let error = request.accept(AcceptOptions::new()).await.unwrap_err();
            assert_eq!(closed(&error).0, by(!client_closes));
            if client_closes {
                assert_eq!(closed(&asking.ready().await.unwrap_err()).0, ConnectionCloser::ThisApplication);
            } else {
                // W3C has the client request a session that lost its connection again, on a new one.
                let again = server.accept().await.unwrap();
                assert_ne!(again.connection(), &there);
                again.accept(AcceptOptions::new()).await.unwrap();
            }
        });
    }
}

#[test]
fn a_connection_reports_its_parameters_and_counters() {
    let Pair { network, client, server, .. } = testing::pair(2);
    network.run(async {
        let (here, there) = (client.connection().unwrap(), server.connection().unwrap());
        assert_eq!(Some(here.remote_address()), client.remote_address());
        assert_eq!(there.local_address(), server.local_address());
        assert_eq!(there.remote_address().port(), here.local_address().unwrap().port());
        let parameters = there.parameters().expect("the handshake is complete");
        assert_eq!((parameters.alpn.as_str(), parameters.server_name.as_deref()), ("h3", Some("server")));
        assert!(parameters.peer_max_datagram_frame_size > 1200 && parameters.peer_reset_stream_at);
        assert_eq!(parameters.peer_idle_timeout, TransportConfig::default().idle_timeout);
        assert_eq!(here.parameters().unwrap().server_name, None);
        assert_eq!([here.negotiated_draft(), there.negotiated_draft()], [Some("draft-16"); 2]);
        let before = here.stats().await.unwrap();
        client.datagrams().writable.send("one".into()).await.unwrap();
        server.receive_datagram().await.unwrap();
        let after = here.stats().await.unwrap();
        assert_eq!(after.dgrams_sent, before.dgrams_sent + 1);
        assert_eq!(there.stats().await.unwrap().dgrams_received, 1);
        assert_eq!((here.close_error().is_none(), there.close_error().is_none()), (true, true));
    });
}

#[test]
fn a_connection_is_closed_while_its_handshake_goes_on() {
    let World { network, client, server, options, .. } = world(3, 100 * MILLISECOND);
    network.run(async {
        let session = client.enter(|| WebTransport::new("https://server/", options).unwrap());
        assert!(session.connection().is_none());
        network.sleep(Duration::from_millis(150)).await;
        let connections = server.connections().await;
        let [connection] = connections.as_slice() else { panic!("{connections:?}") };
        assert_eq!((connection.parameters(), connection.negotiated_draft()), (None, None));
        connection.close(7, "not you");
        assert_eq!(closed(&connection.closed().await), (ConnectionCloser::ThisApplication, 7, "not you"));
        assert!(server.connections().await.is_empty());
        // During the handshake the peer is not authenticated: it learns neither code nor reason (RFC 9000
        // §10.2.3).
        let error = session.ready().await.unwrap_err();
        let ErrorCause::Connection(ConnectionError::PeerClosed(CloseReason::Transport {
            code, reason, ..
        })) = error.cause()
        else {
            panic!("{error}")
        };
        assert_eq!((*code, reason.len()), (TransportErrorCode::APPLICATION_ERROR, 0));
    });
}

#[test]
fn a_connection_is_closed_while_a_request_waits() {
    let World { network, client, server, options, .. } = world(4, 10 * MILLISECOND);
    network.run(async {
        let session = client.enter(|| WebTransport::new("https://server/", options).unwrap());
        network.sleep(seconds(1)).await;
        let connections = server.connections().await;
        assert_eq!(connections.len(), 1);
        assert_eq!(connections[0].parameters().unwrap().server_name.as_deref(), Some("server"));
        connections[0].close(0x1000, "");
        let error = session.ready().await.unwrap_err();
        assert_eq!(closed(&error), (ConnectionCloser::Peer, 0x1000, ""));
        // The request ends with its client.
        assert!(network.within(seconds(1), server.accept()).await.is_none());
    });
}

/// The driver may or may not have processed the close yet.
#[test]
fn a_request_whose_connection_was_closed_is_not_accepted() {
    for waits in [false, true] {
        let World { network, client, server, options, .. } = world(9, 10 * MILLISECOND);
        network.run(async {
            let session = client.enter(|| WebTransport::new("https://server/", options).unwrap());
            let request = server.accept().await.unwrap();
            request.connection().close(0x107, "not you");
            if waits {
                network.sleep(seconds(1)).await;
            }
            let error = request.accept(AcceptOptions::new()).await.unwrap_err();
            assert_eq!(closed(&error), (ConnectionCloser::ThisApplication, 0x107, "not you"), "{waits}");
            assert_eq!(
                closed(&session.ready().await.unwrap_err()),
                (ConnectionCloser::Peer, 0x107, "not you")
            );
        });
    }
}

/// The sessions are on one connection and on others. Finished streams arrive, and a session that was closed
/// before keeps its own close.
#[test]
fn a_server_closes_all_its_sessions_with_a_code() {
    let World { network, client, server, options, .. } = world(10, 10 * MILLISECOND);
    let info = || CloseInfo::new(7, "we restart");
    network.run(async {
        let mut sessions = Vec::new();
        for _ in 0..3 {
            let ours = pooled(&client);
            let theirs = server.accept().await.unwrap().accept(AcceptOptions::new()).await.unwrap();
            ours.ready().await.unwrap();
            sessions.push((ours, theirs));
            sessions.push(session(&server, &client, options.clone()).await);
        }
        sessions[1].1.close(CloseInfo::new(1, "before"));
        let mut last = sessions[0].1.create_unidirectional_stream(Default::default()).await.unwrap();
        last.write_all(&[7; 300_000]).await.unwrap();
        last.finish().unwrap();
        // One of them has a response that has not left yet. One has no response, and is not affected.
        let accepted = pooled(&client);
        let request = server.accept().await.unwrap();
        let waiting = client.enter(|| WebTransport::new("https://server/", options).unwrap());
        let unanswered = server.accept().await.unwrap();
        let there = request.accept(AcceptOptions::new()).await.unwrap();
        server.close_sessions(info());
        accepted.ready().await.unwrap();
        sessions.push((accepted, there));

        let mut readable = sessions[0].0.accept_unidirectional_stream().await.unwrap();
        assert_eq!(readable.read_to_end(1 << 20).await.unwrap().len(), 300_000);
        for (number, (ours, theirs)) in sessions.iter().enumerate() {
            let expected = if number == 1 { CloseInfo::new(1, "before") } else { info() };
            assert_eq!(ours.closed().await.unwrap(), expected, "{number}");
            assert_eq!(theirs.closed().await.unwrap(), expected, "{number}");
            let error = theirs.create_unidirectional_stream(Default::default()).await.unwrap_err();
            assert_eq!(error.close_info(), Some(&expected), "{number}");
        }
        // The server keeps working.
        let _kept = unanswered.accept(AcceptOptions::new()).await.unwrap();
        waiting.ready().await.unwrap();
        server.close_sessions(info());
        let begin = network.now();
        server.shutdown(Duration::ZERO).await;
        assert!(network.now() - begin < seconds(1));
        assert_eq!(waiting.closed().await.unwrap(), info(), "the shutdown has waited for it");
        server.close_sessions(info());
    });
}

/// A server that gives its clients some time ends like this.
#[test]
fn giving_up_a_shutdown_closes_the_remaining_sessions_with_a_code() {
    let World { network, client, server, options, .. } = world(11, 10 * MILLISECOND);
    network.run(async {
        let (ours, theirs) = session(&server, &client, options).await;
        assert!(network.within(seconds(10), server.shutdown(Duration::MAX)).await.is_none());
        ours.draining().await;
        server.close_sessions(CloseInfo::new(1, "the server restarts"));
        server.shutdown(Duration::ZERO).await;
        for session in [ours, theirs] {
            assert_eq!(session.closed().await.unwrap(), CloseInfo::new(1, "the server restarts"));
        }
    });
}

#[test]
fn further_closes_change_nothing_and_the_handle_reports_the_first() {
    let Pair { network, client, server, .. } = testing::pair(5);
    network.run(async {
        let (here, there) = (client.connection().unwrap(), server.connection().unwrap());
        here.close(1, "first");
        here.close(2, "second");
        assert_eq!(closed(&here.closed().await), (ConnectionCloser::ThisApplication, 1, "first"));
        here.close(3, "third");
        assert_eq!(closed(&there.closed().await), (ConnectionCloser::Peer, 1, "first"));
        there.close(4, "fourth");
        network.sleep(seconds(60)).await;
        // The connection ended long ago.
        there.close(5, "fifth");
        assert_eq!(closed(&there.closed().await), (ConnectionCloser::Peer, 1, "first"));
        assert_eq!(closed(&here.close_error().unwrap()), (ConnectionCloser::ThisApplication, 1, "first"));
        let counts = here.stats().await.unwrap();
        assert!(counts.packets_sent > 0);
        assert_eq!(counts, here.stats().await.unwrap(), "the last ones");
        assert_eq!(closed(&client.closed().await.unwrap_err()).1, 1);
        assert_eq!(closed(&server.closed().await.unwrap_err()).1, 1);
    });
}

#[test]
fn codes_and_reasons_that_are_too_large_are_cut() {
    let Pair { network, client, server, .. } = testing::pair(6);
    network.run(async {
        client.connection().unwrap().close(u64::MAX, "é".repeat(1_000));
        let error = server.closed().await.unwrap_err();
        assert_eq!(closed(&error), (ConnectionCloser::Peer, (1 << 62) - 1, "é".repeat(256).as_str()));
    });
}

#[test]
fn a_handle_keeps_no_connection_alive() {
    let World { network, client, server, options, .. } = world(7, 10 * MILLISECOND);
    network.run(async {
        let (client, server_end) = session(&server, &client, options).await;
        let (here, there) = (client.connection().unwrap(), server_end.connection().unwrap());
        client.close(CloseInfo::default());
        // This end dropped it itself, and the text does not say that an application closed it.
        let error = here.closed().await;
        assert_eq!(closed(&error).0, ConnectionCloser::Unused);
        assert!(!error.to_string().contains("application"), "{error}");
        assert_eq!(closed(&there.closed().await), (ConnectionCloser::Peer, 0x100, ""));
        assert!(server.connections().await.is_empty());
    });
}

#[test]
fn every_pending_call_ends_when_the_host_is_gone() {
    let World { network, host, client, server, options } = world(8, 10 * MILLISECOND);
    network.run(async {
        let (ours, theirs) = session(&server, &client, options).await;
        let handles = [ours.connection().unwrap(), theirs.connection().unwrap()];
        let waiting = handles.clone().map(|handle| network.spawn(async move { handle.closed().await }));
        let asked = handles.clone().map(|handle| network.spawn(async move { handle.stats().await }));
        let server_ = Arc::clone(&server);
        let listed = network.spawn(async move { server_.connections().await.len() });
        host.vanish();
        client.vanish();
        let gone = |error: &WebTransportError| matches!(error.cause(), ErrorCause::RuntimeGone);
        for waiting in waiting {
            assert!(gone(&network.within(seconds(1), waiting).await.expect("it settles")));
        }
        for asked in asked {
            // Either happened first: the answer, or the end with the last counters.
            assert!(network.within(seconds(1), asked).await.expect("it settles").is_ok());
        }
        assert!(network.within(seconds(1), listed).await.expect("it settles") <= 1);
        assert!(server.connections().await.is_empty());
        for handle in &handles {
            handle.close(1, "too late");
            assert!(gone(&handle.closed().await));
            assert!(handle.stats().await.unwrap().packets_sent > 0);
        }
    });
}

#[test]
fn requests_whose_caller_gave_up_are_not_kept() {
    let World { network, client, server, options, .. } = world(9, 10 * MILLISECOND);
    network.run(async {
        let (ours, _theirs) = session(&server, &client, options).await;
        let connection = ours.connection().unwrap();
        for _ in 0..10_000 {
            drop(network.within(Duration::ZERO, connection.stats()).await);
            drop(network.within(Duration::ZERO, server.connections()).await);
        }
        assert!(connection.stats().await.is_ok());
        assert_eq!(server.connections().await.len(), 1);
    });
}

#[test]
fn a_shutdown_is_reported_at_both_ends() {
    let World { network, client, server, options, .. } = world(10, 10 * MILLISECOND);
    network.run(async {
        let (ours, theirs) = session(&server, &client, options).await;
        server.shutdown(seconds(1)).await;
        let error = theirs.closed().await.unwrap_err();
        assert_eq!(closed(&error), (ConnectionCloser::Shutdown, 0x100, "the server shuts down"));
        let text = error.to_string();
        assert!(text.contains("this server shut down") && !text.contains("application"), "{text}");
        let error = ours.closed().await.unwrap_err();
        assert_eq!(closed(&error), (ConnectionCloser::Peer, 0x100, "the server shuts down"));
        assert!(error.to_string().contains("H3_NO_ERROR"), "{error}");
    });
}

#[test]
fn a_handler_of_plain_requests_can_close_the_connection() {
    let network = Network::new(11);
    let (host, client) = (network.host("server"), network.host("client"));
    let identity = network.identity(["server"]);
    let hash = identity.certificate_hash();
    let builder =
        Server::builder().identity(identity).http_service(async |request: Request<IncomingBody>| {
            let connection = request.extensions().get::<Connection>().expect("each request has it");
            if request.uri().path() == "/leave" {
                connection.close(0x107, format!("not you, {}", connection.remote_address().ip()));
            }
            Response::new(String::new())
        });
    let _server = host.enter(|| builder.build().unwrap());
    client.run(async {
        let get = |path| http3::get(path, options(hash));
        assert_eq!(get("https://server/").await.unwrap().status(), StatusCode::OK);
        match get("https://server/leave").await.unwrap_err() {
            http3::HttpError::Exchange(error) => {
                let (by, code, reason) = closed(&error);
                assert_eq!((by, code), (ConnectionCloser::Peer, 0x107));
                assert!(reason.starts_with("not you, "), "{reason}");
            }
            error => panic!("{error}"),
        }
    });
}
