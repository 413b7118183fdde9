//! Which calls were made, which have not settled, which tasks are not over, and what went wrong.
//!
//! Must never know what is called.

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

/// What did not hold, and in which run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The run's seed.
    pub seed: u64,
    /// The line that repeats the run.
    pub replay: String,
    /// What did not hold, one fact a line.
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
    /// The end of a session whose call it is; `None` for those of servers and clients themselves.
    end: Option<u64>,
    since: Duration,
}

#[derive(Debug, Default)]
struct State {
    calls: Calls,
    open: BTreeMap<u64, Open>,
    next: u64,
    /// When the ends of sessions heard that they are closed.
    closed: BTreeMap<u64, Duration>,
    facts: Vec<String>,
}

/// The register of a run.
#[derive(Debug, Default)]
pub(crate) struct Book {
    state: Mutex<State>,
    tasks: AtomicUsize,
}

/// A call is not over while this lives.
#[derive(Debug)]
pub(crate) struct Ticket<'a>(&'a Book, u64);

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).open.remove(&self.1);
    }
}

/// A task is not over while this lives.
#[derive(Debug)]
pub(crate) struct Running(Arc<Book>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.tasks.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Facts beyond these are more of the same.
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

    /// Notes what did not hold.
    pub(crate) fn fail(&self, fact: impl Into<String>) {
        let mut state = lock(&self.state);
        if state.facts.len() < MAX_FACTS {
            state.facts.push(fact.into());
        }
    }

    /// An end of a session has heard that it is closed.
    pub(crate) fn closed(&self, end: u64, now: Duration) {
        lock(&self.state).closed.entry(end).or_insert(now);
    }

    /// The calls of ends that were closed longer than `grace` ago.
    pub(crate) fn overdue(&self, now: Duration, grace: Duration) -> Vec<String> {
        let state = lock(&self.state);
        let late = |open: &&Open| {
            let closed = open.end.and_then(|end| state.closed.get(&end));
            closed.is_some_and(|closed| now.saturating_sub(*closed.max(&open.since)) > grace)
        };
        state.open.values().filter(late).map(|open| told(open, &state, now)).collect()
    }

    /// All calls that have not settled.
    pub(crate) fn outstanding(&self, now: Duration) -> Vec<String> {
        let state = lock(&self.state);
        state.open.values().map(|open| told(open, &state, now)).collect()
    }

    /// What was counted and what did not hold.
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
