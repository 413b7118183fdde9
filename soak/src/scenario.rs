//! The scenario of a seed: links, settings of both ends, and the application's work.

use netsim::{LinkConfig, Loss, MILLISECOND, Random, SECOND};
use quic_core::{
    Dir, TransportConfig,
    congestion::{Algorithm, CongestionConfig},
};

use crate::host::Policy;

/// The size of the bidirectional stream, in bytes.
pub const BULK: usize = 1 << 20;
/// How many small streams are opened with it.
pub const SMALL_STREAMS: usize = 100;
/// How many datagrams the client sends during the streams.
pub const DATAGRAMS: usize = 500;
/// Datagrams that are sent in one go.
const DATAGRAM_BURST: usize = 10;
/// The smallest payload that every link passes, as QUIC requires (RFC 9000 §14).
const LEAST_MTU: usize = 1200;
/// The payload that fits an Ethernet frame with IPv4 and UDP.
const ETHERNET: usize = 1472;
/// The generator that draws scenarios; the links' generators have small numbers.
const DRAW: u64 = 0x5ce_a210;

/// A change of the network at a time, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// From now on both links pass payloads of up to this many bytes, and the ends are not told.
    Mtu(usize),
    /// The client's address, as the server sees it, changes.
    Rebind,
    /// The client starts a key update, if it may.
    UpdateKeys,
}

/// The application's work once the handshake is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The size of the bidirectional stream, in bytes.
    pub bulk: usize,
    /// Further streams: whether they are bidirectional or answered on another stream, and their sizes in
    /// bytes.
    pub small: Vec<(Dir, usize)>,
    /// Sizes of datagrams, all at least eight bytes.
    pub datagrams: Vec<usize>,
    /// Datagrams that are sent in one go.
    pub burst: usize,
    /// The time between two bursts, in nanoseconds.
    pub interval: u64,
}

impl Workload {
    /// How many bytes both ends send if nothing is lost.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let streams = self.bulk + self.small.iter().map(|(_, size)| size).sum::<usize>();
        2 * (streams + self.datagrams.iter().sum::<usize>()) as u64
    }
}

/// Everything about a run except the randomness of its links.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// From the client to the server.
    pub there: LinkConfig,
    /// From the server to the client.
    pub back: LinkConfig,
    /// The client's settings.
    pub client: TransportConfig,
    /// The server's settings.
    pub server: TransportConfig,
    /// Whether the client must validate its address first.
    pub policy: Policy,
    /// The changes during the run, and their times.
    pub changes: Vec<(u64, Change)>,
    /// The application's work.
    pub workload: Workload,
}

impl Scenario {
    /// The scenario of the transfer `seed`.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut draw = Draw(Random::derived(seed, DRAW));
        let delay = draw.logarithmic(50_000, 250 * MILLISECOND);
        let rate = draw.maybe(0.9).then(|| draw.logarithmic(500_000, 1_000_000_000));
        let there = draw.link(rate, delay);
        let (back_rate, back_delay) = match draw.maybe(0.3) {
            true => {
                (rate.map(|rate| draw.logarithmic(rate / 10, rate)), draw.logarithmic(delay / 2, 2 * delay))
            }
            false => (rate, delay),
        };
        let mut back = draw.link(back_rate, back_delay);
        let mut there = there;
        let mut changes = Vec::new();
        draw.outages(&mut there, &mut back);
        draw.mtu(&mut there, &mut back, &mut changes);
        if draw.maybe(0.05) {
            changes.push((draw.below(3 * SECOND), Change::Rebind));
        }
        if draw.maybe(0.2) {
            changes.push((draw.below(5 * SECOND), Change::UpdateKeys));
        }
        Self {
            there,
            back,
            client: draw.transport(),
            server: draw.transport(),
            policy: if draw.maybe(0.15) { Policy::Retry } else { Policy::Accept },
            changes,
            workload: draw.workload(),
        }
    }

    /// The share of round trips that fail.
    #[must_use]
    pub fn round_trip_loss(&self) -> f64 {
        1.0 - passing(&self.there) * passing(&self.back)
    }

    /// Whether the network may cause an end to receive nothing until its idle timeout.
    #[must_use]
    pub fn may_fall_silent(&self) -> bool {
        let down = |link: &LinkConfig| !link.outages.is_empty();
        self.rebinds() || self.round_trip_loss() > 0.0 || down(&self.there) || down(&self.back)
    }

    /// Whether the client's address changes.
    #[must_use]
    pub fn rebinds(&self) -> bool {
        self.changes.iter().any(|(_, change)| *change == Change::Rebind)
    }

    /// The virtual time after which the transfer counts as hung: a minute, and ten times the duration at the
    /// lower of the links' rates and of two surviving packets per round trip.
    #[must_use]
    pub fn time_limit(&self) -> u64 {
        let round_trip = |link: &LinkConfig| link.delay + link.jitter;
        let round_trip = (round_trip(&self.there) + round_trip(&self.back)).max(1) as f64 / 1e9;
        let crawl = 2.0 * LEAST_MTU as f64 * (1.0 - self.round_trip_loss()) / round_trip;
        let rate = |link: &LinkConfig| link.rate.map_or(f64::INFINITY, |bits| bits as f64 / 8.0);
        let slowest = crawl.min(rate(&self.there)).min(rate(&self.back));
        60 * SECOND + (10.0 * self.workload.bytes() as f64 / slowest * 1e9) as u64
    }
}

/// The share of datagrams that pass a link undamaged, in the long run.
fn passing(link: &LinkConfig) -> f64 {
    let lost = match &link.loss {
        Loss::None => 0.0,
        Loss::Bernoulli(probability) => *probability,
        Loss::GilbertElliott { to_bad, to_good, good, bad } => {
            let share = to_bad / (to_bad + to_good);
            share * bad + (1.0 - share) * good
        }
        // A few in thousands; they count as one percent.
        Loss::Indexes(_) => 0.01,
        other => unreachable!("no scenario draws {other:?}"),
    };
    (1.0 - lost) * (1.0 - link.corrupt)
}

/// The random numbers of a scenario.
struct Draw(Random);

impl Draw {
    fn maybe(&mut self, probability: f64) -> bool {
        self.0.chance(probability)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0.below(end)
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + self.0.unit() * (high - low)
    }

    /// A number from `low` to `high`, each order of magnitude equally likely.
    fn logarithmic(&mut self, low: u64, high: u64) -> u64 {
        let (low, high) = (low.max(1) as f64, high.max(2) as f64);
        (low * (high / low).powf(self.0.unit())) as u64
    }

    fn link(&mut self, rate: Option<u64>, delay: u64) -> LinkConfig {
        let mut link = LinkConfig::new().delay(delay).mtu(ETHERNET).loss(self.loss());
        link.rate = rate;
        if self.maybe(0.5) {
            link.jitter = self.below(delay / 2 + 1);
        }
        if let Some(rate) = rate {
            let product = (rate as f64 / 8.0 * (2 * delay) as f64 / 1e9) as u64;
            let queue = self.logarithmic(product / 4, product * 4).max(10 * ETHERNET as u64);
            link.queue = if self.maybe(0.8) { queue } else { u64::MAX };
            link.ecn.mark_above = self.maybe(0.3).then_some(queue / 4);
        }
        link.ecn.bleach = self.maybe(0.15);
        if self.maybe(0.3) {
            let extra = self.below(20 * MILLISECOND + delay);
            link = link.reorder(self.between(0.0, 0.1), extra);
        }
        if self.maybe(0.3) {
            link.duplicate = self.between(0.0, 0.1);
        }
        if self.maybe(0.3) {
            link.corrupt = self.between(0.0, 0.03);
        }
        link
    }

    fn loss(&mut self) -> Loss {
        match self.below(4) {
            0 => Loss::None,
            1 => Loss::Bernoulli(self.between(0.0, 0.3)),
            2 => {
                // A state lasts for a number of datagrams, not for a time. A long bad state would lose
                // probes, which are sent exponentially less often, and be an outage of minutes.
                let (bad, to_good) = (self.between(0.2, 1.0), self.between(0.5, 0.9));
                // The total loss is at most 30 %, and the bad state lasts at most half of the time.
                let share = self.between(0.0, (0.3 / bad).min(0.5));
                Loss::GilbertElliott { to_bad: to_good * share / (1.0 - share), to_good, good: 0.0, bad }
            }
            _ => {
                let count = 1 + self.below(20);
                Loss::Indexes((0..count).map(|_| self.below(400)).collect())
            }
        }
    }

    /// One or two periods in which one or both links are down.
    fn outages(&mut self, there: &mut LinkConfig, back: &mut LinkConfig) {
        if !self.maybe(0.15) {
            return;
        }
        for _ in 0..=self.below(2) {
            let start = self.below(5 * SECOND);
            let end = start + self.logarithmic(10 * MILLISECOND, 8 * SECOND);
            let which = self.below(3);
            if which != 1 {
                there.outages.push(start..end);
            }
            if which != 0 {
                back.outages.push(start..end);
            }
        }
    }

    /// Changes of the largest payload, down or up again.
    fn mtu(&mut self, there: &mut LinkConfig, back: &mut LinkConfig, changes: &mut Vec<(u64, Change)>) {
        if !self.maybe(0.3) {
            return;
        }
        for _ in 0..=self.below(3) {
            let size = LEAST_MTU as u64 + self.below((ETHERNET - LEAST_MTU) as u64 + 1);
            changes.push((self.below(5 * SECOND), Change::Mtu(size as usize)));
        }
        let first = LEAST_MTU + self.below((ETHERNET - LEAST_MTU) as u64 + 1) as usize;
        (there.mtu, back.mtu) = (first, first);
    }

    fn transport(&mut self) -> TransportConfig {
        let algorithm = if self.maybe(0.7) { Algorithm::Cubic } else { Algorithm::NewReno };
        let mut config = TransportConfig::new()
            .congestion(CongestionConfig::new(algorithm))
            .ecn(self.maybe(0.8))
            // These networks may need longer than a server should usually wait.
            .handshake_timeout(None);
        if self.maybe(0.2) {
            // Small windows, so that credit must be renewed all the time.
            config.stream_receive_window = self.logarithmic(4 << 10, 64 << 10);
            config.receive_window = 2 * config.stream_receive_window;
            config.max_streams_bidi = 4 + self.below(100);
            config.max_streams_uni = 4 + self.below(100);
        }
        config
    }

    fn workload(&mut self) -> Workload {
        let small = (0..SMALL_STREAMS).map(|_| {
            let dir = if self.maybe(0.5) { Dir::Bidi } else { Dir::Uni };
            (dir, if self.maybe(0.1) { 0 } else { self.logarithmic(1, 4096) as usize })
        });
        let small = small.collect();
        let datagrams = (0..DATAGRAMS).map(|_| self.logarithmic(8, 1150) as usize).collect();
        Workload {
            bulk: BULK,
            small,
            datagrams,
            burst: DATAGRAM_BURST,
            interval: self.logarithmic(MILLISECOND / 10, 100 * MILLISECOND),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_one_scenario_within_the_bounds() {
        for seed in 0..2_000 {
            let scenario = Scenario::draw(seed);
            assert_eq!(format!("{scenario:?}"), format!("{:?}", Scenario::draw(seed)));
            for link in [&scenario.there, &scenario.back] {
                let lost = 1.0 - passing(link) / (1.0 - link.corrupt);
                assert!((0.0..=0.301).contains(&lost), "seed {seed}: {lost}");
                assert!(link.mtu >= LEAST_MTU, "seed {seed}");
                assert!(link.rate.is_none_or(|rate| rate >= 50_000), "seed {seed}: {link:?}");
            }
            assert_eq!(scenario.workload.small.len(), 100);
            assert!(scenario.time_limit() > 60 * SECOND);
        }
    }

    #[test]
    fn every_kind_of_impairment_is_drawn() {
        let all: Vec<_> = (0..300).map(Scenario::draw).collect();
        let any = |what: &dyn Fn(&Scenario) -> bool| all.iter().any(what);
        assert!(any(&|s| s.rebinds()) && any(&|s| s.policy == Policy::Retry));
        assert!(any(&|s| !s.there.outages.is_empty()) && any(&|s| !s.may_fall_silent()));
        assert!(any(&|s| matches!(s.there.loss, Loss::GilbertElliott { .. })));
        assert!(any(&|s| s.there.ecn.bleach) && any(&|s| s.there.ecn.mark_above.is_some()));
        assert!(any(&|s| s.changes.iter().any(|(_, change)| matches!(change, Change::Mtu(_)))));
        assert!(any(&|s| s.there.duplicate > 0.0 && s.there.corrupt > 0.0 && s.there.reorder.is_some()));
    }

    #[test]
    fn the_time_limit_is_a_minute_and_ten_times_the_slower_bound() {
        let mut scenario = Scenario::draw(0);
        scenario.workload =
            Workload { bulk: 50_000, small: vec![], datagrams: vec![], burst: 1, interval: 1 };
        scenario.there = LinkConfig::new().rate(80_000);
        scenario.back = LinkConfig::new().rate(8_000_000);
        // 100,000 bytes at 10,000 bytes per second.
        assert_eq!(scenario.time_limit(), 160 * SECOND);
        scenario.there = LinkConfig::new().delay(SECOND).bernoulli(0.5);
        // 1,200 bytes per round trip of one second.
        assert_eq!(scenario.time_limit() / SECOND, 60 + 10 * 100_000 / 1_200);
    }
}
