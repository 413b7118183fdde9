//! Runs many seeds on several threads and summarizes the results.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    failure::{Failure, Kind},
    handshake::{handshake, losing},
    run::{Ending, Report},
    scenario::Scenario,
    transfer::transfer,
};

/// The most failures that are printed; further ones are only counted.
const TOLD: usize = 20;

/// Runs one seed of a kind.
///
/// # Errors
/// The invariant that did not hold.
pub fn run(kind: Kind, seed: u64) -> Result<Report, Failure> {
    match kind {
        Kind::Transfer => transfer(seed),
        Kind::Handshake => handshake(seed),
        Kind::Pattern => losing(seed),
    }
}

/// The result of a range of seeds.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The kind of the runs.
    pub kind: Kind,
    /// The seeds.
    pub seeds: Range<u64>,
    /// The first few violated invariants, by seed.
    pub failures: BTreeMap<u64, Failure>,
    /// How many invariants were violated in total.
    pub failed: u64,
    /// How many connections ended by the idle timeout, or handshakes were not done.
    pub silent: u64,
    /// How many of them had a rebound client.
    pub rebound: u64,
    /// The seeds of the others.
    pub silent_seeds: Vec<u64>,
    /// The longest run in virtual milliseconds, and its seed.
    pub longest: (u64, u64),
    /// Datagrams delivered in all runs.
    pub delivered: u64,
    /// All digests, combined independently of their order.
    pub digest: u64,
}

impl Summary {
    fn new(kind: Kind, seeds: Range<u64>) -> Self {
        Self {
            kind,
            seeds,
            failures: BTreeMap::new(),
            failed: 0,
            silent: 0,
            rebound: 0,
            silent_seeds: Vec::new(),
            longest: (0, 0),
            delivered: 0,
            digest: 0,
        }
    }

    fn add(&mut self, seed: u64, result: Result<Report, Failure>) {
        match result {
            Ok(report) => {
                self.delivered += report.delivered;
                self.digest = self.digest.wrapping_add(report.digest ^ seed);
                self.longest = self.longest.max((report.took / netsim::MILLISECOND, seed));
                if report.ending == Ending::Silent {
                    self.silent += 1;
                    let rebound = self.kind == Kind::Transfer && Scenario::draw(seed).rebinds();
                    self.rebound += u64::from(rebound);
                    self.silent_seeds.extend((!rebound).then_some(seed));
                }
            }
            Err(failure) => {
                self.failed += 1;
                eprintln!("seed {seed}: {failure}\n  {}", self.kind.replay(seed));
                self.failures.insert(seed, failure);
                if self.failures.len() > TOLD {
                    self.failures.pop_last();
                }
            }
        }
    }

    /// Whether the sweep is a success: no failure, and no more silence than its kind permits.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let runs = self.seeds.end - self.seeds.start;
        let permitted = match self.kind {
            // Heavy loss may lose all probes of half a minute; 99.9 % of handshakes are done.
            Kind::Transfer | Kind::Handshake => (runs / 1000).max(1),
            Kind::Pattern => 0,
        };
        self.failed == 0 && self.silent - self.rebound <= permitted
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seeds, failed, silent, rebound, longest, delivered, digest, .. } = self;
        let mut silent_seeds: Vec<_> = self.silent_seeds.iter().collect();
        silent_seeds.sort_unstable();
        silent_seeds.truncate(TOLD);
        writeln!(f, "silent without a rebinding (up to {TOLD}): {silent_seeds:?}")?;
        write!(
            f,
            "{}: seeds={} first={} failed={failed} silent={silent} rebound={rebound} datagrams={delivered} \
             longest={}ms@{} digest={digest:016x} {}",
            self.kind.name(),
            seeds.end - seeds.start,
            seeds.start,
            longest.0,
            longest.1,
            if self.is_good() { "ok" } else { "FAILED" }
        )
    }
}

/// Runs all `seeds` of a kind on `threads` threads. Failures are printed as they happen.
#[must_use]
pub fn sweep(kind: Kind, seeds: Range<u64>, threads: usize) -> Summary {
    let next = AtomicU64::new(seeds.start);
    let summary = Mutex::new(Summary::new(kind, seeds.clone()));
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let result = run(kind, seed);
                    summary.lock().unwrap_or_else(PoisonError::into_inner).add(seed, result);
                }
            });
        }
    });
    summary.into_inner().unwrap_or_else(PoisonError::into_inner)
}
