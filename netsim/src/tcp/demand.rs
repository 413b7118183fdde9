//! The data that a modelled flow has to send.

use crate::random::Random;

use super::segment::SEGMENT;

/// The shape of the Pareto distribution of burst sizes: many small ones, few large ones.
const SHAPE: f64 = 1.5;
/// The largest burst, as a multiple of the smallest.
const LONGEST: f64 = 100.0;

/// The data that a flow has to send.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Demand {
    /// More than it can ever send.
    Bulk,
    /// Bursts with pauses between them, each on a new connection, as when a user reads web pages.
    Bursts {
        /// The mean size of a burst, in bytes. Sizes follow a Pareto distribution that is cut off at a
        /// hundred times the smallest.
        mean: u64,
        /// The mean pause after a burst, in nanoseconds, distributed exponentially.
        pause: u64,
    },
}

impl Demand {
    /// How many segments the next connection has, including the one that opens it.
    pub(super) fn segments(self, random: &mut Random) -> u64 {
        match self {
            Self::Bulk => u64::MAX,
            Self::Bursts { mean, .. } => {
                // The mean of the truncated distribution, in units of the smallest size.
                let units = (SHAPE - LONGEST.powf(1.0 - SHAPE)) / (SHAPE - 1.0);
                let size = (1.0 - random.unit()).powf(-1.0 / SHAPE).min(LONGEST);
                let bytes = size * mean as f64 / units;
                1 + (bytes as u64).div_ceil(SEGMENT).max(1)
            }
        }
    }

    /// The pause before the next connection, in nanoseconds.
    pub(super) fn pause(self, random: &mut Random) -> u64 {
        match self {
            Self::Bulk => 0,
            Self::Bursts { pause, .. } => (-(1.0 - random.unit()).ln() * pause as f64) as u64,
        }
    }
}
