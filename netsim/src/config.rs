//! What a link does to datagrams.

use std::{ops::Range, sync::Arc};

use crate::trace::Trace;

/// Which datagrams a link loses on the wire, after its queue.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Loss {
    /// None.
    #[default]
    None,
    /// Each datagram with this probability.
    Bernoulli(f64),
    /// Two states with different loss; the state may change before each datagram.
    GilbertElliott {
        /// Probability to go from good to bad.
        to_bad: f64,
        /// Probability to go from bad to good.
        to_good: f64,
        /// Loss in the good state.
        good: f64,
        /// Loss in the bad state.
        bad: f64,
    },
    /// The datagrams with these indexes, counted from 0 in the order in which the link was offered them.
    Indexes(Vec<u64>),
}

/// Reordering: some datagrams are delayed, so that later ones overtake them.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Reorder {
    /// The share of datagrams that are held back.
    pub probability: f64,
    /// How long they are held back, in nanoseconds.
    pub extra_delay: u64,
}

impl Reorder {
    /// Holds back this share of datagrams for `extra_delay` nanoseconds.
    #[must_use]
    pub const fn new(probability: f64, extra_delay: u64) -> Self {
        Self { probability, extra_delay }
    }
}

/// What a link does to ECN bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ecn {
    /// Marks ECN-capable datagrams Congestion Experienced if more than this many bytes wait before them.
    pub mark_above: Option<u64>,
    /// Marks every ECN-capable datagram Congestion Experienced, whatever the queue.
    pub mark_all: bool,
    /// Clears the bits of every datagram.
    pub bleach: bool,
    /// Drops every datagram whose ECN bits are not zero.
    pub drop_marked: bool,
    /// Turns ECT(0) into ECT(1).
    pub remark: bool,
}

/// The management of the queue before a link. To signal congestion it marks an ECN-capable datagram and drops
/// any other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Discipline {
    /// First in, first out; a datagram that does not fit is dropped.
    #[default]
    DropTail,
    /// Drop-tail; ECN-capable datagrams that waited longer than this many nanoseconds are marked.
    Step {
        /// The delay above which datagrams are marked, in nanoseconds.
        threshold: u64,
    },
    /// `CoDel` (RFC 8289).
    CoDel {
        /// The standing delay that is acceptable, in nanoseconds.
        target: u64,
        /// How long the delay may exceed the target, in nanoseconds: about the longest round trip.
        interval: u64,
    },
    /// A queue for each flow (addresses and ports), served in turn, each under `CoDel` (RFC 8290). A datagram
    /// that does not fit replaces the first of the longest queue.
    FqCoDel {
        /// As with [`Self::CoDel`].
        target: u64,
        /// As with [`Self::CoDel`].
        interval: u64,
        /// How many bytes a flow may send in its turn.
        quantum: u32,
    },
    /// PI2 (RFC 9332 §2.4): drops or marks with a probability that keeps the delay at a target.
    Pi2 {
        /// The target delay, in nanoseconds.
        target: u64,
    },
    /// `DualPI2` (RFC 9332 appendix A): datagrams with ECT(1) have their own queue, coupled to the other one,
    /// which is under PI2.
    DualPi2 {
        /// The target delay of the queue for all others, in nanoseconds.
        target: u64,
        /// Every datagram that waited longer than this in the low-latency queue is marked, in nanoseconds.
        step: u64,
    },
}

impl Discipline {
    /// `CoDel` with the RFC's figures: 5 ms within 100 ms.
    #[must_use]
    pub const fn codel() -> Self {
        Self::CoDel { target: 5_000_000, interval: 100_000_000 }
    }

    /// FQ-CoDel with the RFC's figures: 5 ms within 100 ms, 1,514 bytes a turn.
    #[must_use]
    pub const fn fq_codel() -> Self {
        Self::FqCoDel { target: 5_000_000, interval: 100_000_000, quantum: 1_514 }
    }

    /// PI2 with a target of 15 ms.
    #[must_use]
    pub const fn pi2() -> Self {
        Self::Pi2 { target: 15_000_000 }
    }

    /// `DualPI2` with a target of 15 ms and a step of 1 ms.
    #[must_use]
    pub const fn dual_pi2() -> Self {
        Self::DualPi2 { target: 15_000_000, step: 1_000_000 }
    }
}

/// A token bucket without a queue that drops every datagram it has no tokens for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policer {
    /// Bits per second, headers included.
    pub rate: u64,
    /// The most bytes that may pass at once.
    pub burst: u64,
}

impl Policer {
    /// A policer of `rate` bits per second and `burst` bytes at once.
    #[must_use]
    pub const fn new(rate: u64, burst: u64) -> Self {
        Self { rate, burst }
    }
}

/// A link, one way. By default it is perfect: no delay, no limit.
///
/// ```
/// use netsim::{LinkConfig, MILLISECOND};
/// // 20 Mbit/s, 40 ms round trip, a queue of one bandwidth-delay product, 1 % loss.
/// let config = LinkConfig::new().rate(20_000_000).delay(20 * MILLISECOND).queue(100_000).bernoulli(0.01);
/// assert_eq!(config.rate, Some(20_000_000));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LinkConfig {
    /// Bits per second, headers included; `None` for no limit.
    pub rate: Option<u64>,
    /// A recording of a real link that says when bytes may leave; it replaces the rate.
    pub trace: Option<Arc<Trace>>,
    /// A policer before the queue.
    pub policer: Option<Policer>,
    /// Propagation delay in nanoseconds.
    pub delay: u64,
    /// A random part of the delay, up to this many nanoseconds; datagrams keep their order.
    pub jitter: u64,
    /// The mean of a further random delay, as on a crowded radio channel, in nanoseconds. The delay is mostly
    /// about a millisecond, and for some datagrams a multiple of 7.5 ms (the model of
    /// draft-huitema-ccwg-c4-test). Datagrams keep their order.
    pub contention: u64,
    /// The size of the queue in bytes, without the datagram being sent.
    pub queue: u64,
    /// The management of the queue.
    pub discipline: Discipline,
    /// The largest payload in bytes; larger datagrams are dropped.
    pub mtu: usize,
    /// Bytes of IP and UDP headers that each datagram takes on the link.
    pub overhead: usize,
    /// Which datagrams are lost on the wire.
    pub loss: Loss,
    /// Which datagrams are reordered.
    pub reorder: Option<Reorder>,
    /// The share of datagrams that arrive twice.
    pub duplicate: f64,
    /// The share of datagrams that arrive with one bit flipped.
    pub corrupt: f64,
    /// Periods, in nanoseconds, in which the link drops everything that it is offered.
    pub outages: Vec<Range<u64>>,
    /// Periods, in nanoseconds, in which the link sends nothing and queues what it is offered.
    pub suspensions: Vec<Range<u64>>,
    /// Datagrams arrive together at multiples of this many nanoseconds, as after a radio that aggregates
    /// frames. With 0 each arrives by itself.
    pub aggregation: u64,
    /// What happens to ECN bits.
    pub ecn: Ecn,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl LinkConfig {
    /// A perfect link.
    #[must_use]
    pub fn new() -> Self {
        Self {
            rate: None,
            trace: None,
            policer: None,
            delay: 0,
            jitter: 0,
            contention: 0,
            queue: u64::MAX,
            discipline: Discipline::DropTail,
            mtu: usize::MAX,
            overhead: 28,
            loss: Loss::None,
            reorder: None,
            duplicate: 0.0,
            corrupt: 0.0,
            outages: Vec::new(),
            suspensions: Vec::new(),
            aggregation: 0,
            ecn: Ecn::default(),
        }
    }

    /// Limits the rate, in bits per second.
    #[must_use]
    pub fn rate(self, bits_per_second: u64) -> Self {
        Self { rate: Some(bits_per_second), ..self }
    }

    /// Lets bytes leave as in the recording, instead of at a rate.
    #[must_use]
    pub fn trace(self, trace: Trace) -> Self {
        Self { trace: Some(Arc::new(trace)), ..self }
    }

    /// Drops datagrams that arrive faster than `rate` bits per second, beyond bursts of `burst` bytes.
    #[must_use]
    pub fn policer(self, rate: u64, burst: u64) -> Self {
        Self { policer: Some(Policer { rate, burst }), ..self }
    }

    /// Sets the propagation delay in nanoseconds.
    #[must_use]
    pub fn delay(self, delay: u64) -> Self {
        Self { delay, ..self }
    }

    /// Adds a random delay of up to `jitter` nanoseconds, without reordering.
    #[must_use]
    pub fn jitter(self, jitter: u64) -> Self {
        Self { jitter, ..self }
    }

    /// Adds the delays of a crowded radio channel, with this mean in nanoseconds.
    #[must_use]
    pub fn contention(self, mean: u64) -> Self {
        Self { contention: mean, ..self }
    }

    /// Sets the management of the queue.
    #[must_use]
    pub fn discipline(self, discipline: Discipline) -> Self {
        Self { discipline, ..self }
    }

    /// Lets datagrams arrive together at multiples of `nanos` nanoseconds.
    #[must_use]
    pub fn aggregation(self, nanos: u64) -> Self {
        Self { aggregation: nanos, ..self }
    }

    /// Adds a period, in nanoseconds, in which the link sends nothing and queues what it is offered.
    #[must_use]
    pub fn suspension(mut self, when: Range<u64>) -> Self {
        self.suspensions.push(when);
        self
    }

    /// Limits the queue, in bytes.
    #[must_use]
    pub fn queue(self, bytes: u64) -> Self {
        Self { queue: bytes, ..self }
    }

    /// Sets the bytes of headers that each datagram takes on the link.
    #[must_use]
    pub fn overhead(self, bytes: usize) -> Self {
        Self { overhead: bytes, ..self }
    }

    /// Limits the payload, in bytes.
    #[must_use]
    pub fn mtu(self, mtu: usize) -> Self {
        Self { mtu, ..self }
    }

    /// Sets which datagrams are lost.
    #[must_use]
    pub fn loss(self, loss: Loss) -> Self {
        Self { loss, ..self }
    }

    /// Loses each datagram with this probability.
    #[must_use]
    pub fn bernoulli(self, probability: f64) -> Self {
        self.loss(Loss::Bernoulli(probability))
    }

    /// Holds datagrams back with this probability, for `extra_delay` nanoseconds.
    #[must_use]
    pub fn reorder(self, probability: f64, extra_delay: u64) -> Self {
        Self { reorder: Some(Reorder { probability, extra_delay }), ..self }
    }

    /// Duplicates datagrams with this probability.
    #[must_use]
    pub fn duplicate(self, probability: f64) -> Self {
        Self { duplicate: probability, ..self }
    }

    /// Flips a bit with this probability.
    #[must_use]
    pub fn corrupt(self, probability: f64) -> Self {
        Self { corrupt: probability, ..self }
    }

    /// Adds a period, in nanoseconds, in which the link drops everything that it is offered.
    #[must_use]
    pub fn outage(mut self, when: Range<u64>) -> Self {
        self.outages.push(when);
        self
    }

    /// Marks ECN-capable datagrams if more than `bytes` wait before them.
    #[must_use]
    pub fn mark_above(mut self, bytes: u64) -> Self {
        self.ecn.mark_above = Some(bytes);
        self
    }

    /// Marks every ECN-capable datagram, as broken equipment does.
    #[must_use]
    pub fn mark_all(mut self) -> Self {
        self.ecn.mark_all = true;
        self
    }

    /// Clears all ECN bits.
    #[must_use]
    pub fn bleach(mut self) -> Self {
        self.ecn.bleach = true;
        self
    }

    /// Drops datagrams whose ECN bits are not zero.
    #[must_use]
    pub fn drop_marked(mut self) -> Self {
        self.ecn.drop_marked = true;
        self
    }

    /// Turns ECT(0) into ECT(1), as networks do that use the bits for something else.
    #[must_use]
    pub fn remark(mut self) -> Self {
        self.ecn.remark = true;
        self
    }

    /// How long `bytes` (headers included) take at the link's rate, in nanoseconds.
    #[must_use]
    pub fn serialization(&self, bytes: u64) -> u64 {
        match self.rate {
            None => 0,
            Some(rate) => {
                let nanos = (u128::from(bytes) * 8 * 1_000_000_000).div_ceil(u128::from(rate.max(1)));
                u64::try_from(nanos).unwrap_or(u64::MAX)
            }
        }
    }
}
