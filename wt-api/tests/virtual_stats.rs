//! A server's counters, and the text in which Prometheus reads them.

mod virtual_common;

use std::{collections::BTreeSet, sync::Arc};

use virtual_common::{echo_all, options, round_trip, seconds, session};
use wt_api::{
    AddressLimits, CertificateHash, CloseInfo, Server, ServerBuilder, ServerStats, WebTransport,
    WebTransportOptions,
    protocol::DropReason,
    testing::{Host, LinkConfig, MILLISECOND, Network},
};

struct World {
    network: Network,
    host: Host,
    client: Host,
    server: Arc<Server>,
    hash: CertificateHash,
}

fn world(seed: u64, configure: impl FnOnce(ServerBuilder) -> ServerBuilder) -> World {
    let network = Network::new(seed);
    let (host, client) = (network.host("server"), network.host("client"));
    drop(network.link(&host, &client, &LinkConfig::new().delay(10 * MILLISECOND)));
    let identity = network.identity(["server"]);
    let hash = identity.certificate_hash();
    let server = host.enter(|| configure(Server::builder().identity(identity)).build().unwrap());
    World { network, host, client, server: Arc::new(server), hash }
}

#[test]
fn connections_count_while_they_are_open_and_after_their_end() {
    let World { network, client, server, hash, .. } = world(1, |builder| builder.memory_budget(64 << 20));
    network.run(async {
        let before = server.stats().await;
        assert_eq!((before.connections_total, before.traffic.bytes_sent), (0, 0));
        let (ours, theirs) = session(&server, &client, options(hash)).await;
        ours.datagrams().writable.send("one".into()).await.unwrap();
        theirs.receive_datagram().await.unwrap();
        network.sleep(seconds(1)).await;
        let open = server.stats().await;
        assert_eq!((open.connections, open.connections_total, open.sessions), (1, 1, 1));
        assert_eq!((open.handshakes.done, open.handshakes_pending, open.requests.offered), (1, 0, 1));
        assert!(open.memory_used > 0 && open.memory_limit == 64 << 20);
        let counts = theirs.connection().unwrap().stats().await.unwrap();
        assert_eq!(open.traffic.bytes_received, counts.bytes_received);
        assert_eq!(open.traffic.datagrams_received, 1);
        ours.close(CloseInfo::default());
        ours.closed().await.unwrap();
        network.sleep(seconds(60)).await;
        let over = server.stats().await;
        assert_eq!((over.connections, over.sessions, over.connections_total), (0, 0, 1));
        assert!(over.traffic.bytes_received >= open.traffic.bytes_received);
        assert_eq!(over.traffic.datagrams_received, 1);
        let (_ours, _theirs) = session(&server, &client, options(hash)).await;
        assert!(server.stats().await.traffic.packets_sent > over.traffic.packets_sent, "sums go on");
    });
}

/// Sums never fall, whichever connections open and close while the server adds them up.
#[test]
fn sums_of_many_connections_never_fall() {
    let World { network, host, client, server, hash } =
        world(2, |builder| builder.address_limits(AddressLimits::UNLIMITED));
    drop(host.spawn(echo_all(host.clone(), Arc::clone(&server))));
    network.run(async {
        let mut sessions = Vec::new();
        for _ in 0..600 {
            sessions.push(client.enter(|| WebTransport::new("https://server/", options(hash)).unwrap()));
        }
        for session in &sessions {
            session.ready().await.unwrap();
        }
        let mut last = ServerStats::default();
        while let Some(session) = sessions.pop() {
            if sessions.len() % 3 == 0 {
                let _ = round_trip(&session, "hello".into()).await;
            }
            session.close(CloseInfo::default());
            let stats = server.stats().await;
            assert!(stats.traffic.bytes_received >= last.traffic.bytes_received);
            assert!(stats.traffic.packets_sent >= last.traffic.packets_sent);
            assert_eq!(stats.connections_total, 600);
            last = stats;
        }
    });
}

#[test]
fn refusals_and_failures_count_by_cause() {
    let limits = AddressLimits::UNLIMITED.connections(2);
    let World { network, client, server, hash, .. } =
        world(3, |builder| builder.address_limits(limits).retry_threshold(0));
    network.run(async {
        // The client does not accept the certificate.
        let stranger = WebTransportOptions::new();
        let ask = |options| client.enter(|| WebTransport::new("https://server/", options).unwrap());
        ask(stranger).ready().await.unwrap_err();
        network.sleep(seconds(1)).await;
        let stats = server.stats().await;
        assert_eq!((stats.handshakes.failed_tls, stats.handshakes.done), (1, 0));
        assert_eq!(stats.endpoint.retries, 1, "the threshold asks everybody");
        // The server does not permit the origin.
        let page = options(hash).origin("https://elsewhere.example");
        ask(page).ready().await.unwrap_err();
        assert_eq!(server.stats().await.requests.refused_origin, 1);
        network.sleep(seconds(10)).await;
        let (_one, _two) =
            (session(&server, &client, options(hash)).await, session(&server, &client, options(hash)).await);
        ask(options(hash)).ready().await.unwrap_err();
        let stats = server.stats().await;
        assert_eq!(stats.admission.refused_address_connections, 1);
        assert_eq!(stats.connections, 2);
    });
}

/// The sums outlive their connections.
#[test]
fn counters_are_reported_when_the_host_is_gone() {
    let World { network, host, client, server, hash } = world(4, |builder| builder);
    network.run(async {
        let (_ours, _theirs) = session(&server, &client, options(hash)).await;
        let before = server.stats().await;
        let server_ = Arc::clone(&server);
        let asked = network.spawn(async move { server_.stats().await });
        host.vanish();
        let asked = network.within(seconds(1), asked).await.expect("it settles");
        let after = network.within(seconds(1), server.stats()).await.expect("it settles");
        for stats in [asked, after] {
            assert!(stats.traffic.bytes_sent >= before.traffic.bytes_sent);
            assert_eq!((stats.connections_total, stats.handshakes.done), (1, 1));
        }
    });
}

#[test]
fn prometheus_reads_every_number_once() {
    let World { network, client, server, hash, .. } = world(5, |builder| builder);
    network.run(async {
        let _sessions = session(&server, &client, options(hash)).await;
        let stats = server.stats().await;
        let text = stats.to_prometheus();
        assert!(text.contains("# TYPE weft_connections gauge\nweft_connections 1\n"), "{text}");
        assert!(text.contains("weft_handshakes_failed_total{cause=\"tls\"} 0\n"), "{text}");
        let (mut names, mut families) = (BTreeSet::new(), BTreeSet::new());
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(families.insert(name), "{name} twice");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            } else if !line.starts_with('#') {
                let (name, value) = line.rsplit_once(' ').unwrap();
                value.parse::<u64>().unwrap();
                assert!(names.insert(name), "{name} twice");
                assert!(families.contains(name.split('{').next().unwrap()), "{line}");
            }
        }
        for reason in DropReason::ALL {
            let name = format!("weft_packets_dropped_total{{reason=\"{}\"}}", reason.name());
            assert!(names.contains(name.as_str()), "{name}");
        }
        assert_eq!(stats.metrics().len(), families.len());
    });
}
