//! One link, one way: a queue, a sender of limited rate, and a wire with its faults.
//!
//! A link knows no addresses and no other link. The simulation offers it datagrams, asks when the one being
//! sent leaves, and takes from it what arrives where and when.

use std::collections::VecDeque;

use crate::{DropCause, LinkConfig, LinkStats, Loss, Random};

const NOT_ECT: u8 = 0b00;
const ECT1: u8 = 0b01;
const ECT0: u8 = 0b10;
const CE: u8 = 0b11;

/// A datagram that will arrive at the far end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival<T> {
    /// When, in nanoseconds.
    pub at: u64,
    /// The ECN bits.
    pub ecn: u8,
    /// The contents.
    pub payload: Vec<u8>,
    /// What was offered with it.
    pub tag: T,
}

#[derive(Debug)]
struct Waiting<T> {
    index: u64,
    since: u64,
    ecn: u8,
    payload: Vec<u8>,
    tag: T,
}

/// A link's state. `T` is whatever travels with a datagram.
#[derive(Debug)]
pub struct Link<T> {
    config: LinkConfig,
    random: Random,
    waiting: VecDeque<Waiting<T>>,
    waiting_bytes: u64,
    /// What is being sent, and when its last bit leaves.
    sending: Option<(u64, Waiting<T>)>,
    next_index: u64,
    /// The state of [`Loss::GilbertElliott`].
    bad: bool,
    last_arrival: u64,
    stats: LinkStats,
}

impl<T: Clone> Link<T> {
    /// An idle link.
    #[must_use]
    pub fn new(config: LinkConfig, random: Random) -> Self {
        Self {
            config,
            random,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            sending: None,
            next_index: 0,
            bad: false,
            last_arrival: 0,
            stats: LinkStats::default(),
        }
    }

    /// How the link behaves.
    #[must_use]
    pub fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// Changes how the link behaves. A datagram that is being sent leaves at the old rate.
    pub fn config_mut(&mut self) -> &mut LinkConfig {
        &mut self.config
    }

    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> &LinkStats {
        &self.stats
    }

    /// Bytes that wait now, headers included.
    #[must_use]
    pub fn waiting_bytes(&self) -> u64 {
        self.waiting_bytes
    }

    /// Takes a datagram, or gives why it was dropped.
    pub fn offer(&mut self, now: u64, ecn: u8, payload: Vec<u8>, tag: T) -> Result<(), DropCause> {
        let index = self.next_index;
        self.next_index += 1;
        self.stats.offered += 1;
        if payload.len() > self.config.mtu {
            self.stats.mtu_drops += 1;
            return Err(DropCause::Mtu);
        }
        if self.config.outages.iter().any(|outage| outage.contains(&now)) {
            self.stats.outage_drops += 1;
            return Err(DropCause::Outage);
        }
        if self.config.ecn.drop_marked && ecn != NOT_ECT {
            self.stats.ecn_drops += 1;
            return Err(DropCause::Ecn);
        }
        let ecn = self.ecn(ecn);
        let waiting = Waiting { index, since: now, ecn, payload, tag };
        if self.sending.is_none() {
            self.start(now, waiting);
            return Ok(());
        }
        let bytes = self.size(&waiting.payload);
        if self.waiting_bytes.saturating_add(bytes) > self.config.queue {
            self.stats.queue_drops += 1;
            return Err(DropCause::Queue);
        }
        self.waiting_bytes += bytes;
        self.stats.max_queue = self.stats.max_queue.max(self.waiting_bytes);
        self.waiting.push_back(waiting);
        Ok(())
    }

    /// When the datagram being sent leaves the link's near end.
    #[must_use]
    pub fn next_departure(&self) -> Option<u64> {
        self.sending.as_ref().map(|(at, _)| *at)
    }

    /// The datagram being sent leaves now and the next one is begun: what will arrive, once or twice, or
    /// `None` if the wire loses it.
    pub fn depart(&mut self, now: u64) -> (Option<T>, Vec<Arrival<T>>) {
        let Some((_, leaving)) = self.sending.take() else { return (None, Vec::new()) };
        if let Some(next) = self.waiting.pop_front() {
            self.waiting_bytes -= self.size(&next.payload);
            self.start(now, next);
        }
        if self.is_lost(leaving.index) {
            self.stats.lost += 1;
            return (Some(leaving.tag), Vec::new());
        }
        (None, self.arrivals(now, leaving))
    }

    fn size(&self, payload: &[u8]) -> u64 {
        (payload.len() + self.config.overhead) as u64
    }

    fn start(&mut self, now: u64, next: Waiting<T>) {
        let waited = now - next.since;
        self.stats.queue_delay_sum += waited;
        self.stats.queue_delay_max = self.stats.queue_delay_max.max(waited);
        let leaves = now.saturating_add(self.config.serialization(self.size(&next.payload)));
        self.sending = Some((leaves, next));
    }

    fn ecn(&mut self, ecn: u8) -> u8 {
        if self.config.ecn.bleach {
            return NOT_ECT;
        }
        let ecn = if self.config.ecn.remark && ecn == ECT0 { ECT1 } else { ecn };
        let above = self.config.ecn.mark_above.is_some_and(|bytes| self.waiting_bytes > bytes);
        if above && ecn != NOT_ECT && ecn != CE {
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
        let jitter = if self.config.jitter > 0 { self.random.below(self.config.jitter + 1) } else { 0 };
        let at = now.saturating_add(self.config.delay).saturating_add(jitter);
        if let Some(reorder) = self.config.reorder
            && self.random.chance(reorder.probability)
        {
            self.stats.reordered += 1;
            return at.saturating_add(reorder.extra_delay);
        }
        // A queue further on keeps the order.
        self.last_arrival = self.last_arrival.max(at);
        self.last_arrival
    }
}
