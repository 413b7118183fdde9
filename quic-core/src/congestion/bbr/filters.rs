//! Maxima over windows of virtual time, in a few words of memory.

/// The maximum of the current and the previous cycle of probing (draft §5.5.3, `max_bw_filter`).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CycleMax {
    before: f64,
    now: f64,
}

impl CycleMax {
    pub(super) fn update(&mut self, value: f64) {
        self.now = self.now.max(value);
    }

    /// Begins a new cycle and forgets values from before the last one. A cycle without values does not count.
    pub(super) fn advance(&mut self) {
        if self.now > 0.0 {
            self.before = std::mem::take(&mut self.now);
        }
    }

    pub(super) fn get(self) -> f64 {
        self.before.max(self.now)
    }
}

/// The maximum over a window of round trips (draft §5.5.9, `extra_acked_filter`), kept in two halves. Values
/// older than the window are forgotten, and values younger than half of it are kept.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WindowMax {
    now: u64,
    before: u64,
    /// The round in which the younger half began.
    since: u64,
}

impl WindowMax {
    /// Adds `value` of round `round`, and returns the largest of the last `window` rounds.
    pub(super) fn update(&mut self, value: u64, round: u64, window: u64) -> u64 {
        let half = (window / 2).max(1);
        let age = round.saturating_sub(self.since);
        if age >= half {
            self.before = if age < 2 * half && window > 1 { self.now } else { 0 };
            self.now = 0;
            self.since = round - age % half;
        }
        self.now = self.now.max(value);
        self.now.max(self.before)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cycle_is_remembered_for_one_more() {
        let mut max = CycleMax::default();
        max.update(5.0);
        max.update(3.0);
        max.advance();
        assert_eq!(max.get(), 5.0);
        max.update(2.0);
        max.advance();
        assert_eq!(max.get(), 2.0);
        max.advance();
        assert_eq!(max.get(), 2.0, "a cycle without a sample tells nothing");
    }

    proptest! {
        /// Compares with all values: the result is at most the true maximum of the window, and at least that
        /// of its younger half.
        #[test]
        fn the_window_is_that_of_all_that_was_seen(
            values in proptest::collection::vec((0_u64..1_000, 0_u64..4), 1..200),
            window in 1_u64..20,
        ) {
            let (mut max, mut all, mut now) = (WindowMax::default(), Vec::new(), 0);
            for (value, step) in values {
                now += step;
                all.push((value, now));
                let got = max.update(value, now, window);
                let within = |length: u64| {
                    all.iter().filter(|(_, at)| now - at <= length).map(|(value, _)| *value).max().unwrap_or(0)
                };
                prop_assert!(got <= within(window), "{} is more than {}", got, within(window));
                let half = (window / 2).saturating_sub(1);
                prop_assert!(got >= within(half), "{} is less than {}", got, within(half));
            }
        }
    }
}
