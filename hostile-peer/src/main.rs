//! Plays rows of the conformance table against any UDP endpoint, and prints its reactions.
#![forbid(unsafe_code)]

use std::{
    collections::BTreeMap,
    net::{SocketAddr, ToSocketAddrs, UdpSocket},
    process::ExitCode,
    time::Duration,
};

use hostile_peer::{
    PENDING,
    cases::{Case, cases},
    ground::play,
    heap::{self, Report},
    peer::Tls,
    udp::{UdpGround, client_tls, server_tls},
};
use quic_core::Side;

const USAGE: &str = "\
Plays a QUIC peer that breaks rules, with real keys, and tells how the other end reacts.

  hostile-peer --target HOST:PORT [options]   plays the client against a server
  hostile-peer --serve ADDR:PORT [options]    plays the server: each client that connects is dealt the next case
  hostile-peer --list                         names the cases
  hostile-peer --heap [options]               plays random sequences against the whole stack, in memory, and watches its heap

  --row ID          only this row, such as F12; may be given several times (default: all rows)
  --all             all rows
  --alpn NAME       the ALPN protocol (default: h3)
  --name NAME       the server name in the ClientHello (default: localhost)
  --patience MS     how long the endpoint may take to answer (default: 1000)
  --first N         with --heap: the first seed (default: 0)
  --seeds N         with --heap: how many (default: 1000)
  --side ROLE       with --heap: the role under test, server or client (default: both)

The server's certificate is not verified. Exit code 0: every reaction was the one that is due; 1: some were not.";

enum Mode {
    List,
    Heap,
    Target(SocketAddr),
    Serve(SocketAddr),
}

struct Options {
    mode: Mode,
    rows: Vec<String>,
    alpn: Vec<u8>,
    name: String,
    patience: Duration,
    first: u64,
    seeds: u64,
    sides: Vec<Side>,
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("hostile-peer: {problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("hostile-peer: {error}");
            ExitCode::from(2)
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut mode = None;
    let (mut rows, mut alpn, mut name) = (Vec::new(), b"h3".to_vec(), "localhost".to_owned());
    let mut patience = Duration::from_secs(1);
    let (mut first, mut seeds, mut sides) = (0, 1000, vec![Side::Server, Side::Client]);
    let number = |word: String| word.parse().map_err(|_| format!("{word} is no number"));
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
        match word.as_str() {
            "--help" | "-h" => return Ok(None),
            "--list" => mode = Some(Mode::List),
            "--heap" => mode = Some(Mode::Heap),
            "--first" => first = number(value()?)?,
            "--seeds" => seeds = number(value()?)?,
            "--side" => sides = vec![role(&value()?)?],
            "--target" => mode = Some(Mode::Target(resolve(&value()?)?)),
            "--serve" => mode = Some(Mode::Serve(resolve(&value()?)?)),
            "--row" => rows.push(value()?.to_ascii_uppercase()),
            "--all" => rows.clear(),
            "--alpn" => alpn = value()?.into_bytes(),
            "--name" => name = value()?,
            "--patience" => {
                let milliseconds = value()?.parse().map_err(|_| "--patience wants a number".to_owned())?;
                patience = Duration::from_millis(milliseconds);
            }
            _ => return Err(format!("there is no option {word}")),
        }
    }
    let mode = mode.ok_or("--target, --serve, --list or --heap is needed")?;
    Ok(Some(Options { mode, rows, alpn, name, patience, first, seeds, sides }))
}

fn role(word: &str) -> Result<Side, String> {
    match word {
        "server" => Ok(Side::Server),
        "client" => Ok(Side::Client),
        _ => Err(format!("--side {word}: server or client")),
    }
}

fn resolve(text: &str) -> Result<SocketAddr, String> {
    let addresses = text.to_socket_addrs().map_err(|error| format!("{text}: {error}"))?;
    addresses.into_iter().next().ok_or_else(|| format!("{text} has no address"))
}

/// Plays the seeds, and prints one line for each role. A violation ends the program with the line that
/// replays it.
fn heap(options: &Options) {
    heap::warm_up();
    for side in &options.sides {
        let mut all = Report::default();
        let mut ends = BTreeMap::<String, u64>::new();
        for seed in options.first..options.first.saturating_add(options.seeds) {
            let report = heap::play(*side, seed);
            all.add(&report);
            *ends.entry(report.end.unwrap_or_else(|| "none before the last step".to_owned())).or_default() +=
                1;
        }
        println!("{side:?}: {} seeds, {all}", options.seeds);
        ends.iter().for_each(|(end, count)| println!("{count:8} ended by: {end}"));
    }
}

/// Plays the cases. Returns whether all reactions were as expected.
fn run(options: &Options) -> std::io::Result<bool> {
    let under_test = if matches!(options.mode, Mode::Serve(_)) { Side::Client } else { Side::Server };
    let wanted = |case: &Case| options.rows.is_empty() || options.rows.iter().any(|row| row == case.row);
    let chosen: Vec<_> = cases(under_test).into_iter().filter(wanted).collect();
    let mut wrong = 0;
    match options.mode {
        Mode::List => {
            chosen.iter().for_each(|case| println!("{case:?}"));
            PENDING
                .iter()
                .for_each(|p| println!("{} {}: not there, waits for {}", p.id, p.part, p.waits_for));
        }
        Mode::Heap => heap(options),
        Mode::Target(remote) => {
            let any: SocketAddr = if remote.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
            for case in &chosen {
                let socket = UdpSocket::bind(any)?;
                let tls = Tls::Client(client_tls(case.alpn.unwrap_or(&options.alpn)));
                let mut ground = UdpGround::new(&socket, Some(remote), case, tls, options.patience)?;
                ground.set_server_name(&options.name);
                wrong += usize::from(!tell(case, play(case, &mut ground)));
            }
        }
        Mode::Serve(address) => {
            let socket = UdpSocket::bind(address)?;
            for case in &chosen {
                // Waits for a client without a time limit.
                socket.set_read_timeout(None)?;
                socket.peek_from(&mut [0; 1])?;
                let (tls, _) = server_tls(case.alpn.unwrap_or(&options.alpn));
                let mut ground = UdpGround::new(&socket, None, case, Tls::Server(tls), options.patience)?;
                wrong += usize::from(!tell(case, play(case, &mut ground)));
            }
        }
    }
    if !matches!(options.mode, Mode::List | Mode::Heap) {
        println!("{} cases, {wrong} not as expected", chosen.len());
    }
    Ok(wrong == 0)
}

/// Prints one line: row, verdict, stimulus, reaction.
fn tell(case: &Case, reaction: Result<String, String>) -> bool {
    let good = reaction.is_ok();
    let seen = reaction.unwrap_or_else(|problem| problem);
    println!("{} {} {}: {seen}", case.row, if good { "ok  " } else { "FAIL" }, case.what);
    good
}
