//! Injected time, and rates.

use std::{
    num::NonZeroU64,
    ops::{Add, AddAssign, Sub},
    time::Duration,
};

/// A point in time: nanoseconds on a monotonic clock whose origin the caller chose.
///
/// The core crates never read a clock; every call that needs the time is given it. A timestamp is never zero,
/// so that `Option<Timestamp>` takes eight bytes. Arithmetic saturates.
///
/// ```
/// use quic_core::base::Timestamp;
/// use std::time::Duration;
/// let start = Timestamp::from_nanos(1_000);
/// assert_eq!((start + Duration::from_secs(2)) - start, Duration::from_secs(2));
/// assert_eq!(start - (start + Duration::from_secs(2)), Duration::ZERO);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(NonZeroU64);

impl Timestamp {
    /// The earliest time, one nanosecond after the origin.
    pub const ORIGIN: Self = Self(NonZeroU64::MIN);

    /// The time `nanos` nanoseconds after the origin; 0 becomes 1.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        match NonZeroU64::new(nanos) {
            Some(nanos) => Self(nanos),
            None => Self::ORIGIN,
        }
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0.get()
    }

    /// The time passed since `earlier`, or zero if `earlier` is later.
    #[must_use]
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.as_nanos().saturating_sub(earlier.as_nanos()))
    }

    /// The time `duration` before this one, at the earliest [`Timestamp::ORIGIN`].
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self::from_nanos(self.as_nanos().saturating_sub(nanos(duration)))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

impl AddAssign<Duration> for Timestamp {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub for Timestamp {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.saturating_since(earlier)
    }
}

/// A rate in bytes per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

impl Rate {
    /// No bytes at all.
    pub const ZERO: Self = Self(0);
    /// The highest rate that can be expressed.
    pub const MAX: Self = Self(u64::MAX);

    /// A rate of `bytes` per second.
    #[must_use]
    pub const fn from_bytes_per_second(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The rate that moves `bytes` in `interval`; [`Rate::MAX`] for an interval of zero.
    #[must_use]
    pub fn from_bytes_in(bytes: u64, interval: Duration) -> Self {
        match interval.as_nanos() {
            0 => Self::MAX,
            nanos => Self(u64::try_from(u128::from(bytes) * 1_000_000_000 / nanos).unwrap_or(u64::MAX)),
        }
    }

    /// Bytes per second.
    #[must_use]
    pub const fn bytes_per_second(self) -> u64 {
        self.0
    }

    /// Bits per second, saturating.
    #[must_use]
    pub const fn bits_per_second(self) -> u64 {
        self.0.saturating_mul(8)
    }

    /// Bytes that this rate moves in `interval`, saturating.
    #[must_use]
    pub fn bytes_in(self, interval: Duration) -> u64 {
        u64::try_from(u128::from(self.0).saturating_mul(interval.as_nanos()) / 1_000_000_000)
            .unwrap_or(u64::MAX)
    }

    /// How long this rate takes for `bytes`; [`Duration::MAX`] at rate zero.
    #[must_use]
    pub fn time_for(self, bytes: u64) -> Duration {
        match self.0 {
            0 => Duration::MAX,
            rate => {
                let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate);
                Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
            }
        }
    }

    /// This rate times `numerator / denominator`, saturating. A denominator of zero counts as one.
    #[must_use]
    pub fn scaled(self, numerator: u32, denominator: u32) -> Self {
        let scaled = u128::from(self.0) * u128::from(numerator) / u128::from(denominator.max(1));
        Self(u64::try_from(scaled).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        let late = Timestamp::from_nanos(u64::MAX);
        assert_eq!(late + Duration::MAX, late);
        assert_eq!(Timestamp::ORIGIN.saturating_sub(Duration::MAX), Timestamp::ORIGIN);
        assert_eq!(Rate::MAX.bytes_in(Duration::MAX), u64::MAX);
        assert_eq!(Rate::ZERO.time_for(1), Duration::MAX);
        assert_eq!(size_of::<Option<Timestamp>>(), 8);
    }

    #[test]
    fn a_rate_and_its_interval_agree() {
        let rate = Rate::from_bytes_in(1_500, Duration::from_millis(1));
        assert_eq!(rate.bits_per_second(), 12_000_000);
        assert_eq!(rate.bytes_in(Duration::from_millis(2)), 3_000);
        assert_eq!(rate.time_for(3_000), Duration::from_millis(2));
        assert_eq!(rate.scaled(5, 4).bytes_per_second(), 1_875_000);
    }
}
