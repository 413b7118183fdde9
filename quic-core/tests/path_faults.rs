//! Paths that delay packets, drop or change ECN marks, or fail for minutes; and readers that pause.

use std::time::Duration;

use bytes::Bytes;
use netsim::{LinkConfig, Loss, MILLISECOND, SECOND, for_seeds};
use quic_core::{Dir, TransportConfig, base::Ecn};
use soak::{Setup, World, pattern};

/// 50 Mbit/s and a round trip of 20 ms.
fn rtt_20() -> LinkConfig {
    LinkConfig::new().rate(50_000_000).delay(10 * MILLISECOND).queue(1_000_000)
}

/// Sends a request of `size` bytes. Returns how long its echo took, in nanoseconds.
fn echo(world: &mut World, size: usize, limit: u64) -> u64 {
    let client = world.client();
    let id = client.connection.open(Dir::Bidi).expect("credit");
    client.send(id, pattern(size), true);
    let start = world.sim.now();
    world.wait("an echo", limit, |client, _| client.peer().finished.contains(&id));
    assert!(world.client().received[&id] == pattern(size));
    world.sim.now() - start
}

/// Packets that are 1.5 round trips late are no duplicates, even if their neighbours were acknowledged and
/// the peer knows it.
#[test]
fn late_datagrams_are_delivered() {
    for_seeds(0..10, |seed| {
        let mut world = World::new(seed, &rtt_20().reorder(0.02, 30 * MILLISECOND));
        world.establish();
        let id = world.client().connection.open(Dir::Bidi).expect("credit");
        for number in 0..1_000_u32 {
            let now = soak::time(world.sim.now());
            let client = world.client();
            let datagram = Bytes::from(number.to_be_bytes().to_vec());
            client.connection.send_datagram(now, datagram, Default::default()).expect("room");
            // The echo of the stream acknowledges the acknowledgments.
            client.send(id, pattern(10), false);
            world.pass(2 * MILLISECOND);
        }
        world.pass(SECOND);
        let echoed = world.client().datagrams.len();
        assert_eq!(echoed, 1_000);
        let counted = world.client().connection.stats().packets_dropped
            + world.server().connection.stats().packets_dropped;
        assert_eq!(counted, 0);
    });
}

#[test]
fn a_transfer_is_not_slowed_by_packets_that_come_late() {
    let time = |link: &LinkConfig| {
        let mut world = World::new(1, link);
        world.establish();
        echo(&mut world, 4_000_000, 120 * SECOND)
    };
    let (in_order, late) = (time(&rtt_20()), time(&rtt_20().reorder(0.01, 30 * MILLISECOND)));
    assert!(late < in_order * 2, "{late} ns against {in_order}");
}

/// RFC 9000 §13.4.2: a path that drops marked packets is used without marks, whether it drops them from the
/// start or later.
#[test]
fn a_path_that_drops_marked_packets_carries_the_connection() {
    for_seeds(0..4, |seed| {
        for (there, back) in [(true, false), (false, true), (true, true)] {
            let hole = |drops: bool| if drops { rtt_20().drop_marked() } else { rtt_20() };
            let setup = Setup { back: Some(hole(back)), ..Setup::default() };
            let mut world = World::with(seed, &hole(there), &setup);
            world.establish();
            assert!(world.sim.now() < 3 * SECOND, "{there} {back}: {} ns", world.sim.now());
            let took = echo(&mut world, 300_000, 30 * SECOND);
            assert!(took < 5 * SECOND, "{there} {back}: {took} ns");
            let [client, server] = [world.client().connection.stats(), world.server().connection.stats()];
            assert_eq!((client.ecn == Ecn::NotEct, server.ecn == Ecn::NotEct), (there, back));
        }
    });
}

/// The path begins to drop marked packets in the middle of a transfer, whose receiver sends acknowledgments
/// alone or data, too.
#[test]
fn a_path_that_begins_to_drop_marked_packets_goes_on_without_marks() {
    for_seeds(0..4, |seed| {
        for (there, back) in [(true, false), (false, true), (true, true)] {
            for dir in [Dir::Uni, Dir::Bidi] {
                let mut world = World::new(seed, &rtt_20());
                world.establish();
                echo(&mut world, 100_000, SECOND);
                assert_eq!(world.client().connection.stats().ecn, Ecn::Ect0);
                let [out, home] = world.links;
                let id = world.client().connection.open(dir).expect("credit");
                world.client().send(id, pattern(4_000_000), true);
                world.pass(150 * MILLISECOND);
                world.sim.link_mut(out).ecn.drop_marked = there;
                world.sim.link_mut(home).ecn.drop_marked = back;
                let start = world.sim.now();
                world.wait("the answer", 25 * SECOND, |client, _| client.peer().finished.len() == 2);
                let took = world.sim.now() - start;
                assert!(took < 10 * SECOND, "{there} {back} {dir:?}: {took} ns");
            }
        }
    });
}

/// RFC 9000 §13.4.2.1: ECT(0) that arrives as ECT(1) fails validation.
#[test]
fn a_path_that_changes_marks_gets_none() {
    let mut world = World::new(1, &rtt_20().remark());
    world.establish();
    echo(&mut world, 10_000, SECOND);
    assert_eq!(world.client().connection.stats().ecn, Ecn::NotEct);
    assert_eq!(world.server().connection.stats().ecn, Ecn::NotEct);
}

/// RFC 9002 §6.2.4: both probes repeat lost data. Otherwise the response would come a round trip later.
#[test]
fn a_lost_request_comes_with_a_probe() {
    for lost in 0..=2 {
        let mut world = World::new(1, &LinkConfig::new().delay(25 * MILLISECOND));
        world.establish();
        for _ in 0..20 {
            assert_eq!(echo(&mut world, 500, SECOND) / MILLISECOND, 50);
        }
        let [out, _] = world.links;
        let next = world.sim.link_stats(out).offered;
        world.sim.link_mut(out).loss = Loss::Indexes((next..next + lost).collect());
        let stats = world.client().connection.stats();
        let timeout = stats.smoothed_rtt + 4 * stats.rtt_variation + Duration::from_millis(25);
        let took = Duration::from_nanos(echo(&mut world, 500, SECOND));
        let waited = took.saturating_sub(Duration::from_millis(50));
        let least = if lost == 0 { Duration::ZERO } else { timeout };
        assert!(
            waited >= least && waited < least + Duration::from_millis(3),
            "{lost}: {took:?}, {timeout:?}"
        );
    }
}

/// Here, probes are never more than three seconds apart, however long the silence lasted.
#[test]
fn a_connection_recovers_within_seconds_of_a_long_outage() {
    for outage in [20, 200, 1_000] {
        let patient = TransportConfig::new().idle_timeout(None);
        let setup = Setup { client: patient.clone(), server: patient, back: None };
        let end = (10 + outage) * SECOND;
        let mut world = World::with(1, &rtt_20().outage(10 * SECOND..end), &setup);
        world.establish();
        world.sim.at(10 * SECOND + 1, |_| {});
        world.sim.run_until(|sim| sim.now() > 10 * SECOND, 11 * SECOND);
        let took = echo(&mut world, 100_000, end + 100 * SECOND) + 10 * SECOND;
        assert!((end..end + 4 * SECOND).contains(&took), "{} ms after the end", (took - end) / MILLISECOND);
    }
}

/// RFC 9000 §4.1: a writer that waits for a reader reports that repeatedly, so neither end takes the silence
/// for the end.
#[test]
fn a_writer_whose_reader_pauses_waits_with_it() {
    for blocked_by_connection in [false, true] {
        let server = TransportConfig::new()
            .receive_window(if blocked_by_connection { 100_000 } else { 1 << 20 })
            .max_receive_window(if blocked_by_connection { 100_000 } else { 24 << 20 });
        let mut world = World::with(1, &rtt_20(), &Setup { server, ..Setup::default() });
        world.establish();
        world.server_host().idle = true;
        let id = world.client().connection.open(Dir::Bidi).expect("credit");
        world.client().send(id, pattern(1_000_000), true);
        world.pass(300 * SECOND);
        let sent = world.client().connection.stats().packets_sent;
        world.pass(300 * SECOND);
        let more = world.client().connection.stats().packets_sent - sent;
        assert!((20..80).contains(&more), "{more} packets in 300 s of waiting");
        world.server_host().idle = false;
        world.wait("the echo", 30 * SECOND, |client, _| client.peer().finished.contains(&id));
    }
}

/// A connection that nobody keeps open and that waits for nothing ends by the idle timeout as before.
#[test]
fn only_a_connection_that_is_kept_alive_outlives_the_idle_timeout() {
    for held in [true, false] {
        let client = TransportConfig::new().idle_timeout(Some(Duration::from_secs(8)));
        let mut world = World::with(1, &rtt_20(), &Setup { client, ..Setup::default() });
        world.establish();
        world.client().connection.hold_alive(held);
        world.pass(100 * SECOND);
        assert_eq!(world.client_host().driver.connections.len(), usize::from(held));
        if held {
            let sent = world.client().connection.stats().packets_sent;
            assert!((25..80).contains(&sent), "{sent} packets in 100 s, a PING every 4 s");
            world.client().connection.hold_alive(false);
            world.pass(20 * SECOND);
            assert!(world.client_host().driver.connections.is_empty());
        }
    }
}

/// Datagrams of any size that UDP permits: CRYPTO frames, the Length of long headers, certificates of several
/// datagrams.
#[test]
fn large_datagrams_carry_handshakes_and_data() {
    for size in [1_200, 9_000, 16_383, 16_384, 16_420, 16_421, 16_460, 17_000, 40_000, 65_507, u16::MAX] {
        let large = TransportConfig::new().datagram_size(size).max_datagram_size(size);
        let setup = Setup { client: large.clone(), server: large, back: None };
        let mut world = World::with(1, &LinkConfig::new().delay(5 * MILLISECOND), &setup);
        world.establish();
        echo(&mut world, 500_000, 10 * SECOND);
    }
}
