//! A histogram that gives quantiles of millions of values in little memory.

/// The binary logarithm of the number of buckets for each power of two: values are known to within 1/128.
const PARTS: u32 = 7;

/// Counts values by size; each is known to within 0.8 %.
///
/// ```
/// let mut delays = netsim::Histogram::default();
/// (1..=1000).for_each(|value| delays.record(value * 1000));
/// assert!((delays.quantile(0.99) as f64 / 990_000.0 - 1.0).abs() < 0.01);
/// assert_eq!((delays.max(), delays.count()), (1_000_000, 1000));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    counts: Vec<u64>,
    count: u64,
    sum: u128,
    max: u64,
}

/// The bucket of a value. Each small value has its own; above, each power of two has `2^PARTS` buckets.
fn bucket(value: u64) -> usize {
    let width = 64 - value.leading_zeros();
    let shift = width.saturating_sub(PARTS + 1);
    ((u64::from(shift) << PARTS) + (value >> shift)) as usize
}

/// The largest value of a bucket.
fn top(bucket: usize) -> u64 {
    let parts = 1 << PARTS;
    let bucket = bucket as u64;
    if bucket < 2 * parts {
        return bucket;
    }
    let shift = bucket / parts - 1;
    let value = bucket - shift * parts;
    (value << shift) | ((1 << shift) - 1)
}

impl Histogram {
    /// Counts a value.
    pub fn record(&mut self, value: u64) {
        self.record_times(value, 1);
    }

    /// Counts a value `times` times.
    pub fn record_times(&mut self, value: u64, times: u64) {
        let at = bucket(value);
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] += times;
        self.count += times;
        self.sum += u128::from(value) * u128::from(times);
        self.max = self.max.max(value);
    }

    /// How many values were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The largest value.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The mean; 0 if there are no values.
    #[must_use]
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum as f64 / self.count as f64 }
    }

    /// The value that a share (0 to 1) of all values does not exceed; 0 if there are no values.
    #[must_use]
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = ((self.count as f64 * share).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return top(bucket).min(self.max);
            }
        }
        self.max
    }

    /// Adds the counts of another histogram.
    pub fn merge(&mut self, other: &Self) {
        if other.counts.len() > self.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (own, count) in self.counts.iter_mut().zip(&other.counts) {
            *own += count;
        }
        self.count += other.count;
        self.sum += other.sum;
        self.max = self.max.max(other.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_close_to_each_of_its_values() {
        let mut random = crate::random::Random::new(1);
        for _ in 0..100_000 {
            let value = random.next_u64() >> random.below(64);
            let upper = top(bucket(value));
            assert!(upper >= value && upper - value <= value >> PARTS, "{value} counts as {upper}");
            assert_eq!(bucket(upper), bucket(value));
        }
    }

    #[test]
    fn a_merged_histogram_has_all_values() {
        let (mut one, mut other, mut all) =
            (Histogram::default(), Histogram::default(), Histogram::default());
        for value in 0..5_000 {
            if value % 3 == 0 { &mut one } else { &mut other }.record(value * value);
            all.record(value * value);
        }
        one.merge(&other);
        assert_eq!(one, all);
    }
}
