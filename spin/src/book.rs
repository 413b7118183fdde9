//! The register of a run: calls made, calls pending, tasks running, and failures.
//!
//! It must never know what is called.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// How often each function was called.
pub type Calls = BTreeMap<&'static str, u64>;

/// The violated invariants of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The run's seed.
    pub seed: u64,
    /// The line that repeats the run.
    pub replay: String,
    /// The violated invariants, one in each line.
    pub facts: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {} failed; repeat with {}", self.seed, self.replay)?;
        self.facts.iter().try_for_each(|fact| writeln!(f, "  {fact}"))
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call that has not settled.
#[derive(Clone, Copy, Debug)]
struct Open {
    name: &'static str,
    /// The end of a session to which the call belongs; `None` for calls of servers and clients.
    end: Option<u64>,
    since: Duration,
}

#[derive(Debug, Default)]
struct State {
    calls: Calls,
    open: BTreeMap<u64, Open>,
    next: u64,
    /// When each end of a session was told that it is closed.
    closed: BTreeMap<u64, Duration>,
    facts: Vec<String>,
}

/// The register of a run.
#[derive(Debug, Default)]
pub(crate) struct Book {
    state: Mutex<State>,
    tasks: AtomicUsize,
}

/// A call is pending while this value lives.
#[derive(Debug)]
pub(crate) struct Ticket<'a>(&'a Book, u64);

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).open.remove(&self.1);
    }
}

/// A task is running while this value lives.
#[derive(Debug)]
pub(crate) struct Running(Arc<Book>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.tasks.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The most failures that are kept; further ones are similar.
const MAX_FACTS: usize = 20;

impl Book {
    /// Counts a call that returns at once.
    pub(crate) fn count(&self, name: &'static str) {
        *lock(&self.state).calls.entry(name).or_default() += 1;
    }

    /// Counts a call that may wait.
    pub(crate) fn enter(&self, name: &'static str, end: Option<u64>, now: Duration) -> Ticket<'_> {
        let mut state = lock(&self.state);
        *state.calls.entry(name).or_default() += 1;
        let key = state.next;
        state.next += 1;
        state.open.insert(key, Open { name, end, since: now });
        Ticket(self, key)
    }

    pub(crate) fn running(self: &Arc<Self>) -> Running {
        self.tasks.fetch_add(1, Ordering::AcqRel);
        Running(Arc::clone(self))
    }

    pub(crate) fn tasks(&self) -> usize {
        self.tasks.load(Ordering::Acquire)
    }

    /// Records a violated invariant.
    pub(crate) fn fail(&self, fact: impl Into<String>) {
        let mut state = lock(&self.state);
        if state.facts.len() < MAX_FACTS {
            state.facts.push(fact.into());
        }
    }

    /// An end of a session was told that it is closed.
    pub(crate) fn closed(&self, end: u64, now: Duration) {
        lock(&self.state).closed.entry(end).or_insert(now);
    }

    /// The pending calls of ends that were closed longer than `grace` ago.
    pub(crate) fn overdue(&self, now: Duration, grace: Duration) -> Vec<String> {
        let state = lock(&self.state);
        let late = |open: &&Open| {
            let closed = open.end.and_then(|end| state.closed.get(&end));
            closed.is_some_and(|closed| now.saturating_sub(*closed.max(&open.since)) > grace)
        };
        state.open.values().filter(late).map(|open| told(open, &state, now)).collect()
    }

    /// All pending calls.
    pub(crate) fn outstanding(&self, now: Duration) -> Vec<String> {
        let state = lock(&self.state);
        state.open.values().map(|open| told(open, &state, now)).collect()
    }

    /// The counts and the failures.
    pub(crate) fn conclude(&self) -> (Calls, Vec<String>) {
        let mut state = lock(&self.state);
        (std::mem::take(&mut state.calls), std::mem::take(&mut state.facts))
    }
}

fn told(open: &Open, state: &State, now: Duration) -> String {
    let Open { name, end, since } = open;
    let waits = now.saturating_sub(*since);
    let closed = end.and_then(|end| state.closed.get(&end));
    match (end, closed) {
        (Some(end), Some(at)) => {
            format!("{name} of end {end} waits for {waits:?}; closed was told at {at:?}")
        }
        (Some(end), None) => format!("{name} of end {end} waits for {waits:?}; closed was not told"),
        (None, _) => format!("{name} waits for {waits:?}"),
    }
}
