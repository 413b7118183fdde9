//! What a link does to datagrams.

use std::ops::Range;

/// Which datagrams a link loses on the wire, after its queue.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Loss {
    /// None.
    #[default]
    None,
    /// Each with this probability.
    Bernoulli(f64),
    /// Two states with their own loss; before each datagram the state may change.
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
    /// The datagrams with these indexes, counted from 0 in the order in which they were offered to the link.
    Indexes(Vec<u64>),
}

/// Datagrams that are overtaken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reorder {
    /// The share of datagrams that are held back.
    pub probability: f64,
    /// For how long, in nanoseconds.
    pub extra_delay: u64,
}

/// What a link does to ECN bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ecn {
    /// Marks ECN-capable datagrams Congestion Experienced if more than this many bytes wait before them.
    pub mark_above: Option<u64>,
    /// Clears the bits of every datagram.
    pub bleach: bool,
    /// Drops every datagram that has a mark.
    pub drop_marked: bool,
    /// Turns ECT(0) into ECT(1).
    pub remark: bool,
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
pub struct LinkConfig {
    /// Bits per second, headers included; `None` for no limit.
    pub rate: Option<u64>,
    /// Propagation delay in nanoseconds.
    pub delay: u64,
    /// A random part of the delay, up to this many nanoseconds; datagrams keep their order.
    pub jitter: u64,
    /// Bytes that may wait; what does not fit is dropped (drop-tail). The datagram being sent does not wait.
    pub queue: u64,
    /// The largest payload that passes, in bytes; larger datagrams vanish.
    pub mtu: usize,
    /// Bytes of IP and UDP headers that each datagram takes on the link.
    pub overhead: usize,
    /// What is lost on the wire.
    pub loss: Loss,
    /// What is overtaken.
    pub reorder: Option<Reorder>,
    /// The share of datagrams that arrive twice.
    pub duplicate: f64,
    /// The share of datagrams that arrive with one bit flipped.
    pub corrupt: f64,
    /// Times, in nanoseconds, in which the link takes nothing.
    pub outages: Vec<Range<u64>>,
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
            delay: 0,
            jitter: 0,
            queue: u64::MAX,
            mtu: usize::MAX,
            overhead: 28,
            loss: Loss::None,
            reorder: None,
            duplicate: 0.0,
            corrupt: 0.0,
            outages: Vec::new(),
            ecn: Ecn::default(),
        }
    }

    /// Limits the rate, in bits per second.
    #[must_use]
    pub fn rate(self, bits_per_second: u64) -> Self {
        Self { rate: Some(bits_per_second), ..self }
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

    /// Limits the queue, in bytes.
    #[must_use]
    pub fn queue(self, bytes: u64) -> Self {
        Self { queue: bytes, ..self }
    }

    /// Limits the payload, in bytes.
    #[must_use]
    pub fn mtu(self, mtu: usize) -> Self {
        Self { mtu, ..self }
    }

    /// Sets what is lost.
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

    /// Adds a time in which the link takes nothing, in nanoseconds.
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

    /// Clears all ECN bits.
    #[must_use]
    pub fn bleach(mut self) -> Self {
        self.ecn.bleach = true;
        self
    }

    /// Drops datagrams that have an ECN mark.
    #[must_use]
    pub fn drop_marked(mut self) -> Self {
        self.ecn.drop_marked = true;
        self
    }

    /// Turns ECT(0) into ECT(1), as a network does that uses the bits for something else.
    #[must_use]
    pub fn remark(mut self) -> Self {
        self.ecn.remark = true;
        self
    }

    /// Nanoseconds that `bytes` (headers included) take at the link's rate.
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
