//! How each discipline treats a standing queue, and one that drains.

use std::collections::BTreeMap;

use super::*;
use crate::MILLISECOND;

/// A queue before a link that takes a millisecond for each datagram of 1,250 bytes (10 Mbit/s).
struct Line {
    queue: Queue<u64>,
    now: u64,
    index: u64,
    dropped: Vec<u64>,
    marked: u64,
    /// For each flow: how many of its datagrams left, and their delays.
    left: BTreeMap<u64, Vec<u64>>,
}

const BYTES: u64 = 1_250;

impl Line {
    fn new(discipline: &Discipline) -> Self {
        let queue = Queue::new(discipline, Random::new(1));
        Self { queue, now: 0, index: 0, dropped: Vec::new(), marked: 0, left: BTreeMap::new() }
    }

    fn push(&mut self, flow: u64, ecn: u8, limit: u64) {
        let waiting = Waiting {
            index: self.index,
            since: self.now,
            ecn,
            bytes: BYTES,
            flow,
            payload: Vec::new(),
            tag: self.index,
        };
        self.index += 1;
        let mut fate = Fate::default();
        self.queue.push(self.now, waiting, limit, &mut fate);
        self.dropped.extend(fate.dropped);
    }

    fn pop(&mut self) -> Option<Waiting<u64>> {
        let mut fate = Fate::default();
        let waiting = self.queue.pop(self.now, &mut fate);
        self.dropped.extend(fate.dropped);
        self.marked += fate.marked;
        if let Some(waiting) = &waiting {
            self.left.entry(waiting.flow).or_default().push(self.now - waiting.since);
        }
        waiting
    }

    /// Lets one datagram leave in each of `millis` milliseconds; `arrivals` gives the flows that arrive in a
    /// millisecond.
    fn run(&mut self, millis: u64, ecn: u8, mut arrivals: impl FnMut(u64) -> Vec<u64>) {
        for millisecond in 0..millis {
            for flow in arrivals(millisecond) {
                self.push(flow, ecn, u64::MAX);
            }
            self.pop();
            self.now += MILLISECOND;
        }
    }

    fn last_delay(&self, flow: u64) -> u64 {
        self.left[&flow].last().copied().unwrap_or(0) / MILLISECOND
    }
}

#[test]
fn each_datagram_leaves_or_is_dropped_once() {
    for discipline in [
        Discipline::DropTail,
        Discipline::Step { threshold: MILLISECOND },
        Discipline::codel(),
        Discipline::fq_codel(),
        Discipline::pi2(),
        Discipline::dual_pi2(),
    ] {
        for seed in 0..20 {
            let mut random = Random::new(seed);
            let mut line = Line::new(&discipline);
            for _ in 0..2_000 {
                for _ in 0..random.below(4) {
                    line.push(random.below(5), random.below(4) as u8, 40_000);
                }
                line.pop();
                line.now += random.below(2 * MILLISECOND);
            }
            while line.pop().is_some() {}
            let left: usize = line.left.values().map(Vec::len).sum();
            assert_eq!(left + line.dropped.len(), line.index as usize, "{discipline:?}, seed {seed}");
            assert_eq!(line.queue.bytes(), 0);
            let mut dropped = std::mem::take(&mut line.dropped);
            dropped.sort_unstable();
            dropped.dedup();
            assert_eq!(left + dropped.len(), line.index as usize, "each is dropped once");
        }
    }
}

#[test]
fn codel_passes_a_burst_and_drops_from_a_standing_queue() {
    let mut line = Line::new(&Discipline::codel());
    // A burst of 90 has left within the interval of 100 ms.
    (0..90).for_each(|_| line.push(0, NOT_ECT, u64::MAX));
    line.run(95, NOT_ECT, |_| vec![]);
    assert_eq!(line.dropped.len(), 0);
    // As many arrive as leave, behind a queue of 50 ms.
    (0..50).for_each(|_| line.push(0, NOT_ECT, u64::MAX));
    line.run(3_000, NOT_ECT, |_| vec![0]);
    assert!(line.last_delay(0) <= 6, "a standing delay of {} ms", line.last_delay(0));
    // In a queue that does not shrink, the first drop comes after 100 ms and each later one after 100/sqrt(n)
    // ms.
    let mut line = Line::new(&Discipline::codel());
    (0..200).for_each(|_| line.push(0, NOT_ECT, u64::MAX));
    let mut times = Vec::new();
    for millisecond in 0..400 {
        let before = line.dropped.len();
        line.run(1, NOT_ECT, |_| vec![0]);
        (before..line.dropped.len()).for_each(|_| times.push(millisecond));
    }
    let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).take(4).collect();
    assert_eq!((times[0], gaps), (105, vec![100, 71, 58, 50]));
}

#[test]
fn ecn_capable_datagrams_are_not_dropped() {
    for (discipline, ecn) in [
        (Discipline::codel(), ECT0),
        (Discipline::fq_codel(), ECT0),
        (Discipline::pi2(), ECT0),
        (Discipline::dual_pi2(), ECT0),
        (Discipline::dual_pi2(), ECT1),
        (Discipline::Step { threshold: 10 * MILLISECOND }, ECT1),
    ] {
        let mut line = Line::new(&discipline);
        (0..200).for_each(|_| line.push(0, ecn, u64::MAX));
        line.run(1_000, ecn, |_| vec![0]);
        assert_eq!(line.dropped.len(), 0, "{discipline:?}");
        assert!(line.marked > 20, "{discipline:?} marked {}", line.marked);
    }
}

#[test]
fn flows_share_and_a_thin_one_does_not_wait() {
    let mut line = Line::new(&Discipline::fq_codel());
    // Two flows that want the whole link, and one with a datagram every 20 ms.
    line.run(4_000, NOT_ECT, |at| if at % 20 == 0 { vec![1, 1, 2, 2, 2, 3] } else { vec![1, 1, 2, 2, 2] });
    let counts: Vec<usize> = (1..=3).map(|flow| line.left[&flow].len()).collect();
    assert_eq!(counts[2], 200, "all datagrams of the thin flow");
    assert!(counts[0].abs_diff(counts[1]) < 40, "{counts:?}");
    // Its first datagram arrives when the others are new as well.
    let slowest = line.left[&3].iter().skip(1).max().copied().unwrap_or(0);
    assert!(slowest <= 2 * MILLISECOND, "{slowest} ns");
}

#[test]
fn the_longest_queue_makes_room() {
    let mut line = Line::new(&Discipline::fq_codel());
    (0..9).for_each(|_| line.push(1, NOT_ECT, 10 * BYTES));
    (0..4).for_each(|_| line.push(2, NOT_ECT, 10 * BYTES));
    assert_eq!(line.dropped, [0, 1, 2], "the first datagrams of the longest queue");
}

#[test]
fn pi2_drops_with_the_squared_probability_and_keeps_the_target() {
    let mut line = Line::new(&Discipline::pi2());
    // With 2 % more than fits, the probability settles where that share is dropped.
    let mut more = 0;
    line.run(20_000, NOT_ECT, |_| {
        more += 2;
        let extra = more >= 100;
        if extra {
            more -= 100;
        }
        vec![0; 1 + usize::from(extra)]
    });
    let late = &line.left[&0][15_000..];
    let mean = late.iter().sum::<u64>() / late.len() as u64 / MILLISECOND;
    assert!((13..=17).contains(&mean), "{mean} ms");
    assert!((300..=420).contains(&line.dropped.len()), "{}", line.dropped.len());
}

#[test]
fn low_latency_has_its_own_queue_and_is_marked_in_step_with_the_other() {
    let mut line = Line::new(&Discipline::dual_pi2());
    let mut random = Random::new(7);
    for _ in 0..20_000 {
        // The classic queue gets 3 % too much, the other one a third.
        if random.chance(0.70) {
            line.push(1, NOT_ECT, u64::MAX);
        }
        if random.chance(0.33) {
            line.push(2, ECT1, u64::MAX);
        }
        line.pop();
        line.now += MILLISECOND;
    }
    let mut delays = line.left[&2].clone();
    delays.sort_unstable();
    assert!(delays[delays.len() * 99 / 100] <= 3 * MILLISECOND, "{} ns", delays[delays.len() * 99 / 100]);
    let dropped = line.dropped.len() as f64 / (line.dropped.len() + line.left[&1].len()) as f64;
    let marked = line.marked as f64 / line.left[&2].len() as f64;
    // p_CL = 2 p', p_C = p'^2 (RFC 9332 §2.1), and the step adds to the marks.
    assert!(marked >= 2.0 * dropped.sqrt() * 0.8, "{marked} marked, {dropped} dropped");
}
