//! `cc-lab`: congestion controllers on simulated bottlenecks, as tables.
#![forbid(unsafe_code)]

use std::{
    fs,
    io::{IsTerminal as _, Write as _},
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

/// Whoever reads the output may stop.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn list() -> Outcome<()> {
    for scenario in built_in()? {
        say(&format!("{:6} {}\n", scenario.id, scenario.title));
    }
    say(&format!("\ncontrollers: {}\n", Algorithm::names().collect::<Vec<_>>().join(", ")));
    Ok(())
}

fn read(path: &Path) -> Outcome<Report> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(serde_json::from_str(&text).map_err(|error| format!("{} is no report: {error}", path.display()))?)
}

fn table(report: &Report) -> Outcome<()> {
    say(&report.table(&built_in()?));
    Ok(())
}

fn compare(before: &Path, after: &Path) -> Outcome<()> {
    say(&read(before)?.compare(&read(after)?));
    Ok(())
}

/// The scenarios that are meant.
fn select(names: &[String]) -> Outcome<Vec<Scenario>> {
    let all = built_in()?;
    let mut selected: Vec<Scenario> = Vec::new();
    for name in names {
        let before = selected.len();
        if name.contains(['.', '/']) {
            selected.push(Scenario::read(name.as_ref())?);
            continue;
        }
        // B1 is not the beginning of B10.
        let is_meant = |scenario: &&Scenario| {
            let rest = scenario.id.strip_prefix(name.as_str());
            name == "all" || rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        selected.extend(all.iter().filter(is_meant).cloned());
        if selected.len() == before {
            return Err(format!("there is no scenario {name}; `cc-lab list` has them, or give a file").into());
        }
    }
    Ok(selected)
}

/// Recordings do not come with the laboratory: what is not there is left out, unless it was named.
fn skip_without_trace(scenarios: &mut Vec<Scenario>, arguments: &RunArguments) -> Outcome<()> {
    scenarios.retain(|scenario| {
        let missing = |trace: &String| !arguments.traces.join(trace).is_file();
        let skipped = scenario.link.trace.as_ref().filter(|trace| missing(trace));
        let skipped = skipped.filter(|_| !arguments.scenarios.contains(&scenario.id));
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
    let controllers: Vec<(&str, Algorithm)> =
        arguments.controller.iter().map(|name| Ok((name.as_str(), name.parse()?))).collect::<Outcome<_>>()?;
    let mut report = run_all(&scenarios, &controllers, arguments.seeds, &arguments.traces, progress)?;
    report.command = format!("cc-lab {}", std::env::args().skip(1).collect::<Vec<_>>().join(" "));
    say(&report.table(&scenarios));
    if let Some(path) = &arguments.json {
        write(path, serde_json::to_vec_pretty(&report)?)?;
    }
    if let Some(path) = &arguments.html {
        write(path, html::html(&report, &scenarios)?)?;
    }
    if let Some(directory) = &arguments.plots {
        fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        for run in report.runs.iter().filter(|run| run.seed == 1) {
            write(&directory.join(format!("{}-{}.svg", run.scenario, run.controller)), plots::svg(run)?)?;
        }
    }
    Ok(())
}

fn write(path: &Path, contents: impl AsRef<[u8]>) -> Outcome<()> {
    Ok(fs::write(path, contents).map_err(|error| format!("{}: {error}", path.display()))?)
}

/// A line that is written over, for people who wait.
fn progress(done: usize, all: usize) {
    let mut out = std::io::stderr();
    if out.is_terminal() {
        let end = if done == all { "\r\x1b[K" } else { "" };
        let bar = "#".repeat(done * 40 / all.max(1));
        let _ = write!(out, "\r[{bar:40}] {done} of {all}{end}");
    }
}
