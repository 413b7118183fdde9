//! quinn-proto.

use quinn_proto::{
    EcnCodepoint, EndpointConfig, Transmit,
    congestion::{BbrConfig, CubicConfig, NewRenoConfig},
};

super::foreign::foreign!(quinn_proto, Quinn, "quinn");

/// The controllers of quinn-proto. BBR draws random numbers that no seed decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// CUBIC, its default.
    Cubic,
    /// `NewReno`.
    NewReno,
    /// BBR, the first version.
    Bbr,
}

impl Controller {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cubic, Self::NewReno, Self::Bbr];

    fn name(self) -> &'static str {
        match self {
            Self::Cubic => "cubic",
            Self::NewReno => "newreno",
            Self::Bbr => "bbr",
        }
    }

    fn choose(self, transport: &mut TransportConfig) {
        match self {
            Self::Cubic => transport.congestion_controller_factory(Arc::new(CubicConfig::default())),
            Self::NewReno => transport.congestion_controller_factory(Arc::new(NewRenoConfig::default())),
            Self::Bbr => transport.congestion_controller_factory(Arc::new(BbrConfig::default())),
        };
    }
}

fn endpoint(server: Option<Arc<ServerConfig>>, seed: [u8; 32]) -> quinn_proto::Endpoint {
    let mut config = EndpointConfig::default();
    config.rng_seed(Some(seed));
    quinn_proto::Endpoint::new(Arc::new(config), server, true, Some(seed))
}

fn feed(
    endpoint: &mut quinn_proto::Endpoint,
    now: Instant,
    from: SocketAddr,
    to: SocketAddr,
    ecn: u8,
    data: BytesMut,
    answer: &mut Vec<u8>,
) -> Option<DatagramEvent> {
    endpoint.handle(now, from, Some(to.ip()), EcnCodepoint::from_bits(ecn), data, answer)
}

fn fill(connection: &mut Connection, now: Instant, buffer: &mut Vec<u8>) -> Option<Transmit> {
    connection.poll_transmit(now, foreign::BATCH, buffer)
}

fn sent(connection: &mut Connection) -> Sent {
    let stats = connection.stats();
    Sent {
        window: stats.path.cwnd,
        rtt: stats.path.rtt.as_secs_f64() * 1e3,
        packets: stats.path.sent_packets,
        lost: stats.path.lost_packets,
        stream_bytes: stats.udp_tx.bytes,
        again: stats.path.lost_bytes,
        ..Sent::default()
    }
}
