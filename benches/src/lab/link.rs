//! The links of a scenario, as configurations of the simulator.

use netsim::{Discipline, LinkConfig, Loss, Trace};

use super::{
    scenario::{Managed, Scenario, Suspended},
    units::Buffer,
};

/// The smallest buffer, in bytes: a packet of full size.
const LEAST_BUFFER: u64 = 1_500;

impl Scenario {
    /// The rate of the bottleneck in bits per second; the mean if it is recorded.
    #[must_use]
    pub fn rate(&self, trace: Option<&Trace>) -> u64 {
        let rate = self.link.rate.map(|rate| rate.0).or_else(|| trace.map(Trace::mean_rate)).unwrap_or(1);
        self.link.policer.map_or(rate, |bucket| rate.min(bucket.rate.0))
    }

    /// How many bytes could have left the bottleneck in the first `nanos` nanoseconds, with all changes of
    /// its rate. At least 1, because a recorded link may have had no opportunity.
    #[must_use]
    pub fn capacity(&self, trace: Option<&Trace>, nanos: u64) -> f64 {
        if let Some(trace) = trace {
            return (trace.capacity(0, nanos) as f64).max(1.0);
        }
        let (mut from, mut rate, mut bytes) = (0, self.rate(None), 0.0);
        let changes = self.changes.iter().filter_map(|change| Some((change.at.0, change.rate?.0)));
        for (at, next) in changes.chain([(nanos, 0)]) {
            let at = at.min(nanos);
            bytes += (at - from) as f64 * rate as f64 / 8e9;
            (from, rate) = (at, next);
        }
        bytes.max(1.0)
    }

    /// The simulator's configuration of the bottleneck.
    #[must_use]
    pub fn there(&self, trace: Option<Trace>) -> LinkConfig {
        let link = &self.link;
        let bits = self.rate(trace.as_ref());
        let mut config =
            LinkConfig::new().delay(link.rtt.0 / 2).jitter(link.jitter.0).contention(link.contention.0);
        config.rate = link.rate.map(|rate| rate.0);
        config = config.queue(self.buffer_bytes(bits)).discipline(self.discipline());
        if let Some(trace) = trace {
            config = config.trace(trace);
        }
        config.loss = match link.bursts {
            Some(bursts) => Loss::GilbertElliott {
                to_bad: bursts.to_bad.0,
                to_good: bursts.to_good.0,
                good: link.loss.0,
                bad: bursts.loss.0,
            },
            None if link.loss.0 > 0.0 => Loss::Bernoulli(link.loss.0),
            None => Loss::None,
        };
        if link.reorder.0 > 0.0 {
            config = config.reorder(link.reorder.0, link.rtt.0 / 4);
        }
        if let Some(bucket) = link.policer {
            config = config.policer(bucket.rate.0, bucket.burst.0);
        }
        if let Some(Suspended { every, lasts }) = link.suspended {
            let begins = (1..).map(|n| n * every.0.max(1)).take_while(|begin| *begin < self.duration.0);
            config = begins.fold(config, |config, begin| config.suspension(begin..begin + lasts.0));
        }
        config
    }

    /// The simulator's configuration of the way back.
    #[must_use]
    pub fn back(&self) -> LinkConfig {
        let mut config =
            LinkConfig::new().delay(self.link.rtt.0.div_ceil(2)).aggregation(self.back.aggregation.0);
        config.rate = self.back.rate.map(|rate| rate.0);
        if self.back.loss.0 > 0.0 { config.bernoulli(self.back.loss.0) } else { config }
    }

    pub(super) fn discipline(&self) -> Discipline {
        match self.link.discipline {
            Managed::Droptail => Discipline::DropTail,
            Managed::Step => Discipline::Step { threshold: self.link.step.unwrap_or_default().0 },
            Managed::Codel => Discipline::codel(),
            Managed::FqCodel => Discipline::fq_codel(),
            Managed::Pi2 => Discipline::pi2(),
            Managed::Dualpi2 => Discipline::dual_pi2(),
        }
    }

    /// Every buffer has room for a packet: a smaller one would drop the second of any two packets, with every
    /// controller.
    pub(super) fn buffer_bytes(&self, bits: u64) -> u64 {
        let in_time = |nanos: f64| (bits as f64 / 8.0 * nanos / 1e9) as u64;
        let bytes = match self.link.buffer {
            Buffer::Bytes(bytes) => bytes,
            Buffer::Products(count) => in_time(count * self.link.rtt.0 as f64),
            Buffer::Time(nanos) => in_time(nanos as f64),
        };
        bytes.max(LEAST_BUFFER)
    }
}
