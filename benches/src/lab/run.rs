//! One run of a scenario: whole endpoints on a simulated bottleneck, and the figures that it gave.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use netsim::{Histogram, LinkConfig, LinkId, MILLISECOND, NodeId, Simulation, Trace};
use quic_core::{
    ClientConfig, ServerConfig, TransportConfig,
    congestion::{Algorithm, CongestionConfig},
    testing,
};
use serde::{Deserialize, Serialize};
use soak::{ALPN, Host, Party as _};

use super::{
    agent::{Agent, Media, Role},
    scenario::{Chosen, Flow, Kind, Scenario},
};

/// IP packets on the links are no larger than this.
const MTU: usize = 1_500;
/// Bytes of IPv4 and UDP headers.
const HEADERS: usize = 28;
/// From one sample of a time series to the next.
const SAMPLE: u64 = 10 * MILLISECOND;
/// What happens before is the beginning, which fairness is not judged by.
const SETTLED: u64 = 15_000 * MILLISECOND;

/// What one run of a scenario gave.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// The scenario's short name.
    pub scenario: String,
    /// The controller under test.
    pub controller: String,
    /// What decided everything random.
    pub seed: u64,
    /// Figures by name: times in milliseconds, shares from 0 to 1.
    pub figures: BTreeMap<String, f64>,
    /// Packets that were delivered, over both ways.
    pub packets: u64,
    /// A hash of all that happened: equal for equal runs.
    pub digest: u64,
    /// Each flow by itself.
    pub flows: Vec<FlowRun>,
    /// What waited before the bottleneck, in milliseconds, at each sample.
    #[serde(skip)]
    pub queue: Vec<f64>,
}

/// What one flow did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FlowRun {
    /// Its kind and controller.
    pub name: String,
    /// Application bytes that arrived.
    pub bytes: u64,
    /// How long a transfer took from the first packet of its handshake, in milliseconds.
    pub completion: Option<f64>,
    /// Frames made and arrived.
    pub frames: Option<(u32, u64)>,
    /// How it went on.
    #[serde(skip)]
    pub series: Vec<Sample>,
}

/// A flow at one time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Application bytes that arrived so far.
    pub bytes: u64,
    /// The congestion window in bytes.
    pub window: u64,
    /// Bytes in flight.
    pub in_flight: u64,
    /// The smoothed round trip in milliseconds.
    pub rtt: f64,
    /// What the controller believes it can send, in bits per second.
    pub rate: u64,
}

impl Run {
    /// The time between two samples of a series, in seconds.
    pub const SAMPLE: f64 = SAMPLE as f64 / 1e9;
}

/// Why a run cannot begin.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// The recorded link cannot be read.
    Trace(String, String),
}

impl std::fmt::Display for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Trace(name, error) => {
                write!(f, "the trace {name} cannot be used: {error}; name its directory with --traces")
            }
        }
    }
}

impl std::error::Error for RunError {}

/// What is tried.
#[derive(Clone, Debug)]
pub struct Trial<'a> {
    /// The name of the controller under test.
    pub name: &'a str,
    /// The controller under test.
    pub controller: &'a Algorithm,
    /// What decides everything random.
    pub seed: u64,
    /// Where recorded links are.
    pub traces: &'a Path,
}

struct Member<'a> {
    flow: &'a Flow,
    name: String,
    sender: NodeId,
    receiver: NodeId,
    series: Vec<Sample>,
    settled: u64,
}

/// Runs a scenario once.
///
/// # Errors
/// [`RunError`], before anything ran.
pub fn run(scenario: &Scenario, trial: &Trial<'_>) -> Result<Run, RunError> {
    let trace = scenario.link.trace.as_ref().map(|name| read_trace(trial.traces, name)).transpose()?;
    let mut world = World::new(scenario, trial, trace);
    world.go();
    Ok(world.figures())
}

fn read_trace(directory: &Path, name: &str) -> Result<Trace, RunError> {
    let broken = |error: String| RunError::Trace(name.to_owned(), error);
    let text = std::fs::read_to_string(directory.join(name)).map_err(|error| broken(error.to_string()))?;
    Trace::parse(&text).map_err(|error| broken(error.to_string()))
}

struct World<'a> {
    scenario: &'a Scenario,
    trial: &'a Trial<'a>,
    trace: Option<Trace>,
    sim: Simulation<Host<Agent>>,
    bottleneck: LinkId,
    members: Vec<Member<'a>>,
    queue: Vec<f64>,
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, trial: &'a Trial<'a>, trace: Option<Trace>) -> Self {
        let mut sim = Simulation::new(trial.seed);
        let payload = MTU - HEADERS;
        let bottleneck = sim.add_link(scenario.there(trace.clone()).mtu(payload));
        let back = sim.add_link(scenario.back().mtu(payload));
        for change in scenario.changes.iter().copied() {
            sim.at(change.at.0, move |sim| {
                let link = sim.link_mut(bottleneck);
                link.rate = change.rate.map(|rate| rate.0).or(link.rate);
                if let Some(loss) = change.loss {
                    link.loss = netsim::Loss::Bernoulli(loss.0);
                }
                if let Some(rtt) = change.rtt {
                    link.delay = rtt.0 / 2;
                    sim.link_mut(back).delay = rtt.0.div_ceil(2);
                }
            });
        }
        let members = Vec::new();
        let mut world = Self { scenario, trial, trace, sim, bottleneck, members, queue: Vec::new() };
        let (tls, certificate) = testing::tls_server_config(ALPN);
        let client_tls = testing::tls_client_config(&certificate, ALPN);
        for flow in &scenario.flows {
            for _ in 0..flow.count {
                let transport = world.transport(flow);
                let server =
                    ServerConfig { tls: tls.clone(), transport: Arc::new(memory(flow)), token_key: [7; 32] };
                let client = ClientConfig { tls: client_tls.clone(), transport: Arc::new(transport) };
                world.join(flow, client, Arc::new(server), back);
            }
        }
        world
    }

    fn transport(&self, flow: &Flow) -> TransportConfig {
        let chosen = flow.controller.as_ref().map_or(self.trial.controller, |Chosen(algorithm)| algorithm);
        TransportConfig { congestion: CongestionConfig::new(chosen.clone()), ..memory(flow) }
    }

    /// Adds a sender and its receiver.
    fn join(&mut self, flow: &'a Flow, client: ClientConfig, server: Arc<ServerConfig>, back: LinkId) {
        let number = self.members.len() as u16;
        let address =
            move |side: u8| SocketAddr::from(([10, side, (number >> 8) as u8, number as u8], 4_433));
        let seed = self.trial.seed ^ (u64::from(number) << 32);
        let sending = Host::playing(seed ^ 1, address(1), None, role(flow));
        let receiving = Host::playing(seed ^ 2, address(2), Some(server), Role::Receive);
        let sender = self.sim.add_node(sending, address(1));
        let receiver = self.sim.add_node(receiving, address(2));
        self.sim.set_path(sender, receiver, &[self.bottleneck]);
        let longer = flow.rtt.map_or(0, |rtt| rtt.0 - self.scenario.link.rtt.0);
        if longer > 0 {
            let own = self.sim.add_link(LinkConfig::new().delay(longer));
            self.sim.set_path(receiver, sender, &[back, own]);
        } else {
            self.sim.set_path(receiver, sender, &[back]);
        }
        // No two begin in the same instant: what is decided by order alone would be decided for all.
        let start = flow.start.0 + u64::from(number) * MILLISECOND / 7;
        self.sim.at(start, move |sim| {
            sim.endpoint_mut(sender).connect(start, &client, address(2));
        });
        let controller =
            flow.controller.as_ref().map_or(self.trial.name, |Chosen(algorithm)| algorithm.name());
        let name = format!("{} {controller}", flow.kind.name());
        self.members.push(Member { flow, name, sender, receiver, series: Vec::new(), settled: 0 });
    }

    fn go(&mut self) {
        let end = self.scenario.duration.0;
        let settled = SETTLED.min(end / 4);
        while self.sim.now() < end && !self.is_over() {
            let next = (self.sim.now() / SAMPLE + 1) * SAMPLE;
            self.sim.run_until(|_| false, next.min(end));
            self.sim.advance_to(next.min(end));
            self.sample();
            if self.sim.now() <= settled {
                for member in &mut self.members {
                    member.settled = member.series.last().map_or(0, |sample| sample.bytes);
                }
            }
        }
    }

    /// Whether all that has an end has come to it, and nothing else is there.
    fn is_over(&self) -> bool {
        self.members.iter().all(|member| {
            member.flow.kind == Kind::Transfer
                && receiver(&self.sim, member).is_some_and(|agent| agent.taken.whole.is_some())
        })
    }

    fn sample(&mut self) {
        let rate = self.sim.link_mut(self.bottleneck).rate;
        let bits = rate.unwrap_or_else(|| self.scenario.rate(self.trace.as_ref())).max(1);
        let waiting = self.sim.link_queue(self.bottleneck) as f64 * 8e3 / bits as f64;
        self.queue.push(waiting);
        for member in &mut self.members {
            let bytes = receiver(&self.sim, member).map_or(0, |agent| agent.taken.bytes);
            let mut sample = Sample { bytes, ..Sample::default() };
            if let Some(agent) = self.sim.endpoint(member.sender).last_peer() {
                let stats = agent.connection().stats();
                sample.window = stats.congestion_window;
                sample.in_flight = stats.bytes_in_flight;
                sample.rtt = stats.smoothed_rtt.as_secs_f64() * 1e3;
                sample.rate = stats.estimated_send_rate.map_or(0, quic_core::base::Rate::bits_per_second);
            }
            member.series.push(sample);
        }
    }

    fn figures(self) -> Run {
        let mut figures = BTreeMap::new();
        let mut put = |name: &str, value: f64| {
            figures.insert(name.to_owned(), value);
        };
        let (now, link) = (self.sim.now(), *self.sim.link_stats(self.bottleneck));
        let capacity = match &self.trace {
            Some(trace) => trace.capacity(0, now) as f64,
            None => self.offered_capacity(now),
        };
        // A recorded link may have had no moment to send in yet.
        put("utilization", link.delivered_bytes as f64 / capacity.max(1.0));
        let delays = self.sim.link_delays(self.bottleneck);
        for (name, share) in [("queue_p50", 0.5), ("queue_p95", 0.95), ("queue_p99", 0.99)] {
            put(name, delays.quantile(share) as f64 / 1e6);
        }
        let dropped = link.queue_drops + link.managed_drops + link.policer_drops;
        put("dropped", dropped as f64 / link.offered.max(1) as f64);
        put("marked", link.marked as f64 / link.offered.max(1) as f64);
        self.put_connections(&mut put);
        self.put_shares(&mut put);
        self.put_frames(&mut put);
        let flows: Vec<FlowRun> = self.members.iter().map(|member| self.flow(member)).collect();
        if let Some(slowest) = flows.iter().filter_map(|flow| flow.completion).max_by(f64::total_cmp) {
            put("completion", slowest);
        }
        let unfinished = self
            .members
            .iter()
            .zip(&flows)
            .filter(|(member, run)| member.flow.kind == Kind::Transfer && run.completion.is_none());
        put("unfinished", unfinished.count() as f64);
        Run {
            scenario: self.scenario.id.to_string(),
            controller: self.trial.name.to_owned(),
            seed: self.trial.seed,
            figures,
            packets: self.sim.delivered(),
            digest: self.sim.digest(),
            flows: flows
                .into_iter()
                .zip(&self.members)
                .map(|(flow, member)| FlowRun { series: member.series.clone(), ..flow })
                .collect(),
            queue: self.queue,
        }
    }

    /// Bytes that could have left while the rate was changed.
    fn offered_capacity(&self, now: u64) -> f64 {
        let (mut from, mut rate, mut bytes) = (0, self.scenario.rate(None), 0.0);
        let changes = self.scenario.changes.iter().filter_map(|change| Some((change.at.0, change.rate?.0)));
        for (at, next) in changes.chain([(now, 0)]) {
            let at = at.min(now);
            bytes += (at - from) as f64 * rate as f64 / 8e9;
            (from, rate) = (at, next);
        }
        bytes
    }

    fn put_connections(&self, put: &mut impl FnMut(&str, f64)) {
        let (mut sent, mut again, mut spurious, mut lost, mut packets, mut ended) = (0, 0, 0, 0, 0, 0);
        for member in &self.members {
            let Some(agent) = self.sim.endpoint(member.sender).last_peer() else { continue };
            let stats = agent.connection().stats();
            sent += stats.stream_bytes_sent;
            again += stats.stream_bytes_retransmitted;
            spurious += stats.spurious_losses;
            lost += stats.packets_lost;
            packets += stats.packets_sent;
            ended += u64::from(agent.ended.is_some());
        }
        put("retransmitted", again as f64 / sent.max(1) as f64);
        put("spurious", spurious as f64 / packets.max(1) as f64);
        put("lost", lost as f64 / packets.max(1) as f64);
        put("broken", ended as f64);
    }

    /// How those that want all that there is share it.
    fn put_shares(&self, put: &mut impl FnMut(&str, f64)) {
        let greedy = |member: &&Member<'_>| matches!(member.flow.kind, Kind::Bulk | Kind::MediaAndBulk);
        let got = |member: &Member<'_>| {
            (member.series.last().map_or(0, |sample| sample.bytes) - member.settled) as f64
        };
        let all: Vec<f64> = self.members.iter().filter(greedy).map(got).collect();
        let (sum, squares) = (all.iter().sum::<f64>(), all.iter().map(|bytes| bytes * bytes).sum::<f64>());
        if all.len() > 1 && squares > 0.0 {
            put("jain", sum * sum / (all.len() as f64 * squares));
            put(
                "ratio",
                all.iter().copied().fold(0.0, f64::max)
                    / all.iter().copied().fold(f64::MAX, f64::min).max(1.0),
            );
            let tested = self.members.iter().filter(greedy).filter(|member| member.flow.controller.is_none());
            put("share", tested.map(got).sum::<f64>() / sum);
        }
        if !all.is_empty() {
            let last =
                self.members.iter().filter(greedy).map(|member| member.series.last().map_or(0, |s| s.bytes));
            put("goodput", last.sum::<u64>() as f64 * 8e9 / self.sim.now().max(1) as f64);
        }
    }

    fn put_frames(&self, put: &mut impl FnMut(&str, f64)) {
        let mut ages = Histogram::default();
        let mut made = 0;
        for member in self.members.iter().filter(|member| media(member.flow).is_some()) {
            made += self.sim.endpoint(member.sender).last_peer().map_or(0, Agent::frames);
            if let Some(agent) = receiver(&self.sim, member) {
                ages.merge(&agent.taken.frames);
            }
        }
        if made == 0 {
            return;
        }
        for (name, share) in [("frame_p50", 0.5), ("frame_p95", 0.95), ("frame_p99", 0.99)] {
            put(name, ages.quantile(share) as f64 / 1e6);
        }
        put("frames_missing", (u64::from(made) - ages.count()) as f64);
    }

    fn flow(&self, member: &Member<'_>) -> FlowRun {
        let taken = receiver(&self.sim, member).map(|agent| agent.taken.clone()).unwrap_or_default();
        let made = self.sim.endpoint(member.sender).last_peer().map_or(0, Agent::frames);
        FlowRun {
            name: member.name.clone(),
            bytes: taken.bytes,
            completion: taken.whole.map(|(from, to)| to.saturating_since(from).as_secs_f64() * 1e3),
            frames: media(member.flow).map(|_| (made, taken.frames.count())),
            series: Vec::new(),
        }
    }
}

fn receiver<'s>(sim: &'s Simulation<Host<Agent>>, member: &Member<'_>) -> Option<&'s Agent> {
    sim.endpoint(member.receiver).last_peer()
}

fn media(flow: &Flow) -> Option<Media> {
    matches!(flow.kind, Kind::Media | Kind::MediaAndBulk).then(|| Media {
        interval: Duration::from_secs(1) / flow.fps,
        frame: usize::try_from(flow.frame.0).unwrap_or(usize::MAX),
        key_frame: usize::try_from(flow.key_frame.0).unwrap_or(usize::MAX),
        key_every: flow.key_every,
    })
}

/// Settings with the memory that a flow has.
fn memory(flow: &Flow) -> TransportConfig {
    let mut config = TransportConfig::default();
    if let Some(memory) = flow.memory {
        let all = usize::try_from(memory.0).unwrap_or(usize::MAX);
        (config.stream_receive_window, config.max_stream_receive_window) = (memory.0, memory.0);
        (config.receive_window, config.max_receive_window) = (memory.0, memory.0);
        (config.send_buffer, config.max_send_memory) = (all, all);
    }
    config
}

fn role(flow: &Flow) -> Role {
    let bytes = match flow.kind {
        Kind::Media => None,
        Kind::Transfer => flow.bytes.map(|bytes| bytes.0),
        Kind::Bulk | Kind::MediaAndBulk => Some(u64::MAX),
    };
    Role::Send { bytes, media: media(flow) }
}
