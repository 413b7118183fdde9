//! QUIC version 2 and version negotiation between whole endpoints (RFC 9368, RFC 9369).

use std::sync::Arc;

use netsim::{Endpoint as _, LinkConfig, MILLISECOND, Random, SECOND, for_seeds};
use quic_core::{
    Dir, EarlyData, ServerConfig, TransportConfig,
    Version::{self, V1, V2},
    Versions,
    crypto::{Resumption, SessionCache, TicketKeys, TlsClientConfig},
    error::{CloseReason, ConnectionError, TransportErrorCode, Violation},
    packet::{self, Header, LongType},
    testing,
};
use rustls::pki_types::CertificateDer;
use soak::{Host, Policy, Setup, World, lan, pattern};

/// A world whose ends have these versions.
fn world(seed: u64, link: &LinkConfig, client: Versions, server: Versions) -> World {
    let transport = |versions| TransportConfig::new().versions(versions);
    World::with(seed, link, &Setup { client: transport(client), server: transport(server), back: None })
}

/// A round trip of 100 ms.
fn slow() -> LinkConfig {
    LinkConfig::new().delay(50 * MILLISECOND)
}

fn versions(world: &mut World) -> [Version; 2] {
    [world.client().connection.version(), world.server().connection.version()]
}

/// Has the server echo a stream of the client.
fn echo(world: &mut World, size: usize) {
    let data = pattern(size);
    let id = world.client().connection.open(Dir::Bidi).expect("credit");
    world.client().send(id, data.clone(), true);
    world.wait("echo", 60 * SECOND, |client, _| client.peer().finished.contains(&id));
    assert!(world.client().received[&id] == data, "it came back as it was");
}

/// Ends the client's connection and waits until nothing of it is left.
fn part(world: &mut World) {
    world.pass(SECOND);
    assert_eq!(world.client().error, None);
    let now = world.sim.now();
    let now = world.client_host().clock(now);
    world.client().connection.close(now, 0, b"");
    world.wait("both gone", 30 * SECOND, |client, server| {
        client.driver.connections.is_empty() && server.driver.connections.is_empty()
    });
}

#[test]
fn a_server_moves_a_client_to_the_version_that_it_prefers_in_the_same_round_trip() {
    for policy in [Policy::Accept, Policy::Retry] {
        let newer = Versions::new([V2, V1]);
        let mut world = world(1, &slow(), Versions::default(), newer);
        world.server_host().policy = policy;
        world.establish();
        assert_eq!(versions(&mut world), [V2, V2], "{policy:?}");
        let trips = world.sim.now() / (100 * MILLISECOND);
        assert_eq!(trips, if policy == Policy::Retry { 3 } else { 2 }, "to HANDSHAKE_DONE, as in version 1");
        echo(&mut world, 300_000);
        assert!(world.client().connection.update_keys(), "by the labels of version 2");
        echo(&mut world, 300_000);
        part(&mut world);
    }
}

#[test]
fn a_client_that_opens_in_version_2_stays_there_or_is_moved_back() {
    for (server, expected) in [
        (Versions::new([V2, V1]), V2),
        (Versions::new([V2]), V2),
        (Versions::default(), V1),
        (Versions::default().deploying([V2]), V2),
    ] {
        let mut world = world(2, &lan(), Versions::default().opening_with(V2), server);
        world.establish();
        assert_eq!(versions(&mut world), [expected; 2], "{server:?}");
        echo(&mut world, 10_000);
    }
}

/// RFC 9368 §2.4: a client that offers its own version alone is not moved.
#[test]
fn a_client_that_accepts_one_version_keeps_it() {
    for version in [V1, V2] {
        let mut world = world(3, &lan(), Versions::new([version]), Versions::default());
        world.establish();
        assert_eq!(versions(&mut world), [version; 2]);
    }
}

#[test]
fn a_client_begins_again_in_a_version_that_the_server_accepts() {
    let mut world = world(4, &slow(), Versions::new([V2, V1]).opening_with(V2), Versions::new([V1]));
    world.establish();
    assert_eq!(versions(&mut world), [V1, V1]);
    assert_eq!(world.sim.now() / (100 * MILLISECOND), 3, "a round trip more");
    echo(&mut world, 10_000);
}

#[test]
fn ends_without_a_common_version_are_told_of_both_lists() {
    let mut world = world(5, &lan(), Versions::new([V2]), Versions::new([V1]));
    world.connect();
    world.pass(SECOND);
    let peer = world.client_host().last_peer().expect("the connection");
    let Some(error @ ConnectionError::VersionMismatch { offered, accepted }) = &peer.error else {
        panic!("{:?}", peer.error)
    };
    assert!(offered.contains(&V1.number()) && offered.iter().any(|version| Version::is_reserved(*version)));
    assert_eq!(*accepted, Versions::new([V2]));
    let told = error.to_string();
    assert!(told.ends_with("versions 2; it offers 1"), "{told}");
}

/// The first datagram of the client, which is taken off the network.
fn first_datagram(world: &mut World) -> Vec<u8> {
    world.connect();
    world.client_host().poll_transmit(0).expect("a first flight").payload
}

/// A Version Negotiation packet in answer to a client's datagram.
fn forged(datagram: &[u8], versions: &[u32]) -> Vec<u8> {
    let Ok(Header::Long(long)) = packet::parse(datagram, 8, false) else { panic!("a long header") };
    let mut bytes = vec![0; 200];
    let mut w = quic_core::base::Writer::new(&mut bytes);
    let (dcid, scid) = (long.scid.as_bytes(), long.dcid.as_bytes());
    assert!(packet::write_version_negotiation(&mut w, dcid, scid, versions, 0));
    w.written().to_vec()
}

/// RFC 9368 §4: whoever answers in the place of the server can make the client begin again, but the handshake then
/// shows that the server accepts a better version.
#[test]
fn a_forged_version_negotiation_that_lowers_the_version_ends_the_connection() {
    let mut world = world(6, &lan(), Versions::new([V2, V1]).opening_with(V2), Versions::default());
    let first = first_datagram(&mut world);
    let (now, from, to) = (world.sim.now(), world.server_address, world.client_address);
    world.client_host().handle_datagram(now, from, to, 0, &forged(&first, &[V1.number(), 0x1a2a_3a4a]));
    assert_eq!(world.client().connection.version(), V1);
    world.wait("the end", SECOND, |client, _| client.last_peer().is_some_and(|peer| peer.error.is_some()));
    let error = world.client_host().last_peer().and_then(|peer| peer.error.clone());
    let violation = Violation::VersionDowngrade;
    assert_eq!(error, Some(ConnectionError::Violation { violation, frame_type: 6 }));
    world.pass(SECOND);
    let told = world.server_host().last_peer().and_then(|peer| peer.error.clone());
    let Some(ConnectionError::PeerClosed(CloseReason::Transport { code, .. })) = told else {
        panic!("{told:?}")
    };
    assert_eq!(code, TransportErrorCode::VERSION_NEGOTIATION_ERROR);
}

/// RFC 9368 §4: the packet that made the client begin again is the last one that counts.
#[test]
fn a_second_version_negotiation_is_ignored() {
    let mut world = world(7, &lan(), Versions::new([V2, V1]).opening_with(V2), Versions::new([V1]));
    let first = first_datagram(&mut world);
    let (now, from, to) = (world.sim.now(), world.server_address, world.client_address);
    let host = world.client_host();
    host.handle_datagram(now, from, to, 0, &forged(&first, &[V1.number()]));
    let second = host.poll_transmit(now).expect("another first flight").payload;
    let Ok(Header::Long(long)) = packet::parse(&second, 8, false) else { panic!("a long header") };
    assert_eq!((long.version, long.kind), (V1, LongType::Initial));
    assert!(second.len() >= 1200);
    let Ok(Header::Long(before)) = packet::parse(&first, 8, false) else { panic!("a long header") };
    assert_ne!(long.dcid, before.dcid);
    for versions in [&[V2.number()][..], &[0x1a2a_3a4a]] {
        host.handle_datagram(now, from, to, 0, &forged(&second, versions));
    }
    host.handle_datagram(now, from, to, 0, &forged(&first, &[V2.number()]));
    assert_eq!((world.client().connection.version(), world.client().error.clone()), (V1, None));
}

/// RFC 9369 §4.1: clients stay with their version after a Retry.
#[test]
fn a_retry_token_in_another_version_is_refused() {
    let mut world = world(8, &lan(), Versions::default(), Versions::default());
    world.server_host().policy = Policy::Retry;
    let first = first_datagram(&mut world);
    let (from, to) = (world.client_address, world.server_address);
    let server = world.server_host();
    server.handle_datagram(0, from, to, 0, &first);
    let retry = server.poll_transmit(0).expect("a Retry").payload;
    world.client_host().handle_datagram(0, to, from, 0, &retry);
    let mut second = world.client_host().poll_transmit(0).expect("an Initial").payload;
    // The header is read before the protection is removed: these are the type and the version of version 2.
    second[0] = second[0] & 0xcf | 0x10;
    second[1..5].copy_from_slice(&V2.number().to_be_bytes());
    let server = world.server_host();
    server.handle_datagram(0, from, to, 0, &second);
    assert_eq!(server.driver.endpoint.connections(), 0);
    assert_eq!(server.driver.endpoint.stats().invalid_tokens, 1);
}

fn serve(world: &mut World, change: impl FnOnce(ServerConfig) -> ServerConfig) {
    let config = Arc::new(change(ServerConfig::clone(&world.server_config)));
    world.server_config = Arc::clone(&config);
    world.server_host().driver.endpoint.set_server(Some(config));
}

fn set_client_versions(world: &mut World, versions: Versions) {
    let transport = TransportConfig::new().versions(versions);
    world.client_config = world.client_config.clone().transport(Arc::new(transport));
}

/// RFC 9369 §5: sessions and tokens are of the negotiated version, and the client opens in it next time.
#[test]
fn what_a_server_gave_in_version_2_serves_connections_of_version_2() {
    for resumption in [Resumption::stateful(10), Resumption::tickets(TicketKeys::new([1; 32]))] {
        let mut world = world(9, &lan(), Versions::default(), Versions::new([V2, V1]));
        world.client_config = world.client_config.clone().sessions(Some(SessionCache::new(8)));
        serve(&mut world, |mut config| {
            config.tls = config.tls.with_resumption(&resumption);
            config
        });
        world.establish();
        assert!(!world.client().connection.is_resumed());
        part(&mut world);
        let first = first_datagram(&mut world);
        let Ok(Header::Long(long)) = packet::parse(&first, 8, false) else { panic!("a long header") };
        assert_eq!(long.version, V2);
        assert!(!long.token.is_empty(), "the token is of version 2, too");
        // The datagram is lost; the client sends it again.
        world.wait("a connection", 10 * SECOND, |_, server| !server.driver.connections.is_empty());
        world.pass(SECOND);
        assert_eq!(versions(&mut world), [V2, V2]);
        assert!(world.client().connection.is_resumed() && world.server().connection.is_resumed());
        part(&mut world);
        // A client that does not accept version 2 any more uses none of this.
        set_client_versions(&mut world, Versions::new([V1]));
        world.establish();
        assert_eq!(versions(&mut world), [V1, V1]);
        assert!(!world.client().connection.is_resumed());
        part(&mut world);
        // It has sessions of both versions now. Each serves its own.
        for version in [V2, V1] {
            set_client_versions(&mut world, Versions::new([version]));
            world.establish();
            assert_eq!(versions(&mut world), [version; 2]);
            assert!(world.client().connection.is_resumed(), "{version}");
            part(&mut world);
        }
    }
}

/// RFC 9369 §4.1: the client's parameters are in the first or the second datagram, because TLS shuffles extensions.
/// Until the server has them it answers in the original version.
#[test]
fn a_client_hello_of_two_datagrams_is_answered_in_the_servers_version() {
    for_seeds(0..20, |seed| {
        let (tls, certificate) = testing::tls_server_config(soak::ALPN);
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from(certificate)).expect("a certificate");
        let provider = Arc::new(quic_core::crypto::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let others = (0..120).map(|nth| format!("protocol-{nth:06}").into_bytes());
        config.alpn_protocols = others.chain([soak::ALPN.to_vec()]).collect();
        let lossy = if seed < 10 { 0.0 } else { 0.2 };
        let mut world = world(seed, &slow().bernoulli(lossy), Versions::default(), Versions::new([V2, V1]));
        world.client_config.tls = TlsClientConfig::new(Arc::new(config));
        serve(&mut world, |mut config| {
            config.tls = tls;
            config
        });
        world.establish();
        assert_eq!(versions(&mut world), [V2, V2], "seed {seed}");
        echo(&mut world, 5_000);
    });
}

/// RFC 9369 §4.1: 0-RTT packets are of the original version, whichever the server chooses.
#[test]
fn early_data_of_version_1_is_accepted_by_a_server_that_moves_to_version_2() {
    let mut world = world(10, &slow(), Versions::default(), Versions::default());
    world.client_config = world.client_config.clone().sessions(Some(SessionCache::new(8))).early_data(true);
    let resumption = Resumption::stateful_with_early_data(10);
    serve(&mut world, |mut config| {
        config.tls = config.tls.with_resumption(&resumption);
        config
    });
    world.establish();
    part(&mut world);
    serve(&mut world, |mut config| {
        config.transport = Arc::new(TransportConfig::new().versions(Versions::new([V2, V1])));
        config
    });
    world.connect();
    assert_eq!(world.client().connection.early_data(), EarlyData::Offered);
    echo(&mut world, 20_000);
    assert_eq!(world.client().connection.early_data(), EarlyData::Accepted);
    assert_eq!(versions(&mut world), [V2, V2]);
    // The next one resumes and sends early in version 2.
    part(&mut world);
    world.connect();
    assert_eq!(world.client().connection.version(), V2);
    assert_eq!(world.client().connection.early_data(), EarlyData::Offered);
    echo(&mut world, 20_000);
    assert_eq!(world.client().connection.early_data(), EarlyData::Accepted);
    part(&mut world);
    // The server gives up version 2: what was sent early is sent again in version 1.
    serve(&mut world, |mut config| {
        config.transport = Arc::new(TransportConfig::new().versions(Versions::new([V1])));
        config
    });
    world.connect();
    assert_eq!(world.client().connection.early_data(), EarlyData::Offered);
    echo(&mut world, 20_000);
    assert_eq!(world.client().connection.early_data(), EarlyData::Rejected);
    assert_eq!(versions(&mut world), [V1, V1]);
}

fn draw_list(random: &mut Random) -> Vec<Version> {
    let mut list = vec![V1, V2];
    if random.below(2) == 0 {
        list.reverse();
    }
    if random.below(3) == 0 {
        list.pop();
    }
    list
}

/// Whatever the ends list, with loss and Retry: both have the version that the server prefers among those that both
/// accept, or the client learns both lists.
#[test]
fn both_ends_agree_on_the_best_version_or_the_client_is_told_why_not() {
    for_seeds(0..120, |seed| {
        let mut random = Random::derived(seed, 0x7632);
        let (ours, theirs) = (draw_list(&mut random), draw_list(&mut random));
        let mut client = Versions::new(ours.clone());
        if random.below(2) == 0 {
            client = client.opening_with(if random.below(2) == 0 { V1 } else { V2 });
        }
        let lossy = random.below(2) == 0;
        let link = slow().bernoulli(if lossy { 0.2 } else { 0.0 });
        let mut world = world(seed, &link, client, Versions::new(theirs.clone()));
        world.server_host().policy = if random.below(3) == 0 { Policy::Retry } else { Policy::Accept };
        world.connect();
        let settled = |host: &Host| {
            host.last_peer()
                .is_some_and(|peer| peer.error.is_some() || peer.has(&quic_core::Event::HandshakeConfirmed))
        };
        world.wait("an end of the negotiation", 60 * SECOND, |client, _| settled(client));
        let peer = world.client_host().last_peer().expect("a connection");
        let best = theirs.iter().find(|version| ours.contains(version));
        match (&peer.error, best) {
            (None, Some(best)) => {
                assert_eq!(peer.connection.version(), *best, "seed {seed}: {ours:?} {theirs:?}");
                assert_eq!(world.server().connection.version(), *best, "seed {seed}");
            }
            (Some(ConnectionError::VersionMismatch { offered, accepted }), None) => {
                assert_eq!(accepted.accepted(), ours, "seed {seed}");
                assert!(theirs.iter().all(|version| offered.contains(&version.number())), "seed {seed}");
            }
            // Loss may last longer than the handshake may take.
            (Some(ConnectionError::HandshakeTimeout), _) if lossy => {}
            (error, _) => panic!("seed {seed}: {ours:?} {theirs:?} {error:?}"),
        }
    });
}
