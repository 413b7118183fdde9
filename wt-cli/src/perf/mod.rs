//! `weft perf`: measures this stack in the same way as the harnesses of other stacks, with one JSON line per
//! run.
//!
//! Lowest first: [`wire`] is the protocol of the measurement, and [`terms`] what the levels have in common.
//! [`usage`] is a process's use of resources, and [`growth`] what idle connections add to it. [`tls`] is the
//! certificate that both ends share, and [`report`] the result. [`quic`] and [`wt`] are the two levels, each
//! with a server and a client, and [`ends`] picks one. [`pair`] runs both ends as separate processes.

mod ends;
mod growth;
mod pair;
mod quic;
mod report;
mod terms;
mod tls;
mod usage;
mod wire;
mod wt;

use crate::{
    args::{Perf, PerfLevel, PerfRole},
    exit::{Ended, Exit},
    output, platform,
};
use ends::client;
use usage::Usage;

/// Runs one end or both, and prints what a client measured.
pub(crate) async fn run(options: &Perf) -> Result<Exit, Ended> {
    check(options)?;
    match options.role {
        PerfRole::Pair => pair::run(options).await,
        PerfRole::Server => server(options).await,
        PerfRole::Client => {
            let before = Usage::now()?;
            let outcome = client(options, &mut || Ok(None)).await?;
            let used = Usage::now()? - before;
            output::say_json(&report::line(options, &outcome, used, None));
            Ok(Exit::Success)
        }
    }
}

/// Checks that the options fit together.
fn check(options: &Perf) -> Result<(), Ended> {
    let refuse = |told: &str| Err(Ended::new(Exit::Usage, told));
    if options.role == PerfRole::Client && options.addr.port() == 0 {
        return refuse("give the server's address and port: --addr IP:PORT");
    }
    Ok(())
}

async fn server(options: &Perf) -> Result<Exit, Ended> {
    tls::make_certificate(&options.directory())?;
    if options.control {
        platform::pin(options.cores.0);
        pair::answer_questions();
    }
    let ready = |address: std::net::SocketAddr| {
        if options.control {
            output::say(&format!("READY {address}\n"));
        } else {
            output::tell(&format!("listening on {address}\n"));
        }
    };
    match options.level {
        PerfLevel::Quic => quic::server(options, ready).await?,
        PerfLevel::Wt => wt::server(options, ready).await?,
    }
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::{report::Outcome, terms::transport, *};
    use crate::args::{Cli, Command};

    /// Kinds and controllers.
    #[test]
    fn the_chosen_controller_sends_the_measured_data() {
        let named = [
            ("default", "cubic"),
            ("throughput", "bbr3"),
            ("low-latency", "low-latency"),
            ("newreno", "newreno"),
        ];
        for (name, controller) in named {
            let cli = Cli::try_parse_from(["weft", "perf", "client", "--congestion", name]);
            let Command::Perf(options) = cli.expect("a command line").command else { panic!("perf") };
            assert_eq!(transport(&options).congestion.algorithm.name(), controller);
            let line = report::line(&options, &Outcome::default(), Usage::default(), None);
            assert_eq!(line["congestion"], name);
        }
    }
}
