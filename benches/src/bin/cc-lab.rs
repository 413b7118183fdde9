//! `cc-lab`: congestion controllers on simulated bottlenecks, as tables.
#![forbid(unsafe_code)]

use std::{
    fs,
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use benches::lab::{
    batch::run_all,
    html, plots,
    report::Report,
    scenario::{Scenario, built_in},
};
use clap::{Parser, Subcommand};
use quic_core::congestion::Algorithm;

/// Congestion controllers on simulated bottlenecks: whole endpoints in virtual time, the same for the same seed
#[derive(Parser)]
#[command(name = "cc-lab", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the scenarios and controllers
    List,
    /// Run scenarios and print a table
    Run(RunArguments),
    /// Print the table of a report that `run --json` wrote
    Table {
        /// The report
        report: PathBuf,
    },
    /// Print how the figures of two reports differ
    Compare {
        /// The report before
        before: PathBuf,
        /// The report after
        after: PathBuf,
    },
}

#[derive(clap::Args)]
struct RunArguments {
    /// Scenarios: `all`, the beginning of a name like B3, or a file
    #[arg(required = true, value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// A controller under test; may be given several times
    #[arg(long, value_name = "NAME", default_value = "cubic")]
    controller: Vec<String>,
    /// Runs of each scenario and controller, with the seeds 1 to N
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    seeds: u64,
    /// Write all figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a picture of the first seed of each scenario and controller into this directory, as SVG
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// Write all tables and pictures to this file, which a browser shows without a network
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Where recorded links are
    #[arg(long, value_name = "DIR", default_value = "../shared/data/traces")]
    traces: PathBuf,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::List => list(),
        Command::Run(arguments) => execute(&arguments),
        Command::Table { report } => read(&report).and_then(|report| table(&report)),
        Command::Compare { before, after } => compare(&before, &after),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cc-lab: {error}");
            ExitCode::from(2)
        }
    }
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Writes to standard output. Whoever reads it may stop; a disk that is full is another matter.
fn say(text: &str) -> Outcome<()> {
    let mut output = io::stdout();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("standard output cannot be written to: {error}").into())
        }
        _ => Ok(()),
    }
}

fn list() -> Outcome<()> {
    let scenarios = built_in()?;
    let lines: String =
        scenarios.iter().map(|scenario| format!("{:6} {}\n", scenario.id.as_str(), scenario.title)).collect();
    say(&format!("{lines}\ncontrollers: {}\n", Algorithm::help()))
}

fn read(path: &Path) -> Outcome<Report> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(serde_json::from_str(&text).map_err(|error| format!("{} is no report: {error}", path.display()))?)
}

fn table(report: &Report) -> Outcome<()> {
    say(&report.table(&built_in()?))
}

fn compare(before: &Path, after: &Path) -> Outcome<()> {
    let told = read(before)?.compare(&read(after)?);
    say(&told.ok_or("the reports have no scenario and controller in common: there is nothing to compare")?)
}

/// The scenarios that are meant, each once; no two have the same name.
fn select(names: &[String]) -> Outcome<Vec<Scenario>> {
    let all = built_in()?;
    let mut selected: Vec<Scenario> = Vec::new();
    for name in names {
        if name.contains(['.', '/']) {
            let scenario = Scenario::read(name.as_ref())?;
            if selected.iter().any(|other| other.id == scenario.id) {
                return Err(
                    format!("{name}: the name (`id`) {} is taken by another scenario", scenario.id).into()
                );
            }
            selected.push(scenario);
            continue;
        }
        // B1 is not the beginning of B10.
        let is_meant = |scenario: &&Scenario| {
            let rest = scenario.id.as_str().strip_prefix(name.as_str()).filter(|_| !name.is_empty());
            name == "all" || rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        if !all.iter().any(|scenario| is_meant(&scenario)) {
            return Err(
                format!("there is no scenario {name:?}; `cc-lab list` has them, or give a file").into()
            );
        }
        for scenario in all.iter().filter(is_meant) {
            if !selected.iter().any(|other| other.id == scenario.id) {
                selected.push(scenario.clone());
            }
        }
    }
    Ok(selected)
}

/// Recordings do not come with the laboratory: what is not there is left out, unless it was named.
fn skip_without_trace(scenarios: &mut Vec<Scenario>, arguments: &RunArguments) -> Outcome<()> {
    scenarios.retain(|scenario| {
        let missing = |trace: &String| !arguments.traces.join(trace).is_file();
        let skipped = scenario.link.trace.as_ref().filter(|trace| missing(trace));
        let skipped =
            skipped.filter(|_| !arguments.scenarios.iter().any(|name| name == scenario.id.as_str()));
        if let Some(trace) = skipped {
            let directory = arguments.traces.display();
            eprintln!("{}: left out, for {directory} has no {trace} (--traces)", scenario.id);
        }
        skipped.is_none()
    });
    if scenarios.is_empty() { Err("no scenario is left to run".into()) } else { Ok(()) }
}

fn execute(arguments: &RunArguments) -> Outcome<()> {
    let mut scenarios = select(&arguments.scenarios)?;
    skip_without_trace(&mut scenarios, arguments)?;
    let mut controllers: Vec<(&str, Algorithm)> = Vec::new();
    for name in &arguments.controller {
        if !controllers.iter().any(|(known, _)| known == name) {
            controllers.push((name, name.parse()?));
        }
    }
    prepare(arguments)?;
    let mut report = run_all(&scenarios, &controllers, arguments.seeds, &arguments.traces, progress)?;
    report.command = format!("cc-lab {}", std::env::args().skip(1).collect::<Vec<_>>().join(" "));
    say(&report.table(&scenarios))?;
    if let Some(path) = &arguments.json {
        write(path, serde_json::to_vec_pretty(&report)?)?;
    }
    if let Some(path) = &arguments.html {
        write(path, html::html(&report, &scenarios)?)?;
    }
    if let Some(directory) = &arguments.plots {
        for run in report.runs.iter().filter(|run| run.seed == 1) {
            write(&directory.join(format!("{}-{}.svg", run.scenario, run.controller)), plots::svg(run)?)?;
        }
    }
    Ok(())
}

/// Whether there can be a place for what will be written: nobody wants to hear of it after hours of running. Files that are there
/// stay as they are until then.
fn prepare(arguments: &RunArguments) -> Outcome<()> {
    for path in arguments.json.iter().chain(&arguments.html) {
        let opened = fs::OpenOptions::new().append(true).create(true).open(path);
        opened.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if let Some(directory) = &arguments.plots {
        fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    }
    Ok(())
}

fn write(path: &Path, contents: impl AsRef<[u8]>) -> Outcome<()> {
    Ok(fs::write(path, contents).map_err(|error| format!("{}: {error}", path.display()))?)
}

/// A line that is written over, for people who wait.
fn progress(done: usize, all: usize) {
    let mut out = io::stderr();
    if out.is_terminal() {
        let end = if done == all { "\r\x1b[K" } else { "" };
        let bar = "#".repeat(done * 40 / all.max(1));
        let _ = write!(out, "\r[{bar:40}] {done} of {all}{end}");
    }
}
