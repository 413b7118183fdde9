//! What keeps the connection from sending more, and for how long it did.
//!
//! Owns the times alone: the script of sending knows the reasons.

use std::time::Duration;

use crate::{
    base::Timestamp,
    stats::{LimitedTimes, SendLimit},
};

/// The present limit, and how long each was in force. One of them always is, so that the times add up to the
/// connection's life.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limited {
    by: SendLimit,
    began: Timestamp,
    since: Timestamp,
    ended: Option<Timestamp>,
    times: LimitedTimes,
}

impl Limited {
    /// A connection begins with its handshake.
    pub(super) fn new(now: Timestamp) -> Self {
        Self { by: SendLimit::Handshake, began: now, since: now, ended: None, times: LimitedTimes::default() }
    }

    /// Sending has stopped, because of `by`.
    pub(super) fn set(&mut self, by: SendLimit, now: Timestamp) {
        if by != self.by && self.ended.is_none() {
            self.times.add(self.by, now.saturating_since(self.since));
            (self.by, self.since) = (by, now);
        }
    }

    /// The connection is over: nothing counts any more.
    pub(super) fn end(&mut self, now: Timestamp) {
        self.ended.get_or_insert(now);
    }

    /// The present limit.
    pub(super) fn by(&self) -> SendLimit {
        self.by
    }

    /// How long the connection has existed, or did.
    pub(super) fn lifetime(&self, now: Timestamp) -> Duration {
        self.since_beginning(self.ended.unwrap_or(now))
    }

    /// How long after the beginning this was.
    pub(super) fn since_beginning(&self, at: Timestamp) -> Duration {
        at.saturating_since(self.began)
    }

    /// How long each limit was in force up to now.
    pub(super) fn times(&self, now: Timestamp) -> LimitedTimes {
        let mut times = self.times;
        times.add(self.by, self.ended.unwrap_or(now).saturating_since(self.since));
        times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_add_up_to_the_life() {
        let at = |millis: u64| Timestamp::from_nanos(millis * 1_000_000);
        let mut limited = Limited::new(at(10));
        let steps = [
            (SendLimit::Application, 15),
            (SendLimit::CongestionWindow, 20),
            (SendLimit::CongestionWindow, 21),
            (SendLimit::Pacing, 24),
            (SendLimit::Application, 24),
        ];
        for (by, millis) in steps {
            limited.set(by, at(millis));
            let times = limited.times(at(millis + 3));
            assert_eq!(times.total(), limited.lifetime(at(millis + 3)), "{by:?}");
        }
        let times = limited.times(at(30));
        let millis = |limit| times.of(limit).as_millis();
        assert_eq!((millis(SendLimit::Handshake), millis(SendLimit::Application)), (5, 11));
        assert_eq!((millis(SendLimit::CongestionWindow), millis(SendLimit::Pacing)), (4, 0));
        limited.end(at(31));
        limited.set(SendLimit::Pacing, at(40));
        assert_eq!(limited.times(at(50)).total(), Duration::from_millis(21), "over");
        assert_eq!(limited.lifetime(at(50)), Duration::from_millis(21));
    }
}
