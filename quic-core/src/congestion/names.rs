//! Controllers by name, for command lines and scenario files.
//!
//! A name is that of a controller; one that needs a value has it behind `=`; one of a loss-based controller may go on with
//! `+` and a slow start that is not its own. One parser reads all of them, and one error tells what there is.

use std::{fmt, str::FromStr, time::Duration};

use super::{Algorithm, MAX_WINDOW, SavedPath, Start};
use crate::base::Rate;

/// Controllers that need no value.
pub(super) const NAMES: [(&str, Algorithm); 7] = [
    ("newreno", Algorithm::NewReno),
    ("cubic", Algorithm::Cubic),
    ("bbr3", Algorithm::Bbr3),
    ("low-latency", Algorithm::LowLatency),
    ("copa", Algorithm::Copa),
    ("prague", Algorithm::Prague),
    ("c4", Algorithm::C4),
];

/// What may follow, with examples of values.
const MORE: &str = "fixed-rate=20mbit, fixed-window=100kB, cubic+rapid-start, which is cubic or newreno with a slow start that is not its own \
                    (classic, hystart, rapid-start, or careful-resume with the window and the round trip that are known, as in \
                    cubic+careful-resume=7500kB/600ms)";

const RATES: [(&str, f64); 4] = [("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9), ("bit", 1.0)];
/// No rate is higher, in bits per second.
const FASTEST: f64 = 1e12;
const SIZES: [(&str, f64); 3] = [("kB", 1e3), ("MB", 1e6), ("B", 1.0)];
const TIMES: [(&str, f64); 2] = [("ms", 1e-3), ("s", 1.0)];
/// No round trip is longer, in seconds.
const LONGEST: f64 = 3_600.0;

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        parse(text).ok_or_else(|| UnknownAlgorithm { name: text.into() })
    }
}

fn parse(text: &str) -> Option<Algorithm> {
    if let Some((_, algorithm)) = NAMES.into_iter().find(|(known, _)| *known == text) {
        return Some(algorithm);
    }
    match text.split_once('=') {
        Some(("fixed-rate", rate)) => {
            let bits = quantity(rate, &RATES).filter(|bits| (8.0..=FASTEST).contains(bits))?;
            return Some(Algorithm::FixedRate(Rate::from_bytes_per_second(bits as u64 / 8)));
        }
        Some(("fixed-window", window)) => return bytes(window).map(Algorithm::FixedWindow),
        _ => {}
    }
    let (base, start) = text.split_once('+')?;
    match (base, start_named(start)?) {
        ("newreno", Start::Classic) => Some(Algorithm::NewReno),
        ("newreno", start) => Some(Algorithm::NewRenoFrom(start)),
        ("cubic", Start::HyStart) => Some(Algorithm::Cubic),
        ("cubic", start) => Some(Algorithm::CubicFrom(start)),
        _ => None,
    }
}

fn start_named(text: &str) -> Option<Start> {
    match text.split_once('=') {
        None => match text {
            "classic" => Some(Start::Classic),
            "hystart" => Some(Start::HyStart),
            "rapid-start" => Some(Start::RapidStart),
            _ => None,
        },
        Some(("careful-resume", saved)) => {
            let (window, min_rtt) = saved.split_once('/')?;
            let window = bytes(window)?;
            let seconds = quantity(min_rtt, &TIMES).filter(|seconds| *seconds <= LONGEST)?;
            Some(Start::CarefulResume(SavedPath::new(window, Duration::from_secs_f64(seconds))))
        }
        Some(_) => None,
    }
}

/// Bytes that a window may have.
fn bytes(text: &str) -> Option<u64> {
    quantity(text, &SIZES).filter(|bytes| *bytes <= MAX_WINDOW as f64).map(|bytes| bytes as u64)
}

/// A number above zero and its unit, in capitals or not.
fn quantity(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(end);
    let (_, factor) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    Some(number.parse::<f64>().ok()? * factor).filter(|value| *value > 0.0)
}

impl Algorithm {
    /// The names that [`FromStr`] knows and that need no value behind them.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// All that [`FromStr`] takes, for people.
    #[must_use]
    pub fn help() -> String {
        let names: Vec<_> = Self::names().collect();
        format!("{}, {MORE}", names.join(", "))
    }
}

impl Start {
    /// The name of the controller `base` with this slow start.
    pub(super) fn named(self, base: &'static str) -> &'static str {
        match (base, self) {
            ("newreno", Self::HyStart) => "newreno+hystart",
            ("newreno", Self::RapidStart) => "newreno+rapid-start",
            ("newreno", Self::CarefulResume(_)) => "newreno+careful-resume",
            ("cubic", Self::Classic) => "cubic+classic",
            ("cubic", Self::RapidStart) => "cubic+rapid-start",
            ("cubic", Self::CarefulResume(_)) => "cubic+careful-resume",
            // Its own.
            _ => base,
        }
    }
}

/// No built-in congestion controller is called so; the message lists those that exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownAlgorithm {
    name: Box<str>,
}

impl fmt::Display for UnknownAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no congestion controller is named {:?}; there are: {}", self.name, Algorithm::help())
    }
}

impl std::error::Error for UnknownAlgorithm {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_read_and_told_again() {
        for (text, name) in [
            ("newreno", "newreno"),
            ("newreno+classic", "newreno"),
            ("newreno+hystart", "newreno+hystart"),
            ("newreno+rapid-start", "newreno+rapid-start"),
            ("newreno+careful-resume=1MB/1s", "newreno+careful-resume"),
            ("cubic+hystart", "cubic"),
            ("cubic+classic", "cubic+classic"),
            ("cubic+rapid-start", "cubic+rapid-start"),
            ("cubic+careful-resume=7.5mb/600ms", "cubic+careful-resume"),
            ("copa", "copa"),
            ("prague", "prague"),
            ("c4", "c4"),
            ("fixed-rate=2.5gbit", "fixed-rate"),
            ("fixed-window=100kB", "fixed-window"),
        ] {
            assert_eq!(text.parse::<Algorithm>().unwrap().name(), name, "{text}");
        }
        let resumed: Algorithm = "cubic+careful-resume=7.5mb/600ms".parse().unwrap();
        let Algorithm::CubicFrom(Start::CarefulResume(saved)) = resumed else { panic!("{resumed:?}") };
        assert_eq!(saved, SavedPath::new(7_500_000, Duration::from_millis(600)));
        let rate: Algorithm = "fixed-rate=20Mbit".parse().unwrap();
        assert!(matches!(rate, Algorithm::FixedRate(rate) if rate.bits_per_second() == 20_000_000));
        assert!(matches!("fixed-window=1.5kB".parse(), Ok(Algorithm::FixedWindow(1_500))));
    }

    #[test]
    fn what_nothing_is_called_is_refused_with_all_that_there_is() {
        for text in [
            "",
            "reno",
            "bbr3+classic",
            "cubic+",
            "cubic+fast",
            "cubic+classic+hystart",
            "cubic+careful-resume",
            "cubic+careful-resume=1MB",
            "cubic+careful-resume=1MB/1",
            "cubic+careful-resume=0MB/1s",
            "cubic+careful-resume=-1MB/1s",
            "cubic+careful-resume=2000000MB/1s",
            "cubic+careful-resume=1MB/3601s",
            "cubic+rapid-start=1",
            "fixed-rate",
            "fixed-rate=20",
            "fixed-rate=7bit",
            "fixed-rate=1001gbit",
            "fixed-window=0B",
            "fixed-window=100kbit",
            "fixed-window=100kB+classic",
        ] {
            let error = text.parse::<Algorithm>().unwrap_err().to_string();
            for part in ["newreno, cubic, bbr3, low-latency", "rapid-start", "careful-resume=7500kB/600ms"] {
                assert!(error.contains(part) && error.contains(&format!("{text:?}")), "{error}");
            }
        }
    }
}
