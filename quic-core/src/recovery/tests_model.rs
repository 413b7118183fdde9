//! The ledger against a naive model that keeps everything in a map and looks at all of it each time.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::tests::{Bench, MAX_ACK_DELAY, at, ms};
use super::*;

const SPACE: Space = Space::Data;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Outstanding,
    Acked,
    Lost,
    Late,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    time: Timestamp,
    ack_only: bool,
    state: State,
}

#[derive(Clone, Debug)]
enum Step {
    Send(u8),
    SendAckOnly,
    Skip,
    Wait(u16),
    /// Acknowledges those of the last 24 packets whose bit is set.
    Ack(u32),
    Timer,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_u8..6).prop_map(Step::Send),
        1 => Just(Step::SendAckOnly),
        1 => Just(Step::Skip),
        3 => (1_u16..400).prop_map(Step::Wait),
        5 => any::<u32>().prop_map(Step::Ack),
        3 => Just(Step::Timer),
    ]
}

struct Model {
    bench: Bench,
    packets: BTreeMap<u64, Entry>,
    next: u64,
    now: u64,
    largest_acked: Option<u64>,
    /// Losses below this number no longer belong to a run.
    run_floor: u64,
}

impl Model {
    fn new() -> Self {
        Self {
            bench: Bench::new(),
            packets: BTreeMap::new(),
            next: 0,
            now: 0,
            largest_acked: None,
            run_floor: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Send(count) => (0..count).for_each(|_| self.send(false)),
            Step::SendAckOnly => self.send(true),
            Step::Skip => {
                self.bench.recovery.on_packet_number_skipped(SPACE, self.next);
                self.next += 1;
            }
            Step::Wait(wait) => self.now += u64::from(wait),
            Step::Ack(bits) => self.ack(bits),
            Step::Timer => self.timer(),
        }
        self.compare();
    }

    fn send(&mut self, ack_only: bool) {
        match ack_only {
            true => self.bench.send_ack_only(SPACE, self.next, self.now),
            false => self.bench.send(SPACE, self.next, self.now),
        }
        self.packets.insert(self.next, Entry { time: at(self.now), ack_only, state: State::Outstanding });
        self.next += 1;
    }

    fn ack(&mut self, bits: u32) {
        let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
        for bit in (0..24).rev().filter(|bit| bits >> bit & 1 == 1) {
            let Some(pn) = self.next.checked_sub(bit + 1).filter(|pn| self.packets.contains_key(pn)) else {
                continue;
            };
            match ranges.last_mut() {
                Some(last) if *last.end() + 1 == pn => *last = *last.start()..=pn,
                _ => ranges.push(pn..=pn),
            }
        }
        let Some(largest) = ranges.last().map(|range| *range.end()) else { return };
        self.bench.settled.clear();
        let result = self.bench.ack(SPACE, &ranges, self.now).unwrap();
        self.largest_acked = self.largest_acked.max(Some(largest));
        let mut expected = Vec::new();
        let (mut newly, mut late, mut breaks) = (0, 0, false);
        let run = self.last_lost().and_then(|last| Some((self.run_before(last)?.0, last)));
        for pn in ranges.into_iter().flatten() {
            let entry = self.packets.get_mut(&pn).unwrap();
            match entry.state {
                State::Outstanding => {
                    entry.state = State::Acked;
                    newly += 1;
                    breaks |= entry.ack_only && run.is_some_and(|(first, last)| first < pn && pn < last);
                    expected.push((pn, Outcome::Acked));
                }
                // How long a loss is remembered has its own test.
                State::Lost if self.bench.settled.contains(&(pn, Outcome::Recovered)) => {
                    entry.state = State::Late;
                    late += 1;
                    breaks |= run.is_some_and(|(first, _)| first <= pn);
                    expected.push((pn, Outcome::Recovered));
                }
                _ => {}
            }
        }
        if breaks {
            // The losses after the packet that arrived could still begin a run; the ledger starts a new one.
            self.run_floor = self.last_lost().map_or(0, |pn| pn + 1);
        }
        let mut persistent = false;
        if newly + late > 0 {
            persistent = self.detect(&mut expected);
        }
        let spurious = result.spurious.map_or(0, |spurious| spurious.packets);
        assert_eq!((result.newly_acked, spurious), (newly, late));
        assert_eq!(result.loss.persistent, persistent);
        self.check_settled(expected);
    }

    fn timer(&mut self) {
        let Some((due, why)) = self.bench.deadline() else { return };
        self.now = self.now.max((due - at(0)).as_millis() as u64 + 1);
        self.bench.settled.clear();
        let result = self.bench.timeout(at(self.now));
        let mut expected = Vec::new();
        match why {
            TimerKind::LossTime => {
                assert_eq!(result.loss.persistent, self.detect(&mut expected));
                assert!(result.loss.packets > 0 && result.probe.is_none());
            }
            TimerKind::Pto => assert_eq!(result.probe, Some(Probe { space: SPACE, count: 2 })),
        }
        self.check_settled(expected);
    }

    fn last_lost(&self) -> Option<u64> {
        let lost = |entry: &Entry| matches!(entry.state, State::Lost | State::Late);
        self.packets.iter().rev().find(|(_, entry)| lost(entry)).map(|(pn, _)| *pn)
    }

    /// Declares losses as RFC 9002 says, and returns whether they are persistent congestion.
    fn detect(&mut self, expected: &mut Vec<(u64, Outcome)>) -> bool {
        let rtt = &self.bench.rtt;
        let thresholds = self.bench.recovery.thresholds;
        let delay = (rtt.smoothed().max(rtt.latest()) * thresholds.time_eighths / 8).max(ms(1));
        let period = (rtt.pto_base() + MAX_ACK_DELAY) * 3;
        let largest = self.largest_acked.unwrap();
        let mut persistent = false;
        for pn in self.packets.range(..largest).map(|(pn, _)| *pn).collect::<Vec<_>>() {
            let Entry { time, ack_only, state } = self.packets[&pn];
            let overtaken = self.packets.range(pn + 1..=largest).count() as u64 >= thresholds.packets;
            if ack_only || state != State::Outstanding || !(overtaken || time + delay <= at(self.now)) {
                continue;
            }
            self.packets.get_mut(&pn).unwrap().state = State::Lost;
            expected.push((pn, Outcome::Lost));
            if self.run_before(pn).is_some_and(|(_, start)| time - start > period) {
                persistent = true;
                self.run_floor = pn + 1;
            }
        }
        persistent
    }

    /// The oldest packet of the run of losses that ends with `pn`, and its send time.
    fn run_before(&self, pn: u64) -> Option<(u64, Timestamp)> {
        let first_sample = self.bench.rtt.first_sample().filter(|_| self.run_floor <= pn)?;
        let mut start = None;
        for (pn, entry) in self.packets.range(self.run_floor..=pn).rev() {
            match entry.state {
                State::Acked | State::Late => break,
                State::Lost if entry.time > first_sample => start = Some((*pn, entry.time)),
                State::Lost | State::Outstanding => {}
            }
        }
        start
    }

    fn check_settled(&mut self, mut expected: Vec<(u64, Outcome)>) {
        let key = |(pn, outcome): &(u64, Outcome)| (*pn, *outcome != Outcome::Lost);
        expected.sort_by_key(key);
        self.bench.settled.sort_by_key(key);
        assert_eq!(self.bench.settled, expected);
    }

    fn compare(&self) {
        let outstanding: Vec<_> = self
            .packets
            .iter()
            .filter(|(_, entry)| entry.state == State::Outstanding && !entry.ack_only)
            .map(|(pn, _)| *pn)
            .collect();
        let recovery = &self.bench.recovery;
        assert_eq!(self.bench.in_flight, outstanding.len() as u64 * 1_200);
        assert_eq!(recovery.oldest_unacked(SPACE), outstanding.first().copied());
        assert_eq!(recovery.has_ack_eliciting_in_flight(SPACE), !outstanding.is_empty());
        assert_eq!(recovery.largest_acked(SPACE), self.largest_acked);
        assert_eq!(self.bench.deadline().is_some(), !outstanding.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn the_ledger_agrees_with_a_naive_one(steps in proptest::collection::vec(step(), 1..150)) {
        let mut model = Model::new();
        for step in &steps {
            model.step(step);
        }
    }
}

/// A late acknowledgment of a packet from before a run of losses does not end the run.
#[test]
fn an_acknowledgment_from_before_a_run_does_not_end_it() {
    let mut model = Model::new();
    let ack = |pns: &[u64], next: u64| Step::Ack(pns.iter().map(|pn| 1 << (next - 1 - pn)).sum());
    let steps = [
        Step::Send(1),
        ack(&[0], 1),
        Step::Send(1),
        Step::Timer,
        Step::SendAckOnly,
        Step::Send(5),
        ack(&[4, 6], 8),
        Step::Skip,
        Step::Wait(79),
        Step::Send(3),
        ack(&[3, 4, 5, 11], 12),
        ack(&[1, 2, 4, 5], 12),
        Step::Timer,
    ];
    steps.iter().for_each(|step| model.step(step));
    assert_eq!(model.bench.recovery.counters().persistent_congestions, 1);
}
