//! The limits of `weft serve`: what clients may use, and for how long.
//!
//! Owns units and ranges of the options. It must never know what a limit protects; `ServerBuilder` and
//! `TransportConfig` document that.

use std::{fmt, num::NonZeroUsize, str::FromStr, time::Duration};

use clap::Args;
use quic_core::{Endpoint, TransportConfig};
use wt_api::{AddressLimits, ServerBuilder};

const HEADING: &str = "Limits";

/// The limits for clients of a server.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = HEADING)]
pub(crate) struct Limits {
    /// Sockets that listen on each address, at most 255 in total, so that connections use several cores.
    /// Without it, one for each core, where the system can share an address between sockets
    #[arg(long, value_name = "N", value_parser = shards)]
    shards: Option<NonZeroUsize>,
    /// The most connections at once; further clients are refused
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = count)]
    max_connections: usize,
    /// The most sessions at once, on all connections together; further ones are answered 429. Without it,
    /// only the connections limit them
    #[arg(long, value_name = "N", value_parser = count)]
    max_sessions: Option<usize>,
    /// The most sessions at once on one connection
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=65_535))]
    max_sessions_per_connection: u64,
    /// How many handshakes may be pending before clients have to prove their address by a Retry; with 0 every
    /// client has to
    #[arg(long, value_name = "N", default_value_t = 256)]
    retry_threshold: usize,
    /// How many handshakes of one address may be pending; an address is an IPv4 address, or an IPv6 network
    /// of 64 bits
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = count)]
    address_handshakes: usize,
    /// The most connections of one address at once
    #[arg(long, value_name = "N", default_value_t = 4_096, value_parser = count)]
    address_connections: usize,
    /// The most connections of one address that may start in a second
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = count)]
    address_rate: usize,
    /// The most memory that clients can make all connections together hold, in bytes, or with KiB, MiB or GiB
    /// after the number; at least 64KiB
    #[arg(long, value_name = "SIZE", default_value_t = Size(1 << 30))]
    memory: Size,
    /// The same for one connection, without the data of its streams; at least 256KiB
    #[arg(long, value_name = "SIZE", default_value_t = Size(2 << 20))]
    connection_memory: Size,
    /// A connection ends if nothing arrives on it for this long, in seconds; with 0 only the client's own
    /// timeout counts
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, value_parser = seconds)]
    idle_timeout: f64,
    /// The server sends a PING if a connection was silent for this long, in seconds; with 0 it sends none
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = seconds)]
    keep_alive: f64,
    /// Keep connections alive while a session is open on them
    #[arg(long)]
    keep_alive_sessions: bool,
    /// How long a handshake may take, in seconds; with 0 only the idle timeout counts
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds)]
    handshake_timeout: f64,
    /// How long a request may take to arrive completely, in seconds; 0 means no limit
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, value_parser = seconds)]
    request_timeout: f64,
    /// The most bidirectional streams of a client at once, including those of requests. Without it, as many
    /// as its sessions may have
    #[arg(long, value_name = "N", value_parser = streams)]
    max_streams_bidi: Option<u64>,
    /// The most unidirectional streams of a client at once, of which HTTP/3 takes three. Without it, as many
    /// as its sessions may have
    #[arg(long, value_name = "N", value_parser = streams)]
    max_streams_uni: Option<u64>,
    /// The initial receive window of a stream, in bytes
    #[arg(long, value_name = "SIZE", default_value_t = Size(256 << 10))]
    stream_window: Size,
    /// The size to which the window of a stream grows while it is read as fast as data arrives
    #[arg(long, value_name = "SIZE", default_value_t = Size(16 << 20))]
    max_stream_window: Size,
    /// The initial receive window of a session, in bytes; without it 512KiB, or less with many sessions per
    /// connection
    #[arg(long, value_name = "SIZE")]
    session_window: Option<Size>,
    /// The size to which the window of a session grows; without it 16MiB
    #[arg(long, value_name = "SIZE")]
    max_session_window: Option<Size>,
    /// The initial receive window of a connection, in bytes
    #[arg(long, value_name = "SIZE", default_value_t = Size(1 << 20))]
    connection_window: Size,
    /// The size to which the window of a connection grows
    #[arg(long, value_name = "SIZE", default_value_t = Size(24 << 20))]
    max_connection_window: Size,
    /// How many bytes of received datagrams of a connection may be queued; the oldest are dropped first
    #[arg(long, value_name = "SIZE", default_value_t = Size(256 << 10))]
    datagram_buffer: Size,
}

impl Limits {
    /// A server with these limits. `transport` has the other settings. The error says which limit cannot be
    /// kept.
    pub(crate) fn apply(
        &self,
        builder: ServerBuilder,
        transport: TransportConfig,
    ) -> Result<ServerBuilder, String> {
        let transport = self.transport(transport);
        self.check(&transport)?;
        let mut builder = builder
            .transport(transport)
            .max_connections(self.max_connections)
            .max_sessions_per_connection(self.max_sessions_per_connection)
            .retry_threshold(self.retry_threshold)
            .address_limits(
                AddressLimits::new()
                    .pending_handshakes(self.address_handshakes)
                    .connections(self.address_connections)
                    .connections_per_second(self.address_rate),
            )
            .memory_budget(self.memory.bytes())
            .keep_alive_sessions(self.keep_alive_sessions)
            .request_timeout(duration(self.request_timeout));
        if let Some(shards) = self.shards {
            builder = builder.shards(shards);
        }
        if let Some(sessions) = self.max_sessions {
            builder = builder.max_sessions(sessions);
        }
        if let Some(Size(bytes)) = self.session_window {
            builder = builder.session_receive_window(bytes);
        }
        if let Some(Size(bytes)) = self.max_session_window {
            builder = builder.max_session_receive_window(bytes);
        }
        Ok(builder)
    }

    /// Checks that all limits can be kept together.
    fn check(&self, transport: &TransportConfig) -> Result<(), String> {
        transport.check().map_err(|error| match option(error.setting) {
            Some(option) => format!("{option} is at least {}", Size(error.least)),
            None => error.to_string(),
        })?;
        if self.memory.bytes() < Endpoint::LEAST_MEMORY {
            return Err(format!(
                "--memory is at least {}, for one client",
                Size(Endpoint::LEAST_MEMORY as u64)
            ));
        }
        for (first, name, most, what) in [
            (
                Some(self.stream_window),
                "--stream-window",
                Some(self.max_stream_window),
                "--max-stream-window",
            ),
            (self.session_window, "--session-window", self.max_session_window, "--max-session-window"),
            (
                Some(self.connection_window),
                "--connection-window",
                Some(self.max_connection_window),
                "--max-connection-window",
            ),
        ] {
            if let (Some(first), Some(most)) = (first, most)
                && first.0 > most.0
            {
                return Err(format!("{what} is at least {name}, which is {first}"));
            }
        }
        Ok(())
    }

    fn transport(&self, transport: TransportConfig) -> TransportConfig {
        let (bidi, uni) = (transport.max_streams_bidi, transport.max_streams_uni);
        transport
            .idle_timeout(duration(self.idle_timeout))
            .handshake_timeout(duration(self.handshake_timeout))
            .keep_alive(duration(self.keep_alive))
            .max_streams_bidi(self.max_streams_bidi.unwrap_or(bidi))
            .max_streams_uni(self.max_streams_uni.unwrap_or(uni))
            .stream_receive_window(self.stream_window.0)
            .max_stream_receive_window(self.max_stream_window.0)
            .receive_window(self.connection_window.0)
            .max_receive_window(self.max_connection_window.0)
            .datagram_receive_buffer(self.datagram_buffer.bytes())
            .memory_budget(self.connection_memory.bytes())
    }
}

/// The option of a library setting that has a smaller range than the option.
fn option(setting: &str) -> Option<&'static str> {
    (setting == "memory_budget").then_some("--connection-memory")
}

fn duration(seconds: f64) -> Option<Duration> {
    (seconds > 0.0).then(|| Duration::from_secs_f64(seconds))
}

/// Parses a number of sockets. Zero is refused, because it would mean no server.
fn shards(text: &str) -> Result<NonZeroUsize, &'static str> {
    let count = text.parse().ok().filter(|count: &NonZeroUsize| count.get() <= 255);
    count.ok_or("a number from 1 to 255")
}

fn count(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|count| *count > 0).ok_or("a number from 1 on")
}

fn streams(text: &str) -> Result<u64, &'static str> {
    text.parse().ok().filter(|count| (1..=1 << 60).contains(count)).ok_or("a number from 1 to 2^60")
}

fn seconds(text: &str) -> Result<f64, &'static str> {
    let seconds = text.parse().ok().filter(|seconds| (0.0..=86_400.0).contains(seconds));
    seconds.ok_or("a number of seconds from 0 to 86400")
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(u64);

/// The error for a text that is not a number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidSize;

impl fmt::Display for InvalidSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a number of bytes from 1 to 2^62 - 1, or one with KiB, MiB or GiB behind it, such as 512MiB",
        )
    }
}

impl std::error::Error for InvalidSize {}

const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl FromStr for Size {
    type Err = InvalidSize;

    fn from_str(text: &str) -> Result<Self, InvalidSize> {
        let unit = UNITS.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
        let (number, unit) = unit.unwrap_or((text, 1));
        let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
        bytes.filter(|bytes| (1..1 << 62).contains(bytes)).map(Self).ok_or(InvalidSize)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, bytes)| self.0.is_multiple_of(*bytes)) {
            Some((unit, bytes)) => write!(f, "{}{unit}", self.0 / bytes),
            None => self.0.fmt(f),
        }
    }
}

impl Size {
    /// The number of bytes, up to the largest that this machine can count.
    fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    fn limits(words: &[&str]) -> Limits {
        let words = [&["weft", "serve"], words].concat();
        match Cli::try_parse_from(words).expect("a command line").command {
            Command::Serve(args) => args.limits,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sizes_have_units_and_are_shown_with_the_largest_that_fits() {
        for (text, bytes, shown) in
            [("1", 1, "1"), ("1024", 1024, "1KiB"), ("3MiB", 3 << 20, "3MiB"), ("1GiB", 1 << 30, "1GiB")]
        {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.0, size.to_string().as_str()), (bytes, shown));
        }
        for text in ["", "0", "MiB", "1.5MiB", "1 MiB", "1mb", "-1", "4611686018427387904", "99999999999GiB"]
        {
            assert_eq!(text.parse::<Size>(), Err(InvalidSize), "{text}");
        }
    }

    /// The defaults in --help are those of the library.
    #[test]
    fn the_defaults_are_those_of_the_library() {
        let (set, default) = (limits(&[]).transport(TransportConfig::default()), TransportConfig::default());
        assert_eq!(format!("{set:?}"), format!("{default:?}"));
        let set = limits(&[]);
        let addresses = AddressLimits::default();
        assert_eq!(
            (set.address_handshakes, set.address_connections, set.address_rate),
            (addresses.pending_handshakes, addresses.connections, addresses.connections_per_second)
        );
    }

    #[test]
    fn each_option_reaches_its_limit() {
        let set = limits(&[
            "--idle-timeout=0",
            "--handshake-timeout=2.5",
            "--keep-alive=7",
            "--max-streams-bidi=5",
            "--max-streams-uni=6",
            "--stream-window=1KiB",
            "--max-stream-window=2KiB",
            "--connection-window=3KiB",
            "--max-connection-window=4KiB",
            "--datagram-buffer=5KiB",
            "--connection-memory=1MiB",
        ])
        .transport(TransportConfig::default());
        assert_eq!((set.idle_timeout, set.keep_alive), (None, Some(Duration::from_secs(7))));
        assert_eq!(set.handshake_timeout, Some(Duration::from_millis(2500)));
        assert_eq!((set.max_streams_bidi, set.max_streams_uni), (5, 6));
        assert_eq!((set.stream_receive_window, set.max_stream_receive_window), (1 << 10, 2 << 10));
        assert_eq!((set.receive_window, set.max_receive_window), (3 << 10, 4 << 10));
        assert_eq!((set.datagram_receive_buffer, set.memory_budget), (5 << 10, 1 << 20));
    }
}
