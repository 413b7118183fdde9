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
    report::Report,
    run::{Run, RunError, Trial, run},
    scenario::Scenario,
};

/// Runs each scenario with each controller and the seeds from 1 to `seeds`, on all processors. `progress` is told how many runs
/// of how many are done, from any thread.
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
    let mut jobs = Vec::new();
    for scenario in scenarios {
        for (name, controller) in controllers {
            jobs.extend((1..=seeds).map(|seed| (scenario, Trial { name, controller, seed, traces })));
        }
    }
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results: Vec<Mutex<Option<Result<Run, RunError>>>> = jobs.iter().map(|_| Mutex::new(None)).collect();
    let work = || {
        while let Some(((scenario, trial), slot)) = {
            let index = next.fetch_add(1, Relaxed);
            jobs.get(index).zip(results.get(index))
        } {
            let result = run(scenario, trial);
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
