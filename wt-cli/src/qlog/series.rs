//! Figures over time in bounded memory.

/// The most points that are kept.
const MOST: usize = 4_000;

/// Points in the order of their times. When there are too many, every second one goes, and from then on fewer are taken.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    points: Vec<(f64, f64)>,
    /// One of so many points is taken.
    stride: u64,
    seen: u64,
    last: Option<(f64, f64)>,
}

impl Default for Series {
    fn default() -> Self {
        Self { points: Vec::new(), stride: 1, seen: 0, last: None }
    }
}

impl Series {
    pub(crate) fn push(&mut self, time: f64, value: f64) {
        if self.seen.is_multiple_of(self.stride) {
            if self.points.len() >= MOST {
                let mut keep = false;
                self.points.retain(|_| {
                    keep = !keep;
                    keep
                });
                self.stride *= 2;
            }
            self.points.push((time, value));
        }
        self.last = Some((time, value));
        self.seen += 1;
    }

    /// The points, with the last one in any case.
    pub(crate) fn points(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let last = self.last.filter(|last| self.points.last() != Some(last));
        self.points.iter().copied().chain(last)
    }
}

/// The shares of values, to about five per cent, in bounded memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Distribution {
    /// How many values fell into each step; each is a twentieth larger than the one before.
    counts: std::collections::BTreeMap<i32, u64>,
    total: u64,
}

const STEP: f64 = 1.05;

impl Distribution {
    pub(crate) fn add(&mut self, value: f64) {
        if value > 0.0 && value.is_finite() {
            *self.counts.entry((value.ln() / STEP.ln()).round() as i32).or_default() += 1;
            self.total += 1;
        }
    }

    /// The value below which this share of them lies, from 0 to 1; `None` without values.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        let wanted = (share * self.total as f64).ceil().max(1.0) as u64;
        let mut below = 0;
        self.counts
            .iter()
            .find(|(_, count)| {
                below += **count;
                below >= wanted
            })
            .map(|(step, _)| STEP.powi(*step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_points_become_few_and_the_last_stays() {
        let mut series = Series::default();
        for n in 0..100_000 {
            series.push(f64::from(n), f64::from(n));
        }
        let points: Vec<_> = series.points().collect();
        assert!((MOST / 2..=MOST + 1).contains(&points.len()), "{}", points.len());
        assert_eq!((points[0], points.last()), ((0.0, 0.0), Some(&(99_999.0, 99_999.0))));
        assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn quantiles_are_near() {
        let mut values = Distribution::default();
        (1..=1_000).for_each(|n| values.add(f64::from(n)));
        for share in [0.1, 0.5, 0.9, 0.99, 1.0] {
            let found = values.quantile(share).expect("values");
            assert!((found / (share * 1_000.0) - 1.0).abs() < 0.06, "{share}: {found}");
        }
        assert_eq!(Distribution::default().quantile(0.5), None);
    }
}
