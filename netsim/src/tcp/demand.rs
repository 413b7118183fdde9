//! What a modelled flow has to send.

use crate::random::Random;

use super::segment::SEGMENT;

/// The shape of the sizes of bursts: many small ones, few large ones (Pareto).
const SHAPE: f64 = 1.5;
/// A burst is at most so many times the smallest.
const LONGEST: f64 = 100.0;

/// What a flow has to send.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Demand {
    /// More than it ever can.
    Bulk,
    /// Bursts with pauses between them, each on a new connection, like pages of a reader.
    Bursts {
        /// Bytes of a burst on average; sizes are those of a Pareto distribution that is cut off at a hundred times the least.
        mean: u64,
        /// Nanoseconds from the end of one to the next on average, distributed exponentially.
        pause: u64,
    },
}

impl Demand {
    /// Segments of the next connection, the one that opens it included.
    pub(super) fn segments(self, random: &mut Random) -> u64 {
        match self {
            Self::Bulk => u64::MAX,
            Self::Bursts { mean, .. } => {
                // The mean of the distribution, cut off, in units of the least.
                let units = (SHAPE - LONGEST.powf(1.0 - SHAPE)) / (SHAPE - 1.0);
                let size = (1.0 - random.unit()).powf(-1.0 / SHAPE).min(LONGEST);
                let bytes = size * mean as f64 / units;
                1 + (bytes as u64).div_ceil(SEGMENT).max(1)
            }
        }
    }

    /// Nanoseconds until the next connection.
    pub(super) fn pause(self, random: &mut Random) -> u64 {
        match self {
            Self::Bulk => 0,
            Self::Bursts { pause, .. } => (-(1.0 - random.unit()).ln() * pause as f64) as u64,
        }
    }
}
