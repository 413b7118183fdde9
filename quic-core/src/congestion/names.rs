//! Controllers by name, for command lines and scenario files.
//!
//! A name is that of a controller. A controller that needs a value has it after `=`. A loss-based controller
//! may be followed by `+` and another slow start. One parser reads all names, and its error lists them.

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

/// The other names, with examples of values.
const MORE: &str = "fixed-rate=20mbit, fixed-window=100kB, cubic+rapid-start, which is cubic or newreno with another slow start \
                    (classic, hystart, rapid-start, or careful-resume with the known window and round-trip time of the path, as in \
                    cubic+careful-resume=7500kB/600ms)";

const RATES: [(&str, f64); 4] = [("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9), ("bit", 1.0)];
/// The highest rate, in bits per second.
const FASTEST: f64 = 1e12;
const SIZES: [(&str, f64); 3] = [("kB", 1e3), ("MB", 1e6), ("B", 1.0)];
const TIMES: [(&str, f64); 2] = [("ms", 1e-3), ("s", 1.0)];
/// The longest round-trip time, in seconds.
const LONGEST: f64 = 3_600.0;
/// The values that are expected, for messages.
const RATE: &str = "a rate from 8bit to 1000gbit (a second), such as 20mbit";
const WINDOW: &str = "a size from 1B to 1099511MB, such as 100kB";
const SAVED: &str =
    "the window and the round trip of the path, such as 7500kB/600ms; a round trip is an hour at most";

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        parse(text).map_err(|problem| UnknownAlgorithm { name: text.into(), problem })
    }
}

/// Why a name cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    /// No controller has this name.
    Unknown,
    /// The value after it is wrong; the text says how.
    Value(String),
}

impl Problem {
    fn value(of: &str, given: Option<&str>, wanted: &str) -> Self {
        Self::Value(match given {
            Some(given) => format!("{given:?} is not a value for {of}: give {wanted}"),
            None => format!("{of} needs a value: give {wanted}"),
        })
    }
}

fn parse(text: &str) -> Result<Algorithm, Problem> {
    if let Some((_, algorithm)) = NAMES.into_iter().find(|(known, _)| *known == text) {
        return Ok(algorithm);
    }
    match valued(text) {
        ("fixed-rate", given) => {
            let bits = given.and_then(|rate| quantity(rate, &RATES));
            let bits = bits.filter(|bits| (8.0..=FASTEST).contains(bits));
            let bits = bits.ok_or_else(|| Problem::value("fixed-rate", given, RATE))?;
            return Ok(Algorithm::FixedRate(Rate::from_bytes_per_second(bits as u64 / 8)));
        }
        ("fixed-window", given) => {
            let window =
                given.and_then(bytes).ok_or_else(|| Problem::value("fixed-window", given, WINDOW))?;
            return Ok(Algorithm::FixedWindow(window));
        }
        _ => {}
    }
    let (base, start) = text.split_once('+').ok_or(Problem::Unknown)?;
    if !NAMES.iter().any(|(known, _)| *known == base) {
        return Err(Problem::Unknown);
    }
    match (base, start_named(start)?) {
        ("newreno", Start::Classic) => Ok(Algorithm::NewReno),
        ("newreno", start) => Ok(Algorithm::NewRenoFrom(start)),
        ("cubic", Start::HyStart) => Ok(Algorithm::Cubic),
        ("cubic", start) => Ok(Algorithm::CubicFrom(start)),
        _ => Err(Problem::Value(format!(
            "{base} has its own way to start; only cubic and newreno take another slow start"
        ))),
    }
}

fn start_named(text: &str) -> Result<Start, Problem> {
    match valued(text) {
        ("classic", None) => Ok(Start::Classic),
        ("hystart", None) => Ok(Start::HyStart),
        ("rapid-start", None) => Ok(Start::RapidStart),
        ("careful-resume", given) => {
            let saved =
                given.and_then(saved_path).ok_or_else(|| Problem::value("careful-resume", given, SAVED))?;
            Ok(Start::CarefulResume(saved))
        }
        _ => Err(Problem::Value(format!("{text:?} is not a slow start"))),
    }
}

/// Reads a window and a round-trip time.
fn saved_path(text: &str) -> Option<SavedPath> {
    let (window, min_rtt) = text.split_once('/')?;
    let seconds = quantity(min_rtt, &TIMES).filter(|seconds| *seconds <= LONGEST)?;
    Some(SavedPath::new(bytes(window)?, Duration::from_secs_f64(seconds)))
}

/// A name and the text after its `=`.
fn valued(text: &str) -> (&str, Option<&str>) {
    text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)))
}

/// A window's size in bytes.
fn bytes(text: &str) -> Option<u64> {
    quantity(text, &SIZES).filter(|bytes| (1.0..=MAX_WINDOW as f64).contains(bytes)).map(|bytes| bytes as u64)
}

/// A number above zero and its unit, in upper or lower case.
fn quantity(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(end);
    let (_, factor) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    Some(number.parse::<f64>().ok()? * factor).filter(|value| *value > 0.0)
}

impl Algorithm {
    /// The names that [`FromStr`] knows and that need no value.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// A listing of everything that [`FromStr`] takes, for people.
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
            // Its own slow start.
            _ => base,
        }
    }
}

/// No built-in congestion controller has this name, or the value after the name is wrong. The message lists
/// the names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownAlgorithm {
    name: Box<str>,
    problem: Problem,
}

impl fmt::Display for UnknownAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            Problem::Unknown => write!(f, "no congestion controller is named {:?}", self.name)?,
            Problem::Value(problem) => {
                write!(f, "the congestion controller {:?} cannot be used: {problem}", self.name)?;
            }
        }
        write!(f, "; there are: {}", Algorithm::help())
    }
}

impl std::error::Error for UnknownAlgorithm {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_survives_a_round_trip() {
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
    fn unknown_names_and_wrong_values_are_refused_with_a_list() {
        for (text, problem) in [
            ("", "no congestion controller is named"),
            ("reno", "no congestion controller is named"),
            ("reno+classic", "no congestion controller is named"),
            ("fixed-window=100kB+classic", "\"100kB+classic\" is not a value for fixed-window"),
            ("bbr3+classic", "bbr3 has its own way to start"),
            ("cubic+", "\"\" is not a slow start"),
            ("cubic+fast", "\"fast\" is not a slow start"),
            ("cubic+classic+hystart", "\"classic+hystart\" is not a slow start"),
            ("cubic+rapid-start=1", "\"rapid-start=1\" is not a slow start"),
            ("cubic+careful-resume", "careful-resume needs a value"),
            ("cubic+careful-resume=1MB", "\"1MB\" is not a value for careful-resume"),
            ("cubic+careful-resume=1MB/1", "\"1MB/1\" is not a value for careful-resume"),
            ("cubic+careful-resume=0MB/1s", "is not a value for careful-resume"),
            ("cubic+careful-resume=-1MB/1s", "is not a value for careful-resume"),
            ("cubic+careful-resume=2000000MB/1s", "is not a value for careful-resume"),
            ("cubic+careful-resume=1MB/3601s", "a round trip is an hour at most"),
            ("fixed-rate", "fixed-rate needs a value"),
            ("fixed-rate=20", "a rate from 8bit to 1000gbit"),
            ("fixed-rate=7bit", "a rate from 8bit to 1000gbit"),
            ("fixed-rate=0mbit", "a rate from 8bit to 1000gbit"),
            ("fixed-rate=1001gbit", "a rate from 8bit to 1000gbit"),
            ("fixed-window=0B", "a size from 1B to"),
            ("fixed-window=0.5B", "a size from 1B to"),
            ("fixed-window=1 kB", "a size from 1B to"),
            ("fixed-window=100kbit", "a size from 1B to"),
        ] {
            let error = text.parse::<Algorithm>().unwrap_err().to_string();
            let there_are =
                ["newreno, cubic, bbr3, low-latency", "rapid-start", "careful-resume=7500kB/600ms"];
            for part in [problem, &format!("{text:?}")].into_iter().chain(there_are) {
                assert!(error.contains(part), "{part} of {error}");
            }
        }
        // The largest window in the message is the largest that is accepted.
        assert!("fixed-window=1099511MB".parse::<Algorithm>().is_ok());
        assert!("fixed-window=1099512MB".parse::<Algorithm>().is_err());
    }
}
