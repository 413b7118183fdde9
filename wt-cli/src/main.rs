//! The command `weft`.

mod args;
mod calendar;
mod cert;
mod connect;
mod demo;
mod doctor;
mod echo;
mod exit;
mod lab;
mod lines;
mod output;
mod page;
mod perf;
mod platform;
mod reload;
mod serve;
mod state;
mod texts;

use std::process::ExitCode;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

use args::{Cli, Command};
use exit::{Ended, Exit};

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_logging(cli.verbose);
    let mut builder = match &cli.command {
        // Each end of a measurement is one thread on one processor.
        Command::Perf(_) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("weft: no runtime: {error}");
            return Exit::Failure.into();
        }
    };
    let ended = runtime.block_on(run(&cli));
    // Reading standard input blocks a thread of the runtime that nothing can wake.
    runtime.shutdown_background();
    match ended {
        Ok(exit) => exit.into(),
        Err(Ended { exit, message }) => {
            eprintln!("weft: {message}");
            exit.into()
        }
    }
}

async fn run(cli: &Cli) -> Result<Exit, Ended> {
    match &cli.command {
        Command::Demo(args) => demo::run(args, cli.json).await,
        Command::Serve(args) => serve::run(args, cli.json).await,
        Command::Connect(args) => connect::run(args, cli.json).await,
        Command::Doctor(args) => doctor::run(args, cli.json).await,
        Command::Cert(action) => cert::run(action, cli.json),
        Command::Perf(args) => perf::run(args).await,
    }
}

/// `RUST_LOG` decides; without it `-v` does, and warnings are always told.
fn start_logging(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(output::colours())
        .init();
}
