//! What a scenario file says: a bottleneck, the flows that share it, what is aimed at.

use std::{borrow::Borrow, collections::BTreeMap, fmt, fs::File, io::Read as _, path::Path};

use netsim::{Discipline, LinkConfig, Loss, MILLISECOND, SECOND, Trace};
use quic_core::congestion::Algorithm;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::units::{BitRate, Buffer, Share, Size, Time};

/// The smallest buffer in bytes: a packet of full size.
const LEAST_BUFFER: u64 = 1_500;
/// The longest file of a scenario, in bytes.
const LONGEST: u64 = 1 << 20;
/// What may be under way on one flow, in bytes.
const MEMORY: std::ops::RangeInclusive<u64> = 64 << 10..=4_000_000_000;
/// What targets are set for, beside controllers: the modes that an application chooses among.
const MODES: [&str; 3] = ["default", "throughput", "low-latency"];
/// The figures that runs give.
pub const FIGURES: [&str; 20] = [
    "broken",
    "completion",
    "dropped",
    "frame_p50",
    "frame_p95",
    "frame_p99",
    "frames_missing",
    "goodput",
    "jain",
    "lost",
    "marked",
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

/// A scenario, as its file has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    /// Its short name, like `B1`: letters, digits, `-`, `_` and `.` between them, for files are named after it.
    pub id: Id,
    /// What it is about, in a line.
    pub title: String,
    /// How long it runs.
    pub duration: Time,
    /// The bottleneck, from senders to receivers.
    pub link: Bottleneck,
    /// The way back; without a limit unless it is given.
    #[serde(default)]
    pub back: Back,
    /// Who sends.
    #[serde(rename = "flow")]
    pub flows: Vec<Flow>,
    /// What happens to the bottleneck later.
    #[serde(default, rename = "change")]
    pub changes: Vec<Change>,
    /// What is aimed at: by controller, or by the mode that it is the algorithm of, the figures and their bounds.
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
    /// Whom a target is set for: a mode or a controller.
    Aimer: |name| MODES.contains(&name) || name.parse::<Algorithm>().is_ok(),
        format!("mode ({}), and no congestion controller; there are: {}", MODES.join(", "), Algorithm::help());
    /// A figure that runs give.
    Figure: |name| FIGURES.contains(&name), format!("figure; there are: {}", FIGURES.join(", "));
}

/// Also in the name of a file, whatever the system.
fn is_file_name(name: &str) -> bool {
    name.len() <= 40
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// A controller that there is, by its name.
#[derive(Clone, Debug)]
pub struct Chosen(pub Algorithm);

impl<'de> Deserialize<'de> for Chosen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(D::Error::custom)
    }
}

/// The bottleneck.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Bottleneck {
    /// What leaves it; not needed with a trace.
    pub rate: Option<BitRate>,
    /// A file of Mahimahi's format, beside the directory given with `--traces`.
    pub trace: Option<String>,
    /// The round trip without a queue.
    pub rtt: Time,
    /// What may wait; a packet of full size always may.
    pub buffer: Buffer,
    /// How the queue is managed.
    #[serde(default)]
    pub discipline: Managed,
    /// Marks what waited longer (with `discipline = "step"`).
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
    /// The share that is held back so that others overtake it, by a quarter of a round trip.
    #[serde(default)]
    pub reorder: Share,
    /// A token bucket before the queue.
    pub policer: Option<Bucket>,
    /// The link sends nothing for a while, again and again.
    pub suspended: Option<Suspended>,
}

/// A queue's management, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Managed {
    /// What does not fit is dropped.
    #[default]
    Droptail,
    /// Marks what waited longer than `step`.
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

/// Losses in two states.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Bursts {
    /// From good to bad, before each packet.
    pub to_bad: Share,
    /// From bad to good.
    pub to_good: Share,
    /// Loss in the bad state.
    pub loss: Share,
}

/// A token bucket.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// What passes for ever.
    pub rate: BitRate,
    /// What passes at once.
    pub burst: Size,
}

/// Times in which nothing is sent.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Suspended {
    /// From the beginning of one to that of the next.
    pub every: Time,
    /// How long one takes.
    pub lasts: Time,
}

/// The way back.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Back {
    /// What leaves it.
    pub rate: Option<BitRate>,
    /// The share that is lost.
    #[serde(default)]
    pub loss: Share,
    /// Packets arrive together at multiples of this.
    #[serde(default)]
    pub aggregation: Time,
}

/// Who sends.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Flow {
    /// What is sent.
    pub kind: Kind,
    /// How many of it, each on a connection of its own.
    #[serde(default = "one")]
    pub count: u32,
    /// The controller; the one under test unless it is given.
    pub controller: Option<Chosen>,
    /// When it begins; before the end.
    #[serde(default)]
    pub start: Time,
    /// The round trip without a queue, if it is longer than the bottleneck's.
    pub rtt: Option<Time>,
    /// What a transfer has.
    pub bytes: Option<Size>,
    /// What flow control and the sender's memory let be under way, from the beginning on; what they are by default unless it is
    /// given, which may hold back a controller that would fill a long and fast path.
    pub memory: Option<Size>,
    /// Frames each second of a medium; 30 unless given.
    #[serde(default = "thirty")]
    pub fps: u32,
    /// A frame of a medium.
    #[serde(default = "frame")]
    pub frame: Size,
    /// A frame that others build upon.
    #[serde(default = "key_frame")]
    pub key_frame: Size,
    /// Frames from one key frame to the next.
    #[serde(default = "thirty")]
    pub key_every: u32,
}

fn one() -> u32 {
    1
}
fn thirty() -> u32 {
    30
}
fn frame() -> Size {
    Size(3_750)
}
fn key_frame() -> Size {
    Size(37_500)
}

/// What a flow sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// All that it can.
    Bulk,
    /// So many bytes.
    Transfer,
    /// Frames, a stream for each.
    Media,
    /// Frames, and behind them all that it can, on one connection.
    MediaAndBulk,
}

impl Kind {
    /// The name that it has in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bulk => "bulk",
            Self::Transfer => "transfer",
            Self::Media => "media",
            Self::MediaAndBulk => "media-and-bulk",
        }
    }
}

/// A change of the bottleneck, of at least one of these.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Change {
    /// When; before the end.
    pub at: Time,
    /// The rate from then on.
    pub rate: Option<BitRate>,
    /// The round trip from then on.
    pub rtt: Option<Time>,
    /// What is lost from then on.
    pub loss: Option<Share>,
}

/// What a figure should be: at least one of both.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "Limits")]
pub struct Bound {
    /// At least.
    pub min: Option<f64>,
    /// At most.
    pub max: Option<f64>,
}

/// A bound as it is written.
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
    /// Whether a figure is within it.
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

/// Why a scenario cannot be run.
#[derive(Debug)]
#[non_exhaustive]
pub enum ScenarioError {
    /// The file cannot be read.
    File(String, std::io::Error),
    /// It is no scenario; the text has line and column.
    Text(String, Box<toml::de::Error>),
    /// It contradicts itself.
    Rule(String, String),
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(name, error) => write!(f, "{name} cannot be read: {error}"),
            Self::Text(name, error) => write!(f, "{name}: {error}"),
            Self::Rule(name, rule) => write!(f, "{name}: {rule}"),
        }
    }
}

impl std::error::Error for ScenarioError {}

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("scenarios/", $name, ".toml")))),*]
    };
}

/// The scenarios that come with the laboratory, in their order.
const BUILT_IN: &[(&str, &str)] = &built_in![
    "B1", "B2", "B3a", "B3b", "B3c", "B3d", "B4a", "B4b", "B4c", "B5a", "B5b", "B5c", "B5d", "B5e", "B5f",
    "B6a", "B6b", "B7a", "B7b", "B7c", "B8a", "B8b", "B9a", "B9b", "B10a", "B10b", "B10c", "B10d", "B10e",
    "B11a", "B11b", "B11c", "B11d", "B12a", "B12b", "B12c", "B13a", "B13b", "B13c", "B13d", "B13e"
];

/// All scenarios that come with the laboratory.
///
/// # Errors
/// One of them is broken, which a test excludes.
pub fn built_in() -> Result<Vec<Scenario>, ScenarioError> {
    BUILT_IN.iter().map(|(name, text)| Scenario::parse(name, text)).collect()
}

impl Scenario {
    /// Reads the text of a scenario; `name` is what errors call it.
    ///
    /// # Errors
    /// [`ScenarioError`] says in which line something is wrong, and what may stand there.
    pub fn parse(name: &str, text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self =
            toml::from_str(text).map_err(|error| ScenarioError::Text(name.to_owned(), Box::new(error)))?;
        scenario.check().map_err(|rule| ScenarioError::Rule(name.to_owned(), rule))?;
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

    /// What no single line shows.
    fn check(&self) -> Result<(), String> {
        self.check_link()?;
        self.check_flows()?;
        if self.duration.0 < SECOND / 10 {
            return Err("`duration` is between 0.1 s and 60 min".to_owned());
        }
        if self.flows.iter().any(|flow| flow.start >= self.duration) {
            return Err("a flow never begins: its `start` is not before the end (`duration`)".to_owned());
        }
        for change in &self.changes {
            if change.at >= self.duration {
                return Err("a [[change]] never comes: `at` is not before the end (`duration`)".to_owned());
            }
            if change.rate.is_none() && change.rtt.is_none() && change.loss.is_none() {
                return Err("a [[change]] needs one of `rate`, `rtt` and `loss`".to_owned());
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

    fn check_flows(&self) -> Result<(), String> {
        if self.flows.is_empty() {
            return Err("nobody sends: add a [[flow]]".to_owned());
        }
        for flow in &self.flows {
            if (flow.kind == Kind::Transfer) != flow.bytes.is_some() {
                return Err("`bytes` and `kind = \"transfer\"` need each other".to_owned());
            }
            if flow.rtt.is_some_and(|rtt| rtt < self.link.rtt) {
                return Err("the `rtt` of a flow cannot be shorter than that of the link".to_owned());
            }
            if flow.count == 0 || flow.fps == 0 || flow.key_every == 0 {
                return Err("`count`, `fps` and `key-every` are at least 1".to_owned());
            }
            if flow.memory.is_some_and(|memory| !MEMORY.contains(&memory.0)) {
                return Err("the `memory` of a flow is from 64 KiB to 4 GB".to_owned());
            }
            if flow.fps > 1_000 {
                return Err("`fps` is at most 1000".to_owned());
            }
        }
        if self.flows.iter().map(|flow| u64::from(flow.count)).sum::<u64>() > 1_000 {
            return Err("all flows together are at most 1000 (`count`)".to_owned());
        }
        Ok(())
    }

    /// Bits per second that the bottleneck carries, on average if it is recorded.
    #[must_use]
    pub fn rate(&self, trace: Option<&Trace>) -> u64 {
        let rate = self.link.rate.map(|rate| rate.0).or_else(|| trace.map(Trace::mean_rate)).unwrap_or(1);
        self.link.policer.map_or(rate, |bucket| rate.min(bucket.rate.0))
    }

    /// The bottleneck as the simulation has it.
    #[must_use]
    pub fn there(&self, trace: Option<Trace>) -> LinkConfig {
        let link = &self.link;
        let bits = self.rate(trace.as_ref());
        let mut config =
            LinkConfig::new().delay(link.rtt.0 / 2).jitter(link.jitter.0).contention(link.contention.0);
        config.rate = link.rate.map(|rate| rate.0);
        config = config.queue(self.buffer_bytes(bits)).discipline(self.discipline());
        if let Some(trace) = trace {
            config = config.trace(trace);
        }
        config.loss = match link.bursts {
            Some(bursts) => Loss::GilbertElliott {
                to_bad: bursts.to_bad.0,
                to_good: bursts.to_good.0,
                good: link.loss.0,
                bad: bursts.loss.0,
            },
            None if link.loss.0 > 0.0 => Loss::Bernoulli(link.loss.0),
            None => Loss::None,
        };
        if link.reorder.0 > 0.0 {
            config = config.reorder(link.reorder.0, link.rtt.0 / 4);
        }
        if let Some(bucket) = link.policer {
            config = config.policer(bucket.rate.0, bucket.burst.0);
        }
        if let Some(Suspended { every, lasts }) = link.suspended {
            let begins = (1..).map(|n| n * every.0.max(1)).take_while(|begin| *begin < self.duration.0);
            config = begins.fold(config, |config, begin| config.suspension(begin..begin + lasts.0));
        }
        config
    }

    /// The way back as the simulation has it.
    #[must_use]
    pub fn back(&self) -> LinkConfig {
        let mut config =
            LinkConfig::new().delay(self.link.rtt.0.div_ceil(2)).aggregation(self.back.aggregation.0);
        config.rate = self.back.rate.map(|rate| rate.0);
        if self.back.loss.0 > 0.0 { config.bernoulli(self.back.loss.0) } else { config }
    }

    fn discipline(&self) -> Discipline {
        match self.link.discipline {
            Managed::Droptail => Discipline::DropTail,
            Managed::Step => Discipline::Step { threshold: self.link.step.unwrap_or_default().0 },
            Managed::Codel => Discipline::codel(),
            Managed::FqCodel => Discipline::fq_codel(),
            Managed::Pi2 => Discipline::pi2(),
            Managed::Dualpi2 => Discipline::dual_pi2(),
        }
    }

    /// A packet finds room in any buffer: one that none fits into would drop the second of any two, whoever sends them.
    fn buffer_bytes(&self, bits: u64) -> u64 {
        let in_time = |nanos: f64| (bits as f64 / 8.0 * nanos / 1e9) as u64;
        let bytes = match self.link.buffer {
            Buffer::Bytes(bytes) => bytes,
            Buffer::Products(count) => in_time(count * self.link.rtt.0 as f64),
            Buffer::Time(nanos) => in_time(nanos as f64),
        };
        bytes.max(LEAST_BUFFER)
    }
}
