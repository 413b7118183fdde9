//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::exit::TABLE;

/// WebTransport and HTTP/3 over a QUIC of its own: server, client, demonstration.
#[derive(Debug, Parser)]
#[command(name = "weft", version, after_help = TABLE, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Tell more about what happens (-v: information, -vv: debugging, -vvv: everything); `RUST_LOG` overrides it
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    /// Print results as JSON, one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an echo server and a client against it, then serve a page to try it from a browser
    Demo(Demo),
    /// Serve WebTransport echo on /echo, and GET of / and /bytes/N over HTTP/3
    Serve(Serve),
    /// Open a session: standard input goes to a stream, the stream comes to standard output
    Connect(Connect),
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Leave after the client's part; status 0 only if every step gave the expected bytes
    #[arg(long)]
    pub(crate) once: bool,
    /// UDP and page port on 127.0.0.1 and `::1`; 0 takes free ones
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    pub(crate) port: u16,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Address to listen on; may be given several times
    #[arg(long, value_name = "ADDR", default_values = ["127.0.0.1:4433", "[::1]:4433"])]
    pub(crate) listen: Vec<SocketAddr>,
    /// Certificate chain in PEM; without it a self-signed one for 13 days is made
    #[arg(long, value_name = "PEM", requires = "key")]
    pub(crate) cert: Option<PathBuf>,
    /// Private key in PEM
    #[arg(long, value_name = "PEM", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
    /// Origin of pages that may connect, as <https://example.org>; may be given several times, '*' permits all
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) origin: Vec<String>,
    /// Congestion controller: cubic or newreno
    #[arg(long, value_name = "NAME", default_value = "cubic")]
    pub(crate) congestion: String,
}

#[derive(Debug, Args)]
pub(crate) struct Connect {
    /// <https://HOST>[:PORT]/PATH
    pub(crate) url: String,
    /// Accept the certificate with this SHA-256 (64 hexadecimal digits); may be given several times
    #[arg(long, value_name = "HEX")]
    pub(crate) cert_hash: Vec<String>,
    /// Trust this CA certificate (PEM) instead of the system's
    #[arg(long, value_name = "PEM", conflicts_with = "cert_hash")]
    pub(crate) ca: Option<PathBuf>,
    /// Send each line of standard input as a datagram, print datagrams that arrive
    #[arg(long, conflicts_with = "uni")]
    pub(crate) datagrams: bool,
    /// Use a unidirectional stream each way
    #[arg(long)]
    pub(crate) uni: bool,
    /// Congestion controller: cubic or newreno
    #[arg(long, value_name = "NAME", default_value = "cubic")]
    pub(crate) congestion: String,
}
