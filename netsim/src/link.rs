//! A one-way link: a queue, a sender of limited rate, and a wire with faults.
//!
//! A link knows no addresses and no other link. The simulation offers it datagrams, asks when the current one
//! leaves, and takes the arrivals from it.

use crate::{
    config::{LinkConfig, Loss},
    histogram::Histogram,
    log::DropCause,
    queue::{CE, ECT0, ECT1, Fate, NOT_ECT, Queue, Waiting},
    random::Random,
    stats::LinkStats,
    trace::Playback,
    units::MILLISECOND,
};

/// How long another station holds the radio channel at a time, in milliseconds.
const HOLD_TIME: f64 = 7.5;
/// How many times in a row that happens on average when the channel is crowded.
const CROWDED_TURNS: f64 = 12.0;

/// A datagram that will arrive at the far end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Arrival<T> {
    /// The time of arrival, in nanoseconds.
    pub at: u64,
    /// The ECN bits.
    pub ecn: u8,
    /// The contents.
    pub payload: Vec<u8>,
    /// The tag that was offered with it.
    pub tag: T,
}

/// The result of [`Link::depart`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Departure<T> {
    /// The dropped datagrams, with the causes.
    pub dropped: Vec<(T, DropCause)>,
    /// The arrivals: none, one, or two for a duplicate.
    pub arrivals: Vec<Arrival<T>>,
}

/// The state of a link. `T` is a tag that travels with a datagram.
#[derive(Debug)]
pub struct Link<T> {
    config: LinkConfig,
    random: Random,
    queue: Queue<T>,
    /// The datagram being sent, and when its last bit leaves.
    sending: Option<(u64, Waiting<T>)>,
    next_index: u64,
    /// The state of [`Loss::GilbertElliott`].
    bad: bool,
    last_arrival: u64,
    playback: Playback,
    /// The policer's tokens: a time and the bits at that time.
    tokens: (u64, u64),
    stats: LinkStats,
    delays: Histogram,
}

impl<T: Clone> Link<T> {
    /// An idle link.
    #[must_use]
    pub fn new(config: LinkConfig, random: Random) -> Self {
        let queue = Queue::new(&config.discipline, random.split());
        let tokens = (0, config.policer.map_or(0, |policer| policer.burst.saturating_mul(8)));
        Self {
            config,
            random,
            queue,
            sending: None,
            next_index: 0,
            bad: false,
            last_arrival: 0,
            playback: Playback::default(),
            tokens,
            stats: LinkStats::default(),
            delays: Histogram::default(),
        }
    }

    /// The configuration of the link.
    #[must_use]
    pub fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// The configuration, for changes. The datagram being sent leaves at the old rate, and the queue keeps
    /// its discipline.
    pub fn config_mut(&mut self) -> &mut LinkConfig {
        &mut self.config
    }

    /// The statistics so far.
    #[must_use]
    pub fn stats(&self) -> &LinkStats {
        &self.stats
    }

    /// How many bytes are queued now, headers included.
    #[must_use]
    pub fn waiting_bytes(&self) -> u64 {
        self.queue.bytes()
    }

    /// How long datagrams waited until they began to leave, in nanoseconds.
    #[must_use]
    pub fn delays(&self) -> &Histogram {
        &self.delays
    }

    /// Offers the link a datagram of the flow `flow`. Returns the datagrams that this drops, often itself,
    /// with the causes.
    pub fn offer(&mut self, now: u64, ecn: u8, flow: u64, payload: Vec<u8>, tag: T) -> Vec<(T, DropCause)> {
        let index = self.next_index;
        self.next_index += 1;
        self.stats.offered += 1;
        if let Some(why) = self.refuses(now, ecn, payload.len()) {
            return vec![(tag, why)];
        }
        let (ecn, bytes) = (self.ecn(ecn), self.size(&payload));
        let waiting = Waiting { index, since: now, ecn, bytes, flow, payload, tag };
        let mut fate = Fate::default();
        // A datagram that is sent at once does not need room in the queue.
        let limit = if self.sending.is_none() { u64::MAX } else { self.config.queue };
        self.queue.push(now, waiting, limit, &mut fate);
        let mut dropped = Vec::new();
        self.settle(fate, DropCause::Queue, &mut dropped);
        if self.sending.is_none() {
            self.start_next(now, &mut dropped);
        }
        self.stats.max_queue = self.stats.max_queue.max(self.queue.bytes());
        dropped
    }

    /// Why a datagram does not reach the queue, if it does not.
    fn refuses(&mut self, now: u64, ecn: u8, length: usize) -> Option<DropCause> {
        let (count, why) = if length > self.config.mtu {
            (&mut self.stats.mtu_drops, DropCause::Mtu)
        } else if self.config.outages.iter().any(|outage| outage.contains(&now)) {
            (&mut self.stats.outage_drops, DropCause::Outage)
        } else if self.config.ecn.drop_marked && ecn != NOT_ECT {
            (&mut self.stats.ecn_drops, DropCause::Ecn)
        } else if !self.has_tokens(now, length) {
            (&mut self.stats.policer_drops, DropCause::Policer)
        } else {
            return None;
        };
        *count += 1;
        Some(why)
    }

    /// Takes the tokens of a datagram, if there is a policer.
    fn has_tokens(&mut self, now: u64, length: usize) -> bool {
        let Some(policer) = self.config.policer else { return true };
        let (since, bits) = self.tokens;
        let more = u128::from(now - since) * u128::from(policer.rate) / 1_000_000_000;
        let most = policer.burst.saturating_mul(8);
        let bits = u64::try_from(more).unwrap_or(u64::MAX).saturating_add(bits).min(most);
        let need = ((length + self.config.overhead) as u64).saturating_mul(8);
        let passes = need <= bits;
        // A period too short for a whole token still counts later.
        if more > 0 {
            self.tokens = (now, bits);
        }
        if passes {
            self.tokens.1 = bits - need;
        }
        passes
    }

    fn settle(&mut self, fate: Fate<T>, why: DropCause, dropped: &mut Vec<(T, DropCause)>) {
        self.stats.marked += fate.marked;
        let count = fate.dropped.len() as u64;
        match why {
            DropCause::Managed => self.stats.managed_drops += count,
            _ => self.stats.queue_drops += count,
        }
        dropped.extend(fate.dropped.into_iter().map(|tag| (tag, why)));
    }

    /// When the datagram being sent leaves the link's near end.
    #[must_use]
    pub fn next_departure(&self) -> Option<u64> {
        self.sending.as_ref().map(|(at, _)| *at)
    }

    /// The datagram being sent leaves now, and the next one starts.
    pub fn depart(&mut self, now: u64) -> Departure<T> {
        let mut departure = Departure { dropped: Vec::new(), arrivals: Vec::new() };
        let Some((_, leaving)) = self.sending.take() else { return departure };
        self.start_next(now, &mut departure.dropped);
        if self.is_lost(leaving.index) {
            self.stats.lost += 1;
            departure.dropped.push((leaving.tag, DropCause::Wire));
        } else {
            departure.arrivals = self.arrivals(now, leaving);
        }
        departure
    }

    fn size(&self, payload: &[u8]) -> u64 {
        (payload.len() + self.config.overhead) as u64
    }

    fn start_next(&mut self, now: u64, dropped: &mut Vec<(T, DropCause)>) {
        let mut fate = Fate::default();
        if let Some(next) = self.queue.pop(now, &mut fate) {
            self.start(now, next);
        }
        self.settle(fate, DropCause::Managed, dropped);
    }

    fn start(&mut self, now: u64, next: Waiting<T>) {
        // A datagram waits until the end of the suspension.
        let begins = self.config.suspensions.iter().filter(|suspension| suspension.contains(&now));
        let begins = begins.map(|suspension| suspension.end).max().unwrap_or(now);
        let waited = begins - next.since;
        self.stats.queue_delay_sum += waited;
        self.stats.queue_delay_max = self.stats.queue_delay_max.max(waited);
        self.delays.record(waited);
        let leaves = match &self.config.trace {
            Some(trace) => self.playback.leaves(trace, begins, next.bytes),
            None => begins.saturating_add(self.config.serialization(next.bytes)),
        };
        self.sending = Some((leaves, next));
    }

    fn ecn(&mut self, ecn: u8) -> u8 {
        if self.config.ecn.bleach {
            return NOT_ECT;
        }
        let ecn = if self.config.ecn.remark && ecn == ECT0 { ECT1 } else { ecn };
        let above = self.config.ecn.mark_above.is_some_and(|bytes| self.queue.bytes() > bytes);
        if (above || self.config.ecn.mark_all) && ecn != NOT_ECT && ecn != CE {
            self.stats.marked += 1;
            return CE;
        }
        ecn
    }

    fn is_lost(&mut self, index: u64) -> bool {
        match &self.config.loss {
            Loss::None => false,
            Loss::Bernoulli(probability) => self.random.chance(*probability),
            Loss::GilbertElliott { to_bad, to_good, good, bad } => {
                let change = if self.bad { *to_good } else { *to_bad };
                self.bad ^= self.random.chance(change);
                self.random.chance(if self.bad { *bad } else { *good })
            }
            Loss::Indexes(indexes) => indexes.contains(&index),
        }
    }

    fn arrivals(&mut self, now: u64, leaving: Waiting<T>) -> Vec<Arrival<T>> {
        let Waiting { ecn, mut payload, tag, .. } = leaving;
        if self.config.corrupt > 0.0 && self.random.chance(self.config.corrupt) && !payload.is_empty() {
            let bit = self.random.below(payload.len() as u64 * 8);
            payload[(bit / 8) as usize] ^= 1 << (bit % 8);
            self.stats.corrupted += 1;
        }
        let at = self.arrival_time(now);
        let mut arrivals = vec![Arrival { at, ecn, payload, tag }];
        if self.config.duplicate > 0.0 && self.random.chance(self.config.duplicate) {
            self.stats.duplicated += 1;
            let copy = Arrival { at: self.arrival_time(now), ..arrivals[0].clone() };
            arrivals.push(copy);
        }
        for arrival in &arrivals {
            self.stats.delivered += 1;
            self.stats.delivered_bytes += self.size(&arrival.payload);
        }
        arrivals
    }

    fn arrival_time(&mut self, now: u64) -> u64 {
        let jitter = match self.config.jitter {
            0 => 0,
            most => self.random.below(most.saturating_add(1)),
        };
        let at =
            now.saturating_add(self.config.delay).saturating_add(jitter).saturating_add(self.contention());
        if let Some(reorder) = self.config.reorder
            && self.random.chance(reorder.probability)
        {
            self.stats.reordered += 1;
            return at.saturating_add(reorder.extra_delay);
        }
        let at = match self.config.aggregation {
            0 => at,
            nanos => at.div_ceil(nanos).saturating_mul(nanos),
        };
        // Except for reordering, datagrams keep their order.
        self.last_arrival = self.last_arrival.max(at);
        self.last_arrival
    }

    /// The delay of a crowded radio channel: about a millisecond, and for some datagrams the turns of other
    /// stations.
    fn contention(&mut self) -> u64 {
        if self.config.contention == 0 {
            return 0;
        }
        let mean = self.config.contention as f64 / MILLISECOND as f64;
        let crowded = ((mean - 1.0) / (HOLD_TIME * CROWDED_TURNS)).clamp(0.0, 1.0);
        let mut delay = f64::from(self.random.poisson(1.0));
        if self.random.chance(crowded) {
            delay += HOLD_TIME * f64::from(self.random.poisson(CROWDED_TURNS));
        }
        // A fraction is subtracted, because delays of whole milliseconds would look like a clock.
        let delay = (delay - self.random.unit()).max(0.0);
        (delay * MILLISECOND as f64) as u64
    }
}
