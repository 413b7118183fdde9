//! The counters of a server, in a plain struct for any exporter.
//!
//! Events of connections and requests are counted when they happen. Each connection counts its own traffic,
//! which is summed when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use quic_core::{AdmissionLimit, ConnectionStats, DropCounts, EndpointStats, error::ConnectionError};

use crate::error::{ConnectionCloser, ErrorCause};

/// A snapshot of the counters of a [`Server`](crate::Server), over all of its sockets; see
/// [`Server::stats`](crate::Server::stats). Values that are not described as current are sums since the
/// server was built. They never decrease unless their description says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerStats {
    /// Current connections, including those in their handshake and those that are closing.
    pub connections: u64,
    /// Connections that were started.
    pub connections_total: u64,
    /// Current handshakes.
    pub handshakes_pending: u64,
    /// How handshakes ended.
    pub handshakes: HandshakeStats,
    /// Clients that were refused a connection, and clients that had to prove their address.
    pub admission: AdmissionStats,
    /// Current sessions, including those that wait for their response.
    pub sessions: u64,
    /// Requests for sessions that currently wait for [`Server::accept`](crate::Server::accept).
    pub requests_waiting: u64,
    /// Requests for sessions that the application got, and those that it did not get.
    pub requests: RequestStats,
    /// Memory that clients currently make all connections hold, in bytes.
    pub memory_used: u64,
    /// The limit of that memory, in bytes: [`memory_budget`](crate::ServerBuilder::memory_budget).
    pub memory_limit: u64,
    /// The traffic on the network.
    pub traffic: TrafficStats,
    /// Stateless responses, and datagrams that belong to no connection.
    pub endpoint: EndpointStats,
    /// Errors of the sockets.
    pub sockets: SocketStats,
}

/// How handshakes ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandshakeStats {
    /// Completed handshakes.
    pub done: u64,
    /// TLS failed at either end, for example because the client does not accept the certificate or has no
    /// protocol in common.
    pub failed_tls: u64,
    /// The handshake timed out.
    pub failed_timeout: u64,
    /// The client gave up.
    pub failed_peer: u64,
    /// The client violated a rule of QUIC.
    pub failed_violation: u64,
    /// This end closed the connection: its application did, or it shut down.
    pub failed_closed: u64,
    /// Other failures: application code panicked, or the runtime shut down.
    pub failed_other: u64,
}

/// How clients were handled before they had a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdmissionStats {
    /// Refused because the maximum number of connections was reached.
    pub refused_connections: u64,
    /// Refused because the memory budget was used up.
    pub refused_memory: u64,
    /// Refused because the address had its maximum number of connections.
    pub refused_address_connections: u64,
    /// Refused because the address had its maximum number of pending handshakes.
    pub refused_address_handshakes: u64,
    /// Refused because the address had its maximum number of new connections per second.
    pub refused_address_rate: u64,
    /// Refused because the server is shutting down.
    pub refused_shutdown: u64,
    /// Refused because the first datagram was malformed, or TLS could not be set up.
    pub refused_malformed: u64,
    /// Refused because application code panicked.
    pub refused_panic: u64,
    /// Refused by the application's hook ([`admission`](crate::ServerBuilder::admission)).
    pub refused_hook: u64,
    /// Ignored by the application's hook.
    pub ignored_hook: u64,
}

/// Requests for sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestStats {
    /// Passed to the application.
    pub offered: u64,
    /// Refused with 403 because the origin is not permitted.
    pub refused_origin: u64,
    /// Refused with 429 because the maximum number of sessions or of waiting requests was reached.
    pub refused_busy: u64,
    /// Refused with 431 because the fields are larger than the connection's free memory.
    pub refused_fields: u64,
    /// Refused with 503 because the server is shutting down.
    pub refused_shutdown: u64,
}

/// Errors of the sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketStats {
    /// Errors of receive calls.
    pub receive_errors: u64,
    /// Sends that failed and count as lost. Sends for which the system had no room or memory are not
    /// included, because they are repeated.
    pub send_errors: u64,
    /// Sends that the system refused as too large for their path.
    pub too_large: u64,
    /// Stateless responses that were dropped because the socket was blocked.
    pub answers_dropped: u64,
    /// Datagrams that arrived at the wrong one of several sockets of an address
    /// ([`shards`](crate::ServerBuilder::shards)) and were dropped there, because too many waited for the
    /// right one.
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
        /// The traffic on the network: sums over all connections, including those that have ended.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct TrafficStats {
            $($(#[doc = $doc])* pub $name: u64,)*
            /// Ignored packets or datagrams of connections, by reason. For datagrams of no connection see
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
    /// QUIC packets declared lost, including those that arrived later.
    packets_lost: packets_lost;
    /// QUIC packets declared lost that arrived later.
    packets_lost_spuriously: spurious_losses;
    /// Probe timeouts (RFC 9002 §6.2).
    probe_timeouts: probe_timeouts;
    /// Bytes of streams sent for the first time.
    stream_bytes_sent: stream_bytes_sent;
    /// Bytes of streams that were retransmitted.
    stream_bytes_retransmitted: stream_bytes_retransmitted;
    /// Bytes of streams read.
    stream_bytes_read: stream_bytes_read;
    /// Application datagrams sent.
    datagrams_sent: dgrams_sent;
    /// Application datagrams received.
    datagrams_received: dgrams_received;
    /// Application datagrams that were dropped because nobody read them in time.
    datagrams_dropped_incoming: dgrams_dropped_incoming;
    /// Application datagrams that became too old before they were read.
    datagrams_expired_incoming: dgrams_expired_incoming;
    /// Application datagrams that became too old before they were sent.
    datagrams_expired_outgoing: dgrams_expired_outgoing;
    /// Application datagrams declared lost. Decreases when one arrives later.
    datagrams_lost_outgoing: dgrams_lost_outgoing;
}

/// The reply of a socket's driver.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ShardStats {
    pub(crate) traffic: TrafficStats,
    pub(crate) endpoint: EndpointStats,
    pub(crate) sockets: SocketStats,
}

impl ShardStats {
    /// Adds these counts to `stats`.
    pub(crate) fn add_to(&self, stats: &mut ServerStats) {
        stats.traffic += self.traffic;
        stats.endpoint += self.endpoint;
        stats.sockets += self.sockets;
    }
}

macro_rules! counts {
    ($($name:ident: $($group:ident).+;)*) => {
        /// Events that are counted when they happen, a few times in the life of a connection.
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

            /// Writes the counts into `stats`.
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
    /// The count for a failed handshake.
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

    /// The count for a client that reached a limit.
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
