//! The beginning and end of connections: Retry, refusal, version negotiation, close, idle timeout, stateless
//! reset, key updates.

use std::time::Duration;

use bytes::BytesMut;
use netsim::{LinkConfig, MILLISECOND, SECOND};
use quic_core::{
    Connection, DatagramMeta, DatagramOptions, Dir, Event, TransportConfig,
    base::Timestamp,
    error::{
        CloseReason, ConnectionError, TransportErrorCode,
        call::{Read, ReadError, WriteError},
    },
    testing::Received,
};
use soak::{Host, Policy, Setup, World, lan, pattern};

#[test]
fn a_retry_validates_the_address_and_the_handshake_goes_on() {
    let mut world = World::new(1, &lan());
    world.server_host().policy = Policy::Retry;
    world.establish();
    assert!(world.server().has(&Event::HandshakeComplete));
}

#[test]
fn a_refused_connection_tells_the_client() {
    let mut world = World::new(2, &lan());
    world.server_host().policy = Policy::Refuse;
    world.connect();
    world.wait("an error", SECOND, |client, _| {
        client.driver.connections.values().any(|peer| peer.error.is_some())
    });
    let Some(ConnectionError::PeerClosed(CloseReason::Transport { code, .. })) = world.client().error.clone()
    else {
        panic!("{:?}", world.client().error)
    };
    assert_eq!(code, TransportErrorCode::CONNECTION_REFUSED);
}

#[test]
fn an_application_close_arrives_with_code_and_reason() {
    let mut world = World::new(3, &lan());
    world.establish();
    let now = soak::time(world.sim.now());
    world.client().connection.close(now, 0x1234, b"enough");
    world.wait("the close", SECOND, |_, server| {
        server.driver.connections.values().all(|peer| peer.error.is_some())
    });
    let expected = CloseReason::Application { code: 0x1234, reason: "enough".into() };
    assert_eq!(world.server().error, Some(ConnectionError::PeerClosed(expected)));
    assert_eq!(world.client().error, Some(ConnectionError::LocallyClosed));
    world.wait("both forgotten", 5 * SECOND, |client, server| {
        client.driver.endpoint.connections() == 0 && server.driver.endpoint.connections() == 0
    });
}

/// A driver that takes several datagrams from its socket learns of the data and of the close at once.
#[test]
fn data_right_before_a_close_is_readable_until_the_close_was_polled() {
    let mut world = World::new(10, &lan());
    world.establish();
    let now = soak::time(world.sim.now());
    let client = &mut world.client().connection;
    let id = client.open(Dir::Bidi).expect("credit");
    client.write(id, &mut pattern(100)).expect("open");
    client.finish(id).expect("open");
    client.send_datagram(now, pattern(9), DatagramOptions::default()).expect("room");
    let mut datagrams = drain(world.client_host(), now);
    world.client().connection.close(now, 7, b"bye");
    datagrams.append(&mut drain(world.client_host(), now));
    assert!(datagrams.len() >= 2, "the close is a datagram of its own");

    let host = world.server_host();
    let held = host.peer().connection.stats().memory_used;
    let meta = from_peer(&host.peer().connection);
    for datagram in datagrams {
        let _ = host.driver.receive(now, &meta, datagram);
    }
    let server = &mut world.server().connection;
    let events: Vec<Event> = std::iter::from_fn(|| match server.poll_event() {
        Some(event @ Event::Closed(_)) => {
            assert_eq!(server.read(now, id, 60), Ok(Read::Data(pattern(100).slice(..60))));
            assert_eq!(server.read(now, id, 60), Ok(Read::Data(pattern(100).slice(60..))));
            assert_eq!(server.receive_datagram(now), Some(pattern(9)));
            assert_eq!(server.write(id, &mut pattern(1)), Err(WriteError::Closed));
            Some(event)
        }
        event => event,
    })
    .collect();
    assert!(matches!(events.last(), Some(Event::Closed(ConnectionError::PeerClosed(_)))), "{events:?}");
    assert_eq!(server.read(now, id, 1), Err(ReadError::Closed), "polled beyond the last event");
    assert!(server.stats().memory_used <= held);
}

/// The meta data of a datagram from the peer's address.
fn from_peer(connection: &Connection) -> DatagramMeta {
    DatagramMeta::new(connection.remote_address()).allocation(0)
}

/// All datagrams that a host's connections send now.
fn drain(host: &mut Host, now: Timestamp) -> Vec<BytesMut> {
    let mut datagrams = Vec::new();
    host.driver.transmit(now, |_, datagram| datagrams.push(BytesMut::from(datagram)));
    datagrams
}

#[test]
fn a_close_during_the_handshake_hides_what_the_application_said() {
    let mut world = World::new(4, &LinkConfig::new().delay(50 * MILLISECOND));
    world.connect();
    world.wait("a connection at the server", SECOND, |_, server| !server.driver.connections.is_empty());
    let now = soak::time(world.sim.now());
    world.server().connection.close(now, 7, b"secret");
    world.wait("the close", SECOND, |client, _| client.peer().error.is_some());
    match world.client().error.clone() {
        Some(ConnectionError::PeerClosed(CloseReason::Transport { code, reason, .. })) => {
            assert_eq!((code, &reason[..]), (TransportErrorCode::APPLICATION_ERROR, &b""[..]));
        }
        Some(ConnectionError::PeerClosed(CloseReason::Application { code, .. })) => {
            assert_eq!(code, 7, "from 1-RTT");
        }
        other => panic!("{other:?}"),
    }
}

/// During and after the handshake, the peer receives the farewell at the level that it has reached, and
/// nothing follows.
#[test]
fn a_farewell_arrives_and_nothing_follows() {
    for established in [false, true] {
        let mut world = World::new(6, &LinkConfig::new().delay(50 * MILLISECOND));
        if established {
            world.establish();
        } else {
            world.connect();
            world.wait("a connection at the server", SECOND, |_, server| {
                !server.driver.connections.is_empty()
            });
        }
        let now = soak::time(world.sim.now());
        let mut buffer = vec![0; 1_200];
        let server = &mut world.server().connection;
        for room in [0, 1, 1_199] {
            assert_eq!(server.farewell(now, &mut buffer[..room]), None, "with room for {room}");
        }
        let size = server.farewell(now, &mut buffer).expect("a farewell").size;
        assert_eq!(server.farewell(now, &mut [0; 1_500]), None, "once");
        let said = BytesMut::from(&buffer[..size]);
        let client = &mut world.client().connection;
        client.handle_datagram(now, &from_peer(client), said);
        let events: Vec<Event> = std::iter::from_fn(|| client.poll_event()).collect();
        let Some(Event::Closed(ConnectionError::PeerClosed(CloseReason::Transport { code, .. }))) =
            events.last()
        else {
            panic!("{events:?}")
        };
        assert_eq!(*code, TransportErrorCode::INTERNAL_ERROR);
    }
}

#[test]
fn silence_ends_both_ends_after_the_lower_timeout() {
    let client = TransportConfig::new().idle_timeout(Some(Duration::from_secs(5)));
    let mut world = World::with(5, &lan(), &Setup { client, ..Setup::default() });
    world.establish();
    let start = world.sim.now();
    world.wait("both gone", 20 * SECOND, |client, server| {
        client.driver.connections.is_empty() && server.driver.connections.is_empty()
    });
    let waited = (world.sim.now() - start) / MILLISECOND;
    assert!((4_900..5_200).contains(&waited), "{waited} ms");
    assert_eq!(world.client_host().gone[0].error, Some(ConnectionError::IdleTimeout));
    assert_eq!(world.server_host().gone[0].error, Some(ConnectionError::IdleTimeout));
}

#[test]
fn keep_alive_holds_the_connection() {
    let client = TransportConfig::new()
        .idle_timeout(Some(Duration::from_secs(5)))
        .keep_alive(Some(Duration::from_secs(2)));
    let mut world = World::with(6, &lan(), &Setup { client, ..Setup::default() });
    world.establish();
    let end = world.sim.now() + 60 * SECOND;
    world.sim.run_until(|_| false, end);
    assert_eq!(world.client().error, None);
    let sent = world.client().connection.stats().packets_sent;
    assert!(sent < 100, "{sent} packets in a minute of nothing");
}

#[test]
fn a_server_that_lost_its_state_resets_the_connection() {
    let mut world = World::new(7, &lan());
    world.establish();
    let handle = *world.server_host().driver.connections.keys().next().expect("a connection");
    world.server_host().driver.connections.clear();
    world.server_host().driver.endpoint.forget(handle);
    let client = world.client();
    let id = client.connection.open(Dir::Bidi).expect("credit");
    client.send(id, pattern(1000), true);
    world.wait("the reset", SECOND, |client, _| {
        client.driver.connections.values().all(|peer| peer.error.is_some())
    });
    assert_eq!(world.client().error, Some(ConnectionError::StatelessReset));
}

/// RFC 9000 §10.3.1: the last 16 bytes decide, whatever the header looks like, even if the datagram names a
/// connection that exists.
#[test]
fn a_stateless_reset_counts_whichever_form_its_header_has() {
    // With a random fixed bit, the packet of an unknown connection might be dropped.
    let plain = TransportConfig::new().grease_quic_bit(false);
    let setup = Setup { client: plain.clone(), server: plain, back: None };
    for to_connection in [false, true] {
        for form in 0..16 {
            let mut world = World::with(12, &lan(), &setup);
            world.establish();
            world.pass(SECOND);
            let now = soak::time(world.sim.now());
            // This is the response of a server that has forgotten everything.
            let client = &mut world.client().connection;
            client.send_datagram(now, pattern(100), DatagramOptions::default()).expect("room");
            let packet = drain(world.client_host(), now).pop().expect("a packet");
            let server = world.server_host();
            let handle = *server.driver.connections.keys().next().expect("a connection");
            let from = from_peer(&server.peer().connection);
            server.driver.endpoint.forget(handle);
            let Received::Response(reset) = server.driver.receive(now, &from, packet) else {
                panic!("no reset")
            };
            let mut datagram = BytesMut::from(&reset.bytes[..]);
            datagram[0] = datagram[0] & 0x0f | form << 4;
            let client = world.client_host();
            let from = from_peer(&client.peer().connection);
            if to_connection {
                let connection = &mut client.peer_mut().connection;
                connection.handle_datagram(now, &from, datagram);
                let closed = Event::Closed(ConnectionError::StatelessReset);
                assert!(
                    std::iter::from_fn(|| connection.poll_event()).any(|event| event == closed),
                    "{form}"
                );
            } else {
                let received = client.driver.receive(now, &from, datagram);
                assert!(matches!(received, Received::StatelessReset(_)), "{form}: {received:?}");
            }
        }
    }
}

/// A server that has forgotten the connection sends a reset for packets that look like QUIC. It has also
/// forgotten that it permitted zero fixed bits (RFC 9287).
#[test]
fn probes_look_like_quic() {
    let mut world = World::new(13, &lan());
    world.establish();
    world.pass(SECOND);
    let mut now = soak::time(world.sim.now());
    let client = &mut world.client().connection;
    client.send_datagram(now, pattern(100), DatagramOptions::default()).expect("room");
    let client = world.client_host();
    assert!(!drain(client, now).is_empty());
    let mut probes = 0;
    while probes < 40 && !client.peer().connection.is_closed() {
        now = client.driver.next_timeout().expect("a probe timeout");
        client.driver.handle_timeouts(now);
        for probe in drain(client, now) {
            probes += 1;
            assert_eq!(probe[0] & 0xc0, 0x40, "probe {probes}");
        }
    }
    assert!(probes >= 10, "{probes} probes");
}

#[test]
fn keys_are_updated_by_both_ends_while_data_flows() {
    let mut world = World::new(8, &lan());
    world.establish();
    for round in 1..=6 {
        let client = world.client();
        let id = client.connection.open(Dir::Bidi).expect("credit");
        client.send(id, pattern(100_000), true);
        world.wait("an echo", 10 * SECOND, |client, _| client.peer().finished.contains(&id));
        // Old keys are kept for three probe timeouts, and no update starts before they are discarded.
        let later = world.sim.now() + SECOND;
        world.sim.run_until(|_| false, later);
        let updater = if round % 2 == 0 { world.client() } else { world.server() };
        assert!(updater.connection.update_keys(), "round {round}");
    }
    let id = world.client().connection.open(Dir::Bidi).expect("credit");
    world.client().send(id, pattern(10), true);
    world.wait("an echo", 10 * SECOND, |client, _| client.peer().finished.contains(&id));
    assert_eq!(world.client().connection.stats().key_updates, 6);
    assert_eq!(world.server().connection.stats().key_updates, 6);
}

#[test]
fn resets_and_stops_carry_their_codes() {
    let mut world = World::new(9, &lan());
    world.establish();
    let id = world.client().connection.open(Dir::Bidi).expect("credit");
    world.client().send(id, pattern(100), false);
    world
        .wait("an echo", SECOND, |client, _| client.peer().received.get(&id).is_some_and(|d| d.len() == 100));
    world.client().connection.reset(id, 41, 0).expect("open");
    world.wait("the reset", SECOND, |_, server| server.peer().reset.get(&id) == Some(&41));
    world.client().connection.stop_sending(id, 42).expect("open");
    world.wait("the stop", SECOND, |_, server| {
        server
            .peer()
            .events
            .iter()
            .any(|e| matches!(e, Event::StreamStopped(stopped, _, 42) if *stopped == id))
    });
}

#[test]
fn a_server_never_sends_more_than_three_times_what_an_unproven_client_sent() {
    netsim::for_seeds(0..40, |seed| {
        let mut world = World::new(seed, &LinkConfig::new().delay(10 * MILLISECOND));
        world.connect();
        // The client falls silent after its first flight.
        world.wait("a connection at the server", SECOND, |_, server| !server.driver.connections.is_empty());
        world.client_host().driver.connections.clear();
        let end = world.sim.now() + 40 * SECOND;
        world.sim.run_until(|_| false, end);
        for soak::Traffic { received, sent, .. } in world.server_host().traffic.values() {
            assert!(*sent <= 3 * received, "{sent} bytes for {received}");
        }
    });
}

#[test]
fn x09_no_common_alpn_ends_the_handshake() {
    let mut world = World::new(10, &lan());
    let (_, certificate) = quic_core::testing::tls_server_config(b"other");
    world.client_config.tls = quic_core::testing::tls_client_config(&certificate, b"other");
    world.connect();
    world.wait("an error", SECOND, |client, _| {
        client.driver.connections.values().any(|peer| peer.error.is_some())
    });
    let Some(ConnectionError::PeerClosed(CloseReason::Transport { code, .. })) = world.client().error.clone()
    else {
        panic!("{:?}", world.client().error)
    };
    assert_eq!(code.0, 0x178);
}

#[test]
fn a_resumed_session_takes_the_parameters_of_its_own_connection() {
    let mut world = World::new(11, &lan());
    for round in 0..3 {
        world.establish();
        assert_eq!(world.client().error, None, "round {round}");
        // Tickets arrive after the handshake.
        let later = world.sim.now() + SECOND;
        world.sim.run_until(|_| false, later);
        let now = soak::time(later);
        world.client().connection.close(now, 0, b"");
        world.wait("both gone", 10 * SECOND, |client, server| {
            client.driver.connections.is_empty() && server.driver.connections.is_empty()
        });
    }
}
