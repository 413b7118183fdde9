//! `soak`: many simulated runs, or one again.
#![forbid(unsafe_code)]

use std::{ops::Range, process::ExitCode};

use soak::{Kind, Scenario, patterns, run, sweep};

#[global_allocator]
static HEAP: heap_meter::HeapMeter = heap_meter::HeapMeter;

const HELP: &str = "\
soak <command>

  sweep --seeds N [--start S] [--threads T]        drawn transfers
  handshakes --seeds N [--start S] [--threads T]   handshakes under 30 % loss each way
  patterns [--threads T]                           every one and two lost of the first twelve datagrams each way
  replay --kind transfer|handshake|pattern --seed S [--tell all]
                                                   one run: what it is, its virtual time, and, if asked, every event

The last line of output tells what came of it; the exit status is 1 if an invariant did not hold.
";

/// The options of all commands.
struct Options {
    seeds: u64,
    start: u64,
    threads: usize,
    kind: Kind,
    seed: u64,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self { seeds: 2000, start: 0, threads: 2, kind: Kind::Transfer, seed: 0 };
        for pair in arguments.chunks(2) {
            let [name, value] = pair else { return Err(format!("{} needs a value", pair[0])) };
            let number = || value.parse::<u64>().map_err(|_| format!("{name}: {value} is no number"));
            match name.as_str() {
                "--seeds" => options.seeds = number()?,
                "--start" => options.start = number()?,
                "--threads" => options.threads = number()? as usize,
                "--seed" => options.seed = number()?,
                "--tell" => soak::tell_everything(),
                "--kind" => {
                    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == value);
                    options.kind = kind.ok_or_else(|| format!("there are no runs of kind {value}"))?;
                }
                _ => return Err(format!("there is no option {name}")),
            }
        }
        Ok(options)
    }

    fn range(&self) -> Range<u64> {
        self.start..self.start.saturating_add(self.seeds)
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, rest)) = arguments.split_first() else { return usage("a command is missing") };
    let options = match Options::parse(rest) {
        Ok(options) => options,
        Err(problem) => return usage(&problem),
    };
    let (kind, seeds) = match command.as_str() {
        "sweep" => (Kind::Transfer, options.range()),
        "handshakes" => (Kind::Handshake, options.range()),
        "patterns" => (Kind::Pattern, 0..patterns().len() as u64),
        "replay" => return replay(options.kind, options.seed),
        "help" | "--help" => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => return usage(&format!("there is no command {command}")),
    };
    let summary = sweep(kind, seeds, options.threads);
    println!("{summary}");
    if summary.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn replay(kind: Kind, seed: u64) -> ExitCode {
    match kind {
        Kind::Transfer => println!("{:#?}", Scenario::draw(seed)),
        Kind::Pattern => println!("{:?}", patterns().get(seed as usize)),
        Kind::Handshake => {}
    }
    match run(kind, seed) {
        Ok(report) => {
            let (took, delivered) = (report.took, report.delivered);
            println!(
                "{:?} after {took} ns, {delivered} datagrams, digest {:016x}",
                report.ending, report.digest
            );
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn usage(problem: &str) -> ExitCode {
    eprintln!("soak: {problem}\n\n{HELP}");
    ExitCode::from(2)
}
