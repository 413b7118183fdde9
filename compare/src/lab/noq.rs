//! noq-proto.

use std::num::NonZeroUsize;

use noq_proto::{
    EcnCodepoint, EndpointConfig, FourTuple, PathId, Transmit,
    congestion::{Bbr3Config, CubicConfig, NewRenoConfig},
};

super::foreign::foreign!(noq_proto, Noq, "noq");

/// The controllers of noq-proto. BBR draws random numbers that no seed decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// CUBIC, its default.
    Cubic,
    /// `NewReno`.
    NewReno,
    /// BBR, the third version.
    Bbr3,
}

impl Controller {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cubic, Self::NewReno, Self::Bbr3];

    fn name(self) -> &'static str {
        match self {
            Self::Cubic => "cubic",
            Self::NewReno => "newreno",
            Self::Bbr3 => "bbr3",
        }
    }

    fn choose(self, transport: &mut TransportConfig) {
        match self {
            Self::Cubic => transport.congestion_controller_factory(Arc::new(CubicConfig::default())),
            Self::NewReno => transport.congestion_controller_factory(Arc::new(NewRenoConfig::default())),
            Self::Bbr3 => transport.congestion_controller_factory(Arc::new(Bbr3Config::default())),
        };
    }
}

fn endpoint(server: Option<Arc<ServerConfig>>, seed: [u8; 32]) -> noq_proto::Endpoint {
    let mut config = EndpointConfig::default();
    config.rng_seed(Some(seed));
    noq_proto::Endpoint::new(Arc::new(config), server, true)
}

fn feed(
    endpoint: &mut noq_proto::Endpoint,
    now: Instant,
    from: SocketAddr,
    to: SocketAddr,
    ecn: u8,
    data: BytesMut,
    answer: &mut Vec<u8>,
) -> Option<DatagramEvent> {
    endpoint.handle(now, FourTuple::new(from, Some(to.ip())), EcnCodepoint::from_bits(ecn), data, answer)
}

fn fill(connection: &mut Connection, now: Instant, buffer: &mut Vec<u8>) -> Option<Transmit> {
    const BATCH: NonZeroUsize = NonZeroUsize::new(foreign::BATCH).expect("not 0");
    connection.poll_transmit(now, BATCH, buffer)
}

fn sent(connection: &mut Connection) -> Sent {
    let (udp, path) = (connection.stats().udp_tx, connection.path_stats(PathId::ZERO));
    let Some(path) = path else { return Sent::default() };
    Sent {
        window: path.cwnd,
        rtt: path.rtt.as_secs_f64() * 1e3,
        rate: path.bandwidth_estimate.unwrap_or(0),
        packets: path.sent_packets,
        lost: path.lost_packets,
        stream_bytes: udp.bytes,
        again: path.lost_bytes,
        ..Sent::default()
    }
}
