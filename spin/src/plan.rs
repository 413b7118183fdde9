//! The plan of a run, drawn from its seed.

use std::time::Duration;

use netsim::{LinkConfig, MILLISECOND, Random};
use wt_api::TransportConfig;

/// A mishap of a host or a link in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// Nothing.
    None,
    /// The link of a client has an outage.
    Outage(Duration),
    /// A client loses power.
    ClientVanishes,
    /// The server loses power, and restarts if the bool is true.
    ServerVanishes(bool),
    /// The address of a client changes.
    Rebinding,
}

/// How a server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerEnd {
    /// It accepts clients until all have left.
    Stays,
    /// It shuts down with this deadline, and restarts if the bool is true.
    ShutsDown(Duration, bool),
    /// Its handle is dropped.
    Dropped,
}

/// The plan of a run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) clients: u64,
    /// How many sessions each client requests, one after the other, overlapping.
    pub(crate) sessions: u64,
    /// How long tasks run.
    pub(crate) length: Duration,
    pub(crate) server: TransportConfig,
    pub(crate) client: TransportConfig,
    pub(crate) connect_timeout: Duration,
    pub(crate) keep_alive: bool,
    pub(crate) link: LinkConfig,
    pub(crate) mishap: Mishap,
    pub(crate) server_end: ServerEnd,
    /// When the mishap and the server's end happen.
    pub(crate) when: Duration,
    /// Whether nothing is lost and no host fails, so that streams, datagrams and credit can be checked
    /// exactly.
    pub(crate) healthy: bool,
    /// The share of requests that are not accepted.
    pub(crate) refused: f64,
}

/// Separates the random generators of plans from those of tasks.
const PLANS: u64 = 1 << 40;

impl Plan {
    /// The plan of a seed.
    pub(crate) fn draw(seed: u64) -> Self {
        let random = &mut Random::derived(seed, PLANS);
        let healthy = random.chance(0.4);
        let length = Duration::from_millis(500 + random.below(6_000));
        let mishap = if healthy { Mishap::None } else { mishap(random) };
        let server_end = if healthy { ServerEnd::Stays } else { server_end(random) };
        Self {
            seed,
            clients: 1 + random.below(3),
            sessions: 1 + random.below(4),
            length,
            server: transport(random, healthy),
            client: transport(random, healthy),
            connect_timeout: Duration::from_millis(pick(random, &[500, 3_000, 10_000])),
            keep_alive: random.chance(0.7),
            link: link(random, healthy),
            mishap,
            server_end,
            when: length.mul_f64(random.unit()),
            healthy,
            refused: if healthy { 0.0 } else { 0.3 * random.unit() },
        }
    }

    /// The plan of a seed in real time, without links and power failures.
    pub(crate) fn real(mut self) -> Self {
        self.mishap = Mishap::None;
        self.healthy = false;
        self.length = self.length.min(Duration::from_secs(4));
        self
    }

    /// The time after which every end knows that its peer is gone.
    pub(crate) fn patience(&self) -> Duration {
        let idle = |config: &TransportConfig| config.idle_timeout.unwrap_or_default();
        // The idle timeout restarts with the first packet that is sent after one was received. It lasts at
        // least three probe timeouts, which back off during an outage.
        3 * idle(&self.server).max(idle(&self.client)) + self.connect_timeout + Duration::from_secs(60)
    }
}

pub(crate) fn pick<T: Copy>(random: &mut Random, from: &[T]) -> T {
    from[random.below(from.len() as u64) as usize]
}

fn mishap(random: &mut Random) -> Mishap {
    match random.below(8) {
        0 => Mishap::Outage(Duration::from_millis(100 + random.below(20_000))),
        1 => Mishap::ClientVanishes,
        2 => Mishap::ServerVanishes(random.chance(0.5)),
        3 => Mishap::Rebinding,
        _ => Mishap::None,
    }
}

fn server_end(random: &mut Random) -> ServerEnd {
    match random.below(6) {
        0 => ServerEnd::Dropped,
        1 => ServerEnd::ShutsDown(Duration::ZERO, random.chance(0.5)),
        2 => ServerEnd::ShutsDown(Duration::from_millis(random.below(3_000)), random.chance(0.5)),
        _ => ServerEnd::Stays,
    }
}

fn transport(random: &mut Random, healthy: bool) -> TransportConfig {
    let idle = if healthy { 30_000 } else { pick(random, &[1_000, 5_000, 30_000]) };
    let window = pick(random, &[4 << 10, 32 << 10, 256 << 10]);
    TransportConfig::new()
        .idle_timeout(Some(Duration::from_millis(idle)))
        .handshake_timeout(Some(Duration::from_millis(pick(random, &[1_000, 10_000]))))
        .max_streams_bidi(pick(random, &[2, 6, 20]))
        .max_streams_uni(pick(random, &[4, 8, 20]))
        .stream_receive_window(window)
        .max_stream_receive_window(window * pick(random, &[1, 16]))
        .receive_window(window * 2)
        .max_receive_window(window * pick(random, &[2, 32]))
        .send_buffer(pick(random, &[4 << 10, 64 << 10, 1 << 20]))
}

fn link(random: &mut Random, healthy: bool) -> LinkConfig {
    let mut link = LinkConfig::new().delay((1 + random.below(60)) * MILLISECOND);
    if random.chance(0.3) {
        link = link.rate(pick(random, &[500_000, 10_000_000]));
    }
    if !healthy {
        link = link.bernoulli(pick(random, &[0.0, 0.02, 0.1]));
        link = link.duplicate(pick(random, &[0.0, 0.05]));
        link = link.corrupt(pick(random, &[0.0, 0.01]));
        if random.chance(0.3) {
            link = link.reorder(0.05, random.below(30) * MILLISECOND);
        }
    }
    link
}
