//! Runs tests over many seeds and prints the seed when one fails.

/// The environment variable with a single seed to run instead of all, to repeat a failure.
pub const SEED_VARIABLE: &str = "NETSIM_SEED";

struct PrintSeed(u64);

impl std::ops::Drop for PrintSeed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with seed {0}; repeat with {SEED_VARIABLE}={0}", self.0);
        }
    }
}

/// Runs `test`; if it panics, the seed is printed.
pub fn with_seed<T>(seed: u64, test: impl FnOnce(u64) -> T) -> T {
    let _print_seed = PrintSeed(seed);
    test(seed)
}

/// Runs `test` for each seed, or only for the one in [`SEED_VARIABLE`] if that is set.
///
/// ```
/// netsim::for_seeds(0..10, |seed| {
///     let mut random = netsim::Random::new(seed);
///     assert!(random.below(5) < 5);
/// });
/// ```
pub fn for_seeds(seeds: impl IntoIterator<Item = u64>, mut test: impl FnMut(u64)) {
    match std::env::var(SEED_VARIABLE).ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => with_seed(seed, test),
        None => seeds.into_iter().for_each(|seed| with_seed(seed, &mut test)),
    }
}
