//! The program `weft-interop`: an endpoint of the QUIC and WebTransport interop runner.
//!
//! Environment variables configure it (`environment.rs`). It transfers files as the named case asks
//! (`case.rs`), and its exit status is the result: 0 for success, 1 for failure, 127 for a case that is not
//! supported. A server runs until it is ended.
#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)] // These panic when nobody reads.

mod case;
mod environment;
mod files;
mod http3;
mod logs;
mod quic;
mod tell;
mod tls;
mod webtransport;

use std::process::ExitCode;

use tracing_subscriber::EnvFilter;
use wt_cli::console;

use case::Case;
use environment::{Environment, Role};
use tell::Failure;

/// The exit status for cases that are not supported, as the runner wants it.
const UNSUPPORTED: u8 = 127;

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    let environment = match Environment::read(|name| std::env::var(name).ok()) {
        Ok(environment) => environment,
        Err(error) => return failed(&error),
    };
    let Some(case) = Case::find(&environment) else {
        let _ = console::say(&format!("the case {:?} is not supported\n", environment.case));
        return ExitCode::from(UNSUPPORTED);
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("no runtime: {error}")),
    };
    let ended = runtime.block_on(run(case, &environment));
    // Connections hand over the end of their logs when they are dropped.
    drop(runtime);
    logs::finish();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &str) -> ExitCode {
    console::tell(&format!("weft-interop: {error}\n"));
    ExitCode::FAILURE
}

async fn run(case: Case, environment: &Environment) -> Result<(), Failure> {
    logs::start(environment.qlog.as_deref())?;
    match (case, environment.role) {
        (Case::Quic(feature), Role::Client) => quic::client(feature, environment).await,
        (Case::Quic(feature), Role::Server) => quic::server(feature, environment).await,
        (Case::Http3, Role::Client) => quic::http3_client(environment).await,
        (Case::Http3, Role::Server) => http3::server(environment).await,
        (Case::WebTransport(task), Role::Client) => webtransport::client(task, environment).await,
        (Case::WebTransport(task), Role::Server) => webtransport::server(task, environment).await,
    }
}
