//! Limits responses that a stranger can trigger at no cost (RFC 9000 §6.1, §10.3.3).

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use crate::base::Timestamp;

/// How many responses one address and port gets per period. Two endpoints that reset each other then fall
/// silent.
const PER_PORT: u32 = 4;
/// The share of a period's responses that one address may have: an eighth. Many clients may be behind an
/// address, and all of them are to learn that their server has restarted; other addresses need their part,
/// too.
const SHARE: u32 = 8;
/// How many addresses are told apart, and as many with their ports. Beyond that, only the total counts.
const MAX_ADDRESSES: usize = 1024;
const PERIOD: Duration = Duration::from_secs(1);

/// Counts responses per second: in all, per address, and per address and port.
#[derive(Debug)]
pub(super) struct Limiter {
    total: u32,
    sent: u32,
    per_address: HashMap<IpAddr, u32>,
    per_port: HashMap<SocketAddr, u32>,
    since: Option<Timestamp>,
}

impl Limiter {
    pub(super) fn new(per_second: u32) -> Self {
        Self {
            total: per_second,
            sent: 0,
            per_address: HashMap::new(),
            per_port: HashMap::new(),
            since: None,
        }
    }

    /// Whether one more response to `remote` may be sent. Counts it if so.
    pub(super) fn permits(&mut self, remote: SocketAddr, now: Timestamp) -> bool {
        self.permits_one(remote, now, true)
    }

    /// Whether one more response to `remote` may be sent, if it answers a packet that cannot itself be such a
    /// response, so that no exchange can follow. The port does not count: it may have many connections, whose
    /// peers must all learn of it.
    pub(super) fn permits_last(&mut self, remote: SocketAddr, now: Timestamp) -> bool {
        self.permits_one(remote, now, false)
    }

    fn permits_one(&mut self, remote: SocketAddr, now: Timestamp, by_port: bool) -> bool {
        // A clock that was set back also starts a new period. Otherwise nothing would be answered until it
        // has caught up.
        if self.since.is_none_or(|since| now < since || now - since >= PERIOD) {
            self.since = Some(now);
            self.sent = 0;
            self.per_address.clear();
            self.per_port.clear();
        }
        let permitted = self.sent < self.total
            && (!by_port || take(&mut self.per_port, remote, PER_PORT))
            && take(&mut self.per_address, remote.ip(), (self.total / SHARE).max(PER_PORT));
        self.sent += u32::from(permitted);
        permitted
    }
}

/// Counts one more for `key`, if it has less than `most`. A key without room in the map is not limited on its
/// own.
fn take<K: Eq + Hash>(counts: &mut HashMap<K, u32>, key: K, most: u32) -> bool {
    if counts.len() >= MAX_ADDRESSES && !counts.contains_key(&key) {
        return true;
    }
    let count = counts.entry(key).or_default();
    let permitted = *count < most;
    *count += u32::from(permitted);
    permitted
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_nanos(1);

    fn remote(host: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, host], port))
    }

    fn permitted(limiter: &mut Limiter, remote: SocketAddr, at: Timestamp) -> usize {
        (0..100).filter(|_| limiter.permits(remote, at)).count()
    }

    #[test]
    fn both_limits_apply_and_time_lifts_them() {
        let mut limiter = Limiter::new(6);
        assert_eq!(permitted(&mut limiter, remote(1, 1), START), 4);
        assert_eq!(permitted(&mut limiter, remote(2, 1), START), 2);
        assert_eq!(permitted(&mut limiter, remote(1, 1), START + PERIOD), 4);
        assert_eq!(permitted(&mut limiter, remote(1, 1), START), 4, "the clock was set back");
    }

    /// Many clients are behind one address: each gets its responses, and so do others.
    #[test]
    fn an_address_has_an_eighth_and_each_of_its_ports_a_few() {
        let mut limiter = Limiter::new(4_096);
        let of = |limiter: &mut Limiter, host| -> usize {
            (0..400).map(|port| permitted(limiter, remote(host, port), START)).sum()
        };
        for host in 0..8 {
            assert_eq!(of(&mut limiter, host), 512);
        }
        assert_eq!(of(&mut limiter, 8), 0, "the address has used up its share");
        assert_eq!(permitted(&mut limiter, remote(1, 7), START + PERIOD), 4);
    }

    /// One socket has many connections: their peers get responses like those of many sockets.
    #[test]
    fn responses_that_cannot_be_answered_are_limited_by_address_not_by_port() {
        let mut limiter = Limiter::new(4_096);
        let last =
            |limiter: &mut Limiter| (0..600).filter(|_| limiter.permits_last(remote(1, 1), START)).count();
        assert_eq!(permitted(&mut limiter, remote(1, 1), START), 4);
        assert_eq!(last(&mut limiter), 508, "an eighth, including the first four");
        assert_eq!(permitted(&mut limiter, remote(1, 2), START), 0);
        assert_eq!(permitted(&mut limiter, remote(2, 1), START), 4);
    }

    #[test]
    fn a_bounded_number_of_addresses_is_told_apart() {
        let remote = |n: u32| SocketAddr::from(([10, 0, (n >> 8) as u8, n as u8], 443));
        let mut limiter = Limiter::new(u32::MAX);
        for n in 0..3_000 {
            assert!(limiter.permits(remote(n), START));
        }
        assert_eq!((limiter.per_address.len(), limiter.per_port.len()), (1_024, 1_024));
        assert_eq!(permitted(&mut limiter, remote(0), START), 3, "a known address has its own limit");
        assert_eq!(
            permitted(&mut limiter, remote(2_048), START),
            100,
            "other addresses share the total limit"
        );
    }
}
