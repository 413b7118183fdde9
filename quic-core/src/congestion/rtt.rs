//! Round-trip time estimation (RFC 9002 §5), one per path.

use std::time::Duration;

use crate::base::Timestamp;

/// The round-trip time that a path starts with (RFC 9002 §6.2.2).
pub const INITIAL_RTT: Duration = Duration::from_millis(333);

/// The timer granularity that recovery assumes (RFC 9002 §6.1.2).
pub const GRANULARITY: Duration = Duration::from_millis(1);

/// The longest sample that counts. It keeps sums with the estimate in range, whatever samples come.
const MAX_SAMPLE: Duration = Duration::from_secs(600);

/// The round-trip time of one path: latest, smoothed, mean deviation and minimum.
#[derive(Clone, Debug)]
pub struct Rtt {
    latest: Duration,
    smoothed: Duration,
    variation: Duration,
    min: Duration,
    first_sample: Option<Timestamp>,
}

impl Default for Rtt {
    fn default() -> Self {
        Self::new(INITIAL_RTT)
    }
}

impl Rtt {
    /// An estimate without samples; `initial` is 333 ms unless a better value is known.
    #[must_use]
    pub fn new(initial: Duration) -> Self {
        let initial = initial.clamp(GRANULARITY, MAX_SAMPLE);
        Self { latest: initial, smoothed: initial, variation: initial / 2, min: initial, first_sample: None }
    }

    /// Takes a sample: `latest` from sending the largest newly acknowledged packet to its acknowledgment.
    ///
    /// `ack_delay` is how long the peer says that it waited. Pass zero for Initial packets, which a peer must
    /// not delay.
    pub fn on_sample(
        &mut self,
        latest: Duration,
        ack_delay: Duration,
        handshake_confirmed: bool,
        max_ack_delay: Duration,
        now: Timestamp,
    ) {
        let latest = latest.min(MAX_SAMPLE);
        self.latest = latest;
        if self.first_sample.is_none() {
            self.first_sample = Some(now);
            self.min = latest;
            self.smoothed = latest;
            self.variation = latest / 2;
            return;
        }
        self.min = self.min.min(latest);
        // RFC 9002 §5.3: max_ack_delay binds the peer only once the handshake is confirmed.
        let ack_delay = if handshake_confirmed { ack_delay.min(max_ack_delay) } else { ack_delay };
        // RFC 9002 §5.3: the delay is not subtracted when that would go below the minimum.
        let adjusted = match latest.checked_sub(ack_delay) {
            Some(adjusted) if adjusted >= self.min => adjusted,
            _ => latest,
        };
        self.variation = (self.variation * 3 + self.smoothed.abs_diff(adjusted)) / 4;
        self.smoothed = (self.smoothed * 7 + adjusted) / 8;
    }

    /// The newest sample, or the initial value before the first.
    #[must_use]
    pub fn latest(&self) -> Duration {
        self.latest
    }

    /// The exponentially weighted mean, or the initial value before the first sample.
    #[must_use]
    pub fn smoothed(&self) -> Duration {
        self.smoothed
    }

    /// The mean deviation.
    #[must_use]
    pub fn variation(&self) -> Duration {
        self.variation
    }

    /// The smallest sample, or the initial value before the first.
    #[must_use]
    pub fn min(&self) -> Duration {
        self.min
    }

    /// When the first sample was taken; `None` before it.
    #[must_use]
    pub fn first_sample(&self) -> Option<Timestamp> {
        self.first_sample
    }

    /// The probe timeout without the peer's ack delay and without backoff (RFC 9002 §6.2.1).
    #[must_use]
    pub fn pto_base(&self) -> Duration {
        self.smoothed + (self.variation * 4).max(GRANULARITY)
    }

    /// Replaces the minimum by the newest sample, because persistent congestion may mean another network path
    /// (RFC 9002 §5.2).
    pub fn on_persistent_congestion(&mut self) {
        self.min = self.latest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::ORIGIN;
    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn before_the_first_sample_a_probe_timeout_is_about_one_second() {
        let rtt = Rtt::default();
        assert_eq!(rtt.pto_base(), ms(999));
        assert_eq!(rtt.first_sample(), None);
    }

    #[test]
    fn the_first_sample_replaces_the_initial_value_and_ignores_the_delay() {
        let mut rtt = Rtt::default();
        rtt.on_sample(ms(100), ms(50), true, ms(25), NOW);
        assert_eq!(
            (rtt.latest(), rtt.smoothed(), rtt.variation(), rtt.min()),
            (ms(100), ms(100), ms(50), ms(100))
        );
        assert_eq!(rtt.first_sample(), Some(NOW));
    }

    #[test]
    fn the_delay_is_bounded_only_after_confirmation() {
        let mut confirmed = Rtt::default();
        confirmed.on_sample(ms(100), ms(0), true, ms(25), NOW);
        let mut not_yet = confirmed.clone();
        confirmed.on_sample(ms(180), ms(80), true, ms(20), NOW);
        assert_eq!(confirmed.smoothed(), (ms(100) * 7 + ms(160)) / 8);
        not_yet.on_sample(ms(180), ms(80), false, ms(20), NOW);
        assert_eq!(not_yet.smoothed(), ms(100));
        assert_eq!(not_yet.variation(), ms(150) / 4);
    }

    #[test]
    fn the_delay_never_takes_a_sample_below_the_minimum() {
        let mut rtt = Rtt::default();
        rtt.on_sample(ms(100), ms(0), true, ms(25), NOW);
        rtt.on_sample(ms(110), ms(20), true, ms(25), NOW);
        assert_eq!(rtt.smoothed(), (ms(100) * 7 + ms(110)) / 8);
        rtt.on_sample(ms(110), Duration::MAX, false, ms(25), NOW);
        assert!(rtt.smoothed() >= ms(100));
    }

    #[test]
    fn extreme_samples_saturate() {
        let mut rtt = Rtt::new(Duration::MAX);
        for latest in [Duration::MAX, Duration::ZERO, Duration::MAX] {
            rtt.on_sample(latest, Duration::MAX, false, Duration::MAX, NOW);
        }
        assert!(rtt.pto_base() <= MAX_SAMPLE * 5);
        assert_eq!(rtt.min(), Duration::ZERO);
    }

    #[test]
    fn persistent_congestion_resets_the_minimum() {
        let mut rtt = Rtt::default();
        rtt.on_sample(ms(10), ms(0), true, ms(25), NOW);
        rtt.on_sample(ms(90), ms(0), true, ms(25), NOW);
        rtt.on_persistent_congestion();
        assert_eq!(rtt.min(), ms(90));
    }
}
