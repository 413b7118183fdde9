//! Resumption, address tokens and 0-RTT of whole endpoints (RFC 9001 §4.6, RFC 9000 §7.4.1, §8.1.3).

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use netsim::{Endpoint as _, LinkConfig, MILLISECOND, SECOND, for_seeds};
use quic_core::{
    Dir, EarlyData, Event, ServerConfig, StreamId, TransportConfig,
    crypto::{Resumption, SessionCache, TicketKeys, TlsServerConfig, default_provider},
    packet::{self, Header, LongType},
    testing,
};
use rustls::{
    NamedGroup,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use soak::{Host, Policy, World, lan, pattern};

/// A round trip of 100 ms.
fn slow() -> LinkConfig {
    LinkConfig::new().delay(50 * MILLISECOND)
}

/// A world whose client remembers sessions and offers 0-RTT, and whose server resumes in this way.
fn world(seed: u64, link: &LinkConfig, resumption: &Resumption) -> World {
    let mut world = World::new(seed, link);
    world.client_config = world.client_config.clone().sessions(Some(SessionCache::new(8))).early_data(true);
    serve(&mut world, resumption, |config| config);
    world
}

/// From now on the server resumes in this way, with these changes of its settings.
fn serve(world: &mut World, resumption: &Resumption, change: impl FnOnce(ServerConfig) -> ServerConfig) {
    serve_again(world, |mut config| {
        config.tls = config.tls.with_resumption(resumption);
        change(config)
    });
}

/// From now on the server has these changes of its settings.
fn serve_again(world: &mut World, change: impl FnOnce(ServerConfig) -> ServerConfig) {
    let config = Arc::new(change(ServerConfig::clone(&world.server_config)));
    world.server_config = Arc::clone(&config);
    world.server_host().driver.endpoint.set_server(Some(config));
}

/// Ends the client's connection and waits until nothing of it is left.
fn part(world: &mut World) {
    let now = world.sim.now();
    let now = world.client_host().clock(now);
    world.client().connection.close(now, 0, b"");
    world.wait("both gone", 30 * SECOND, |client, server| {
        client.driver.connections.is_empty() && server.driver.connections.is_empty()
    });
}

/// A connection that leaves sessions and tokens behind.
fn first_visit(world: &mut World) {
    world.establish();
    let later = world.sim.now() + SECOND;
    world.sim.run_until(|_| false, later);
    assert_eq!(world.client().error, None);
    assert!(!world.client().connection.is_resumed());
    assert_eq!(world.client().connection.early_data(), EarlyData::None);
    part(world);
}

/// Sends `count` streams of `size` bytes, without waiting for anything.
fn send_streams(world: &mut World, count: usize, size: usize) -> Vec<(StreamId, Bytes)> {
    let client = world.client();
    let streams = (0..count).map(|nth| (client.connection.open(Dir::Bidi), pattern(size + nth)));
    let streams: Vec<_> = streams.map(|(id, data)| (id.expect("remembered credit"), data)).collect();
    for (id, data) in &streams {
        client.send(*id, data.clone(), true);
    }
    streams
}

fn await_echoes(world: &mut World, streams: &[(StreamId, Bytes)]) {
    let count = streams.len();
    world.wait("echoes", 600 * SECOND, |client, _| client.peer().finished.len() == count);
    for (id, data) in streams {
        assert!(world.client().received[id] == *data, "{id} came back as it was");
    }
    assert_eq!(world.client().error, None);
}

#[test]
fn clients_resume_by_a_store_once_and_by_tickets_at_every_server_with_the_keys() {
    let keys = |key| TicketKeys::new([key; 32]);
    for (nth, (before, after, resumes)) in [
        (Resumption::none(), Resumption::none(), false),
        (Resumption::stateful(10), Resumption::stateful(10), false),
        (Resumption::tickets(keys(1)), Resumption::tickets(keys(1)), true),
        (Resumption::tickets(keys(1)), Resumption::tickets(keys(2).accepting(&keys(1))), true),
        (Resumption::tickets(keys(1)), Resumption::tickets(keys(2)), false),
        (Resumption::tickets(keys(1)), Resumption::stateful(10), false),
    ]
    .into_iter()
    .enumerate()
    {
        let mut world = world(nth as u64, &lan(), &before);
        first_visit(&mut world);
        // A store is good for its own server, again and again: each connection leaves new sessions.
        for _ in 0..3 {
            world.establish();
            let kept = !matches!(nth, 0);
            assert_eq!(world.client().connection.is_resumed(), kept, "case {nth}");
            assert_eq!(world.server().connection.is_resumed(), kept, "case {nth}");
            assert_eq!(world.client().connection.early_data(), EarlyData::None, "0-RTT is not permitted");
            assert_eq!(world.client().connection.peer_certificates().len(), 1, "of the first visit");
            let later = world.sim.now() + SECOND;
            world.sim.run_until(|_| false, later);
            part(&mut world);
        }
        // Another server of the same name.
        serve(&mut world, &after, |config| config);
        world.establish();
        assert_eq!(world.client().connection.is_resumed(), resumes, "case {nth}");
    }
}

#[test]
fn early_data_is_answered_within_one_round_trip() {
    let mut world = world(1, &slow(), &Resumption::stateful_with_early_data(10));
    first_visit(&mut world);
    let start = world.sim.now();
    world.connect();
    assert!(world.client().connection.can_send());
    assert_eq!(world.client().connection.early_data(), EarlyData::Offered);
    let streams = send_streams(&mut world, 3, 700);
    let now = world.sim.now();
    let now = world.client_host().clock(now);
    let client = &mut world.client().connection;
    client.send_datagram(now, Bytes::from_static(b"early"), Default::default()).expect("remembered size");
    let opened = Event::StreamOpened(streams[2].0);
    let has_all = |host: &Host| host.driver.connections.values().any(|peer| peer.has(&opened));
    world.wait("the server to have it", SECOND, |_, server| has_all(server));
    assert_eq!((world.sim.now() - start) / MILLISECOND, 50);
    let server = &mut world.server().connection;
    assert!(server.is_handshaking() && server.early_data() == EarlyData::Accepted);
    for (id, _) in &streams {
        assert!(server.arrived_early(*id), "{id}");
    }
    await_echoes(&mut world, &streams);
    assert_eq!((world.sim.now() - start) / MILLISECOND, 100, "one round trip");
    let client = world.client();
    let decided = Event::EarlyDataDecided { accepted: true };
    let at = |event: &Event| client.events.iter().position(|seen| seen == event);
    assert!(at(&decided).is_some() && at(&decided) < at(&Event::HandshakeComplete));
    assert_eq!(client.connection.early_data(), EarlyData::Accepted);
    assert_eq!(client.datagrams, [&b"early"[..]]);
    assert_eq!(client.connection.stats().packets_lost, 0);
    // What comes later is not early.
    world.wait("confirmation", SECOND, |client, _| client.peer().has(&Event::HandshakeConfirmed));
    let late = send_streams(&mut world, 1, 10)[0].0;
    let known = |host: &Host| host.peer().events.contains(&Event::StreamOpened(late));
    world.wait("the late stream", SECOND, |_, server| known(server));
    assert!(!world.server().connection.arrived_early(late));
}

/// 0-RTT is an application's own choice, on each connection.
#[test]
fn nothing_is_early_unless_the_client_asked_for_it() {
    let mut world = world(2, &slow(), &Resumption::stateful_with_early_data(10));
    first_visit(&mut world);
    world.client_config.early_data = false;
    world.connect();
    assert!(!world.client().connection.can_send());
    assert_eq!(world.client().connection.open(Dir::Bidi), None);
    world.wait("completion", SECOND, |client, _| client.peer().has(&Event::HandshakeComplete));
    assert!(world.client().connection.is_resumed());
    assert_eq!(world.client().connection.early_data(), EarlyData::None);
}

/// How a server may have changed between two visits.
fn changes() -> Vec<(&'static str, Resumption, TransportConfig, &'static [u8])> {
    let usual = TransportConfig::new;
    let early = || Resumption::stateful_with_early_data(100);
    vec![
        ("forgot its sessions", early(), usual(), b""),
        ("has lower limits", early(), usual().max_streams_bidi(2).stream_receive_window(3_000), b""),
        ("takes few bytes at once", early(), usual().receive_window(2_000).max_receive_window(10_000), b""),
        ("takes no datagrams", early(), usual().max_datagram_frame_size(0), b""),
        ("refuses 0-RTT", Resumption::none(), usual(), b""),
        ("promises other things", early(), usual(), b"other"),
    ]
}

#[test]
fn rejected_early_data_is_sent_again_under_the_servers_new_limits() {
    for keeps_store in [false, true] {
        for (nth, (what, other, transport, promise)) in changes().into_iter().enumerate() {
            let store = Resumption::stateful_with_early_data(100);
            let mut world = world(nth as u64, &slow(), &store);
            first_visit(&mut world);
            let now = if keeps_store && other.permits_early_data() { &store } else { &other };
            serve(&mut world, now, |config| {
                config.transport(Arc::new(transport)).early_promise(promise.into())
            });
            world.connect();
            let streams = send_streams(&mut world, 10, 9_000);
            let uni = world.client().connection.open(Dir::Uni).expect("remembered credit");
            world.client().send(uni, pattern(50), false);
            world.client().connection.reset(uni, 7, 0).expect("open");
            await_echoes(&mut world, &streams);
            let same_terms = nth == 0;
            let accepted = keeps_store && same_terms;
            assert!(world.client().has(&Event::EarlyDataDecided { accepted }), "{what}");
            let settled = if accepted { EarlyData::Accepted } else { EarlyData::Rejected };
            assert_eq!(world.client().connection.early_data(), settled, "{what}");
            assert_eq!(world.client().connection.is_resumed(), accepted, "{what}");
            for (id, _) in &streams {
                assert!(!world.server().connection.arrived_early(*id) || accepted, "{what}");
            }
            world.wait("the reset", 10 * SECOND, |_, server| server.peer().reset.contains_key(&uni));
        }
    }
}

/// A server's settings with this group of key exchange alone.
fn only_by(
    group: NamedGroup,
    key: &rcgen::KeyPair,
    certificate: &CertificateDer<'static>,
) -> TlsServerConfig {
    let mut provider = default_provider();
    provider.kx_groups.retain(|known| known.name() == group);
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a PKCS#8 key");
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("a certificate with its key");
    config.alpn_protocols = vec![soak::ALPN.to_vec()];
    TlsServerConfig::new(Arc::new(config))
}

/// RFC 8446 §4.2.10: a server that asks for another ClientHello accepts no 0-RTT.
#[test]
fn a_second_client_hello_ends_early_data_and_nothing_is_lost() {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate").der().clone();
    let store = Resumption::stateful_with_early_data(10);
    let mut world = world(9, &slow(), &store);
    world.client_config.tls = testing::tls_client_config(&certificate, soak::ALPN);
    let by = |group| only_by(group, &key, &certificate).with_resumption(&store);
    serve_again(&mut world, |config| ServerConfig::new(by(NamedGroup::X25519), config.token_key));
    first_visit(&mut world);
    serve_again(&mut world, |config| ServerConfig::new(by(NamedGroup::secp256r1), config.token_key));
    let start = world.sim.now();
    world.connect();
    // Nearly a window full, which the second ClientHello must not wait for.
    let streams = send_streams(&mut world, 5, 2_000);
    world.wait("the server's request", SECOND, |client, _| {
        client.peer().connection.stats().packets_received > 0
    });
    let late = send_streams(&mut world, 1, 200);
    await_echoes(&mut world, &[streams, late].concat());
    let took = (world.sim.now() - start) / MILLISECOND;
    assert!((300..340).contains(&took), "three round trips, and what the pacers add, not {took} ms");
    assert!(world.client().has(&Event::EarlyDataDecided { accepted: false }));
    assert!(world.client().connection.is_resumed());
    // What was written after that request did not leave in vain.
    let sent = world.client().connection.stats().bytes_sent;
    assert!(sent < 2 * 10_000 + 200 + 5_000, "{sent} bytes");
}

/// The client's first datagrams of its next connection.
fn first_flight(world: &mut World) -> Vec<Vec<u8>> {
    let now = world.sim.now();
    let host = world.client_host();
    std::iter::from_fn(|| host.poll_transmit(now).map(|datagram| datagram.payload)).collect()
}

/// RFC 9001 §9.2: a copy of the client's packets is processed once, whoever sends it from wherever.
#[test]
fn a_copy_of_early_data_is_not_processed_again() {
    let mut world = world(3, &lan(), &Resumption::stateful_with_early_data(10));
    first_visit(&mut world);
    world.connect();
    let streams = send_streams(&mut world, 1, 3_000);
    let flight = first_flight(&mut world);
    let early = |datagram: &Vec<u8>| {
        let mut rest = &datagram[..];
        std::iter::from_fn(|| {
            let Ok(Header::Long(long)) = packet::parse(rest, 8, false) else { return None };
            rest = &rest[long.end..];
            Some(long.kind)
        })
        .any(|kind| kind == LongType::ZeroRtt)
    };
    assert!(flight.iter().filter(|datagram| early(datagram)).count() >= 2);
    let config = Arc::clone(&world.server_config);
    let (now, client, address) = (world.sim.now(), world.client_address, world.server_address);
    let deliver = |host: &mut Host, port| {
        let from = SocketAddr::new(client.ip(), port);
        flight.iter().for_each(|datagram| host.handle_datagram(now, from, address, 0, datagram));
        let opened = Event::StreamOpened(streams[0].0);
        host.driver.connections.values().filter(|peer| peer.has(&opened)).count()
    };
    // Shards, or processes that share the store in any other way.
    let mut shards: Vec<_> = (0..3).map(|seed| Host::new(seed, address, Some(Arc::clone(&config)))).collect();
    let early_only: Vec<_> = flight.iter().filter(|datagram| datagram[0] & 0x30 == 0x10).collect();
    for datagram in early_only {
        shards[1].handle_datagram(now, client, address, 0, datagram);
    }
    assert_eq!(shards[1].driver.endpoint.connections(), 0, "0-RTT alone begins nothing");
    assert_eq!(deliver(&mut shards[0], 50_000), 1);
    assert_eq!(deliver(&mut shards[0], 50_000), 1, "the same connection");
    assert_eq!(deliver(&mut shards[0], 50_001), 1, "and from elsewhere");
    for shard in &mut shards[1..] {
        assert_eq!(deliver(shard, 50_000), 0, "another one has taken the session");
        assert_eq!(shard.driver.connections.len(), 1, "which is a handshake as any other");
        assert_eq!(shard.peer().connection.early_data(), EarlyData::None);
    }
}

#[test]
fn a_retry_does_not_lose_early_data() {
    let mut world = world(4, &slow(), &Resumption::stateful_with_early_data(10));
    first_visit(&mut world);
    // Without tokens, so that the server asks for one.
    serve_again(&mut world, |config| config.address_tokens(None));
    world.server_host().policy = Policy::Retry;
    let start = world.sim.now();
    world.connect();
    let streams = send_streams(&mut world, 3, 2_000);
    await_echoes(&mut world, &streams);
    assert_eq!((world.sim.now() - start) / MILLISECOND, 200, "two round trips");
    assert_eq!(world.client().connection.early_data(), EarlyData::Accepted);
}

#[test]
fn early_data_survives_loss_reordering_and_rejection() {
    for_seeds(0..60, |seed| {
        let loss = (seed % 4) as f64 * 0.07;
        let link = LinkConfig::new()
            .rate(20_000_000 / 8)
            .delay(20 * MILLISECOND)
            .jitter(5 * MILLISECOND)
            .reorder(0.1, 10 * MILLISECOND)
            .duplicate(0.05);
        let store = Resumption::stateful_with_early_data(10);
        let mut world = world(seed, &link, &store);
        first_visit(&mut world);
        let lossy = link.bernoulli(loss);
        for link in world.links {
            *world.sim.link_mut(link) = lossy.clone();
        }
        let other = Resumption::stateful_with_early_data(10);
        let accepts = seed % 3 != 0;
        let limits = TransportConfig::new().max_streams_bidi(3).stream_receive_window(5_000);
        serve(&mut world, if accepts { &store } else { &other }, |config| {
            if accepts { config } else { config.transport(Arc::new(limits)) }
        });
        if seed % 5 == 0 {
            world.server_host().policy = Policy::Retry;
        }
        world.connect();
        let streams = send_streams(&mut world, 1 + seed as usize % 9, 20_000);
        await_echoes(&mut world, &streams);
        assert_eq!(world.client().connection.early_data() == EarlyData::Accepted, accepts);
        for traffic in world.server_host().traffic.values() {
            assert_eq!(traffic.amplified, None);
        }
    });
}

#[test]
fn a_token_of_an_earlier_connection_spares_the_retry_once() {
    let mut world = world(5, &slow(), &Resumption::none());
    world.server_host().policy = Policy::Retry;
    first_visit(&mut world);
    let retries = |world: &mut World| world.server_host().driver.endpoint.stats().retries;
    assert_eq!(retries(&mut world), 1);
    for _ in 0..3 {
        let start = world.sim.now();
        world.establish();
        assert_eq!((world.sim.now() - start) / MILLISECOND, 200, "no Retry");
        let later = world.sim.now() + SECOND;
        world.sim.run_until(|_| false, later);
        part(&mut world);
    }
    assert_eq!(retries(&mut world), 1);
    // A copy of a flight with a token that was used.
    world.connect();
    let flight = first_flight(&mut world);
    let (now, client, address) = (world.sim.now(), world.client_address, world.server_address);
    let host = world.server_host();
    host.handle_datagram(now, client, address, 0, &flight[0]);
    assert_eq!((host.driver.connections.len(), host.driver.endpoint.stats().retries), (1, 1));
    let mut elsewhere = Host::new(9, address, Some(Arc::clone(&world.server_config)));
    elsewhere.policy = Policy::Retry;
    let other: SocketAddr = "192.0.2.77:50000".parse().expect("an address");
    elsewhere.handle_datagram(now, other, address, 0, &flight[0]);
    assert_eq!(elsewhere.driver.endpoint.stats().retries, 1, "the token is of another address");
    elsewhere.handle_datagram(now, client, address, 0, &flight[0]);
    assert_eq!(elsewhere.driver.connections.len(), 1, "and good where it is from");
}

/// RFC 9000 §8.1.3: an old token is no reason to close.
#[test]
fn p08_tokens_that_are_too_old_count_as_none() {
    let mut world = world(6, &lan(), &Resumption::none());
    serve_again(&mut world, |config| config.address_tokens(Some(Duration::from_secs(60))));
    world.server_host().policy = Policy::Retry;
    first_visit(&mut world);
    world.server_host().skew += 61_000_000_000;
    world.establish();
    let stats = world.server_host().driver.endpoint.stats();
    assert_eq!((stats.retries, stats.invalid_tokens), (2, 0));
}

/// RFC 9000 §8.1.3: the token of the first address is of no use at the second.
#[test]
fn a_client_that_has_moved_gets_a_token_for_its_new_address() {
    let mut world = world(8, &lan(), &Resumption::none());
    world.establish();
    let (inside, outside) = (world.client_address, "203.0.113.9:9".parse().expect("an address"));
    world.sim.rebind(inside, outside);
    world.client().connection.ping();
    let validated = |host: &Host| {
        let mut paths = host.peer().connection.paths();
        paths.any(|path| path.remote == outside && path.validated)
    };
    world.wait("the move", SECOND, |_, server| validated(server));
    let later = world.sim.now() + SECOND;
    world.sim.run_until(|_| false, later);
    part(&mut world);
    world.server_host().policy = Policy::Retry;
    for _ in 0..2 {
        world.establish();
        let later = world.sim.now() + SECOND;
        world.sim.run_until(|_| false, later);
        part(&mut world);
    }
    assert_eq!(world.server_host().driver.endpoint.stats().retries, 0);
}
