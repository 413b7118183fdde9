//! Limits on what one address may have at once, so that no host uses up what the endpoint has for all.
//!
//! An address is an IPv4 address or an IPv6 network of 64 bits, which is what one customer gets. This module
//! owns the counts and never knows packets or connections: a connection holds a [`Place`] and returns it on
//! drop.
//!
//! An address that a client has not proved may be forged. What is counted for an unproved address therefore
//! never makes the endpoint refuse that address; it only makes it ask for proof (RFC 9000 §8.1.2).

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{Timestamp, setters::setters};

const PERIOD: Duration = Duration::from_secs(1);
/// Up to this many entries, nobody searches for unused ones.
const KEPT: usize = 256;

/// What one address may have at once: an IPv4 address or an IPv6 network of 64 bits. If many users share one
/// address through a network address translator, it needs room for all of them.
///
/// ```
/// use quic_core::AddressLimits;
/// let limits = AddressLimits::new().connections(100);
/// assert_eq!(limits.pending_handshakes, 128);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AddressLimits {
    /// Handshakes that may be pending. From half of this number on, the server asks clients to prove the
    /// address by a Retry (RFC 9000 §8.1.2). From the full number on, it refuses clients that have proved it.
    /// Default 128.
    pub pending_handshakes: usize,
    /// Connections whose handshake is complete. At this number the server refuses further clients. Default
    /// 4096.
    pub connections: usize,
    /// Connections that may begin in one second. From half of this number on, the server asks clients to
    /// prove the address. From the full number on, it refuses clients that have proved it. Default 512.
    pub connections_per_second: usize,
}

impl Default for AddressLimits {
    fn default() -> Self {
        Self { pending_handshakes: 128, connections: 4_096, connections_per_second: 512 }
    }
}

impl AddressLimits {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        pending_handshakes: usize,
        connections: usize,
        connections_per_second: usize,
    }

    /// No limits beyond those of the endpoint.
    pub const UNLIMITED: Self =
        Self { pending_handshakes: usize::MAX, connections: usize::MAX, connections_per_second: usize::MAX };
}

/// What the server should do with a client, as [`Endpoint::admission`](crate::Endpoint::admission) advises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a caller that overlooks one does the wrong thing")]
pub enum Admission {
    /// [`Endpoint::accept`](crate::Endpoint::accept) it.
    Accept,
    /// Let it prove its address by [`Endpoint::retry`](crate::Endpoint::retry): many handshakes are pending,
    /// at the endpoint or from this address.
    Retry,
    /// [`Endpoint::refuse`](crate::Endpoint::refuse) it: a limit is reached.
    Refuse(AdmissionLimit),
}

/// The limit that a client runs into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AdmissionLimit {
    /// The endpoint has as many connections as it may have.
    Connections,
    /// The endpoint's memory budget is spent.
    Memory,
    /// The client's address has as many connections as one address may have.
    AddressConnections,
    /// The client's address has as many pending handshakes as one address may have.
    AddressHandshakes,
    /// As many connections from the client's address have begun in this second as may.
    AddressRate,
}

/// The counts of one address. Index 1 counts clients that had proved the address when they were let in, index
/// 0 the others.
#[derive(Debug, Default)]
struct Counts {
    pending: [AtomicUsize; 2],
    connections: AtomicUsize,
}

/// The place that one connection takes; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    counts: Arc<Counts>,
    proved: bool,
    complete: bool,
}

impl Place {
    /// The handshake is complete.
    pub(crate) fn on_complete(&mut self) {
        if !std::mem::replace(&mut self.complete, true) {
            self.counts.connections.fetch_add(1, Relaxed);
            self.counts.pending[usize::from(self.proved)].fetch_sub(1, Relaxed);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let count = if self.complete {
            &self.counts.connections
        } else {
            &self.counts.pending[usize::from(self.proved)]
        };
        count.fetch_sub(1, Relaxed);
    }
}

#[derive(Debug)]
struct Entry {
    counts: Arc<Counts>,
    /// When the current period began, and how many connections began in it, by whether the address was
    /// proved.
    since: Timestamp,
    begun: [usize; 2],
}

impl Entry {
    fn begun_at(&self, now: Timestamp) -> [usize; 2] {
        // A clock that was set back also starts a new period.
        if now < self.since || now - self.since >= PERIOD { [0; 2] } else { self.begun }
    }
}

/// The counts of all addresses that have connections, or had one begin in the current period.
#[derive(Debug)]
pub(crate) struct Addresses {
    entries: HashMap<IpAddr, Entry>,
    look_at: usize,
}

impl Default for Addresses {
    fn default() -> Self {
        Self { entries: HashMap::new(), look_at: KEPT }
    }
}

impl Addresses {
    /// Whether a client of this address may have a connection now, by these limits.
    pub(crate) fn judge(
        &self,
        all: &AddressLimits,
        address: IpAddr,
        proved: bool,
        now: Timestamp,
    ) -> Admission {
        let Some(entry) = self.entries.get(&network(address)) else {
            // An address without an entry meets only a limit of zero.
            let AddressLimits { pending_handshakes, connections, connections_per_second } = *all;
            let limits = [
                (connections, AdmissionLimit::AddressConnections),
                (pending_handshakes, AdmissionLimit::AddressHandshakes),
                (connections_per_second, AdmissionLimit::AddressRate),
            ];
            let none = limits.into_iter().find(|(limit, _)| *limit == 0);
            return none.map_or(Admission::Accept, |(_, limit)| Admission::Refuse(limit));
        };
        let pending = entry.counts.pending.each_ref().map(|count| count.load(Relaxed));
        let begun = entry.begun_at(now);
        let limits = [all.pending_handshakes, all.connections_per_second];
        let reached = |at: usize| [pending[at], begun[at]];
        let beyond = |counts: [usize; 2], limits: [usize; 2]| counts.iter().zip(limits).any(|(c, l)| *c >= l);
        if entry.counts.connections.load(Relaxed) >= all.connections {
            Admission::Refuse(AdmissionLimit::AddressConnections)
        } else if proved {
            match reached(1).iter().zip(limits).position(|(count, limit)| *count >= limit) {
                Some(0) => Admission::Refuse(AdmissionLimit::AddressHandshakes),
                Some(_) => Admission::Refuse(AdmissionLimit::AddressRate),
                None => Admission::Accept,
            }
        } else if beyond(reached(0), limits.map(|limit| limit.div_ceil(2))) {
            Admission::Retry
        } else {
            Admission::Accept
        }
    }

    /// A client of this address was let in.
    pub(crate) fn take_place(&mut self, address: IpAddr, proved: bool, now: Timestamp) -> Place {
        if self.entries.len() >= self.look_at {
            self.entries
                .retain(|_, entry| Arc::strong_count(&entry.counts) > 1 || entry.begun_at(now) != [0; 2]);
            self.entries.shrink_to(2 * self.entries.len());
            self.look_at = (2 * self.entries.len()).max(KEPT);
        }
        let entry = self.entries.entry(network(address)).or_insert_with(|| Entry {
            counts: Arc::default(),
            since: now,
            begun: [0; 2],
        });
        let begun = entry.begun_at(now);
        if begun == [0; 2] {
            entry.since = now;
        }
        entry.begun = begun;
        entry.begun[usize::from(proved)] += 1;
        entry.counts.pending[usize::from(proved)].fetch_add(1, Relaxed);
        Place { counts: Arc::clone(&entry.counts), proved, complete: false }
    }
}

/// The unit that is counted: an IPv4 address (mapped into IPv6 or not), or the first 64 bits of an IPv6
/// address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from(v4.octets())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_nanos(1);
    const LIMITS: AddressLimits =
        AddressLimits { pending_handshakes: 10, connections: 20, connections_per_second: 16 };

    fn v6(network: u16, host: u16) -> IpAddr {
        IpAddr::from([0x2001, 0xdb8, 0, network, 0, 0, 0, host])
    }

    /// Lets clients in until one is turned away. Returns their places and the answer to that one.
    fn fill(
        addresses: &mut Addresses,
        proved: bool,
        now: Timestamp,
        complete: bool,
    ) -> (Vec<Place>, Admission) {
        let mut places = Vec::new();
        loop {
            let address = v6(1, places.len() as u16);
            match addresses.judge(&LIMITS, address, proved, now) {
                Admission::Accept => {
                    let mut place = addresses.take_place(address, proved, now);
                    if complete {
                        place.on_complete();
                    }
                    places.push(place);
                }
                other => return (places, other),
            }
        }
    }

    #[test]
    fn pending_handshakes_ask_for_proof_and_then_refuse() {
        let mut addresses = Addresses::default();
        let (unproved, answer) = fill(&mut addresses, false, START, false);
        assert_eq!((unproved.len(), answer), (5, Admission::Retry));
        // Clients that forge the address do not use up the places of those that have it.
        let (proved, answer) = fill(&mut addresses, true, START, false);
        assert_eq!((proved.len(), answer), (10, Admission::Refuse(AdmissionLimit::AddressHandshakes)));
        assert_eq!(addresses.judge(&LIMITS, v6(2, 1), false, START), Admission::Accept, "another network");
        drop(proved);
        assert_eq!(addresses.judge(&LIMITS, v6(1, 1), true, START), Admission::Accept);
    }

    #[test]
    fn limits_on_connections_and_their_rate_are_lifted_by_closing_and_by_time() {
        let mut addresses = Addresses::default();
        let (first, answer) = fill(&mut addresses, true, START, true);
        assert_eq!(
            (first.len(), answer),
            (16, Admission::Refuse(AdmissionLimit::AddressRate)),
            "in a second"
        );
        let (second, answer) = fill(&mut addresses, true, START + PERIOD, true);
        assert_eq!(
            (second.len(), answer),
            (4, Admission::Refuse(AdmissionLimit::AddressConnections)),
            "at once"
        );
        drop(first);
        assert_eq!(fill(&mut addresses, true, START + 2 * PERIOD, true).0.len(), 16);
        assert_eq!(
            addresses.judge(&LIMITS, v6(1, 1), false, START),
            Admission::Accept,
            "the clock was set back"
        );
    }

    #[test]
    fn a_mapped_address_is_the_same_address_and_unused_ones_are_forgotten() {
        let mut addresses = Addresses::default();
        let plain: IpAddr = [192, 0, 2, 1].into();
        let mapped = IpAddr::V6(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped());
        let _places: Vec<_> = (0..10).map(|_| addresses.take_place(plain, true, START)).collect();
        assert_eq!(
            addresses.judge(&LIMITS, mapped, true, START),
            Admission::Refuse(AdmissionLimit::AddressHandshakes)
        );
        for network in 0..10_000 {
            drop(addresses.take_place(v6(network, 1), true, START + u32::from(network) * PERIOD));
        }
        assert!(addresses.entries.len() <= 512);
        assert_eq!(
            addresses.judge(&LIMITS, mapped, true, START + PERIOD),
            Admission::Refuse(AdmissionLimit::AddressHandshakes),
            "still there"
        );
    }

    #[test]
    fn a_limit_of_zero_admits_nobody_and_unlimited_admits_everybody() {
        let none = AddressLimits { connections: 0, ..LIMITS };
        assert_eq!(
            Addresses::default().judge(&none, v6(1, 1), true, START),
            Admission::Refuse(AdmissionLimit::AddressConnections)
        );
        let mut addresses = Addresses::default();
        let _places: Vec<_> = (0..10_000).map(|_| addresses.take_place(v6(1, 1), false, START)).collect();
        assert_eq!(addresses.judge(&AddressLimits::UNLIMITED, v6(1, 1), false, START), Admission::Accept);
    }
}
