//! Peers that change their addresses, and networks that change them (RFC 9000 §9).

mod moving;

use std::{cell::Cell, collections::BTreeSet, time::Duration};

use moving::{MILLISECOND, Net, SECOND, address, exchange, ip, path_changes, server};
use netsim::for_seeds;
use quic_core::{
    Event, TransportConfig,
    error::{ConnectionError, DropReason, call::MigrateError},
};

/// The second address of the client's host.
fn second() -> std::net::IpAddr {
    ip("198.51.100.77")
}

fn with_second(net: &mut Net) {
    net.nat.insert(second(), address("203.0.113.77:7777"));
}

fn failures(net: &Net, end: usize) -> usize {
    net.events(end, |event| matches!(event, Event::PathFailed { .. }))
}

/// A NAT rebinds the client at random times to random ports and hosts, while packets are lost and reordered.
/// The server could not find a client that sends nothing, so this one keeps its connection alive.
#[test]
fn a_client_behind_a_nat_that_forgets_is_followed() {
    for_seeds(0..12, |seed| {
        let keep_alive = Some(Duration::from_millis(500));
        let client = TransportConfig::new().keep_alive(keep_alive);
        let mut net = Net::with(seed, client, TransportConfig::default());
        net.establish();
        (net.loss, net.jitter) = (0.02 * (seed % 3) as f64, net.random.below(20) * MILLISECOND);
        let mut outside = net.nat[&net.home];
        let mut next = net.now + 20 * MILLISECOND;
        let mut left = 4;
        let mut change = |net: &mut Net| {
            if net.now > next && left > 0 {
                left -= 1;
                next = net.now + (20 + net.random.below(2_000)) * MILLISECOND;
                let (host, port) = (net.random.below(2) as u8 + 1, 1_000 + net.random.below(5_000) as u16);
                outside = (std::net::Ipv4Addr::new(203, 0, 113, host), port).into();
                net.rebind(net.home, outside);
            }
        };
        for _ in 0..20 {
            exchange(&mut net, 100_000, &mut change);
        }
        net.pass(5 * SECOND);
        assert!(path_changes(&net, 1) > 0);
        assert_eq!((net.remote(1), net.remote(0)), (outside, server()));
        let paths: Vec<_> = net.connection(1).paths().collect();
        assert_eq!((paths.len(), paths[0].validated), (1, true), "{paths:?}");
    });
}

/// RFC 9000 §9.3: an idle client with a small packet gets a challenge within its credit, and later one of
/// 1200 bytes.
#[test]
fn m02_a_new_address_gets_three_times_what_it_sent_and_a_challenge_first() {
    let mut net = Net::established(3);
    let outside = address("203.0.113.9:999");
    net.rebind(net.home, outside);
    net.sizes.clear();
    net.connection(0).ping();
    net.pass(15 * MILLISECOND);
    let first = net.sizes[&outside].clone();
    assert!(first.len() == 1 && first[0] < 200, "{first:?}");
    assert!(!net.connection(1).paths().next().expect("a path").validated);
    net.pass(100 * MILLISECOND);
    let path = net.connection(1).paths().next().expect("a path");
    assert!(path.validated && path.remote == outside);
    assert!(net.sizes[&outside].contains(&1_200), "{:?}: the path's size is asked for as well", net.sizes);
    // If the client starts with a full datagram, the first challenge has full size.
    let again = address("203.0.113.10:999");
    net.rebind(net.home, again);
    net.sizes.clear();
    net.send(0, 5_000);
    net.pass(15 * MILLISECOND);
    assert_eq!(net.sizes[&again].first(), Some(&1_200));
}

/// RFC 9000 §9.4, and DPLPMTUD (RFC 8899).
#[test]
fn another_host_begins_anew_and_another_port_does_not() {
    let mut net = Net::established(4);
    exchange(&mut net, 300_000, |_| {});
    // The last acknowledgments are under way.
    net.pass(50 * MILLISECOND);
    let before = net.connection(1).stats();
    assert_eq!((before.datagram_size, before.congestion_window > 20_000), (1_472, true));
    net.rebind(net.home, address("203.0.113.1:2000"));
    net.connection(0).ping();
    net.pass(12 * MILLISECOND);
    let after = net.connection(1).stats();
    assert_eq!(
        (after.datagram_size, after.smoothed_rtt, after.congestion_window),
        (1_472, before.smoothed_rtt, before.congestion_window)
    );
    net.pass(SECOND);
    net.rebind(net.home, address("203.0.113.2:2000"));
    net.connection(0).ping();
    net.pass(12 * MILLISECOND);
    let fresh = net.connection(1).stats();
    assert_eq!((fresh.datagram_size, fresh.min_rtt, fresh.congestion_window), (1_200, None, 12_000));
    net.pass(5 * SECOND);
    assert_eq!(net.connection(1).stats().datagram_size, 1_472, "the search begins anew");
    exchange(&mut net, 100_000, |_| {});
}

/// RFC 9000 §9.3.2: the address of the copy does not answer.
#[test]
fn copies_from_elsewhere_do_not_take_the_connection_away() {
    for_seeds(0..12, |seed| {
        let mut net = Net::established(seed);
        let spoofed = if seed % 2 == 0 { "192.0.2.66:6" } else { "203.0.113.1:6" };
        let home = net.nat[&net.home];
        net.jitter = net.random.below(5) * MILLISECOND;
        net.attacker = Some((address(spoofed), 2 + net.random.below(10)));
        exchange(&mut net, 200_000, |_| {});
        net.attacker = None;
        net.send(0, 100);
        net.wait("the rest", |net| net.has(1, 100));
        net.pass(5 * SECOND);
        assert_eq!(net.remote(1), home);
        assert_eq!(net.connection(1).paths().count(), 1);
    });
}

/// RFC 9000 §9.3.3: an attacker that forwards in both directions is found out, because the client answers
/// from its own address.
#[test]
fn a_forwarder_keeps_the_connection_no_longer_than_it_is_faster() {
    for_seeds(0..8, |seed| {
        let mut net = Net::established(seed);
        let home = net.nat[&net.home];
        net.attacker = Some((address("192.0.2.66:6"), 3));
        net.forwards = true;
        exchange(&mut net, 200_000, |_| {});
        net.attacker = None;
        net.send(0, 100);
        net.wait("the rest", |net| net.has(1, 100));
        net.pass(5 * SECOND);
        assert_eq!(net.remote(1), home);
    });
}

/// A copy of a silent client's last packet moves the path; the server goes back by itself.
#[test]
fn a_spurious_move_of_an_idle_client_is_undone() {
    let mut net = Net::established(7);
    let home = net.nat[&net.home];
    net.attacker = Some((address("192.0.2.66:6"), 1));
    net.connection(0).ping();
    net.pass(6 * MILLISECOND);
    assert_eq!(net.remote(1), address("192.0.2.66:6"), "the copy overtook the original");
    net.attacker = None;
    net.pass(60 * MILLISECOND);
    assert_eq!(net.remote(1), home, "the answer to the challenge on the old path brings it back");
    // The same happens if that answer is lost.
    net.attacker = Some((address("192.0.2.67:6"), 1));
    net.connection(0).ping();
    net.pass(6 * MILLISECOND);
    net.attacker = None;
    net.dead.insert(home);
    net.pass(4 * SECOND);
    assert_eq!((net.remote(1), failures(&net, 1)), (home, 1), "the validation failed");
    net.dead.clear();
    exchange(&mut net, 50_000, |_| {});
}

/// RFC 9000 §9.2, §9.5.
#[test]
fn a_client_moves_when_the_new_path_works_and_nobody_can_link_it() {
    for_seeds(0..12, |seed| {
        let mut net = Net::established(seed);
        with_second(&mut net);
        (net.loss, net.jitter) = (0.01 * (seed % 3) as f64, net.random.below(20) * MILLISECOND);
        let at = net.now + net.random.below(60) * MILLISECOND;
        let mut moved = false;
        exchange(&mut net, 300_000, |net| {
            if net.now >= at && !moved {
                moved = true;
                let now = net.clock();
                net.connection(0).migrate(now, second()).expect("a spare ID");
                assert_eq!(net.connection(0).local_ip(), None, "not before the server answered");
            }
        });
        net.pass(5 * SECOND);
        assert!(moved);
        assert_eq!((net.connection(0).local_ip(), path_changes(&net, 0)), (Some(second()), 1));
        assert_eq!(net.remote(1), address("203.0.113.77:7777"));
        for end in [0, 1] {
            let ids: Vec<_> = net.ids[end].values().collect();
            assert_eq!(ids.len(), 2, "two paths");
            let shared: BTreeSet<_> = ids[0].intersection(ids[1]).collect();
            assert!(shared.is_empty(), "seed {seed}, end {end}: {shared:?}");
            assert_eq!(net.connection(end).paths().count(), 1, "the old path is forgotten");
        }
        // The client moves several times, each time with an ID that the server has issued meanwhile.
        for round in 0..6 {
            let to = if round % 2 == 0 { net.home } else { second() };
            let now = net.clock();
            net.connection(0).migrate(now, to).expect("IDs are replaced");
            net.pass(6 * SECOND);
            assert_eq!(net.connection(0).local_ip(), Some(to));
        }
        exchange(&mut net, 50_000, |_| {});
    });
}

#[test]
fn a_client_stays_where_the_new_path_does_not_work() {
    let mut net = Net::established(1);
    with_second(&mut net);
    net.dead.insert(address("203.0.113.77:7777"));
    let now = net.clock();
    net.connection(0).migrate(now, second()).expect("a spare ID");
    exchange(&mut net, 300_000, |_| {});
    net.pass(5 * SECOND);
    assert_eq!((path_changes(&net, 0), failures(&net, 0)), (0, 1));
    assert_eq!(net.connection(0).paths().count(), 1);
    // The ID of the failed path is given back and replaced, so the next attempt has one.
    net.dead.clear();
    let now = net.clock();
    net.connection(0).migrate(now, second()).expect("a spare ID");
    net.pass(SECOND);
    assert_eq!(path_changes(&net, 0), 1);
}

#[test]
fn a_client_whose_address_is_gone_moves_at_once() {
    for_seeds(0..8, |seed| {
        let mut net = Net::established(seed);
        with_second(&mut net);
        (net.loss, net.jitter) = (0.02 * (seed % 2) as f64, net.random.below(10) * MILLISECOND);
        let at = net.now + net.random.below(40) * MILLISECOND;
        let mut moved = false;
        exchange(&mut net, 200_000, |net| {
            if net.now >= at && !moved {
                moved = true;
                net.dead.insert(net.nat[&net.home]);
                let now = net.clock();
                net.connection(0).rebind(now, Some(second())).expect("a spare ID");
                assert_eq!(net.connection(0).local_ip(), Some(second()));
            }
        });
        net.pass(5 * SECOND);
        assert_eq!(net.remote(1), address("203.0.113.77:7777"));
        assert!(net.connection(0).paths().next().expect("a path").validated);
    });
}

/// RFC 9000 §8.2.4, §9.3.2: the peer cannot be told, and no attempt is made.
#[test]
fn a_connection_without_a_path_that_works_ends_in_silence() {
    let mut net = Net::established(5);
    with_second(&mut net);
    net.dead.extend([net.nat[&net.home], address("203.0.113.77:7777")]);
    let now = net.clock();
    net.connection(0).rebind(now, Some(second())).expect("a spare ID");
    net.wait("an end", |net| net.ends[0].connections.is_empty());
    let end = net.apps[0].events.last().cloned();
    assert_eq!(end, Some(Event::Closed(ConnectionError::NoViablePath)));
    net.dead.clear();
    net.pass(SECOND);
    assert!(!net.connection(1).is_closed(), "nothing was said");
}

/// Challenges and responses are lost, but no other packets.
#[test]
fn a_client_that_receives_other_packets_repeats_its_challenge() {
    let mut net = Net::established(9);
    with_second(&mut net);
    net.probes_lost = true;
    let now = net.clock();
    net.connection(0).rebind(now, Some(second())).expect("a spare ID");
    for _ in 0..20 {
        exchange(&mut net, 1_000, |_| {});
        net.pass(300 * MILLISECOND);
    }
    assert!(!net.connection(0).paths().next().expect("a path").validated);
    net.probes_lost = false;
    net.pass(4 * SECOND);
    assert!(net.connection(0).paths().next().expect("a path").validated);
}

#[test]
fn m06_a_client_that_may_not_or_cannot_move_is_told_so() {
    let fixed = TransportConfig::new().allows_migration(false);
    let mut net = Net::with(1, TransportConfig::default(), fixed);
    let now = net.clock();
    assert_eq!(net.connection(0).migrate(now, second()), Err(MigrateError::NotEstablished));
    net.establish();
    let now = net.clock();
    assert_eq!(net.connection(0).migrate(now, second()), Err(MigrateError::Forbidden));
    assert_eq!(net.connection(0).rebind(now, None), Err(MigrateError::Forbidden));
    assert_eq!(net.connection(1).migrate(now, second()), Err(MigrateError::NotAClient));
    // The client is not responsible for what a NAT does.
    let outside = address("203.0.113.3:3");
    net.rebind(net.home, outside);
    exchange(&mut net, 20_000, |_| {});
    assert_eq!(net.remote(1), outside);

    let mut net = Net::established(2);
    with_second(&mut net);
    // The server's responses are lost, and so are its new IDs.
    net.loss = 1.0;
    for _ in 0..3 {
        let now = net.clock();
        assert_eq!(net.connection(0).rebind(now, Some(second())), Ok(()));
    }
    let now = net.clock();
    assert_eq!(net.connection(0).rebind(now, Some(second())), Err(MigrateError::NoConnectionId));
    assert_eq!(net.connection(0).migrate(now, net_home()), Err(MigrateError::NoConnectionId));
}

fn net_home() -> std::net::IpAddr {
    ip("198.51.100.1")
}

/// RFC 9000 §9: only a client's address may change. Packets of the server from elsewhere are authentic, but
/// dropped.
#[test]
fn m03_a_client_does_not_follow_a_server() {
    let mut net = Net::established(6);
    net.server_from = Some(address("192.0.2.3:443"));
    net.connection(0).ping();
    net.pass(100 * MILLISECOND);
    net.server_from = None;
    let dropped = net.connection(0).stats().dropped;
    assert!(dropped.of(DropReason::UnknownPath) > 0);
    exchange(&mut net, 10_000, |_| {});
    assert_eq!((net.remote(0), path_changes(&net, 0)), (server(), 0));
}

fn preferring() -> TransportConfig {
    TransportConfig::new().preferred_v4(Some("192.0.2.200:443".parse().expect("an address")))
}

/// RFC 9000 §9.6.
#[test]
fn a_client_moves_to_the_servers_preferred_address() {
    for_seeds(0..8, |seed| {
        let mut net = Net::with(seed, TransportConfig::default(), preferring());
        (net.loss, net.jitter) = (0.02 * (seed % 3) as f64, net.random.below(10) * MILLISECOND);
        exchange(&mut net, 100_000, |_| {});
        net.pass(5 * SECOND);
        assert_eq!(net.remote(0), address("192.0.2.200:443"));
        assert_eq!(net.connection(1).local_ip(), Some(ip("192.0.2.200")));
        let [of_client, of_server] = &net.ids;
        assert_eq!((of_client.len(), of_server.len()), (2, 2));
        for ids in &net.ids {
            let ids: Vec<_> = ids.values().collect();
            assert!(ids[0].is_disjoint(ids[1]), "seed {seed}");
        }
        exchange(&mut net, 50_000, |_| {});
    });
}

#[test]
fn a_client_stays_where_the_preferred_address_does_not_answer() {
    let preferring = TransportConfig::new()
        .preferred_v4(Some("192.0.2.200:443".parse().expect("an address")))
        .preferred_v6(Some("[2001:db8::1]:443".parse().expect("an address")))
        .allows_migration(false);
    let mut net = Net::with(1, TransportConfig::default(), preferring);
    net.unreachable.insert(address("192.0.2.200:443"));
    exchange(&mut net, 100_000, |_| {});
    net.pass(5 * SECOND);
    assert_eq!((net.remote(0), failures(&net, 0), path_changes(&net, 0)), (server(), 1, 0));
    let now = net.clock();
    assert_eq!(net.connection(0).migrate(now, second()), Err(MigrateError::Forbidden));
}

/// Everything happens at random times: a NAT rebinds, a client moves repeatedly, also to the preferred
/// address, an attacker sends copies, and packets are lost and reordered.
#[test]
fn everything_arrives_whatever_the_addresses_do() {
    for_seeds(0..12, |seed| {
        let keep_alive = Some(Duration::from_millis(500));
        let client = TransportConfig::new().keep_alive(keep_alive);
        let server = if seed % 2 == 0 { preferring() } else { TransportConfig::default() };
        let mut net = Net::with(seed, client, server);
        net.establish();
        with_second(&mut net);
        (net.loss, net.jitter) = (0.03 * net.random.unit(), net.random.below(20) * MILLISECOND);
        let (mut next, moves) = (net.now, Cell::new(0));
        let mut change = |net: &mut Net| {
            if net.now < next {
                return;
            }
            moves.set(moves.get() + 1);
            // More than a few moves while paths are remembered would use up all IDs (RFC 9000 §9.5).
            next = net.now + (700 + net.random.below(1_500)) * MILLISECOND;
            let now = net.clock();
            let local = if net.random.chance(0.5) { net_home() } else { second() };
            let outside =
                (std::net::Ipv4Addr::new(203, 0, 113, net.random.below(3) as u8), 1_000 + moves.get());
            match net.random.below(6) {
                0 | 1 => net.rebind(local, outside.into()),
                // An application would do this whether or not there is an ID for it.
                2 | 3 => drop(net.connection(0).migrate(now, local)),
                4 => drop(net.connection(0).rebind(now, Some(local))),
                _ => net.attacker = net.random.chance(0.5).then_some((address("192.0.2.66:6"), 4)),
            }
        };
        while moves.get() < 25 {
            exchange(&mut net, 60_000, &mut change);
        }
        net.attacker = None;
        exchange(&mut net, 60_000, |_| {});
        net.pass(8 * SECOND);
        for end in [0, 1] {
            let paths: Vec<_> = net.connection(end).paths().collect();
            assert_eq!((paths.len(), paths[0].validated), (1, true), "seed {seed}, end {end}: {paths:?}");
        }
    });
}
