//! `cc-peers`: other QUIC libraries in the scenarios of `cc-lab`, as rows of the same tables.
#![forbid(unsafe_code)]

use std::{
    error::Error,
    fs,
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use benches::lab::{
    batch::{Stacks, run_stacks},
    catalog::select,
    report::Report,
    scenario::Scenario,
};
use clap::Parser;
use compare::lab::{Peer, all, refusal};

/// The scenarios that only have bulk flows.
const PLAIN: [&str; 7] = ["B1", "B2", "B3", "B4", "B7", "B8", "B9"];

/// quinn-proto and noq-proto on the simulated bottlenecks of cc-lab; `cc-lab table` and `cc-lab compare` read what it writes
#[derive(Parser)]
#[command(name = "cc-peers")]
struct Arguments {
    /// Scenarios: the beginning of a name like B3, or a file; by default those with bulk flows only
    #[arg(value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// A library's controller, like quinn-cubic; may be given several times, by default all
    #[arg(long, value_name = "NAME")]
    controller: Vec<String>,
    /// Runs of each scenario and controller, with the seeds 1 to N
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    seeds: u64,
    /// Write all figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where the recorded links are
    #[arg(long, value_name = "DIR", default_value = "../shared/data/traces")]
    traces: PathBuf,
}

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match execute(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cc-peers: {error}");
            ExitCode::from(2)
        }
    }
}

fn execute(arguments: &Arguments) -> Outcome<()> {
    let scenarios = scenarios(arguments)?;
    let peers = peers(&arguments.controller)?;
    if let Some(path) = &arguments.json {
        // Otherwise this error would only show after minutes of running.
        let opened = fs::OpenOptions::new().append(true).create(true).open(path);
        opened.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let stacks: Stacks<'_> = peers.iter().map(|peer| &**peer as _).collect();
    let mut report = run_stacks(&scenarios, &stacks, arguments.seeds, &arguments.traces, progress)?;
    report.command = format!("cc-peers {}", std::env::args().skip(1).collect::<Vec<_>>().join(" "));
    print(&report, &scenarios)?;
    if let Some(path) = &arguments.json {
        write(path, &serde_json::to_vec_pretty(&report)?)?;
    }
    Ok(())
}

fn scenarios(arguments: &Arguments) -> Outcome<Vec<Scenario>> {
    let plain: Vec<String> = PLAIN.map(str::to_owned).to_vec();
    let names = if arguments.scenarios.is_empty() { &plain } else { &arguments.scenarios };
    let scenarios = select(names)?;
    match scenarios.iter().find_map(refusal) {
        Some(why) => Err(why.into()),
        None => Ok(scenarios),
    }
}

fn peers(names: &[String]) -> Outcome<Vec<Peer>> {
    let mut all = all();
    for name in names {
        if !all.iter().any(|peer| peer.name() == name) {
            let known: Vec<&str> = all.iter().map(|peer| peer.name()).collect();
            return Err(format!(
                "no library's controller is named {name:?}; there are: {}",
                known.join(", ")
            )
            .into());
        }
    }
    all.retain(|peer| names.is_empty() || names.iter().any(|name| peer.name() == name));
    Ok(all)
}

fn print(report: &Report, scenarios: &[Scenario]) -> Outcome<()> {
    match io::stdout().write_all(report.table(scenarios).as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn write(path: &Path, contents: &[u8]) -> Outcome<()> {
    Ok(fs::write(path, contents).map_err(|error| format!("{}: {error}", path.display()))?)
}

/// A progress line that is overwritten each time.
fn progress(done: usize, all: usize) {
    let mut out = io::stderr();
    if out.is_terminal() {
        let end = if done == all { "\n" } else { "" };
        let _ = write!(out, "\r{done} of {all}{end}");
    }
}
