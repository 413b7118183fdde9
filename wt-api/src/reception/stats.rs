//! What a server counts: a plain struct for any exporter.
//!
//! What happens to connections and requests is counted as it happens, what the network carries by each connection for itself:
//! that is summed when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use quic_core::{AdmissionLimit, ConnectionStats, DropCounts, EndpointStats, error::ConnectionError};

use crate::error::{ConnectionCloser, ErrorCause};

/// A snapshot of what a [`Server`](crate::Server) counts, over all its sockets: [`Server::stats`](crate::Server::stats). What
/// is not said to be of now is a sum since the server was built, and never falls but where that is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerStats {
    /// Connections now, those in their handshake and those that say their last words included.
    pub connections: u64,
    /// Connections begun.
    pub connections_total: u64,
    /// Handshakes that go on now.
    pub handshakes_pending: u64,
    /// How handshakes ended.
    pub handshakes: HandshakeStats,
    /// Clients that were refused a connection, and those that were asked to prove their address.
    pub admission: AdmissionStats,
    /// Sessions now, those that wait for their answer included.
    pub sessions: u64,
    /// Requests for sessions that wait for [`Server::accept`](crate::Server::accept) now.
    pub requests_waiting: u64,
    /// Requests for sessions, and those of which the application did not hear.
    pub requests: RequestStats,
    /// Memory that clients make all connections hold now, in bytes.
    pub memory_used: u64,
    /// What that may be at most, in bytes: [`memory_budget`](crate::ServerBuilder::memory_budget).
    pub memory_limit: u64,
    /// What the network carried.
    pub traffic: TrafficStats,
    /// Answers that need no connection, and datagrams that belong to none.
    pub endpoint: EndpointStats,
    /// What the sockets refused.
    pub sockets: SocketStats,
}

/// How handshakes ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandshakeStats {
    /// Complete.
    pub done: u64,
    /// Failed in TLS, at either end: the client does not accept the certificate, has no protocol in common, or the like.
    pub failed_tls: u64,
    /// Not complete in their time.
    pub failed_timeout: u64,
    /// Given up by the client.
    pub failed_peer: u64,
    /// The client broke a rule of QUIC.
    pub failed_violation: u64,
    /// Closed by this end: by its application, or because it shut down.
    pub failed_closed: u64,
    /// Failed otherwise: code of the application panicked, or the runtime went.
    pub failed_other: u64,
}

/// What became of clients before they had a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdmissionStats {
    /// Refused: as many connections as there may be.
    pub refused_connections: u64,
    /// Refused: the memory budget is spent.
    pub refused_memory: u64,
    /// Refused: as many connections of the address as one may have.
    pub refused_address_connections: u64,
    /// Refused: as many pending handshakes of the address as one may have.
    pub refused_address_handshakes: u64,
    /// Refused: as many of the address in a second as may be.
    pub refused_address_rate: u64,
    /// Refused: the server shuts down.
    pub refused_shutdown: u64,
    /// Refused: the first datagram was not what it seemed, or TLS could not be set up.
    pub refused_malformed: u64,
    /// Refused: code of the application panicked.
    pub refused_panic: u64,
    /// Refused by the application's hook ([`admission`](crate::ServerBuilder::admission)).
    pub refused_hook: u64,
    /// Not answered, by the same.
    pub ignored_hook: u64,
}

/// Requests for sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestStats {
    /// Handed to the application.
    pub offered: u64,
    /// Refused with 403: the origin is not permitted.
    pub refused_origin: u64,
    /// Refused with 429: as many sessions as there may be, or as many requests as may wait.
    pub refused_busy: u64,
    /// Refused with 431: the fields are larger than the connection's memory has room for.
    pub refused_fields: u64,
    /// Refused with 503: the server shuts down.
    pub refused_shutdown: u64,
}

/// What the sockets refused, or said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketStats {
    /// Errors of receiving.
    pub receive_errors: u64,
    /// Sends that failed, and were taken as lost. Not those that the system had no room or memory for: they are repeated.
    pub send_errors: u64,
    /// Sends that the system refused as too large for their path.
    pub too_large: u64,
    /// Answers without a connection that were dropped, for the socket took nothing.
    pub answers_dropped: u64,
    /// Datagrams that came at the wrong one of several sockets of an address ([`shards`](crate::ServerBuilder::shards)), and
    /// were dropped there, for too many waited for the right one.
    pub forwards_dropped: u64,
}

impl std::ops::AddAssign for SocketStats {
    fn add_assign(&mut self, other: Self) {
        self.receive_errors += other.receive_errors;
        self.send_errors += other.send_errors;
        self.too_large += other.too_large;
        self.answers_dropped += other.answers_dropped;
        self.forwards_dropped += other.forwards_dropped;
    }
}

macro_rules! traffic {
    ($($(#[doc = $doc:literal])* $name:ident: $from:ident;)*) => {
        /// What the network carried: sums over all connections, those that are over included.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct TrafficStats {
            $($(#[doc = $doc])* pub $name: u64,)*
            /// Packets or datagrams of connections that were ignored, by reason; for those of no connection see
            /// [`endpoint`](ServerStats::endpoint).
            pub dropped: DropCounts,
        }

        impl From<&ConnectionStats> for TrafficStats {
            fn from(stats: &ConnectionStats) -> Self {
                Self { $($name: stats.$from,)* dropped: stats.dropped }
            }
        }

        impl std::ops::AddAssign for TrafficStats {
            fn add_assign(&mut self, other: Self) {
                $(self.$name += other.$name;)*
                self.dropped += other.dropped;
            }
        }
    };
}

traffic! {
    /// UDP payload sent, in bytes.
    bytes_sent: bytes_sent;
    /// UDP payload received, in bytes.
    bytes_received: bytes_received;
    /// UDP datagrams sent.
    udp_datagrams_sent: datagrams_sent;
    /// UDP datagrams received.
    udp_datagrams_received: datagrams_received;
    /// QUIC packets sent.
    packets_sent: packets_sent;
    /// QUIC packets received and authenticated.
    packets_received: packets_received;
    /// QUIC packets declared lost, those that arrived after all included.
    packets_lost: packets_lost;
    /// QUIC packets declared lost that arrived after all.
    packets_lost_spuriously: spurious_losses;
    /// Probe timeouts (RFC 9002 §6.2).
    probe_timeouts: probe_timeouts;
    /// Bytes of streams sent for the first time.
    stream_bytes_sent: stream_bytes_sent;
    /// Bytes of streams sent again.
    stream_bytes_retransmitted: stream_bytes_retransmitted;
    /// Bytes of streams read.
    stream_bytes_read: stream_bytes_read;
    /// Datagrams of applications sent.
    datagrams_sent: dgrams_sent;
    /// Datagrams of applications received.
    datagrams_received: dgrams_received;
    /// Datagrams of applications that were dropped, for nobody took them in time.
    datagrams_dropped_incoming: dgrams_dropped_incoming;
    /// Datagrams of applications that were too old before they were read.
    datagrams_expired_incoming: dgrams_expired_incoming;
    /// Datagrams of applications that were too old before they were sent.
    datagrams_expired_outgoing: dgrams_expired_outgoing;
    /// Datagrams of applications declared lost. Falls when one arrived after all.
    datagrams_lost_outgoing: dgrams_lost_outgoing;
}

/// What the driver of a socket answers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ShardStats {
    pub(crate) traffic: TrafficStats,
    pub(crate) endpoint: EndpointStats,
    pub(crate) sockets: SocketStats,
}

impl ShardStats {
    /// Adds what another socket counts.
    pub(crate) fn add_to(&self, stats: &mut ServerStats) {
        stats.traffic += self.traffic;
        stats.endpoint += self.endpoint;
        stats.sockets += self.sockets;
    }
}

macro_rules! counts {
    ($($name:ident: $($group:ident).+;)*) => {
        /// What is counted as it happens, a few times in the life of a connection.
        #[derive(Clone, Copy, Debug)]
        pub(crate) enum Count {
            $($name,)*
        }

        impl Count {
            const ALL: &'static [Self] = &[$(Self::$name,)*];
        }

        /// The sums over all sockets.
        #[derive(Debug)]
        pub(crate) struct Counts([AtomicU64; Count::ALL.len()]);

        impl Counts {
            pub(crate) fn add(&self, count: Count) {
                self.0[count as usize].fetch_add(1, Relaxed);
            }

            /// Writes them where they are read.
            pub(crate) fn show(&self, stats: &mut ServerStats) {
                $(stats.$($group).+ = self.0[Count::$name as usize].load(Relaxed);)*
            }
        }
    };
}

counts! {
    Connection: connections_total;
    HandshakeDone: handshakes.done;
    HandshakeTls: handshakes.failed_tls;
    HandshakeTimeout: handshakes.failed_timeout;
    HandshakePeer: handshakes.failed_peer;
    HandshakeViolation: handshakes.failed_violation;
    HandshakeClosed: handshakes.failed_closed;
    HandshakeOther: handshakes.failed_other;
    RefusedConnections: admission.refused_connections;
    RefusedMemory: admission.refused_memory;
    RefusedAddressConnections: admission.refused_address_connections;
    RefusedAddressHandshakes: admission.refused_address_handshakes;
    RefusedAddressRate: admission.refused_address_rate;
    RefusedShutdown: admission.refused_shutdown;
    RefusedMalformed: admission.refused_malformed;
    RefusedPanic: admission.refused_panic;
    RefusedHook: admission.refused_hook;
    IgnoredHook: admission.ignored_hook;
    RequestOffered: requests.offered;
    RequestOrigin: requests.refused_origin;
    RequestBusy: requests.refused_busy;
    RequestFields: requests.refused_fields;
    RequestShutdown: requests.refused_shutdown;
}

impl Default for Counts {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; Count::ALL.len()])
    }
}

impl Count {
    /// A handshake failed.
    pub(crate) fn of_failure(cause: &ErrorCause) -> Self {
        match cause {
            ErrorCause::Tls { .. } | ErrorCause::Certificate(_) | ErrorCause::NoHttp3 { .. } => {
                Self::HandshakeTls
            }
            ErrorCause::Connection(ConnectionError::HandshakeTimeout | ConnectionError::IdleTimeout) => {
                Self::HandshakeTimeout
            }
            ErrorCause::Connection(ConnectionError::PeerClosed(_) | ConnectionError::StatelessReset)
            | ErrorCause::ConnectionClosed { by: ConnectionCloser::Peer, .. } => Self::HandshakePeer,
            ErrorCause::Connection(ConnectionError::Violation { .. }) | ErrorCause::Http3(_) => {
                Self::HandshakeViolation
            }
            ErrorCause::ConnectionClosed { .. } => Self::HandshakeClosed,
            _ => Self::HandshakeOther,
        }
    }

    /// A client met a limit.
    pub(crate) fn of_limit(limit: AdmissionLimit) -> Self {
        match limit {
            AdmissionLimit::Memory => Self::RefusedMemory,
            AdmissionLimit::AddressConnections => Self::RefusedAddressConnections,
            AdmissionLimit::AddressHandshakes => Self::RefusedAddressHandshakes,
            AdmissionLimit::AddressRate => Self::RefusedAddressRate,
            _ => Self::RefusedConnections,
        }
    }
}
