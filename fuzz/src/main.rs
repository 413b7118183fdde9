//! The driver for the stable toolchain: deterministic mutation of a corpus, and replay.
#![forbid(unsafe_code)]

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use weft_fuzz::{
    corpus,
    mutate::{Random, mutate},
    targets::{ALL, Target},
};

/// The largest input, in bytes: a few datagrams.
const MAX_INPUT: usize = 4096;
/// The longest time for one input. None comes near it unless something is quadratic.
const MAX_TIME: Duration = Duration::from_secs(5);

#[derive(Debug, PartialEq, Eq)]
enum Mode {
    Mutate,
    Replay,
    List,
    MakeCorpus,
}

#[derive(Debug)]
struct Options {
    mode: Mode,
    target: Option<String>,
    seconds: u64,
    seed: u64,
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { mode: Mode::Mutate, target: None, seconds: 20, seed: 1 };
    let number = |word: Option<String>, name: &str| {
        word.and_then(|word| word.parse().ok()).ok_or_else(|| format!("{name} wants a number"))
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--replay" => options.mode = Mode::Replay,
            "--list" => options.mode = Mode::List,
            "--make-corpus" => options.mode = Mode::MakeCorpus,
            "--seconds" => options.seconds = number(words.next(), "--seconds")?,
            "--seed" => options.seed = number(words.next(), "--seed")?,
            name if ALL.iter().any(|(known, _)| *known == name) => options.target = Some(word),
            unknown => {
                return Err(format!("there is no option or target {unknown}; --list names the targets"));
            }
        }
    }
    Ok(options)
}

fn folder(kind: &str, target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(target)
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("fuzz: {problem}");
            return ExitCode::from(2);
        }
    };
    let chosen = ALL.iter().filter(|(name, _)| options.target.as_ref().is_none_or(|wanted| wanted == name));
    for (name, target) in chosen {
        let result = match options.mode {
            Mode::List => {
                println!("{name}");
                Ok(())
            }
            Mode::MakeCorpus => make_corpus(name, *target),
            Mode::Replay => replay(name, *target),
            Mode::Mutate => run(name, *target, &options),
        };
        if let Err(problem) = result {
            eprintln!("fuzz: {name}: {problem}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// The inputs of a target's corpus by file name, sorted.
fn read_corpus(name: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
    let folder = folder("corpus", name);
    let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut inputs = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        inputs.push((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), bytes));
    }
    inputs.sort();
    if inputs.is_empty() { Err("the corpus is empty".to_owned()) } else { Ok(inputs) }
}

fn make_corpus(name: &str, target: Target) -> Result<(), String> {
    let folder = folder("corpus", name);
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    for (number, seed) in corpus::seeds(name).iter().enumerate() {
        if !target(seed) {
            return Err(format!("seed {number} is not accepted"));
        }
        fs::write(folder.join(format!("seed-{number:02}")), seed).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn replay(name: &str, target: Target) -> Result<(), String> {
    let inputs = read_corpus(name)?;
    for (file, input) in &inputs {
        // A refused seed does not test any more what it was made for.
        if !try_input(target, input).map_err(|problem| format!("{file}: {problem}"))?
            && file.starts_with("seed-")
        {
            return Err(format!("{file} is refused"));
        }
    }
    println!("{name}: {} inputs", inputs.len());
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a tool that is told how long to run, not a protocol")]
fn clock() -> Instant {
    Instant::now()
}

/// Whether the target accepted the input. It is an error if it panicked or took too long.
fn try_input(target: Target, input: &[u8]) -> Result<bool, String> {
    let started = clock();
    let accepted =
        catch_unwind(AssertUnwindSafe(|| target(input))).map_err(|_| "a panic, told above".to_owned())?;
    let took = started.elapsed();
    if took > MAX_TIME { Err(format!("it took {took:?}")) } else { Ok(accepted) }
}

fn run(name: &str, target: Target, options: &Options) -> Result<(), String> {
    let inputs = read_corpus(name)?;
    let mut random = Random::new(options.seed);
    let (started, limit) = (clock(), Duration::from_secs(options.seconds));
    let (mut count, mut accepted) = (0_u64, 0_u64);
    // Accepted inputs are mutated further, which goes deeper than one change from the corpus.
    let mut pool: Vec<Vec<u8>> = inputs.into_iter().map(|(_, input)| input).collect();
    let seeds = pool.len();
    while started.elapsed() < limit {
        let mut input = pool[random.below(pool.len())].clone();
        let other = random.below(pool.len());
        mutate(&mut input, &pool[other], MAX_INPUT, &mut random);
        count += 1;
        match try_input(target, &input) {
            Ok(true) => {
                accepted += 1;
                if pool.len() < seeds + 512 {
                    pool.push(input);
                } else {
                    let place = seeds + random.below(512);
                    pool[place] = input;
                }
            }
            Ok(false) => {}
            Err(problem) => return Err(failure(name, &input, options.seed, count, &problem)),
        }
    }
    println!("{name}: {count} inputs, {accepted} accepted, seed {}", options.seed);
    Ok(())
}

/// Saves the input, and tells how to reproduce the failure.
fn failure(name: &str, input: &[u8], seed: u64, count: u64, problem: &str) -> String {
    let folder = folder("failures", name);
    let file = folder.join(format!("seed-{seed}-input-{count}"));
    let kept = fs::create_dir_all(&folder).and_then(|()| fs::write(&file, input));
    let place = if kept.is_ok() { file.display().to_string() } else { format!("{input:02x?}") };
    format!(
        "{problem}\nseed {seed}, input {count}: {place}\nmove it to fuzz/corpus/{name}/ to replay it from now on"
    )
}
