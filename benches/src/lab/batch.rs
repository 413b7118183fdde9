//! Many runs at once.

use std::{
    num::NonZeroUsize,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use quic_core::congestion::Algorithm;

use super::{
    node::Stack,
    report::Report,
    run::{Run, RunError, run_on},
    scenario::Scenario,
    weft::Weft,
};

/// The runs to do, one after the other.
pub type Stacks<'a> = Vec<&'a (dyn Stack + Sync)>;

/// Runs each scenario with each of our controllers and the seeds from 1 to `seeds`, on all processors. Calls
/// `progress`, from any thread, with the number of finished runs and of all runs.
///
/// # Errors
/// [`RunError`] of the first run, in the order of the report, that could not begin.
pub fn run_all(
    scenarios: &[Scenario],
    controllers: &[(&str, Algorithm)],
    seeds: u64,
    traces: &Path,
    progress: impl Fn(usize, usize) + Sync,
) -> Result<Report, RunError> {
    let ours: Vec<Weft> = controllers.iter().map(|(name, controller)| Weft::new(name, controller)).collect();
    let stacks: Stacks<'_> = ours.iter().map(|stack| stack as _).collect();
    run_stacks(scenarios, &stacks, seeds, traces, progress)
}

/// As [`run_all`], with any implementations of a transport.
///
/// # Errors
/// As [`run_all`].
pub fn run_stacks(
    scenarios: &[Scenario],
    stacks: &Stacks<'_>,
    seeds: u64,
    traces: &Path,
    progress: impl Fn(usize, usize) + Sync,
) -> Result<Report, RunError> {
    let mut jobs = Vec::new();
    for scenario in scenarios {
        for stack in stacks {
            jobs.extend((1..=seeds).map(|seed| (scenario, *stack, seed)));
        }
    }
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results: Vec<Mutex<Option<Result<Run, RunError>>>> = jobs.iter().map(|_| Mutex::new(None)).collect();
    let work = || {
        while let Some(((scenario, stack, seed), slot)) = {
            let index = next.fetch_add(1, Relaxed);
            jobs.get(index).zip(results.get(index))
        } {
            let result = run_on(scenario, *stack, *seed, traces);
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            progress(done.fetch_add(1, Relaxed) + 1, jobs.len());
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZeroUsize::get) {
            scope.spawn(work);
        }
    });
    let results =
        results.into_iter().filter_map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner));
    Ok(Report { command: String::new(), runs: results.collect::<Result<_, _>>()? })
}
