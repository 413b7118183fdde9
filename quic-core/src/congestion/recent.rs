//! The least and the greatest of recent durations.

use std::time::Duration;

use crate::base::Timestamp;

/// The durations of the latest `N` periods, the running one included. The length of a period may change from
/// call to call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recent<const N: usize> {
    /// The least and the greatest of each period, the running one first.
    parts: [Option<(Duration, Duration)>; N],
    since: Timestamp,
}

impl<const N: usize> Recent<N> {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self { parts: [None; N], since: now }
    }

    /// Adds a value; each period has the length `length`.
    pub(super) fn push(&mut self, now: Timestamp, value: Duration, length: Duration) {
        for _ in 0..N {
            if now.saturating_since(self.since) < length {
                break;
            }
            self.since += length;
            self.parts.rotate_right(1);
            self.parts[0] = None;
        }
        if now.saturating_since(self.since) >= length {
            // Nothing was added for longer than all periods.
            self.since = now;
        }
        let (least, most) = self.parts[0].unwrap_or((value, value));
        self.parts[0] = Some((least.min(value), most.max(value)));
    }

    pub(super) fn least(&self) -> Option<Duration> {
        self.parts.iter().flatten().map(|(least, _)| *least).min()
    }

    pub(super) fn most(&self) -> Option<Duration> {
        self.parts.iter().flatten().map(|(_, most)| *most).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_older_than_all_periods_are_forgotten() {
        let at = |ms: u64| Timestamp::from_nanos(1 + ms * 1_000_000);
        let ms = Duration::from_millis;
        let mut recent: Recent<3> = Recent::new(at(0));
        assert_eq!((recent.least(), recent.most()), (None, None));
        for (now, value, least, most) in [
            (0, 50, 50, 50),
            (5, 40, 40, 50),
            (10, 60, 40, 60),
            (29, 45, 40, 60),
            (30, 45, 45, 60),
            (49, 45, 45, 45),
            (1_000, 90, 90, 90),
            (1_009, 80, 80, 90),
        ] {
            recent.push(at(now), ms(value), ms(10));
            assert_eq!((recent.least(), recent.most()), (Some(ms(least)), Some(ms(most))), "{now}");
        }
    }
}
