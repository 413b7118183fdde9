//! Recordings of real links: when bytes could leave.

use std::{fmt, num::ParseIntError};

/// The size of one delivery opportunity in Mahimahi's format, in bytes.
const OPPORTUNITY: u64 = 1_504;
const MILLISECOND: u64 = crate::units::MILLISECOND;

/// The delivery opportunities of a recorded link. After the last one the recording starts again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The times in milliseconds from the start, in ascending order.
    times: Vec<u64>,
}

/// Why a recording cannot be used, with the line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceError {
    /// A line is no number.
    Number {
        /// The number of the line, counted from 1.
        line: usize,
        /// Why it is no number.
        cause: ParseIntError,
    },
    /// A line is earlier than the one before.
    Order {
        /// The number of the line, counted from 1.
        line: usize,
    },
    /// There is no opportunity, or all are at time 0.
    Empty,
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { line, cause } => {
                write!(f, "line {line} of the trace is no time in milliseconds: {cause}")
            }
            Self::Order { line } => {
                write!(f, "line {line} of the trace is earlier than the line before; sort the times")
            }
            Self::Empty => {
                write!(f, "the trace has no opportunity after time 0, so nothing could ever leave")
            }
        }
    }
}

impl std::error::Error for TraceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Number { cause, .. } => Some(cause),
            _ => None,
        }
    }
}

impl Trace {
    /// Reads Mahimahi's format: one line for each opportunity, with the milliseconds from the start.
    ///
    /// ```
    /// let trace = netsim::Trace::parse("0\n1\n1\n4\n").unwrap();
    /// // Four packets in 4 ms.
    /// assert_eq!(trace.mean_rate(), 4 * 1504 * 8 * 1000 / 4);
    /// assert_eq!(netsim::Trace::parse("3\nx").unwrap_err().to_string(),
    ///     "line 2 of the trace is no time in milliseconds: invalid digit found in string");
    /// ```
    ///
    /// # Errors
    /// [`TraceError`] says which line cannot be used.
    pub fn parse(text: &str) -> Result<Self, TraceError> {
        let mut times: Vec<u64> = Vec::new();
        for (index, text) in text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
            let line = index + 1;
            let time = text.trim().parse().map_err(|cause| TraceError::Number { line, cause })?;
            if times.last().is_some_and(|last| *last > time) {
                return Err(TraceError::Order { line });
            }
            times.push(time);
        }
        if times.last().is_none_or(|last| *last == 0) {
            return Err(TraceError::Empty);
        }
        Ok(Self { times })
    }

    /// How long the recording is, in nanoseconds.
    #[must_use]
    pub fn duration(&self) -> u64 {
        self.times.last().copied().unwrap_or(1).saturating_mul(MILLISECOND)
    }

    /// The mean rate, in bits per second.
    #[must_use]
    pub fn mean_rate(&self) -> u64 {
        let bits = u128::from(OPPORTUNITY) * 8 * self.times.len() as u128 * 1_000_000_000;
        u64::try_from(bits / u128::from(self.duration())).unwrap_or(u64::MAX)
    }

    /// How many bytes it lets through between two times in nanoseconds.
    #[must_use]
    pub fn capacity(&self, from: u64, to: u64) -> u64 {
        (self.index_at(to) - self.index_at(from)) * OPPORTUNITY
    }

    /// The time of the opportunity with this number.
    fn time(&self, index: u64) -> u64 {
        let length = self.times.len() as u64;
        let within = self.times[usize::try_from(index % length).unwrap_or(0)];
        (index / length).saturating_mul(self.duration()).saturating_add(within * MILLISECOND)
    }

    /// How many opportunities come before a time.
    fn index_at(&self, time: u64) -> u64 {
        // The end of a round belongs to that round.
        let round = time.saturating_sub(1) / self.duration();
        let rest = time - round * self.duration();
        round * self.times.len() as u64
            + self.times.partition_point(|at| at.saturating_mul(MILLISECOND) < rest) as u64
    }
}

/// The position of a link in its recording.
#[derive(Clone, Debug, Default)]
pub(crate) struct Playback {
    next: u64,
    /// The time of the last opportunity that was used; `left` bytes of it remain.
    at: u64,
    left: u64,
}

impl Playback {
    /// When the last of `bytes` that are ready now leaves. Unused bytes of earlier opportunities are lost.
    pub(crate) fn leaves(&mut self, trace: &Trace, now: u64, bytes: u64) -> u64 {
        if self.at != now {
            self.left = 0;
            self.next = self.next.max(trace.index_at(now));
        }
        let mut need = bytes;
        while need > self.left {
            need -= self.left;
            self.at = trace.time(self.next);
            self.next += 1;
            self.left = OPPORTUNITY;
        }
        self.left -= need;
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_with_opportunities_and_unused_ones_are_lost() {
        let trace = Trace::parse("1\n2\n2\n10\n").unwrap();
        let mut playback = Playback::default();
        let ms = |time: u64| time * MILLISECOND;
        assert_eq!(playback.leaves(&trace, 0, 1_000), ms(1));
        assert_eq!(playback.leaves(&trace, ms(1), 504), ms(1), "the rest of the same opportunity");
        assert_eq!(playback.leaves(&trace, ms(1), 1_505), ms(2), "one opportunity is not enough");
        assert_eq!(playback.leaves(&trace, ms(5), 1), ms(10), "the rest of the earlier opportunity is lost");
        assert_eq!(playback.leaves(&trace, ms(10), 1_504), ms(11), "the recording starts again");
        assert_eq!(trace.capacity(0, ms(10)), 3 * OPPORTUNITY);
        assert_eq!(trace.capacity(ms(1), ms(21)), 8 * OPPORTUNITY);
    }

    #[test]
    fn recordings_without_opportunities_are_refused() {
        assert_eq!(Trace::parse("\n\n"), Err(TraceError::Empty));
        assert_eq!(Trace::parse("0\n0\n"), Err(TraceError::Empty));
        assert_eq!(Trace::parse("5\n4\n"), Err(TraceError::Order { line: 2 }));
    }
}
