//! Scenario files: a bottleneck, the flows that share it, and targets.

use std::{borrow::Borrow, collections::BTreeMap, fmt, fs::File, io::Read as _, path::Path};

use netsim::{LinkConfig, Loss, MILLISECOND, SECOND};
use quic_core::congestion::Algorithm;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{
    flow::Flow,
    units::{BitRate, Buffer, Share, Size, Time},
};

/// The longest scenario file, in bytes.
const LONGEST: u64 = 1 << 20;
/// The modes that an application can choose. Targets are set for modes and for controllers.
const MODES: [&str; 3] = ["default", "throughput", "low-latency"];
/// The names of the figures of runs.
pub const FIGURES: [&str; 28] = [
    "broken",
    "call_p50",
    "call_p99",
    "completion",
    "datagram_p50",
    "datagram_p99",
    "datagrams_missing",
    "dropped",
    "expired",
    "frame_p50",
    "frame_p95",
    "frame_p99",
    "frames_missing",
    "goodput",
    "jain",
    "lost",
    "marked",
    "page_p50",
    "page_p99",
    "queue_p50",
    "queue_p95",
    "queue_p99",
    "ratio",
    "retransmitted",
    "share",
    "spurious",
    "unfinished",
    "utilization",
];

/// A scenario, with the fields of its file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    /// Its short name, like `B1`. Files are named after it, so it has only letters, digits, and `-`, `_` and
    /// `.` between them.
    pub id: Id,
    /// Its subject, in one line.
    pub title: String,
    /// How long it runs.
    pub duration: Time,
    /// The bottleneck, from senders to receivers.
    pub link: Bottleneck,
    /// The way back. Default: without a limit.
    #[serde(default)]
    pub back: Back,
    /// The flows.
    #[serde(rename = "flow")]
    pub flows: Vec<Flow>,
    /// Later changes of the bottleneck.
    #[serde(default, rename = "change")]
    pub changes: Vec<Change>,
    /// The targets: bounds of figures, for a controller or for the mode of which it is the algorithm.
    #[serde(default)]
    pub target: BTreeMap<Aimer, BTreeMap<Figure, Bound>>,
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident: $is_one:expr, $wants:expr;)*) => {
        $($(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// As the file has it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = String::deserialize(deserializer)?;
                let is_one: fn(&str) -> bool = $is_one;
                if is_one(&name) { Ok(Self(name)) } else { Err(D::Error::custom(format!("{name:?} is no {}", $wants))) }
            }
        })*
    };
}

names! {
    /// The short name of a scenario.
    Id: is_file_name, "short name: 1 to 40 letters, digits, '-', '_' and '.', the first a letter or digit";
    /// The subject of a target: a mode or a controller.
    Aimer: |name| MODES.contains(&name) || name.parse::<Algorithm>().is_ok(),
        format!("mode ({}), and no congestion controller; there are: {}", MODES.join(", "), Algorithm::help());
    /// The name of a figure.
    Figure: |name| FIGURES.contains(&name), format!("figure; there are: {}", FIGURES.join(", "));
}

/// Whether the text can be part of a file name on every system.
fn is_file_name(name: &str) -> bool {
    name.len() <= 40
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// The bottleneck.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Bottleneck {
    /// Its rate; not needed with a trace.
    pub rate: Option<BitRate>,
    /// A file in Mahimahi's format, in the directory of `--traces`.
    pub trace: Option<String>,
    /// The round trip without a queue.
    pub rtt: Time,
    /// The size of the buffer; a packet of full size always fits.
    pub buffer: Buffer,
    /// The management of the queue.
    #[serde(default)]
    pub discipline: Managed,
    /// Packets that waited longer are marked (with `discipline = "step"`).
    pub step: Option<Time>,
    /// The share that is lost on the wire.
    #[serde(default)]
    pub loss: Share,
    /// Losses that come in bursts.
    pub bursts: Option<Bursts>,
    /// A random delay of up to this.
    #[serde(default)]
    pub jitter: Time,
    /// The mean of the delays of a crowded radio channel.
    #[serde(default)]
    pub contention: Time,
    /// The share of packets that are delayed by a quarter of a round trip, so that others overtake them.
    #[serde(default)]
    pub reorder: Share,
    /// A token bucket before the queue.
    pub policer: Option<Bucket>,
    /// Recurring periods in which the link sends nothing.
    pub suspended: Option<Suspended>,
}

/// The management of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Managed {
    /// Drops packets that do not fit.
    #[default]
    Droptail,
    /// Marks packets that waited longer than `step`.
    Step,
    /// RFC 8289.
    Codel,
    /// RFC 8290.
    FqCodel,
    /// RFC 9332 §2.4.
    Pi2,
    /// RFC 9332.
    Dualpi2,
}

/// Losses with two states (Gilbert-Elliott).
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Bursts {
    /// The probability to go from good to bad, before each packet.
    pub to_bad: Share,
    /// The probability to go from bad to good, before each packet.
    pub to_good: Share,
    /// Loss in the bad state.
    pub loss: Share,
}

/// A token bucket.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// The rate that passes in the long run.
    pub rate: BitRate,
    /// The most bytes that pass at once.
    pub burst: Size,
}

/// Recurring periods in which nothing is sent.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Suspended {
    /// The time from the beginning of one period to that of the next.
    pub every: Time,
    /// The length of a period.
    pub lasts: Time,
}

/// The way back.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Back {
    /// Its rate.
    pub rate: Option<BitRate>,
    /// The share of packets that are lost.
    #[serde(default)]
    pub loss: Share,
    /// Packets arrive together at multiples of this.
    #[serde(default)]
    pub aggregation: Time,
}

/// A change of at least one property of the bottleneck.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Change {
    /// The time of the change, before the end of the scenario.
    pub at: Time,
    /// The rate from then on.
    pub rate: Option<BitRate>,
    /// The round trip from then on.
    pub rtt: Option<Time>,
    /// The share of packets that are lost from then on.
    pub loss: Option<Share>,
}

impl Change {
    /// Applies the change to the bottleneck and to the way back.
    pub(super) fn apply(&self, there: &mut LinkConfig, back: &mut LinkConfig) {
        there.rate = self.rate.map(|rate| rate.0).or(there.rate);
        if let Some(loss) = self.loss {
            there.loss = Loss::Bernoulli(loss.0);
        }
        if let Some(rtt) = self.rtt {
            there.delay = rtt.0 / 2;
            back.delay = rtt.0.div_ceil(2);
        }
    }
}

/// The bounds of a figure, at least one of both.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "Limits")]
pub struct Bound {
    /// The smallest permitted value.
    pub min: Option<f64>,
    /// The largest permitted value.
    pub max: Option<f64>,
}

/// The text of a bound.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    min: Option<f64>,
    max: Option<f64>,
}

impl TryFrom<Limits> for Bound {
    type Error = &'static str;

    fn try_from(Limits { min, max }: Limits) -> Result<Self, Self::Error> {
        let wants = "a target is `min`, `max` or both, finite, and `min` is not above `max`";
        let all = [min, max].into_iter().flatten();
        let is_some = min.or(max).is_some() && all.clone().all(f64::is_finite) && all.is_sorted();
        if is_some { Ok(Self { min, max }) } else { Err(wants) }
    }
}

impl Bound {
    /// Whether a figure is within the bounds.
    #[must_use]
    pub fn holds(&self, value: f64) -> bool {
        self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max)
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.min, self.max) {
            (Some(min), Some(max)) => write!(f, "{min}..{max}"),
            (Some(min), None) => write!(f, ">= {min}"),
            (None, Some(max)) => write!(f, "<= {max}"),
            (None, None) => Ok(()),
        }
    }
}

/// A part of a scenario file: how its first line begins, and how many equal lines come before it.
struct Part(String, usize);

impl Part {
    fn of(beginning: &str) -> Self {
        Self(beginning.to_owned(), 0)
    }

    /// The file's name and the line where the part begins, if the line can be found.
    fn within(&self, name: &str, text: &str) -> String {
        let is_it = |line: &str| line.trim_start().starts_with(self.0.as_str());
        let line = text.lines().enumerate().filter(|(_, line)| is_it(line)).nth(self.1);
        line.map_or_else(|| name.to_owned(), |(index, _)| format!("{name}, line {}", index + 1))
    }
}

/// Why a scenario cannot be run.
#[derive(Debug)]
#[non_exhaustive]
pub enum ScenarioError {
    /// The file cannot be read.
    File(String, std::io::Error),
    /// It is no scenario; the text has line and column.
    Text(String, Box<toml::de::Error>),
    /// The scenario contradicts itself.
    Rule(String, String),
    /// No scenario that comes with the laboratory has such a name.
    Unknown(String),
    /// Another scenario has the same short name.
    Taken(String, Id),
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(name, error) => write!(f, "{name} cannot be read: {error}"),
            Self::Text(name, error) => write!(f, "{name}: {error}"),
            Self::Rule(name, rule) => write!(f, "{name}: {rule}"),
            Self::Unknown(name) => {
                write!(f, "there is no scenario {name:?}; `cc-lab list` has them, or give a file")
            }
            Self::Taken(name, id) => {
                write!(f, "{name}: the name (`id`) {id} is taken by another scenario")
            }
        }
    }
}

impl std::error::Error for ScenarioError {}

impl Scenario {
    /// Reads the text of a scenario; `name` is what errors call it.
    ///
    /// # Errors
    /// [`ScenarioError`] says in which line something is wrong, and what may stand there.
    pub fn parse(name: &str, text: &str) -> Result<Self, ScenarioError> {
        let mut scenario: Self =
            toml::from_str(text).map_err(|error| ScenarioError::Text(name.to_owned(), Box::new(error)))?;
        scenario.check().map_err(|(place, rule)| ScenarioError::Rule(place.within(name, text), rule))?;
        scenario.changes.sort_by_key(|change| change.at);
        Ok(scenario)
    }

    /// Reads a scenario from its file.
    ///
    /// # Errors
    /// As [`Self::parse`], or the file cannot be read.
    pub fn read(path: &Path) -> Result<Self, ScenarioError> {
        let name = path.display().to_string();
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text));
        read.map_err(|error| ScenarioError::File(name.clone(), error))?;
        if text.len() as u64 > LONGEST {
            return Err(ScenarioError::Rule(name, "no scenario is longer than 1 MiB".to_owned()));
        }
        Self::parse(&name, &text)
    }

    /// Shortens the scenario to this many seconds, if it is longer.
    ///
    /// # Errors
    /// [`ScenarioError::Rule`] if a part of it would begin after the end.
    pub fn shorten(&mut self, seconds: u64) -> Result<(), ScenarioError> {
        let begins =
            self.flows.iter().map(|flow| flow.start).chain(self.changes.iter().map(|change| change.at));
        let last = begins.max().unwrap_or_default();
        let end = self.duration.0.min(seconds.saturating_mul(SECOND));
        if last.0 >= end {
            let least = last.0 / SECOND + 1;
            let rule = format!(
                "a flow or a change begins only at {} s: run it for {least} s at least",
                last.0 as f64 / 1e9
            );
            return Err(ScenarioError::Rule(self.id.to_string(), rule));
        }
        self.duration.0 = end;
        Ok(())
    }

    /// Checks the rules that concern several values.
    fn check(&self) -> Result<(), (Part, String)> {
        self.check_link().map_err(|rule| (Part::of("[link]"), rule))?;
        self.check_flows()?;
        if self.duration.0 < SECOND / 10 {
            return Err((Part::of("duration"), "`duration` is between 0.1 s and 60 min".to_owned()));
        }
        let ends =
            |kind: &str, place: usize, rule: &str| Err((Part(kind.to_owned(), place), rule.to_owned()));
        if let Some(late) = self.flows.iter().position(|flow| flow.start >= self.duration) {
            return ends(
                "[[flow]]",
                late,
                "a flow never begins: its `start` is not before the end (`duration`)",
            );
        }
        for (place, change) in self.changes.iter().enumerate() {
            if change.at >= self.duration {
                return ends(
                    "[[change]]",
                    place,
                    "a [[change]] never comes: `at` is not before the end (`duration`)",
                );
            }
            if change.rate.is_none() && change.rtt.is_none() && change.loss.is_none() {
                return ends("[[change]]", place, "a [[change]] needs one of `rate`, `rtt` and `loss`");
            }
        }
        Ok(())
    }

    fn check_link(&self) -> Result<(), String> {
        let link = &self.link;
        if link.rate.is_some() == link.trace.is_some() {
            return Err("[link] needs one of `rate` and `trace`".to_owned());
        }
        if link.trace.is_some() && !matches!(link.buffer, Buffer::Bytes(_)) {
            return Err("[link] with a `trace` has no rate, so that `buffer` must be in bytes".to_owned());
        }
        if (link.discipline == Managed::Step) != link.step.is_some() {
            return Err("`step` and `discipline = \"step\"` need each other".to_owned());
        }
        if link.suspended.is_some_and(|Suspended { every, lasts }| every.0 < MILLISECOND || lasts >= every) {
            return Err(
                "`suspended` needs `every` of at least 1 ms, and `lasts` shorter than that".to_owned()
            );
        }
        Ok(())
    }

    fn check_flows(&self) -> Result<(), (Part, String)> {
        if self.flows.is_empty() {
            return Err((Part::of("flow"), "nobody sends: add a [[flow]]".to_owned()));
        }
        for (place, flow) in self.flows.iter().enumerate() {
            flow.check(self.link.rtt).map_err(|rule| (Part("[[flow]]".to_owned(), place), rule))?;
        }
        if self.flows.iter().map(|flow| u64::from(flow.count)).sum::<u64>() > 1_000 {
            return Err((Part::of("count"), "all flows together are at most 1000 (`count`)".to_owned()));
        }
        Ok(())
    }
}
