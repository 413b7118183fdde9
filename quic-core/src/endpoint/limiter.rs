//! Limits answers that cost a stranger nothing (RFC 9000 §6.1, §10.3.3).

use std::{collections::HashMap, net::IpAddr, time::Duration};

use crate::base::Timestamp;

/// Answers to one address per period: two endpoints that reset each other fall silent.
const PER_ADDRESS: u32 = 4;
/// Addresses that are told apart; beyond, only the total counts.
const MAX_ADDRESSES: usize = 1024;
const PERIOD: Duration = Duration::from_secs(1);

/// Counts answers per second, in all and per address.
#[derive(Debug)]
pub(super) struct Limiter {
    total: u32,
    sent: u32,
    per_address: HashMap<IpAddr, u32>,
    since: Option<Timestamp>,
}

impl Limiter {
    pub(super) fn new(per_second: u32) -> Self {
        Self { total: per_second, sent: 0, per_address: HashMap::new(), since: None }
    }

    /// Whether one more answer to `address` may be sent; counts it if so.
    pub(super) fn permits(&mut self, address: IpAddr, now: Timestamp) -> bool {
        // A clock that was set back begins a period too, or nothing would be answered until it has caught up.
        if self.since.is_none_or(|since| now < since || now - since >= PERIOD) {
            self.since = Some(now);
            self.sent = 0;
            self.per_address.clear();
        }
        if self.sent >= self.total {
            return false;
        }
        if self.per_address.len() < MAX_ADDRESSES || self.per_address.contains_key(&address) {
            let count = self.per_address.entry(address).or_default();
            if *count >= PER_ADDRESS {
                return false;
            }
            *count += 1;
        }
        self.sent += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_hold_and_time_lifts_them() {
        let start = Timestamp::from_nanos(1);
        let mut limiter = Limiter::new(6);
        let [a, b]: [IpAddr; 2] = [[192, 0, 2, 1].into(), [192, 0, 2, 2].into()];
        let permitted =
            |limiter: &mut Limiter, address, at| (0..100).filter(|_| limiter.permits(address, at)).count();
        assert_eq!(permitted(&mut limiter, a, start), 4);
        assert_eq!(permitted(&mut limiter, b, start), 2);
        assert_eq!(permitted(&mut limiter, a, start + PERIOD), 4);
        assert_eq!(permitted(&mut limiter, a, start), 4, "the clock was set back");
    }

    #[test]
    fn so_many_addresses_are_told_apart_and_no_more() {
        let start = Timestamp::from_nanos(1);
        let address = |n: usize| IpAddr::from([10, 0, (n >> 8) as u8, n as u8]);
        let mut limiter = Limiter::new(u32::MAX);
        for n in 0..3 * MAX_ADDRESSES {
            assert!(limiter.permits(address(n), start));
        }
        assert_eq!(limiter.per_address.len(), MAX_ADDRESSES);
        let permitted =
            |limiter: &mut Limiter, n| (0..9).filter(|_| limiter.permits(address(n), start)).count();
        assert_eq!(permitted(&mut limiter, 0), 3, "one that is known has its own limit");
        assert_eq!(permitted(&mut limiter, 2 * MAX_ADDRESSES), 9, "others have that of all together");
    }
}
