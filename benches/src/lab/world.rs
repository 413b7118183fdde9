//! The world of a running scenario: its links, its endpoints, and their samples.

use std::net::SocketAddr;

use netsim::{LinkConfig, LinkId, MILLISECOND, NodeId, Simulation, Trace};
use serde::{Deserialize, Serialize};

use super::{
    cross,
    flow::{Chosen, Flow, Kind},
    node::{Ends, Load, Node, Place, Sent, Stack, Taken},
    scenario::Scenario,
    weft::Weft,
};

/// The largest IP packet on the links, in bytes.
const MTU: usize = 1_500;
/// The length of IPv4 and UDP headers, in bytes.
const HEADERS: usize = 28;
/// The time from one sample to the next.
pub(super) const SAMPLE: u64 = 10 * MILLISECOND;
/// The time before this is the start-up, which does not count for fairness.
const SETTLED: u64 = 15_000 * MILLISECOND;

/// The result of one flow.
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
    /// Its samples over time.
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
    /// The pacing rate, in bits per second.
    pub pacing_rate: u64,
    /// The controller's estimate of the bandwidth, in bits per second.
    pub rate: u64,
}

/// A flow in a run.
pub(super) struct Member<'a> {
    pub(super) flow: &'a Flow,
    pub(super) name: String,
    pub(super) sender: NodeId,
    pub(super) receiver: NodeId,
    pub(super) series: Vec<Sample>,
    /// How many bytes had arrived at the end of the start-up.
    pub(super) settled: u64,
}

pub(super) struct World<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) stack: &'a dyn Stack,
    /// Our endpoints, for flows with a fixed controller.
    pub(super) ours: Option<Weft>,
    pub(super) trace: Option<Trace>,
    pub(super) sim: Simulation<Box<dyn Node>>,
    pub(super) bottleneck: LinkId,
    pub(super) members: Vec<Member<'a>>,
    pub(super) queue: Vec<f64>,
}

impl<'a> World<'a> {
    pub(super) fn new(scenario: &'a Scenario, stack: &'a dyn Stack, seed: u64, trace: Option<Trace>) -> Self {
        let mut sim: Simulation<Box<dyn Node>> = Simulation::new(seed);
        let payload = MTU - HEADERS;
        let bottleneck = sim.add_link(scenario.there(trace.clone()).mtu(payload));
        let back = sim.add_link(scenario.back().mtu(payload));
        for change in scenario.changes.iter().copied() {
            sim.at(change.at.0, move |sim| {
                let mut way_back = sim.link_mut(back).clone();
                change.apply(sim.link_mut(bottleneck), &mut way_back);
                *sim.link_mut(back) = way_back;
            });
        }
        let chosen = scenario.flows.iter().find_map(|flow| flow.controller.as_ref());
        let ours = chosen.map(|Chosen(algorithm)| Weft::new(algorithm.name(), algorithm));
        let (members, queue) = (Vec::new(), Vec::new());
        let mut world = Self { scenario, stack, ours, trace, sim, bottleneck, members, queue };
        for flow in &scenario.flows {
            for _ in 0..flow.count {
                world.join(flow, back);
            }
        }
        world
    }

    /// Adds a sender and its receiver.
    pub(super) fn join(&mut self, flow: &'a Flow, back: LinkId) {
        let number = self.members.len() as u16;
        let address =
            move |side: u8| SocketAddr::from(([10, side, (number >> 8) as u8, number as u8], 4_433));
        let seed = self.sim.seed() ^ (u64::from(number) << 32);
        let place = Place { sender: address(1), receiver: address(2), seed };
        let (name, (sending, receiving)) = self.ends(flow, &place);
        let sender = self.sim.add_node(sending, place.sender);
        let receiver = self.sim.add_node(receiving, place.receiver);
        self.sim.set_path(sender, receiver, &[self.bottleneck]);
        let longer = flow.rtt.map_or(0, |rtt| rtt.0 - self.scenario.link.rtt.0);
        if longer > 0 {
            let own = self.sim.add_link(LinkConfig::new().delay(longer));
            self.sim.set_path(receiver, sender, &[back, own]);
        } else {
            self.sim.set_path(receiver, sender, &[back]);
        }
        // No two flows begin at the same instant, since the order of events would then decide between them
        // every time.
        let start = flow.start.0 + u64::from(number) * MILLISECOND / 7;
        self.sim.at(start, move |sim| sim.endpoint_mut(sender).start(start, place.receiver));
        self.members.push(Member { flow, name, sender, receiver, series: Vec::new(), settled: 0 });
    }

    /// The ends of a flow, and its name in tables.
    pub(super) fn ends(&self, flow: &Flow, place: &Place) -> (String, Ends) {
        let kind = flow.kind.name();
        if let Some(config) = flow.tcp() {
            return (kind.to_owned(), cross::tcp(place, config));
        }
        if let (Kind::UdpMedia, Some(frames)) = (flow.kind, flow.frames()) {
            return (kind.to_owned(), cross::call(place, frames));
        }
        match (&flow.controller, &self.ours) {
            (Some(Chosen(algorithm)), Some(ours)) => {
                let stack = ours.turned_to(algorithm);
                (format!("{kind} {}", stack.name()), stack.ends(place, &flow.load()))
            }
            _ => (format!("{kind} {}", self.stack.name()), self.stack.ends(place, &flow.load())),
        }
    }

    pub(super) fn go(&mut self) {
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

    /// Whether all transfers are complete and there are no other flows.
    pub(super) fn is_over(&self) -> bool {
        let is_whole = |member| self.taken(member).is_some_and(|taken| taken.whole.is_some());
        self.members.iter().all(|member| member.flow.kind == Kind::Transfer && is_whole(member))
    }

    pub(super) fn sample(&mut self) {
        let rate = self.sim.link_mut(self.bottleneck).rate;
        let bits = rate.unwrap_or_else(|| self.scenario.rate(self.trace.as_ref())).max(1);
        let waiting = self.sim.link_queue(self.bottleneck) as f64 * 8e3 / bits as f64;
        self.queue.push(waiting);
        for member in &mut self.members {
            let bytes = self.sim.endpoint(member.receiver).taken().map_or(0, |taken| taken.bytes);
            let sent = self.sim.endpoint(member.sender).sent().unwrap_or_default();
            let Sent { window, in_flight, rtt, pacing_rate, rate, .. } = sent;
            member.series.push(Sample { bytes, window, in_flight, rtt, pacing_rate, rate });
        }
    }

    /// What arrived at a flow's receiver, if it has a connection.
    pub(super) fn taken(&self, member: &Member<'_>) -> Option<&Taken> {
        self.sim.endpoint(member.receiver).taken()
    }

    /// The state of a flow's sender, if it has a connection.
    pub(super) fn sent(&self, member: &Member<'_>) -> Option<Sent> {
        self.sim.endpoint(member.sender).sent()
    }

    /// Both ends of a flow.
    pub(super) fn nodes(&self, member: &Member<'_>) -> [&dyn Node; 2] {
        [member.sender, member.receiver].map(|node| &**self.sim.endpoint(node))
    }
}

impl Flow {
    /// What it sends, if it is a connection and no model.
    pub(super) fn load(&self) -> Load {
        let bytes = match self.kind {
            Kind::Transfer => self.bytes.map(|bytes| bytes.0),
            Kind::Bulk | Kind::MediaAndBulk => Some(u64::MAX),
            _ => None,
        };
        let media = matches!(self.kind, Kind::Media | Kind::MediaAndBulk).then(|| self.frames()).flatten();
        let memory = self.memory.map(|memory| memory.0);
        Load { bytes, media, audio: self.audio.map(|audio| audio.load()), memory }
    }
}
