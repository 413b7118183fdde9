//! `cc-lab`: congestion controllers on simulated bottlenecks, as tables.
#![forbid(unsafe_code)]

use std::{
    fs,
    io::{self, IsTerminal as _, Read as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use benches::lab::{
    batch::run_all,
    catalog::{built_in, select},
    html, plots,
    report::Report,
    run::Run,
    scenario::Scenario,
};
use clap::{Parser, Subcommand};
use quic_core::congestion::Algorithm;

/// Congestion controllers on simulated bottlenecks: whole endpoints in virtual time, the same for the same
/// seed
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
    /// Run a scenario in real time, between two networks on this machine, beside the kernel's TCP
    Real(RealArguments),
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

#[derive(clap::Args)]
struct RealArguments {
    /// The beginning of a name like B1, or a file
    #[arg(required = true, value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// A controller of ours, or kernel-NAME; cubic and those of the kernel that are offered unless given
    #[arg(long, value_name = "NAME")]
    controller: Vec<String>,
    /// Run each for so many seconds, if it is longer
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Write all figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where recorded links are
    #[arg(long, value_name = "DIR", default_value = "../shared/data/traces")]
    traces: PathBuf,
}

/// This machine does not permit the requested run.
const EXIT_MISSING: u8 = 3;

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Real(arguments) => real(&arguments),
        Command::List => list(),
        Command::Run(arguments) => execute(&arguments),
        Command::Table { report } => read(&report).and_then(|report| table(&report)),
        Command::Compare { before, after } => compare(&before, &after),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cc-lab: {error}");
            ExitCode::from(if error.is::<Missing>() { EXIT_MISSING } else { 2 })
        }
    }
}

/// What is missing on this machine, and how to get it.
#[derive(Debug)]
struct Missing(String);

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Writes to standard output. A closed pipe is no error; a full disk is.
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

/// The longest report, in bytes.
const LONGEST: u64 = 256 << 20;

fn read(path: &Path) -> Outcome<Report> {
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    let mut text = Vec::new();
    fs::File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut text)).map_err(failed)?;
    if text.len() as u64 > LONGEST {
        return Err(format!("{} is no report: it is longer than 256 MiB", path.display()).into());
    }
    Ok(serde_json::from_slice(&text).map_err(|error| format!("{} is no report: {error}", path.display()))?)
}

fn table(report: &Report) -> Outcome<()> {
    say(&report.table(&built_in()?))
}

fn compare(before: &Path, after: &Path) -> Outcome<()> {
    let told = read(before)?.compare(&read(after)?);
    say(&told.ok_or("the reports have no scenario and controller in common: there is nothing to compare")?)
}

/// Removes scenarios whose recording is missing, unless they were named: recordings do not come with the
/// laboratory.
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
            write(&directory.join(picture(run)), plots::svg(run)?)?;
        }
    }
    Ok(())
}

/// The file name of a run's picture. It replaces characters of the controller's name that no file name may
/// have.
fn picture(run: &Run) -> String {
    let is_common = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '=');
    let controller: String = run.controller.chars().map(|c| if is_common(c) { c } else { '-' }).collect();
    format!("{}-{controller}.svg", run.scenario)
}

#[cfg(not(target_os = "linux"))]
fn real(_: &RealArguments) -> Outcome<()> {
    Err(Missing("`real` needs network namespaces and TUN devices, which Linux has".to_owned()).into())
}

#[cfg(target_os = "linux")]
fn real(arguments: &RealArguments) -> Outcome<()> {
    use benches::lab::real::{RealError, Rival, check, run};

    let mut scenarios = select(&arguments.scenarios)?;
    for scenario in &mut scenarios {
        scenario.shorten(arguments.seconds)?;
    }
    let rivals = rivals(&arguments.controller)?;
    // Errors are reported before anything runs.
    let pairs = scenarios.iter().flat_map(|scenario| rivals.iter().map(move |rival| (scenario, rival)));
    let mut fitting = Vec::new();
    for (scenario, rival) in pairs {
        match check(scenario, rival) {
            Ok(()) => fitting.push((scenario, rival)),
            // The kernel's controllers were not named.
            Err(why) if arguments.controller.is_empty() && matches!(rival, Rival::Kernel(_)) => {
                eprintln!("{} {}: left out; {why}", scenario.id, rival.name());
            }
            Err(why) => return Err(why.into()),
        }
    }
    if let Some(path) = &arguments.json {
        openable(path)?;
    }
    let (mut report, mut late, mut failed) = (Report::default(), String::new(), None);
    for (scenario, rival) in fitting {
        eprintln!("{} {}: {} s", scenario.id, rival.name(), scenario.duration.0 / 1_000_000_000);
        let (run, latest) = match run(scenario, rival, 1, &arguments.traces) {
            Ok(done) => done,
            Err(RealError::Missing(what)) => return Err(Missing(what).into()),
            // The results so far are printed first.
            Err(error) => {
                failed = Some(format!("{} {}: {error}", scenario.id, rival.name()));
                break;
            }
        };
        let latest = latest as f64 / 1e6;
        let says = if latest > 10.0 { ", which is too much for figures of a few milliseconds" } else { "" };
        late += &format!("{} {}: the link was up to {latest:.1} ms late{says}\n", scenario.id, rival.name());
        report.runs.push(run);
    }
    report.command = format!("cc-lab {}", std::env::args().skip(1).collect::<Vec<_>>().join(" "));
    say(&format!("{}\n{late}", report.table(&scenarios)))?;
    if let Some(path) = &arguments.json {
        write(path, serde_json::to_vec_pretty(&report)?)?;
    }
    failed.map_or(Ok(()), |why| Err(why.into()))
}

/// The contenders in real time, by name.
#[cfg(target_os = "linux")]
fn rivals(names: &[String]) -> Outcome<Vec<benches::lab::real::Rival>> {
    use benches::lab::{real::Rival, weft::Weft};

    let offered = Rival::of_kernel();
    let ours = |name: &str| Ok::<_, Box<dyn std::error::Error>>(Rival::Ours(Weft::new(name, &name.parse()?)));
    if names.is_empty() {
        let kernel = offered.into_iter().filter(|name| *name != "reno").map(Rival::Kernel);
        return Ok(std::iter::once(ours("cubic")?).chain(kernel).collect());
    }
    let rival = |name: &String| match name.strip_prefix("kernel-") {
        None => ours(name),
        Some(wanted) => match offered.iter().find(|offered| **offered == wanted) {
            Some(offered) => Ok(Rival::Kernel(offered)),
            None => {
                Err(Missing(format!("the kernel offers no {wanted}: try `modprobe tcp_{wanted}`")).into())
            }
        },
    };
    names.iter().map(rival).collect()
}

/// Checks that the files can be written before hours of running. It does not change existing files.
fn prepare(arguments: &RunArguments) -> Outcome<()> {
    let place = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut taken: Vec<PathBuf> = arguments.scenarios.iter().map(|name| place(name.as_ref())).collect();
    for path in arguments.json.iter().chain(&arguments.html) {
        if taken.contains(&place(path)) {
            return Err(format!("{} is given twice, and would be written over", path.display()).into());
        }
        taken.push(place(path));
    }
    for path in arguments.json.iter().chain(&arguments.html) {
        openable(path)?;
    }
    if let Some(directory) = &arguments.plots {
        fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    }
    Ok(())
}

fn openable(path: &Path) -> Outcome<()> {
    let is_new = !path.exists();
    let opened = fs::OpenOptions::new().append(true).create(true).open(path);
    opened.map(drop).map_err(|error| format!("{}: {error}", path.display()))?;
    if is_new {
        let _ = fs::remove_file(path);
    }
    Ok(())
}

/// Writes a file completely or leaves the old one, because half a report would look like a whole one.
fn write(path: &Path, contents: impl AsRef<[u8]>) -> Outcome<()> {
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    // A device or a pipe is written in place.
    if path.exists() && !path.is_file() {
        return Ok(fs::write(path, contents).map_err(failed)?);
    }
    // A symbolic link stays; its target is replaced.
    let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut part = place.clone().into_os_string();
    part.push(".part");
    let written = fs::write(&part, contents).and_then(|()| fs::rename(&part, &place));
    Ok(written.inspect_err(|_| drop(fs::remove_file(&part))).map_err(failed)?)
}

/// A progress line that overwrites itself.
fn progress(done: usize, all: usize) {
    let mut out = io::stderr();
    if out.is_terminal() {
        let end = if done == all { "\r\x1b[K" } else { "" };
        let bar = "#".repeat(done * 40 / all.max(1));
        let _ = write!(out, "\r[{bar:40}] {done} of {all}{end}");
    }
}
