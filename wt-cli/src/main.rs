//! The command `weft`.
#![deny(clippy::print_stdout, clippy::print_stderr)] // These panic when nobody reads; `output` does not.

mod args;
mod base64;
mod calendar;
mod cert;
mod congestion;
mod connect;
mod content;
mod demo;
mod discovery;
mod doctor;
mod echo;
mod exec;
mod exit;
mod field;
mod get;
mod http1;
mod inputs;
mod lab;
mod limits;
mod lines;
mod manual;
mod mirror;
mod modes;
mod output;
mod page;
mod perf;
mod platform;
mod qlog;
mod qlogs;
mod reach;
mod relay;
mod reload;
mod serve;
mod state;
mod texts;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

use args::{Cli, Command};
use exit::{Ended, Exit};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misunderstood(&error),
    };
    start_logging(cli.verbose, cli.is_quiet());
    let mut builder = match &cli.command {
        // Each end of a measurement runs on one thread and one processor.
        Command::Perf(_) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return finish(Err(Ended::new(Exit::Failure, format!("no runtime: {error}"))), cli.json);
        }
    };
    let ended = runtime.block_on(run(&cli));
    // A thread that is blocked in a read of standard input cannot be woken.
    runtime.shutdown_background();
    qlogs::finish();
    finish(ended, cli.json)
}

/// Handles a command line that cannot be parsed, or that asks for help.
fn misunderstood(error: &clap::Error) -> ExitCode {
    let is_json = std::env::args_os().skip(1).take_while(|word| word != "--").any(|word| word == "--json");
    if error.use_stderr() && is_json {
        let told = error.render().to_string();
        return finish(Err(Ended::new(Exit::Usage, told.trim_start_matches("error: ").trim_end())), true);
    }
    let printed = error.print();
    if error.use_stderr() {
        return Exit::Usage.into();
    }
    if let Err(error) = printed.and_then(|()| io::stdout().flush()) {
        output::note_unwritten(&error);
    }
    finish(Ok(Exit::Success), is_json)
}

/// Prints why the command ended, unless it succeeded.
fn finish(ended: Result<Exit, Ended>, json: bool) -> ExitCode {
    let ended = match (ended, output::unwritten()) {
        (Ok(Exit::Success), Some(error)) => {
            Err(Ended::new(Exit::Failure, format!("standard output cannot be written to: {error}")))
        }
        (ended, _) => ended,
    };
    match ended {
        Ok(Exit::Success) => Exit::Success.into(),
        Ok(exit) => {
            if json {
                output::tell(&format!("{}\n", Ended::told(exit).json()));
            }
            exit.into()
        }
        Err(ended) => {
            output::tell(&if json { format!("{}\n", ended.json()) } else { ended.text() });
            ended.exit.into()
        }
    }
}

async fn run(cli: &Cli) -> Result<Exit, Ended> {
    qlogs::start(cli.qlog())?;
    match &cli.command {
        Command::Demo(args) => demo::run(args, cli.json).await,
        Command::Serve(args) => serve::run(args, cli.json).await,
        Command::Connect(args) => connect::run(args, cli.json).await,
        Command::Get(args) => until_stopped(get::run(args, cli.json)).await,
        Command::Doctor(args) => until_stopped(doctor::run(args, cli.json)).await,
        Command::Cert(action) => cert::run(action, cli.json),
        Command::Perf(args) => perf::run(args).await,
        Command::Qlog(args) => qlog::run(args, cli.json),
        Command::Completions { shell } => Ok(manual::completions(*shell)),
        Command::Man { directory } => manual::pages(directory),
    }
}

/// Runs work that needs no cleanup when a signal interrupts it.
async fn until_stopped(work: impl Future<Output = Result<Exit, Ended>>) -> Result<Exit, Ended> {
    let mut signals = platform::Signals::with_hangup()?;
    tokio::select! {
        ended = work => ended,
        signal = signals.stop() => Err(Ended::told(signal)),
    }
}

/// `RUST_LOG` sets the log level. Without it `-v` does, and by default warnings are logged unless `--quiet`
/// is given.
fn start_logging(verbose: u8, quiet: bool) {
    let level = match verbose {
        0 if quiet => "error",
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| output::Log)
        .with_ansi(output::colours())
        .init();
}
