//! A link on an external clock. Datagrams arrive at the modelled times, even if the caller advances the clock
//! late.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::{config::LinkConfig, link::Link, random::Random};

/// A datagram on the wire, ordered by arrival.
#[derive(Debug)]
struct OnWire<T> {
    at: u64,
    order: u64,
    ecn: u8,
    payload: Vec<u8>,
    tag: T,
}

impl<T> PartialEq for OnWire<T> {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}
impl<T> Eq for OnWire<T> {}
impl<T> PartialOrd for OnWire<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for OnWire<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// A one-way link with its wire, for real time. Times are nanoseconds since any origin and never go back. `T`
/// is a tag that travels with a datagram.
///
/// ```
/// use netsim::{Lane, LinkConfig, MILLISECOND};
/// let mut lane = Lane::new(LinkConfig::new().rate(8_000_000).delay(5 * MILLISECOND), 1);
/// let mut arrived = Vec::new();
/// assert_eq!(lane.offer(0, 0, 7, vec![0; 972], "tag", |_, _, _| {}), 0);
/// assert_eq!(lane.next(), Some(MILLISECOND), "1,000 bytes with their headers leave in a millisecond");
/// lane.advance(20 * MILLISECOND, |tag, _, payload| arrived.push((*tag, payload.len())));
/// assert_eq!((arrived, lane.next()), (vec![("tag", 972)], None));
/// ```
#[derive(Debug)]
pub struct Lane<T> {
    link: Link<T>,
    wire: BinaryHeap<Reverse<OnWire<T>>>,
    order: u64,
    latest: u64,
}

impl<T: Clone> Lane<T> {
    /// An idle link; `seed` decides everything random.
    #[must_use]
    pub fn new(config: LinkConfig, seed: u64) -> Self {
        Self { link: Link::new(config, Random::new(seed)), wire: BinaryHeap::new(), order: 0, latest: 0 }
    }

    /// The link, with its statistics.
    #[must_use]
    pub fn link(&self) -> &Link<T> {
        &self.link
    }

    /// The link's configuration, for changes.
    pub fn config_mut(&mut self) -> &mut LinkConfig {
        self.link.config_mut()
    }

    /// When the next datagram leaves or arrives.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        let arrival = self.wire.peek().map(|Reverse(first)| first.at);
        [self.link.next_departure(), arrival].into_iter().flatten().min()
    }

    /// How late a datagram was delivered at most, in nanoseconds: how far the link was from its model.
    #[must_use]
    pub fn latest(&self) -> u64 {
        self.latest
    }

    /// Offers a datagram of the flow `flow` to the link and returns how many datagrams that drops. `deliver`
    /// gets what arrives until now, as with [`Self::advance`].
    pub fn offer(
        &mut self,
        now: u64,
        ecn: u8,
        flow: u64,
        payload: Vec<u8>,
        tag: T,
        deliver: impl FnMut(&T, u8, &[u8]),
    ) -> usize {
        // The link's clock must not go back.
        self.advance(now, deliver);
        self.link.offer(now, ecn, flow, payload, tag).len()
    }

    /// Advances the clock to `now`. `deliver` gets the tag, the ECN bits and the contents of each datagram
    /// that arrives.
    pub fn advance(&mut self, now: u64, mut deliver: impl FnMut(&T, u8, &[u8])) {
        // Each datagram leaves at its modelled time: a late timer does not make the link slower.
        while let Some(at) = self.link.next_departure().filter(|at| *at <= now) {
            for arrival in self.link.depart(at).arrivals {
                self.order += 1;
                let (at, ecn, payload, tag) = (arrival.at, arrival.ecn, arrival.payload, arrival.tag);
                self.wire.push(Reverse(OnWire { at, order: self.order, ecn, payload, tag }));
            }
        }
        while self.wire.peek().is_some_and(|Reverse(first)| first.at <= now)
            && let Some(Reverse(arrived)) = self.wire.pop()
        {
            self.latest = self.latest.max(now - arrived.at);
            deliver(&arrived.tag, arrived.ecn, &arrived.payload);
        }
    }
}
