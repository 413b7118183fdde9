//! A clock that never goes back, whatever the caller's clock does.

use std::time::Duration;

use super::Timestamp;

/// A step back by more than this means that somebody set the clock back. A smaller one means that the caller
/// passed times out of order.
const JUMP: Duration = Duration::from_secs(1);

/// A connection's own time. Deadlines, round-trip times and credit are all differences of times, so a clock
/// that is set back by an hour would stop every timer for an hour. The connection's own time goes on from
/// where it stood instead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    own: Timestamp,
    /// How far the connection's own time is ahead of the caller's clock.
    ahead: Duration,
}

impl Clock {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { own: now, ahead: Duration::ZERO }
    }

    /// The connection's own time when the caller's clock shows `now`.
    pub(crate) fn read(&mut self, now: Timestamp) -> Timestamp {
        let told = now + self.ahead;
        let back = self.own - told;
        if back > JUMP {
            self.ahead += back;
        }
        self.own = self.own.max(told);
        self.own
    }

    /// The connection's own time when it was last read.
    pub(crate) fn last(&self) -> Timestamp {
        self.own
    }

    /// What the caller's clock will show at the own time `at`.
    pub(crate) fn show(&self, at: Timestamp) -> Timestamp {
        at.saturating_sub(self.ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn time_goes_on_when_the_clock_is_set_back() {
        let mut clock = Clock::new(at(10_000));
        assert_eq!(clock.read(at(10_500)), at(10_500));
        assert_eq!(clock.read(at(5_000)), at(10_500), "set back");
        assert_eq!(clock.read(at(5_300)), at(10_800));
        assert_eq!(clock.show(at(11_000)), at(5_500));
        assert_eq!(clock.read(at(1_000)), at(10_800), "and again");
        assert_eq!(clock.read(at(9_000)), at(18_800), "forward is a passage of time");
    }

    #[test]
    fn times_told_out_of_order_are_no_change_of_the_clock() {
        let mut clock = Clock::new(at(10_000));
        for _ in 0..1000 {
            assert_eq!(clock.read(at(10_020)), at(10_020));
            assert_eq!(clock.read(at(10_010)), at(10_020), "stands still");
        }
        assert_eq!((clock.show(at(11_000)), clock.read(at(10_021))), (at(11_000), at(10_021)));
    }
}
