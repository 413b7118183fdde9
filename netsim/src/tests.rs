//! Each impairment by itself, and all together in two equal runs.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;

/// Sends numbered datagrams at fixed intervals and keeps what it receives; it can also answer.
#[derive(Default)]
struct Host {
    own: Option<SocketAddr>,
    peer: Option<SocketAddr>,
    interval: u64,
    left: u32,
    next: u32,
    due: Option<u64>,
    ready: Vec<Datagram>,
    size: usize,
    ecn: u8,
    answers: bool,
    got: Vec<(u64, SocketAddr, u8, Vec<u8>)>,
}

impl Host {
    fn numbers(&self) -> Vec<u32> {
        self.got.iter().map(|(_, _, _, data)| u32::from_be_bytes(data[..4].try_into().unwrap())).collect()
    }
}

impl Endpoint for Host {
    fn handle_datagram(&mut self, now: u64, from: SocketAddr, to: SocketAddr, ecn: u8, data: &[u8]) {
        assert_eq!(Some(to), self.own);
        self.got.push((now, from, ecn, data.to_vec()));
        if self.answers {
            self.ready.push(Datagram { from: to, to: from, ecn: 0, payload: data.to_vec() });
        }
    }

    fn handle_timeout(&mut self, now: u64) {
        let mut payload = vec![0; self.size.max(4)];
        payload[..4].copy_from_slice(&self.next.to_be_bytes());
        let (from, to) = (self.own.unwrap(), self.peer.unwrap());
        self.ready.push(Datagram { from, to, ecn: self.ecn, payload });
        self.next += 1;
        self.left -= 1;
        self.due = (self.left > 0).then_some(now + self.interval);
    }

    fn poll_transmit(&mut self, _now: u64) -> Option<Datagram> {
        self.ready.pop()
    }

    fn poll_timeout(&self) -> Option<u64> {
        self.due
    }
}

fn address(host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], u16::from(host) * 1_000))
}

struct Pair {
    sim: Simulation<Host>,
    left: NodeId,
    right: NodeId,
    there: LinkId,
}

/// Sends `count` datagrams of `size` bytes over a link, one each `interval`, and runs to the end.
fn run(seed: u64, config: &LinkConfig, count: u32, size: usize, interval: u64) -> Pair {
    let mut pair = pair(seed, config, count, size, interval);
    assert_eq!(pair.sim.run_until(|_| false, 1_000 * SECOND), Outcome::Idle);
    pair
}

fn pair(seed: u64, config: &LinkConfig, count: u32, size: usize, interval: u64) -> Pair {
    let mut sim = Simulation::new(seed);
    let sender = Host {
        own: Some(address(1)),
        peer: Some(address(2)),
        interval,
        left: count,
        due: Some(0),
        size,
        ecn: 0b10,
        ..Host::default()
    };
    let left = sim.add_node(sender, address(1));
    let right = sim.add_node(Host { own: Some(address(2)), ..Host::default() }, address(2));
    let (there, _) = sim.connect(left, right, config);
    Pair { sim, left, right, there }
}

impl Pair {
    fn numbers(&self) -> Vec<u32> {
        self.sim.endpoint(self.right).numbers()
    }
    fn got(&self) -> &[(u64, SocketAddr, u8, Vec<u8>)] {
        &self.sim.endpoint(self.right).got
    }
    fn delays(&self) -> &Histogram {
        self.sim.link_delays(self.there)
    }
    fn stats(&self) -> LinkStats {
        *self.sim.link_stats(self.there)
    }
}

#[test]
fn rate_and_delay_decide_when_a_datagram_arrives() {
    // 1028 bytes at 8.224 Mbit/s take 1 ms.
    let config = LinkConfig::new().rate(8_224_000).delay(10 * MILLISECOND);
    let pair = run(1, &config, 3, 1_000, 0);
    let times: Vec<_> = pair.sim.endpoint(pair.right).got.iter().map(|got| got.0).collect();
    assert_eq!(times, [11 * MILLISECOND, 12 * MILLISECOND, 13 * MILLISECOND]);
    assert_eq!((pair.stats().queue_delay_max, pair.stats().max_queue), (2 * MILLISECOND, 2_056));
}

#[test]
fn a_full_queue_drops_the_tail() {
    let config = LinkConfig::new().rate(8_224_000).queue(3 * 1_028);
    let pair = run(1, &config, 10, 1_000, 0);
    assert_eq!(pair.numbers(), [0, 1, 2, 3]);
    assert_eq!((pair.stats().queue_drops, pair.stats().delivered), (6, 4));
    let used = pair.stats().utilization(8_224_000, 4 * MILLISECOND);
    assert!((used - 1.0).abs() < 1e-9, "{used}");
}

#[test]
fn listed_datagrams_are_lost() {
    let config = LinkConfig::new().loss(Loss::Indexes(vec![0, 3, 9]));
    assert_eq!(run(1, &config, 6, 10, MILLISECOND).numbers(), [1, 2, 4, 5]);
}

#[test]
fn bernoulli_loss_hits_its_share() {
    let pair = run(1, &LinkConfig::new().bernoulli(0.1), 10_000, 10, MILLISECOND);
    assert!((900..1_100).contains(&pair.stats().lost), "{:?}", pair.stats());
    assert_eq!(pair.stats().lost + pair.numbers().len() as u64, 10_000);
}

#[test]
fn gilbert_elliott_loss_comes_in_bursts() {
    let loss = Loss::GilbertElliott { to_bad: 0.01, to_good: 0.25, good: 0.0, bad: 1.0 };
    let pair = run(2, &LinkConfig::new().loss(loss), 20_000, 10, MILLISECOND);
    let numbers = pair.numbers();
    let bursts = numbers.windows(2).filter(|pair| pair[1] - pair[0] > 1).count() as f64;
    let (share, length) = (pair.stats().lost as f64 / 20_000.0, pair.stats().lost as f64 / bursts);
    assert!((0.03..0.05).contains(&share) && (3.3..4.7).contains(&length), "{share} {length}");
}

#[test]
fn jitter_delays_and_keeps_the_order() {
    let config = LinkConfig::new().delay(MILLISECOND).jitter(20 * MILLISECOND);
    let pair = run(1, &config, 500, 10, MILLISECOND);
    assert!(pair.numbers().is_sorted());
    let delay = |got: &(u64, SocketAddr, u8, Vec<u8>), n: u64| got.0 - n * MILLISECOND;
    let delays: Vec<_> =
        (0..).zip(&pair.sim.endpoint(pair.right).got).map(|(n, got)| delay(got, n)).collect();
    assert!(delays.iter().all(|delay| (MILLISECOND..=21 * MILLISECOND).contains(delay)));
    assert!(delays.iter().max() > delays.iter().min());
}

#[test]
fn held_back_datagrams_are_overtaken_and_none_is_lost() {
    let config = LinkConfig::new().reorder(0.2, 5 * MILLISECOND + 1);
    let pair = run(1, &config, 1_000, 10, MILLISECOND);
    let mut numbers = pair.numbers();
    assert!(!numbers.is_sorted());
    assert!((150..250).contains(&pair.stats().reordered));
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..1_000));
}

#[test]
fn duplicates_arrive_twice() {
    let pair = run(1, &LinkConfig::new().duplicate(0.3), 1_000, 10, MILLISECOND);
    let copies = pair.numbers().len() as u64 - 1_000;
    assert_eq!(copies, pair.stats().duplicated);
    assert!((250..350).contains(&copies));
}

#[test]
fn damage_is_one_bit() {
    let pair = run(1, &LinkConfig::new().corrupt(0.5), 200, 40, MILLISECOND);
    let mut damaged = 0;
    for (n, (_, _, _, data)) in (0_u32..).zip(&pair.sim.endpoint(pair.right).got) {
        let mut sent = [0; 40];
        sent[..4].copy_from_slice(&n.to_be_bytes());
        let flipped: u32 = sent.iter().zip(data).map(|(a, b)| (a ^ b).count_ones()).sum();
        assert!(flipped <= 1);
        damaged += u64::from(flipped);
    }
    assert_eq!(damaged, pair.stats().corrupted);
    assert!((70..130).contains(&damaged));
}

#[test]
fn too_large_datagrams_are_dropped() {
    let config = LinkConfig::new().mtu(1_200);
    assert_eq!(run(1, &config, 5, 1_200, 1).stats().delivered, 5);
    assert_eq!(run(1, &config, 5, 1_201, 1).stats().mtu_drops, 5);
}

#[test]
fn an_outage_drops_all_that_is_offered_in_it() {
    let config = LinkConfig::new().outage(2 * MILLISECOND..4 * MILLISECOND);
    let pair = run(1, &config, 6, 10, MILLISECOND);
    assert_eq!((pair.numbers(), pair.stats().outage_drops), (vec![0, 1, 4, 5], 2));
}

#[test]
fn a_suspended_link_queues_datagrams() {
    let config = LinkConfig::new().rate(8_000_000).suspension(5 * MILLISECOND..55 * MILLISECOND);
    let pair = run(1, &config, 40, 972, 2 * MILLISECOND);
    assert_eq!(pair.numbers(), (0..40).collect::<Vec<_>>());
    let times: Vec<u64> = pair.got().iter().map(|(at, ..)| *at / MILLISECOND).collect();
    // The datagram being sent still leaves; the rest leaves from 55 ms on, a millisecond each.
    assert_eq!(times[..5], [1, 3, 5, 56, 57], "{times:?}");
}

#[test]
fn a_policer_passes_bursts_and_its_rate() {
    // 1,000 bytes every millisecond are 8 Mbit/s; 2 pass, after 10,000 bytes.
    let pair = run(1, &LinkConfig::new().policer(2_000_000, 10_000), 1_000, 972, MILLISECOND);
    let passed = pair.numbers();
    assert!((255..=263).contains(&passed.len()), "{}", passed.len());
    assert_eq!(passed[..10], (0..10).collect::<Vec<_>>());
    assert_eq!(pair.stats().policer_drops + pair.stats().delivered, 1_000);
}

#[test]
fn aggregation_lets_datagrams_arrive_together() {
    let config = LinkConfig::new().delay(MILLISECOND).aggregation(20 * MILLISECOND);
    let pair = run(1, &config, 100, 100, MILLISECOND);
    let got = pair.got();
    assert_eq!(got.len(), 100);
    assert!(got.iter().all(|(at, ..)| at % (20 * MILLISECOND) == 0));
}

#[test]
fn contention_has_its_mean_and_keeps_the_order() {
    let pair = run(1, &LinkConfig::new().contention(7 * MILLISECOND), 4_000, 100, 200 * MILLISECOND);
    assert_eq!(pair.numbers(), (0..4_000).collect::<Vec<_>>());
    let late: u64 =
        pair.got().iter().enumerate().map(|(n, (at, ..))| at - n as u64 * 200 * MILLISECOND).sum();
    let mean = late as f64 / 4_000.0 / 1e6;
    assert!((6.0..7.5).contains(&mean), "{mean} ms");
}

#[test]
fn a_recorded_link_follows_its_recording() {
    let trace = Trace::parse("10\n20\n30\n40\n50\n").unwrap();
    let pair = run(1, &LinkConfig::new().trace(trace), 12, 1_476, MILLISECOND);
    let times: Vec<u64> = pair.got().iter().map(|(at, ..)| *at / MILLISECOND).collect();
    assert_eq!(times, (1..=12).map(|n| n * 10).collect::<Vec<_>>());
    assert_eq!(pair.delays().count(), 12);
    assert!(pair.delays().max() >= 98 * MILLISECOND, "{}", pair.delays().max());
}

#[test]
fn a_long_queue_marks_and_bleaching_clears() {
    let config = LinkConfig::new().rate(8_224_000).mark_above(2 * 1_028);
    let pair = run(1, &config, 6, 1_000, 0);
    let marks: Vec<_> = pair.sim.endpoint(pair.right).got.iter().map(|got| got.2).collect();
    assert_eq!(marks, [0b10, 0b10, 0b10, 0b10, 0b11, 0b11]);
    assert_eq!(pair.stats().marked, 2);
    let bleached = run(1, &config.bleach(), 6, 1_000, 0);
    assert!(bleached.sim.endpoint(bleached.right).got.iter().all(|got| got.2 == 0));
}

#[test]
fn a_link_may_drop_marked_datagrams_or_change_the_mark() {
    let drops = run(1, &LinkConfig::new().drop_marked(), 6, 1_000, 0);
    assert_eq!((drops.stats().ecn_drops, drops.stats().delivered), (6, 0));
    let mut unmarked = pair(1, &LinkConfig::new().drop_marked().remark(), 6, 1_000, 0);
    unmarked.sim.endpoint_mut(unmarked.left).ecn = 0;
    unmarked.sim.run_until(|_| false, SECOND);
    assert_eq!((unmarked.stats().ecn_drops, unmarked.stats().delivered), (0, 6));
    let remarked = run(1, &LinkConfig::new().remark(), 6, 1_000, 0);
    assert!(remarked.sim.endpoint(remarked.right).got.iter().all(|got| got.2 == 0b01));
}

#[test]
fn datagrams_that_are_not_capable_are_never_marked() {
    let mut pair = pair(1, &LinkConfig::new().rate(8_224_000).mark_above(0), 6, 1_000, 0);
    pair.sim.endpoint_mut(pair.left).ecn = 0;
    pair.sim.run_until(|_| false, SECOND);
    assert_eq!((pair.stats().marked, pair.stats().delivered), (0, 6));
}

#[test]
fn a_rebound_address_is_seen_by_the_peer_and_answers_arrive() {
    let mut pair = pair(1, &LinkConfig::new().delay(10 * MILLISECOND), 10, 10, 10 * MILLISECOND);
    pair.sim.endpoint_mut(pair.right).answers = true;
    let outside = SocketAddr::from(([192, 0, 2, 1], 4_444));
    let again = SocketAddr::from(([192, 0, 2, 1], 5_555));
    pair.sim.at(45 * MILLISECOND, move |sim| sim.rebind(address(1), outside));
    pair.sim.at(75 * MILLISECOND, move |sim| sim.rebind(address(1), again));
    pair.sim.run_until(|_| false, SECOND);
    let seen: Vec<_> = pair.sim.endpoint(pair.right).got.iter().map(|got| got.1).collect();
    assert_eq!((seen.len(), seen[4], seen[5], seen[9]), (10, address(1), outside, again));
    // Answers are lost if their address was replaced while they were in flight: those sent at 40 and 50 ms to
    // the first, and at 70 and 80 ms to the second.
    let mut answered = pair.sim.endpoint(pair.left).numbers();
    answered.sort_unstable();
    assert_eq!(answered, [0, 1, 2, 5, 8, 9]);
    assert_eq!(pair.sim.unreachable(), 4);
}

#[test]
fn a_removed_address_reaches_no_host_even_if_translated() {
    for is_rebound in [false, true] {
        let mut pair = pair(1, &LinkConfig::new(), 10, 10, 10 * MILLISECOND);
        let outside = SocketAddr::from(([192, 0, 2, 1], 4_444));
        if is_rebound {
            pair.sim.rebind(address(2), outside);
            pair.sim.endpoint_mut(pair.left).peer = Some(outside);
        }
        pair.sim.at(45 * MILLISECOND, |sim| sim.remove_address(address(2)));
        pair.sim.run_until(|_| false, SECOND);
        assert_eq!((pair.sim.endpoint(pair.right).got.len(), pair.sim.unreachable()), (5, 5));
        // Any host can get it again.
        pair.sim.add_address(pair.left, address(2));
        pair.sim.add_address(pair.left, outside);
    }
}

#[test]
fn time_advances_to_the_next_event_and_no_further() {
    let mut pair = pair(1, &LinkConfig::new().delay(30 * MILLISECOND), 1, 10, 0);
    pair.sim.run_until(|sim| sim.now() > 0 || !sim.log().is_empty(), 10 * MILLISECOND);
    pair.sim.advance_to(20 * MILLISECOND);
    assert_eq!(pair.sim.now(), 20 * MILLISECOND);
    pair.sim.advance_to(50 * MILLISECOND);
    assert_eq!((pair.sim.now(), pair.sim.delivered()), (30 * MILLISECOND, 0), "the datagram comes first");
    assert_eq!(pair.sim.run_until(|_| false, SECOND), Outcome::Idle);
    pair.sim.advance_to(SECOND);
    assert_eq!((pair.sim.now(), pair.sim.delivered()), (SECOND, 1));
}

#[test]
fn links_can_be_shared_and_chained() {
    let mut sim: Simulation<Host> = Simulation::new(3);
    let sink = sim.add_node(Host { own: Some(address(9)), ..Host::default() }, address(9));
    let access = sim.add_link(LinkConfig::new().delay(MILLISECOND));
    let bottleneck = sim.add_link(LinkConfig::new().rate(8_224_000));
    for host in 1..=2 {
        let sender = Host {
            own: Some(address(host)),
            peer: Some(address(9)),
            left: 5,
            due: Some(0),
            size: 1_000,
            ..Host::default()
        };
        let id = sim.add_node(sender, address(host));
        sim.set_path(id, sink, &[access, bottleneck]);
    }
    sim.run_until(|_| false, SECOND);
    assert_eq!(sim.endpoint(sink).got.len(), 10);
    assert_eq!(sim.now(), 11 * MILLISECOND, "ten datagrams of 1 ms after 1 ms of access");
    assert_eq!(sim.link_stats(bottleneck).max_queue, 9 * 1_028);
}

#[test]
fn a_link_can_change_while_it_runs() {
    let mut pair = pair(1, &LinkConfig::new(), 10, 10, MILLISECOND);
    let there = pair.there;
    pair.sim.at(5 * MILLISECOND - 1, move |sim| sim.link_mut(there).loss = Loss::Bernoulli(1.0));
    pair.sim.run_until(|_| false, SECOND);
    assert_eq!(pair.numbers(), [0, 1, 2, 3, 4]);
}

#[test]
fn conditions_and_limits_end_a_run() {
    let mut pair = pair(1, &LinkConfig::new(), 10, 10, MILLISECOND);
    let right = pair.right;
    let five = |sim: &Simulation<Host>| sim.endpoint(right).got.len() == 5;
    assert_eq!(pair.sim.run_until(five, SECOND), Outcome::Reached);
    assert_eq!(pair.sim.now(), 4 * MILLISECOND);
    assert_eq!(pair.sim.run_until(|_| false, 6 * MILLISECOND + 1), Outcome::TimedOut);
    assert_eq!(pair.sim.now(), 6 * MILLISECOND + 1);
    assert_eq!(pair.sim.run_until(|_| false, SECOND), Outcome::Idle);
}

#[test]
fn a_failure_prints_the_seed() {
    let mut pair = pair(77, &LinkConfig::new(), 1, 10, 0);
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        pair.sim.expect_until("the impossible", |_| false, SECOND);
    }));
    let message = *failed.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("the impossible: Idle") && message.contains("NETSIM_SEED=77"), "{message}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let config = LinkConfig::new()
        .rate(5_000_000)
        .delay(7 * MILLISECOND)
        .jitter(3 * MILLISECOND)
        .queue(20_000)
        .bernoulli(0.05)
        .reorder(0.05, 4 * MILLISECOND)
        .duplicate(0.05)
        .corrupt(0.05)
        .mark_above(5_000);
    let play = |seed| {
        let mut pair = pair(seed, &config, 2_000, 900, MILLISECOND);
        pair.sim.keep_log();
        pair.sim.endpoint_mut(pair.right).answers = true;
        pair.sim.run_until(|_| false, 100 * SECOND);
        (pair.sim.log().to_vec(), pair.sim.digest(), pair.stats())
    };
    for_seeds(0..5, |seed| {
        let (first, second, other) = (play(seed), play(seed), play(seed + 1_000));
        assert!(first.0.len() > 4_000);
        assert_eq!(first, second);
        assert_ne!(first.0, other.0);
        assert_ne!(first.1, other.1);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// With any configuration, each datagram is counted exactly once, and duplicates are counted.
    #[test]
    fn every_datagram_is_accounted_for(
        seed: u64,
        rate in 100_000_u64..100_000_000,
        queue in 0_u64..50_000,
        chances in proptest::array::uniform4(0.0..0.5_f64),
        mtu in 500_usize..1_500,
        discipline in proptest::sample::select(vec![
            Discipline::DropTail,
            Discipline::Step { threshold: MILLISECOND },
            Discipline::codel(),
            Discipline::fq_codel(),
            Discipline::pi2(),
            Discipline::dual_pi2(),
        ]),
        policed in proptest::option::of(1_000_000_u64..50_000_000),
    ) {
        let [loss, duplicate, corrupt, reorder] = chances;
        let config = LinkConfig::new().rate(rate).queue(queue).mtu(mtu).bernoulli(loss).duplicate(duplicate);
        let config = config.corrupt(corrupt).reorder(reorder, MILLISECOND).outage(5 * MILLISECOND..9 * MILLISECOND);
        let mut config = config.discipline(discipline).suspension(20 * MILLISECOND..30 * MILLISECOND);
        config.policer = policed.map(|rate| Policer { rate, burst: 10_000 });
        let pair = run(seed, &config, 300, 1_000, MILLISECOND / 4);
        let stats = pair.stats();
        let dropped = stats.queue_drops + stats.mtu_drops + stats.outage_drops + stats.ecn_drops + stats.lost;
        let dropped = dropped + stats.managed_drops + stats.policer_drops;
        prop_assert_eq!(stats.offered, 300);
        prop_assert_eq!(stats.delivered + dropped, 300 + stats.duplicated);
        prop_assert_eq!(pair.numbers().len() as u64, stats.delivered);
        prop_assert!(stats.max_queue <= queue);
    }
}

#[test]
fn in_a_lane_a_full_buffer_drops_and_a_late_clock_does_not_slow_the_link() {
    let config = LinkConfig::new().rate(1_000_000).delay(5 * MILLISECOND).queue(10_000);
    let mut lane = Lane::new(config, 1);
    let fill = |lane: &mut Lane<u32>, now| -> usize {
        (0..20).map(|number| lane.offer(now, 0, 0, vec![0; 1_000], number, |_, _, _| {})).sum()
    };
    let lost = fill(&mut lane, 0);
    assert!((9..=11).contains(&lost), "{lost}");
    // Advanced once, much later: everything that was queued has arrived, in order.
    let mut arrived = Vec::new();
    lane.advance(SECOND, |number, _, _| arrived.push(*number));
    assert!(arrived.is_sorted() && arrived.len() == 20 - lost, "{arrived:?}");
    assert_eq!(lane.next(), None);
    assert!(lane.latest() > 900 * MILLISECOND, "{}", lane.latest());
    // A datagram that is offered late finds the link in the state of that time.
    fill(&mut lane, 2 * SECOND);
    assert_eq!(fill(&mut lane, 3 * SECOND), lost);
    lane.config_mut().rate = None;
    lane.advance(4 * SECOND, |_, _, _| {});
    assert_eq!((fill(&mut lane, 4 * SECOND), lane.link().stats().offered), (0, 80));
}
