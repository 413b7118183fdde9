//! `spin`: many runs, or one again.
#![forbid(unsafe_code)]

use std::{process::ExitCode, time::Duration, time::Instant};

use spin::{CALLS, Calls, Failure, real_run, virtual_run};

#[global_allocator]
static HEAP: heap_meter::HeapMeter = heap_meter::HeapMeter;

const HELP: &str = "\
spin <command>

  virtual --seeds N [--first S]      runs on the virtual network, one for each seed; a seed repeats its run
  real --minutes M [--seed S]        runs on tokio over loopback, from seed S on, until the time is up

Failures are told as they come, each with its seed and the line that repeats it. The last line tells how many runs there
were and which functions were not called; the exit status is 1 if something did not hold.
";

struct Options {
    seeds: u64,
    first: u64,
    minutes: u64,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self { seeds: 100, first: 0, minutes: 1 };
        for pair in arguments.chunks(2) {
            let [name, value] = pair else { return Err(format!("{} needs a value", pair[0])) };
            let number = value.parse::<u64>().map_err(|_| format!("{name}: {value} is no number"))?;
            match name.as_str() {
                "--seeds" => options.seeds = number,
                "--first" | "--seed" => options.first = number,
                "--minutes" => options.minutes = number,
                _ => return Err(format!("there is no option {name}")),
            }
        }
        Ok(options)
    }
}

#[derive(Default)]
struct Summary {
    runs: u64,
    failures: u64,
    calls: Calls,
}

impl Summary {
    fn add(&mut self, result: Result<Calls, Failure>) {
        self.runs += 1;
        match result {
            Ok(calls) => {
                for (name, count) in calls {
                    *self.calls.entry(name).or_default() += count;
                }
            }
            Err(failure) => {
                self.failures += 1;
                println!("{failure}");
            }
        }
    }

    fn tell(&self) -> ExitCode {
        let never: Vec<_> = CALLS.iter().filter(|call| !self.calls.contains_key(*call)).collect();
        let total: u64 = self.calls.values().sum();
        let (runs, failures, called) = (self.runs, self.failures, CALLS.len() - never.len());
        println!(
            "{runs} runs, {failures} failed; {total} calls of {called} functions; not called: {never:?}"
        );
        if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, rest)) = arguments.split_first() else { return usage("a command is missing") };
    let options = match Options::parse(rest) {
        Ok(options) => options,
        Err(problem) => return usage(&problem),
    };
    let mut summary = Summary::default();
    match command.as_str() {
        "virtual" => (options.first..options.first.saturating_add(options.seeds))
            .for_each(|seed| summary.add(virtual_run(seed))),
        "real" => {
            let end = Duration::from_secs(60 * options.minutes);
            let start = now();
            (options.first..)
                .take_while(|_| start.elapsed() < end)
                .for_each(|seed| summary.add(real_run(seed)));
        }
        "help" | "--help" => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => return usage(&format!("there is no command {command}")),
    }
    summary.tell()
}

#[allow(clippy::disallowed_methods, reason = "a program's own clock")]
fn now() -> Instant {
    Instant::now()
}

fn usage(problem: &str) -> ExitCode {
    eprintln!("spin: {problem}\n\n{HELP}");
    ExitCode::from(2)
}
