//! The command line.

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr as _,
};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::{congestion::Choice, exit::TABLE, field::Field, limits::Limits, relay::LinkSpec};

/// WebTransport and HTTP/3 over its own QUIC: server, client, demonstration.
#[derive(Debug, Parser)]
#[command(name = "weft", version, after_help = TABLE, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Log more (-v: information, -vv: debugging, -vvv: everything); `RUST_LOG` overrides it
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    /// Print results as JSON, one object per line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Whether only errors are to be printed.
    pub(crate) const fn is_quiet(&self) -> bool {
        matches!(self.command, Command::Connect(Connect { quiet: true, .. }))
    }

    /// Where the qlog of connections goes.
    pub(crate) fn qlog(&self) -> Option<&Path> {
        let logs = match &self.command {
            Command::Serve(serve) => &serve.logs,
            Command::Connect(connect) => &connect.logs,
            Command::Get(get) => &get.logs,
            Command::Doctor(doctor) => &doctor.logs,
            Command::Perf(perf) => &perf.logs,
            _ => return None,
        };
        logs.qlog.as_deref()
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an echo server and a client against it, then serve a page to try it from a browser
    Demo(Demo),
    /// Serve WebTransport echo on /echo, and GET of / and /bytes/N over HTTP/3, or the files of a directory
    Serve(Box<Serve>),
    /// Open a session: standard input goes to a stream, and the stream's data goes to standard output
    Connect(Connect),
    /// Get or send content over HTTP/3
    Get(Get),
    /// Explain step by step why a session can or cannot be established, and what to change
    Doctor(Doctor),
    /// Make, show and rotate certificates that browsers accept by their hash
    #[command(subcommand)]
    Cert(CertAction),
    /// Measure throughput and round trips; prints one JSON line per run
    Perf(Perf),
    /// Say what qlog files say of their connections: how long, how fast, what was lost, what limited sending
    Qlog(QlogFiles),
    /// Print a script that completes this command's words in a shell, for example `weft completions bash`
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write a manual page for the command and each of its subcommands
    Man {
        /// Directory to write them to; it is created if it is missing
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Exit after the client's part; the status is 0 only if every step returned the expected bytes
    #[arg(long)]
    pub(crate) once: bool,
    /// The link between page and server on which the page compares the three kinds of congestion control:
    /// rate, round trip, buffer
    #[arg(long, default_value = "20mbit,40ms,1bdp", value_name = "LINK", value_parser = LinkSpec::from_str)]
    pub(crate) link: LinkSpec,
    /// Port for UDP and for the page, on 127.0.0.1 and `::1`; 0 picks free ones
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    pub(crate) port: u16,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Address to listen on; may be given several times
    #[arg(long, value_name = "ADDR", value_parser = address, default_values = ["127.0.0.1:4433", "[::1]:4433"])]
    pub(crate) listen: Vec<SocketAddr>,
    /// Certificate chain in PEM, read again when it changes and on SIGHUP; without it, the server makes
    /// self-signed certificates for 13 days each
    #[arg(long, value_name = "PEM", requires = "key")]
    pub(crate) cert: Option<PathBuf>,
    /// Private key in PEM
    #[arg(long, value_name = "PEM", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
    /// Origin of pages that may connect, such as <https://example.org>; may be given several times, '*'
    /// permits all
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) origin: Vec<String>,
    /// Congestion control for the data sent: a kind (default, throughput, low-latency), or the name of a
    /// controller, such as cubic
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) congestion: Choice,
    /// Report the state of each connection on standard error, every SECONDS seconds (1 without a number):
    /// rate, round trip, queue, window
    #[arg(long, value_name = "SECONDS", value_parser = seconds, num_args = 0..=1, require_equals = true, default_missing_value = "1")]
    pub(crate) stats: Option<f64>,
    /// Keep a secret in this directory (created if missing), so that clients learn at once that the server
    /// was killed and started again
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Accept this application protocol if a client offers it; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) protocol: Vec<String>,
    /// Answer GET and HEAD over HTTP/3 with the files of this directory: index.html for directories, ranges,
    /// conditions; nothing outside of it, also by links
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// Serve each bidirectional stream, at every path, with a process of this program: the stream is its
    /// standard input and output. The program's arguments follow after --
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) exec: Option<PathBuf>,
    /// The most processes at once (--exec); further streams are reset with code 75
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000), requires = "exec")]
    pub(crate) exec_limit: u32,
    /// The most of these processes for one session (--exec)
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=100_000), requires = "exec")]
    pub(crate) exec_session_limit: u32,
    /// Answer GET /metrics at this TCP address with the server's metrics in Prometheus' text format, over
    /// plain HTTP/1.1
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(crate) metrics: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) limits: Limits,
    #[command(flatten)]
    pub(crate) logs: Logs,
    /// Arguments of the program (--exec)
    #[arg(last = true, value_name = "ARGUMENT", requires = "exec")]
    pub(crate) arguments: Vec<OsString>,
}

/// How long it may take to establish a session unless the command line says otherwise, in seconds.
pub(crate) const CONNECT_TIMEOUT: f64 = 10.0;

/// How a session is requested from a server.
#[derive(Debug, Args)]
pub(crate) struct Asking {
    /// `https://HOST[:PORT]/PATH`
    pub(crate) url: String,
    /// Accept the certificate with this SHA-256 (64 hexadecimal digits), as a page with
    /// serverCertificateHashes does; may be given several times
    #[arg(long, value_name = "HEX")]
    pub(crate) cert_hash: Vec<String>,
    /// Trust this CA certificate (PEM or DER) instead of the system's
    #[arg(long, value_name = "PEM", conflicts_with = "cert_hash")]
    pub(crate) ca: Option<PathBuf>,
    /// Send this origin, as a page of that origin would
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) origin: Option<String>,
    /// Offer this application protocol; may be given several times, best first
    #[arg(long, value_name = "NAME")]
    pub(crate) protocol: Vec<String>,
    /// Send this field with the request, such as 'authorization: Bearer TOKEN'; may be given several times
    #[arg(long, value_name = "NAME: VALUE", value_parser = Field::from_str)]
    pub(crate) header: Vec<Field>,
}

#[derive(Debug, Args)]
pub(crate) struct Connect {
    #[command(flatten)]
    pub(crate) asking: Asking,
    #[command(flatten)]
    pub(crate) logs: Logs,
    /// How long it may take to establish the session, in seconds: name lookup, handshake and the server's
    /// answer together
    #[arg(long, default_value_t = CONNECT_TIMEOUT, value_parser = seconds, value_name = "SECONDS")]
    pub(crate) timeout: f64,
    /// Print only errors: no statistics at the end, no warnings
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Send each line of standard input as a datagram, and print the datagrams that arrive
    #[arg(long, conflicts_with_all = ["uni", "lines"])]
    pub(crate) datagrams: bool,
    /// Use a unidirectional stream in each direction; with --lines a stream for each line, and no answers
    #[arg(long)]
    pub(crate) uni: bool,
    /// Send each line of standard input on its own stream; the answers are printed in the order of the lines,
    /// with --json as they arrive
    #[arg(long)]
    pub(crate) lines: bool,
    /// The most streams that wait for their answers at once (--lines)
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = up_to::<10_000>, requires = "lines")]
    pub(crate) streams: usize,
    /// Print what arrives on streams that the server opens, until the session ends; nothing is sent without
    /// --lines, --uni or --datagrams
    #[arg(long)]
    pub(crate) listen: bool,
    /// Congestion control for the data sent: a kind (default, throughput, low-latency), or the name of a
    /// controller, such as cubic
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) congestion: Choice,
    /// Report the state of the connection on standard error, every SECONDS seconds (1 without a number):
    /// rate, round trip, queue, window
    #[arg(long, value_name = "SECONDS", value_parser = seconds, num_args = 0..=1, require_equals = true, default_missing_value = "1", conflicts_with = "quiet")]
    pub(crate) stats: Option<f64>,
}

impl Connect {
    /// Whether the command completes by itself. Without that it goes on until somebody stops it.
    pub(crate) const fn has_an_end(&self) -> bool {
        !self.listen && !self.datagrams
    }

    /// Whether answers are read one after the other.
    pub(crate) const fn reads_in_turn(&self, json: bool) -> bool {
        self.lines && !self.uni && !json
    }
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// `https://HOST[:PORT]/PATH`; several of one host and port are asked for over one connection
    #[arg(required = true, value_name = "URL")]
    pub(crate) urls: Vec<String>,
    /// Write the content to this file instead of standard output, which is -; the first one is for the first
    /// URL, and so on. If all URLs have files, they are asked for at once
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Vec<PathBuf>,
    /// Send this text (POST)
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["upload", "head"])]
    pub(crate) data: Option<String>,
    /// Send this file (PUT), or standard input, which is -
    #[arg(long, value_name = "FILE", conflicts_with = "head")]
    pub(crate) upload: Option<PathBuf>,
    /// Ask for status and fields alone (HEAD), and print them
    #[arg(long)]
    pub(crate) head: bool,
    /// Send this field with the requests, such as 'accept: text/html'; may be given several times
    #[arg(long, value_name = "NAME: VALUE", value_parser = Field::from_str)]
    pub(crate) header: Vec<Field>,
    /// Accept the certificate with this SHA-256 (64 hexadecimal digits); may be given several times
    #[arg(long, value_name = "HEX")]
    pub(crate) cert_hash: Vec<String>,
    /// Trust this CA certificate (PEM or DER) instead of the system's
    #[arg(long, value_name = "PEM", conflicts_with = "cert_hash")]
    pub(crate) ca: Option<PathBuf>,
    /// How long it may take to establish the connection, in seconds
    #[arg(long, default_value_t = CONNECT_TIMEOUT, value_parser = seconds, value_name = "SECONDS")]
    pub(crate) timeout: f64,
    /// Report size, time and rate of each response, and the state of its connection, on standard error
    #[arg(long)]
    pub(crate) stats: bool,
    #[command(flatten)]
    pub(crate) logs: Logs,
}

impl Get {
    /// How the request for one URL is made.
    pub(crate) fn asking(&self, url: &str) -> Asking {
        Asking {
            url: url.to_owned(),
            cert_hash: self.cert_hash.clone(),
            ca: self.ca.clone(),
            origin: None,
            protocol: Vec::new(),
            header: self.header.clone(),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) asking: Asking,
    #[command(flatten)]
    pub(crate) logs: Logs,
    /// How long each step may take, in seconds
    #[arg(long, default_value_t = 5.0, value_parser = seconds, value_name = "SECONDS")]
    pub(crate) timeout: f64,
}

#[derive(Debug, Args)]
pub(crate) struct QlogFiles {
    /// Files of qlog, of this command or of others: .sqlog or .qlog
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Also write a page with diagrams to this file; it needs no network
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// Where the qlog of connections goes.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Logs {
    /// Write what each connection does to a file in this directory (created if missing), which `weft qlog`
    /// and qvis read
    #[arg(long, value_name = "DIR")]
    pub(crate) qlog: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CertAction {
    /// Write a self-signed certificate for 13 days and its key, and print what pages and browsers need
    Make(CertMake),
    /// Print the same for an existing certificate, and whether browsers accept it by hash
    Show {
        /// The certificate in PEM or DER; the first one of a chain
        file: PathBuf,
    },
    /// Replace a certificate and its key before they expire, for the same names; prints the old hash and the
    /// new one
    Rotate(CertRotate),
}

/// Where certificate and key are. One file can hold both, so that both change in one step.
#[derive(Debug, Args)]
pub(crate) struct CertFiles {
    /// Certificate file (PEM)
    #[arg(long, value_name = "PEM", default_value = "cert.pem")]
    pub(crate) cert: PathBuf,
    /// Key file (PEM), readable only for its owner; may be the certificate file
    #[arg(long, value_name = "PEM", default_value = "key.pem")]
    pub(crate) key: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct CertMake {
    #[command(flatten)]
    pub(crate) files: CertFiles,
    /// DNS name or IP address that the certificate is for; may be given several times
    #[arg(long, value_name = "NAME", default_values = ["localhost", "127.0.0.1", "::1"])]
    pub(crate) name: Vec<String>,
    /// Replace existing files
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CertRotate {
    #[command(flatten)]
    pub(crate) files: CertFiles,
    /// Do nothing while the certificate is valid for this many days or more
    #[arg(long, value_name = "DAYS", default_value_t = 6)]
    pub(crate) before: u32,
    /// Rotate even if the certificate is valid for longer
    #[arg(long)]
    pub(crate) force: bool,
}

/// What `weft perf` measures. The options are the same as those of the harnesses that measure other stacks on
/// the same work.
#[derive(Clone, Debug, Args)]
pub(crate) struct Perf {
    /// `pair` runs both ends as two processes, which gives the figure to compare; `server` and `client` run
    /// one end
    #[arg(value_enum)]
    pub(crate) role: PerfRole,
    /// quic: `quic-core` driven by hand; wt: WebTransport sessions of `wt-api`
    #[arg(long, value_enum, default_value_t = PerfLevel::Quic)]
    pub(crate) level: PerfLevel,
    /// bulk: one stream down; multi: many; upload: one stream up; rr: a stream for each request; datagram:
    /// up, as many as the stack takes; handshake: connections, or sessions with their connections, that are
    /// made and closed; idle: the memory that idle ones need
    #[arg(long, value_enum, default_value_t = PerfMode::Bulk)]
    pub(crate) mode: PerfMode,
    /// How long to measure, in seconds
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    /// The most bytes to download
    #[arg(long, default_value_t = 1 << 40)]
    pub(crate) bytes: u64,
    /// Bytes in a request and in its answer (rr), at least 17; bytes in a datagram
    #[arg(long, default_value_t = 64, value_parser = up_to::<1_048_576>)]
    pub(crate) size: usize,
    /// The number of streams (multi)
    #[arg(long, default_value_t = 100, value_parser = up_to::<10_000>)]
    pub(crate) streams: usize,
    /// Concurrent requests (rr)
    #[arg(long, default_value_t = 64, value_parser = up_to::<10_000>)]
    pub(crate) inflight: usize,
    /// Concurrent handshakes (handshake; default 8), or connections to hold (idle; default 2000)
    #[arg(long, value_parser = up_to::<100_000>)]
    pub(crate) conns: Option<usize>,
    /// Congestion control for what each end sends: a kind (default, throughput, low-latency), or the name of
    /// a controller, such as cubic
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) congestion: Choice,
    /// The largest UDP payload that path MTU discovery may reach, in bytes
    #[arg(long, default_value_t = 1452, value_parser = clap::value_parser!(u16).range(1200..=65_527))]
    pub(crate) mtu: u16,
    /// Receive window of a stream, in bytes; the connection's is four times as large
    #[arg(long, default_value_t = 16 << 20, value_parser = clap::value_parser!(u64).range(1 << 14..=1 << 30))]
    pub(crate) window: u64,
    /// Size of the socket buffers, in bytes; the system may give less
    #[arg(long, default_value_t = 4 << 20)]
    pub(crate) buf: usize,
    /// The processors for the server and for the client (pair)
    #[arg(long, default_value = "0,1", value_parser = cores, value_name = "A,B")]
    pub(crate) cores: (usize, usize),
    /// The server's address
    #[arg(long, default_value = "127.0.0.1:0", value_parser = address, value_name = "IP:PORT")]
    pub(crate) addr: SocketAddr,
    /// Directory of the certificate; the server makes one if there is none
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) logs: Logs,
    /// Answers questions of `pair` on standard input
    #[arg(long, hide = true)]
    pub(crate) control: bool,
}

impl Perf {
    /// How many connections exist at once.
    pub(crate) fn conns(&self) -> usize {
        self.conns.unwrap_or(if self.mode == PerfMode::Idle { 2_000 } else { 8 })
    }

    /// The directory of the certificate.
    pub(crate) fn directory(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(|| std::env::temp_dir().join("weft-perf"))
    }
}

/// An address of this machine, or of a server. Names are not looked up, because a name may stand for several
/// addresses.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let port = text.rsplit(':').next().and_then(|port| port.parse::<u16>().ok()).unwrap_or(443);
        format!(
            "write an IP address and a port: 127.0.0.1:{port} or [::1]:{port} for this machine alone, [::]:{port} for all addresses"
        )
    })
}

fn up_to<const LIMIT: usize>(text: &str) -> Result<usize, String> {
    let parsed = text.parse().ok().filter(|number| (1..=LIMIT).contains(number));
    parsed.ok_or_else(|| format!("a number from 1 to {LIMIT}"))
}

fn cores(text: &str) -> Result<(usize, usize), String> {
    let parsed = text.split_once(',').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    parsed.ok_or_else(|| "the numbers of two processors, such as 0,1".to_owned())
}

fn seconds(text: &str) -> Result<f64, String> {
    let parsed = text.parse().ok().filter(|seconds| (0.01..=3600.0).contains(seconds));
    parsed.ok_or_else(|| "a number of seconds from 0.01 to 3600".to_owned())
}

/// One end, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PerfRole {
    Server,
    Client,
    Pair,
}

/// The layer that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PerfLevel {
    Quic,
    Wt,
}

/// The work that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PerfMode {
    Bulk,
    Multi,
    Upload,
    Rr,
    Datagram,
    Handshake,
    Resume,
    Idle,
}

/// Displays the name on the command line, which results use too.
macro_rules! display_as_named {
    ($($name:ident),*) => {
        $(impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.to_possible_value().map_or(Ok(()), |value| f.write_str(value.get_name()))
            }
        })*
    };
}

display_as_named!(PerfRole, PerfLevel, PerfMode);
