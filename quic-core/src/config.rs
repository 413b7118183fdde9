//! Settings of connections, with their defaults.

use std::{
    net::{IpAddr, SocketAddrV4, SocketAddrV6},
    ops::Range,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use crate::{
    base::{AddressLimits, EndpointBudget, setters},
    cids::CidFactory,
    congestion::CongestionConfig,
    crypto::{SessionCache, TlsClientConfig, TlsServerConfig},
    params::{MAX_ACK_DELAY, MAX_STREAMS},
    trace::ObserverFactory,
    version::Versions,
};

/// The largest number that fits on the wire (RFC 9000 §16).
const MAX_VARINT: u64 = (1 << 62) - 1;
/// The smallest send buffer. A stream that takes less than a few packets' worth from its application would
/// send one packet and wait for its acknowledgment, which the peer delays for a lone packet.
const LEAST_SEND_BUFFER: usize = 8 << 10;
/// The smallest memory budget: the connection's own state, and the handshake data that an honest peer may
/// send ahead.
const LEAST_MEMORY: usize = 256 << 10;

/// Who may ask for other acknowledgments than one for two packets (draft-ietf-quic-ack-frequency).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AckFrequency {
    /// Nobody: the extension is not offered.
    Off,
    /// The peer may ask this end.
    #[default]
    Permitted,
    /// The peer may ask, and this end asks a peer that permits it: where many packets fit the congestion window,
    /// for one acknowledgment in up to ten packets. That saves work at both ends. Congestion controllers hear
    /// less, and a few of them use a little less of the path then.
    Requested,
}

/// How a connection behaves, client or server. A number outside its documented range counts as the nearest
/// end of the range.
///
/// ```
/// use quic_core::TransportConfig;
/// use std::time::Duration;
/// let config = TransportConfig::new().idle_timeout(Some(Duration::from_secs(10)));
/// assert_eq!(config.max_streams_bidi, 1000);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TransportConfig {
    /// The connection ends when nothing arrives from the peer for this long. With `None` or zero, only the
    /// peer's timeout applies. Default 30 s.
    pub idle_timeout: Option<Duration>,
    /// The connection ends when the handshake is not complete after this long, even if packets arrive, so
    /// that nobody occupies a place with an incomplete handshake. With `None` or zero, only the idle timeout
    /// applies. Default 10 s.
    pub handshake_timeout: Option<Duration>,
    /// A PING is sent when nothing else was sent for this long. The interval is at most half of the idle
    /// timeout in force (the smaller of both ends' timeouts), and at least 10 ms. `None` or zero sends no
    /// PING. Default none.
    pub keep_alive: Option<Duration>,
    /// UDP payload of the first datagrams, in bytes, from 1200 to 65,527 (RFC 9000 §18.2). Default 1200.
    pub datagram_size: u16,
    /// The largest UDP payload to which path MTU discovery may raise datagrams, in bytes (RFC 9000 §14.3), at
    /// most 65,527. A value up to `datagram_size` turns the discovery off. Default 1472, which an Ethernet
    /// carries under IPv4.
    pub max_datagram_size: u16,
    /// The largest UDP payload that is accepted, in bytes, from 1200 to 65,527. Default 65,527.
    pub max_udp_payload_size: u16,
    /// Bidirectional streams that the peer may have open at once, up to 2^60. Default 1000.
    pub max_streams_bidi: u64,
    /// Unidirectional streams that the peer may have open at once, up to 2^60. Default 1000.
    pub max_streams_uni: u64,
    /// Initial flow-control window of a stream, in bytes, from 1 to 2^62 - 1. Default 256 KiB.
    pub stream_receive_window: u64,
    /// The size to which the window of a stream may grow on a fast path, in bytes, up to 2^62 - 1. Default 16
    /// MiB.
    pub max_stream_receive_window: u64,
    /// Initial flow-control window of the connection, in bytes, from 1 to 2^62 - 1. Default 1 MiB.
    pub receive_window: u64,
    /// The size to which the window of the connection may grow, in bytes, up to 2^62 - 1. Default 24 MiB.
    pub max_receive_window: u64,
    /// Unacknowledged data that a stream accepts from the application, in bytes, at least 8 KiB. If the
    /// congestion window is large, a stream accepts up to three quarters of what all streams together accept,
    /// so that it can fill the window alone. Default 1 MiB.
    pub send_buffer: usize,
    /// Unacknowledged data that all streams together accept, in bytes: two congestion windows, but at least
    /// `send_buffer` and at most this. Beyond that, each stream still accepts a few KiB. Acknowledged data
    /// that follows a missing packet is held in addition; with it, the limit is four windows and at most
    /// this. Default 16 MiB.
    pub max_send_memory: usize,
    /// The largest DATAGRAM frame that is accepted (RFC 9221 §3), in bytes, up to 2^62 - 1; 0 refuses
    /// datagrams. Default 65,535.
    pub max_datagram_frame_size: u64,
    /// Bytes of received datagrams that may wait for the application; the oldest are dropped first. Default
    /// 256 KiB.
    pub datagram_receive_buffer: usize,
    /// Bytes of datagrams that may wait to be sent. Default 1 MiB.
    pub datagram_send_buffer: usize,
    /// How long acknowledgments are delayed at most, below 2^14 ms (RFC 9000 §18.2). Default 25 ms.
    pub max_ack_delay: Duration,
    /// Congestion control.
    pub congestion: CongestionConfig,
    /// Whether packets are marked for ECN if the path carries the marks. Default true.
    pub ecn: bool,
    /// Whether the peer may send packets with a zero fixed bit, so that no network comes to rely on the bit
    /// (RFC 9287). This end's packets have random fixed bits if the peer permits it. Default true.
    pub grease_quic_bit: bool,
    /// Whether packets show networks how long a round trip takes, by the latency spin bit (RFC 9000 §17.4). One of
    /// eight connection IDs shows nothing even so, and it takes both ends. Default true.
    pub spin_bit: bool,
    /// Who may ask for other acknowledgments than the usual ones (ack-frequency). Default
    /// [`AckFrequency::Permitted`].
    pub ack_frequency: AckFrequency,
    /// The QUIC versions that are offered and accepted (RFC 9368), the most preferred first. Default both, with
    /// version 1 first: connections are of version 2 only if the other end would have it so.
    pub versions: Versions,
    /// Whether a client may move to another of its addresses (RFC 9000 §9); servers only. False tells clients
    /// not to (`disable_active_migration`, §18.2), which a server must do if a device in front of it tells
    /// connections apart by address. A client whose address a NAT changes is followed in any case. Default
    /// true.
    pub allows_migration: bool,
    /// The server's preferred IPv4 address: clients of that family are asked to move there once they are
    /// connected (RFC 9000 §9.6); servers only. It must not be the address that clients connect to, because
    /// the server knows by it which clients have moved. The caller therefore has to report the local address
    /// of each datagram ([`DatagramMeta::local_ip`](crate::DatagramMeta::local_ip)). Default none.
    pub preferred_v4: Option<SocketAddrV4>,
    /// The server's preferred IPv6 address. Default none.
    pub preferred_v6: Option<SocketAddrV6>,
    /// Makes the observers of connections, which see everything that happens in them. Default none.
    pub observers: Option<Arc<dyn ObserverFactory>>,
    /// Memory that the peer can make the connection hold besides that of streams, in bytes, including the
    /// connection's own state; at least 256 KiB. Default 2 MiB.
    ///
    /// Streams have their own budget, which follows from the limits above: eleven eighths of
    /// `max_receive_window`, and about 5 KiB for each stream that may be open at once. A peer that keeps to
    /// its credit never exceeds it.
    pub memory_budget: usize,
}

impl Default for TransportConfig {
    fn default() -> Self {
        Self {
            idle_timeout: Some(Duration::from_secs(30)),
            handshake_timeout: Some(Duration::from_secs(10)),
            keep_alive: None,
            datagram_size: 1200,
            max_datagram_size: 1472,
            max_udp_payload_size: 65_527,
            max_streams_bidi: 1000,
            max_streams_uni: 1000,
            stream_receive_window: 256 << 10,
            max_stream_receive_window: 16 << 20,
            receive_window: 1 << 20,
            max_receive_window: 24 << 20,
            send_buffer: 1 << 20,
            max_send_memory: 16 << 20,
            max_datagram_frame_size: 65_535,
            datagram_receive_buffer: 256 << 10,
            datagram_send_buffer: 1 << 20,
            max_ack_delay: Duration::from_millis(25),
            congestion: CongestionConfig::default(),
            ecn: true,
            grease_quic_bit: true,
            spin_bit: true,
            ack_frequency: AckFrequency::Permitted,
            versions: Versions::default(),
            allows_migration: true,
            preferred_v4: None,
            preferred_v6: None,
            observers: None,
            memory_budget: 2 << 20,
        }
    }
}

/// A setting outside its range, which would count as the nearest end of the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} is at least {least} and at most {most}")]
#[non_exhaustive]
pub struct OutOfRange {
    /// The name of the field.
    pub setting: &'static str,
    /// The smallest valid number; for a time, in milliseconds.
    pub least: u64,
    /// The largest valid number.
    pub most: u64,
}

impl TransportConfig {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        idle_timeout: Option<Duration>,
        handshake_timeout: Option<Duration>,
        keep_alive: Option<Duration>,
        datagram_size: u16,
        max_datagram_size: u16,
        max_udp_payload_size: u16,
        max_streams_bidi: u64,
        max_streams_uni: u64,
        stream_receive_window: u64,
        max_stream_receive_window: u64,
        receive_window: u64,
        max_receive_window: u64,
        send_buffer: usize,
        max_send_memory: usize,
        allows_migration: bool,
        preferred_v4: Option<SocketAddrV4>,
        preferred_v6: Option<SocketAddrV6>,
        max_datagram_frame_size: u64,
        datagram_receive_buffer: usize,
        datagram_send_buffer: usize,
        max_ack_delay: Duration,
        congestion: CongestionConfig,
        ecn: bool,
        grease_quic_bit: bool,
        observers: Option<Arc<dyn ObserverFactory>>,
        spin_bit: bool,
        ack_frequency: AckFrequency,
        versions: Versions,
        memory_budget: usize,
    }

    /// Checks whether every number is in its range, for programs that prefer an error to a corrected value.
    ///
    /// # Errors
    /// The first setting that is outside its range.
    pub fn check(&self) -> Result<(), OutOfRange> {
        self.clone().put_right().map_or(Ok(()), Err)
    }

    /// Whether clients are asked to move to this address.
    pub(crate) fn is_preferred(&self, ip: IpAddr) -> bool {
        let v4 = self.preferred_v4.map(|address| IpAddr::V4(*address.ip()));
        let v6 = self.preferred_v6.map(|address| IpAddr::V6(*address.ip()));
        [v4, v6].contains(&Some(ip))
    }

    /// These settings with every number moved into its range; the same settings if all are in range.
    pub(crate) fn in_range(self: &Arc<Self>) -> Arc<Self> {
        let mut config = Self::clone(self);
        if config.put_right().is_some() { Arc::new(config) } else { Arc::clone(self) }
    }

    /// Moves every number into its range. Returns the first that was outside.
    fn put_right(&mut self) -> Option<OutOfRange> {
        let mut first = None;
        macro_rules! ranges {
            ($($field:ident: $least:expr, $most:expr;)*) => {
                $(if fit(&mut self.$field, $least, $most) {
                    let (least, most) = ($least as u64, $most as u64);
                    first = first.or(Some(OutOfRange { setting: stringify!($field), least, most }));
                })*
            };
        }
        ranges! {
            max_udp_payload_size: 1200, 65_527;
            max_streams_bidi: 0, MAX_STREAMS;
            max_streams_uni: 0, MAX_STREAMS;
            stream_receive_window: 1, MAX_VARINT;
            max_stream_receive_window: 0, MAX_VARINT;
            receive_window: 1, MAX_VARINT;
            max_receive_window: 0, MAX_VARINT;
            send_buffer: LEAST_SEND_BUFFER, usize::MAX;
            max_datagram_frame_size: 0, MAX_VARINT;
            memory_budget: LEAST_MEMORY, usize::MAX;
        }
        if fit(&mut self.max_ack_delay, Duration::ZERO, MAX_ACK_DELAY) {
            let most = MAX_ACK_DELAY.as_millis() as u64;
            first = first.or(Some(OutOfRange { setting: "max_ack_delay", least: 0, most }));
        }
        first
    }
}

/// Moves a setting into its range. Returns whether it was outside.
fn fit<T: Ord + Copy>(value: &mut T, least: T, most: T) -> bool {
    let given = std::mem::replace(value, (*value).clamp(least, most));
    given != *value
}

/// Settings of an endpoint, client or server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EndpointConfig {
    /// Makes the endpoint's connection IDs and their reset tokens.
    pub cids: CidFactory,
    /// How many stateless resets and Version Negotiation packets are sent per second at most. One address
    /// gets an eighth of them, because all clients behind it are to learn of a server's restart within
    /// seconds. Each of its ports gets four, not counting resets for packets that are too large to be resets
    /// themselves. Default 4096.
    pub stateless_packets_per_second: u32,
    /// The memory of all connections together, their pending handshakes, and the counts of each address.
    /// Several endpoints may share a budget. Default 1 GiB, for this endpoint alone.
    pub budget: EndpointBudget,
    /// How many handshakes may be pending before clients have to prove their address by a Retry (RFC 9000
    /// §8.1.2); 0 asks every client. Default 256.
    pub retry_threshold: usize,
    /// How many connections may exist at once; further clients are refused (RFC 9000 §5.2.2). Default
    /// 100,000.
    pub max_connections: usize,
    /// The limits of one address, over all endpoints that share `budget`.
    pub per_address: AddressLimits,
    /// The shards of all endpoints that listen on the same address, for example by `SO_REUSEPORT`, including
    /// this one. A datagram for a connection of another shard is reported as
    /// [`DatagramEvent::Sibling`](crate::DatagramEvent::Sibling). The endpoints' [`CidFactory`]s differ only
    /// in the shard. Default none.
    pub siblings: Range<u8>,
    /// Whether an endpoint with these settings, or with a clone of them, has
    /// [opened](crate::Endpoint::connect) a connection. If so, the server's responses may arrive at any of
    /// the siblings. Default false.
    pub connects: Arc<AtomicBool>,
}

impl EndpointConfig {
    /// Settings with this connection ID factory.
    #[must_use]
    pub fn new(cids: CidFactory) -> Self {
        Self {
            cids,
            stateless_packets_per_second: 4_096,
            budget: EndpointBudget::new(1 << 30),
            retry_threshold: 256,
            max_connections: 100_000,
            per_address: AddressLimits::default(),
            siblings: 0..0,
            connects: Arc::default(),
        }
    }

    setters! {
        cids: CidFactory,
        stateless_packets_per_second: u32,
        budget: EndpointBudget,
        retry_threshold: usize,
        max_connections: usize,
        per_address: AddressLimits,
        siblings: Range<u8>,
        connects: Arc<AtomicBool>,
    }
}

/// Settings of a server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// The TLS configuration.
    pub tls: TlsServerConfig,
    /// The settings of connections.
    pub transport: Arc<TransportConfig>,
    /// The key that seals address tokens, those of Retry packets and those for later connections. It must be
    /// the same on all servers that a client may reach.
    pub token_key: [u8; 32],
    /// How long the tokens are good that clients get for later connections (NEW_TOKEN, RFC 9000 §8.1.3). One
    /// is sent when the handshake is confirmed, and one when the client has moved. A client that presents one
    /// from the same address needs no Retry and is not limited to three times what it sent. With `None` or
    /// zero, none is sent and none accepted. Default one day.
    pub address_tokens: Option<Duration>,
    /// The Unix time at the origin of the timestamps that the endpoint is given, so that servers with one
    /// `token_key`, or one that restarts, know the age of each other's tokens. At zero, the default, the
    /// timestamps themselves count, which is enough for a process alone.
    pub unix_time_of_origin: Duration,
    /// What the application promises to clients that send 0-RTT, for example the settings of HTTP/3 (RFC 9114
    /// §7.2.4.2). A session is resumed with 0-RTT only under the promise under which it was made. Default
    /// empty.
    pub early_promise: Arc<[u8]>,
}

impl ServerConfig {
    /// With the default settings of connections.
    #[must_use]
    pub fn new(tls: TlsServerConfig, token_key: [u8; 32]) -> Self {
        Self {
            tls,
            transport: Arc::default(),
            token_key,
            address_tokens: Some(Duration::from_secs(24 * 60 * 60)),
            unix_time_of_origin: Duration::ZERO,
            early_promise: Arc::default(),
        }
    }

    setters! {
        transport: Arc<TransportConfig>,
        address_tokens: Option<Duration>,
        unix_time_of_origin: Duration,
        early_promise: Arc<[u8]>,
    }
}

/// Settings of a client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientConfig {
    /// The TLS configuration.
    pub tls: TlsClientConfig,
    /// The settings of connections.
    pub transport: Arc<TransportConfig>,
    /// What is remembered of servers: sessions to resume, and address tokens. Default none, so that each
    /// connection resumes as the TLS configuration says, and presents no token.
    pub sessions: Option<SessionCache>,
    /// Whether what is written before the handshake is complete leaves at once, as 0-RTT, if `sessions` has a
    /// session that permits it (RFC 9001 §4.6). Default false.
    ///
    /// **0-RTT can be replayed.** Whoever has a copy of its packets can send them again, or hold them back and
    /// send them later, and the server may process them. An application may therefore send in it only what
    /// does no harm if it is done again at another time (RFC 9001 §9.2, RFC 8470 §2). It also has no forward
    /// secrecy towards the server's memory of the session.
    pub early_data: bool,
}

impl ClientConfig {
    /// With the default settings of connections.
    #[must_use]
    pub fn new(tls: TlsClientConfig) -> Self {
        Self { tls, transport: Arc::default(), sessions: None, early_data: false }
    }

    setters! {
        transport: Arc<TransportConfig>,
        sessions: Option<SessionCache>,
        early_data: bool,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_beyond_its_range_is_named_with_the_range_that_it_is_moved_to() {
        assert_eq!(TransportConfig::default().check(), Ok(()));
        let config = TransportConfig { memory_budget: 1024, ..TransportConfig::default() };
        let error = config.check().unwrap_err();
        assert_eq!((error.setting, error.least), ("memory_budget", 256 << 10));
        assert_eq!(Arc::new(config).in_range().memory_budget, 256 << 10);
        let late = TransportConfig { max_ack_delay: Duration::from_secs(60), ..TransportConfig::default() };
        assert_eq!(late.check().unwrap_err().to_string(), "max_ack_delay is at least 0 and at most 16383");
    }

    /// The bounds that `docs/security.md` states.
    #[test]
    fn the_default_bounds_are_those_of_the_documentation() {
        let config = TransportConfig::default();
        assert_eq!((config.max_streams_bidi, config.max_streams_uni), (1_000, 1_000));
        assert_eq!((config.receive_window, config.max_receive_window), (1 << 20, 24 << 20));
        assert_eq!((config.send_buffer, config.max_send_memory), (1 << 20, 16 << 20));
        assert_eq!((config.datagram_receive_buffer, config.datagram_send_buffer), (256 << 10, 1 << 20));
        assert_eq!((config.memory_budget, crate::connection::CONNECTION_COST), (2 << 20, 32 << 10));
        assert_eq!(config.handshake_timeout, Some(Duration::from_secs(10)));
        let config = EndpointConfig::new(CidFactory::new(8, 0, &[0; 32]));
        assert_eq!((config.budget.limit(), config.max_connections), (1 << 30, 100_000));
        assert_eq!((config.retry_threshold, config.stateless_packets_per_second), (256, 4_096));
        let AddressLimits { pending_handshakes, connections, connections_per_second } = config.per_address;
        assert_eq!((pending_handshakes, connections, connections_per_second), (128, 4_096, 512));
    }
}
