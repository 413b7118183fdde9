//! One run of a scenario: whole endpoints on a simulated bottleneck, and the results.

use std::{collections::BTreeMap, path::Path};

use netsim::Trace;
use quic_core::congestion::Algorithm;
use serde::{Deserialize, Serialize};

pub use super::world::{FlowRun, Sample};
use super::{
    figures,
    node::Stack,
    scenario::Scenario,
    weft::Weft,
    world::{Member, SAMPLE, World},
};

/// The result of one run of a scenario.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// The scenario's short name.
    pub scenario: String,
    /// The controller under test.
    pub controller: String,
    /// The seed, which decided everything random.
    pub seed: u64,
    /// Figures by name: times in milliseconds, shares from 0 to 1.
    pub figures: BTreeMap<String, f64>,
    /// How many packets were delivered, in both directions.
    pub packets: u64,
    /// A hash of all events: equal for equal runs.
    pub digest: u64,
    /// The results of each flow.
    pub flows: Vec<FlowRun>,
    /// The queue before the bottleneck at each sample, in milliseconds.
    #[serde(skip)]
    pub queue: Vec<f64>,
}

impl Run {
    /// The time between two samples of a series, in seconds.
    pub const SAMPLE: f64 = SAMPLE as f64 / 1e9;
}

/// Why a run cannot begin.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// The recorded link cannot be read.
    Trace(String, String),
}

impl std::fmt::Display for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Trace(name, error) => {
                write!(f, "the trace {name} cannot be used: {error}; name its directory with --traces")
            }
        }
    }
}

impl std::error::Error for RunError {}

/// The parameters of a run.
#[derive(Clone, Debug)]
pub struct Trial<'a> {
    /// The name of the controller under test.
    pub name: &'a str,
    /// The controller under test.
    pub controller: &'a Algorithm,
    /// The seed, which decides everything random.
    pub seed: u64,
    /// The directory of recorded links.
    pub traces: &'a Path,
}

/// Runs a scenario once, with a controller of ours.
///
/// # Errors
/// [`RunError`], before anything runs.
pub fn run(scenario: &Scenario, trial: &Trial<'_>) -> Result<Run, RunError> {
    run_on(scenario, &Weft::new(trial.name, trial.controller), trial.seed, trial.traces)
}

/// Runs a scenario once, with any implementation of a transport. `seed` decides everything random; `traces`
/// is the directory of recorded links.
///
/// # Errors
/// [`RunError`], before anything runs.
pub fn run_on(scenario: &Scenario, stack: &dyn Stack, seed: u64, traces: &Path) -> Result<Run, RunError> {
    let trace = scenario.link.trace.as_ref().map(|name| read_trace(traces, name)).transpose()?;
    let mut world = World::new(scenario, stack, seed, trace);
    world.go();
    Ok(world.result())
}

pub(super) fn read_trace(directory: &Path, name: &str) -> Result<Trace, RunError> {
    let broken = |error: String| RunError::Trace(name.to_owned(), error);
    let text = std::fs::read_to_string(directory.join(name)).map_err(|error| broken(error.to_string()))?;
    Trace::parse(&text).map_err(|error| broken(error.to_string()))
}

impl World<'_> {
    fn result(mut self) -> Run {
        let flows: Vec<FlowRun> = self.members.iter().map(|member| self.flow(member)).collect();
        let figures = figures::of(&self, &flows);
        Run {
            scenario: self.scenario.id.to_string(),
            controller: self.stack.name().to_owned(),
            seed: self.sim.seed(),
            figures,
            packets: self.sim.delivered(),
            digest: self.sim.digest(),
            flows: flows
                .into_iter()
                .zip(&mut self.members)
                .map(|(flow, member)| FlowRun { series: std::mem::take(&mut member.series), ..flow })
                .collect(),
            queue: self.queue,
        }
    }

    fn flow(&self, member: &Member<'_>) -> FlowRun {
        let taken = self.taken(member).cloned().unwrap_or_default();
        let made = self.sent(member).map_or(0, |sent| sent.frames);
        FlowRun {
            name: member.name.clone(),
            bytes: taken.bytes,
            completion: taken.whole.map(|nanos| nanos as f64 / 1e6),
            frames: member.flow.load().media.map(|_| (made, taken.frames.count())),
            series: Vec::new(),
        }
    }
}
