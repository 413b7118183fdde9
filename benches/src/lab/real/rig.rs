//! Runs a scenario in real time: namespaces, the link between them, the flows, and the measurements.

use std::{
    collections::BTreeMap,
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use netsim::{Histogram, Lane, LinkConfig, MILLISECOND, Trace};
use quic_core::congestion::Algorithm;

use super::{
    super::{
        cross,
        figures::{ages_at_the_end, of_link, of_shares},
        flow::{Chosen, Flow, Kind},
        node::{self, Ends, Sent, Stack as _, Taken},
        run::{FlowRun, Run, read_trace},
        scenario::Scenario,
        weft::Weft,
    },
    clock::Clock,
    emulator::Emulator,
    flows, kernel,
    place::Place,
};

/// The addresses of the two ends.
const ENDS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 191, 0, 1), Ipv4Addr::new(10, 191, 0, 2)];
/// The first ports of senders and receivers.
const PORTS: [u16; 2] = [5_000, 7_000];
/// The size of the largest IP packet, in bytes.
const MTU: usize = 1_500;
/// The time before this is the start-up, which does not count for fairness.
const SETTLED: u64 = 15_000 * MILLISECOND;
/// A flow that had at least this time and delivered nothing has failed.
const LEAST_TIME: u64 = 2_000 * MILLISECOND;
/// The time from one sample of the flows to the next.
const LOOK: Duration = Duration::from_millis(20);

/// The subject of a run in real time.
#[derive(Clone, Debug)]
pub enum Rival {
    /// Our endpoints.
    Ours(Weft),
    /// The kernel's TCP, with the kernel's controller of this name.
    Kernel(&'static str),
}

impl Rival {
    /// Its name in tables.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Ours(weft) => weft.name().to_owned(),
            Self::Kernel(name) => format!("kernel-{name}"),
        }
    }

    /// The rivals among the controllers that the kernel offers.
    #[must_use]
    pub fn of_kernel() -> Vec<&'static str> {
        let list = "/proc/sys/net/ipv4/tcp_available_congestion_control";
        let offered = std::fs::read_to_string(list).unwrap_or_default();
        ["cubic", "bbr", "reno"]
            .into_iter()
            .filter(|name| offered.split_whitespace().any(|one| one == *name))
            .collect()
    }
}

/// Why a scenario cannot run in real time.
#[derive(Debug)]
#[non_exhaustive]
pub enum RealError {
    /// This machine does not permit it. The text says what is missing and how to get it.
    Missing(String),
    /// This scenario cannot run in real time.
    Scenario(String),
    /// A system call failed during the run.
    System(&'static str, io::Error),
}

impl fmt::Display for RealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(what) | Self::Scenario(what) => f.write_str(what),
            Self::System(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for RealError {}

/// One flow while it runs.
struct Lap<'a> {
    flow: &'a Flow,
    name: String,
    bytes: AtomicU64,
    settled: AtomicU64,
}

/// The results of the threads.
#[derive(Default)]
struct Outcome {
    sent: Option<Sent>,
    taken: Option<Taken>,
}

/// Runs a scenario once in real time, for its full duration. The second value is how late the link was at
/// most, in nanoseconds. If that is more than 10 ms, the figures say little.
///
/// # Errors
/// [`RealError`]; [`RealError::Missing`] if the machine does not permit it.
pub fn run(scenario: &Scenario, rival: &Rival, seed: u64, traces: &Path) -> Result<(Run, u64), RealError> {
    check(scenario, rival)?;
    let trace = scenario.link.trace.as_ref().map(|name| read_trace(traces, name)).transpose();
    let trace = trace.map_err(|error| RealError::Scenario(error.to_string()))?;
    let [(from, first), (to, second)] = places()?;
    let link = |config: LinkConfig, salt| Lane::new(config.mtu(MTU).overhead(0), seed ^ salt);
    let emulator = Emulator {
        devices: [first, second],
        lanes: [link(scenario.there(trace.clone()), 1), link(scenario.back(), 2)],
        changes: scenario.changes.clone(),
    };
    let laps: Vec<Lap<'_>> = scenario
        .flows
        .iter()
        .flat_map(|flow| (0..flow.count).map(move |_| flow))
        .map(|flow| Lap {
            flow,
            name: name(flow, rival),
            bytes: AtomicU64::new(0),
            settled: AtomicU64::new(0),
        })
        .collect();
    let ours = match rival {
        Rival::Ours(ours) => ours.clone(),
        Rival::Kernel(_) => Weft::new("cubic", &Algorithm::Cubic),
    };
    let rig = Rig {
        scenario,
        trace,
        rival,
        ours,
        seed,
        from,
        to,
        laps,
        clock: Clock::start(),
        over: Arc::default(),
        failure: Mutex::default(),
    };
    let (emulator, outcomes) = rig.go(emulator)?;
    // Otherwise the figures of a flow that was alone would look like those of one that shared the link.
    let late = |lap: &&Lap<'_>| lap.flow.start.0 + LEAST_TIME > scenario.duration.0;
    if let Some(lap) = rig.laps.iter().filter(|lap| !late(lap)).find(|lap| lap.bytes.load(Relaxed) == 0) {
        let nothing = io::Error::other(format!("nothing of \"{}\" arrived", lap.name));
        return Err(RealError::System("a flow in real time", nothing));
    }
    let latest = emulator.lanes.iter().map(Lane::latest).max().unwrap_or(0);
    Ok((rig.result(&emulator, &outcomes), latest))
}

fn name(flow: &Flow, rival: &Rival) -> String {
    let kind = flow.kind.name();
    match (flow.kind, &flow.controller) {
        (Kind::TcpCubic, _) => "kernel-cubic".to_owned(),
        (Kind::TcpReno, _) => "kernel-reno".to_owned(),
        (kind, _) if kind.is_modelled() => kind.name().to_owned(),
        (_, Some(Chosen(algorithm))) => format!("{kind} {}", algorithm.name()),
        _ => format!("{kind} {}", rival.name()),
    }
}

/// Checks that a scenario can run in real time.
///
/// # Errors
/// [`RealError::Scenario`] names what cannot.
pub fn check(scenario: &Scenario, rival: &Rival) -> Result<(), RealError> {
    let refuse = |why: &str| Err(RealError::Scenario(format!("{}: {why}", scenario.id)));
    if scenario.flows.iter().any(|flow| flow.rtt.is_some()) {
        return refuse("a flow with an `rtt` of its own has no place on a link between two devices");
    }
    if scenario.flows.iter().map(|flow| flow.count).sum::<u32>() > 32 {
        return refuse("in real time all flows together are at most 32");
    }
    let is_bulk = |flow: &&Flow| flow.kind == Kind::Bulk && flow.audio.is_none();
    let mut tested = scenario.flows.iter().filter(|flow| flow.is_tested());
    if matches!(rival, Rival::Kernel(_)) && !tested.all(|flow| is_bulk(&flow)) {
        return refuse("the kernel's TCP sends bulk alone; name controllers of ours (--controller cubic)");
    }
    Ok(())
}

/// Makes both namespaces with their devices, or says what is missing.
fn places() -> Result<[(Place, std::fs::File); 2], RealError> {
    if !Path::new(kernel::TUN).exists() {
        let how = "load the module (modprobe tun), or give the container the device (--device /dev/net/tun)";
        return Err(RealError::Missing(format!("there is no {}: {how}", kernel::TUN)));
    }
    let make = |own, peer| {
        Place::new(own, peer).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => RealError::Missing(format!(
                "two networks and a device between them take root's rights: run it with sudo, or in a container with \
                 --cap-add NET_ADMIN --cap-add SYS_ADMIN ({error})"
            )),
            io::ErrorKind::NotFound => RealError::Missing(format!("install iproute2: {error}")),
            _ => RealError::System("a network of its own", error),
        })
    };
    Ok([make(ENDS[0], ENDS[1])?, make(ENDS[1], ENDS[0])?])
}

struct Rig<'a> {
    scenario: &'a Scenario,
    trace: Option<Trace>,
    rival: &'a Rival,
    /// Our endpoints: those under test, or those next to the kernel's TCP. Both ends have the certificate.
    ours: Weft,
    seed: u64,
    from: Place,
    to: Place,
    laps: Vec<Lap<'a>>,
    clock: Clock,
    over: Arc<AtomicBool>,
    /// The first error. It ends the other threads, which then fail as well.
    failure: Mutex<Option<io::Error>>,
}

impl Rig<'_> {
    fn go(&self, emulator: Emulator) -> Result<(Emulator, Vec<Outcome>), RealError> {
        thread::scope(|scope| {
            let link = scope.spawn(|| self.ending(|| emulator.run(self.clock, &self.over)));
            let ends: Vec<_> = (0..self.laps.len())
                .map(|number| {
                    let receiver = scope.spawn(move || self.ending(|| self.receive(number)));
                    let sender = scope.spawn(move || self.ending(|| self.send(number)));
                    (sender, receiver)
                })
                .collect();
            self.watch();
            self.over.store(true, Relaxed);
            let failed = |error| {
                let first = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
                RealError::System("a flow in real time", first.unwrap_or(error))
            };
            let join = |result: thread::Result<io::Result<Outcome>>| {
                result
                    .unwrap_or_else(|_| Err(io::Error::other("a thread of a flow panicked")))
                    .map_err(failed)
            };
            let emulator =
                link.join().unwrap_or_else(|_| Err(io::Error::other("the link's thread panicked")));
            let mut outcomes = Vec::new();
            for (sender, receiver) in ends {
                let (sender, receiver) = (join(sender.join())?, join(receiver.join())?);
                outcomes.push(Outcome { sent: sender.sent, taken: receiver.taken });
            }
            Ok((emulator.map_err(failed)?, outcomes))
        })
    }

    /// Any failure ends the whole run.
    fn ending<R>(&self, act: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        act().map_err(|error| {
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            self.over.store(true, Relaxed);
            io::Error::other("something else failed first")
        })
    }

    /// Waits for the end.
    fn watch(&self) {
        let end = self.scenario.duration.0;
        let settled = SETTLED.min(end / 4);
        let wanted = |lap: &Lap<'_>| lap.flow.bytes.map(|bytes| bytes.0);
        let is_whole = |lap: &Lap<'_>| wanted(lap).is_some_and(|bytes| lap.bytes.load(Relaxed) > bytes);
        while self.clock.now() < end && !self.over.load(Relaxed) && !self.laps.iter().all(is_whole) {
            // This only waits for time to pass; a failed wait is just shorter.
            let _ = kernel::wait(&[], LOOK);
            if self.clock.now() <= settled {
                for lap in &self.laps {
                    lap.settled.store(lap.bytes.load(Relaxed), Relaxed);
                }
            }
        }
    }

    fn address(&self, side: usize, number: usize) -> SocketAddr {
        (ENDS[side], PORTS[side] + number as u16).into()
    }

    /// The kernel's controller, for a flow over the kernel's TCP.
    fn of_kernel(&self, flow: &Flow) -> Option<&'static str> {
        match (flow.kind, self.rival) {
            (Kind::TcpCubic, _) => Some("cubic"),
            (Kind::TcpReno, _) => Some("reno"),
            (_, Rival::Kernel(name)) if flow.is_tested() => Some(name),
            _ => None,
        }
    }

    /// Both ends of a flow that is not the kernel's; each thread owns one.
    fn ends(&self, number: usize) -> io::Result<Ends> {
        let (sender, receiver) = (self.address(0, number), self.address(1, number));
        let place = node::Place { sender, receiver, seed: self.seed ^ ((number as u64) << 32) };
        let flow = self.laps[number].flow;
        if let (Kind::UdpMedia, Some(frames)) = (flow.kind, flow.frames()) {
            return Ok(cross::call(&place, frames));
        }
        // Pages are modelled in real time as well.
        if let Some(config) = flow.tcp() {
            return Ok(cross::tcp(&place, config));
        }
        Ok(match &flow.controller {
            Some(Chosen(algorithm)) => self.ours.turned_to(algorithm).ends(&place, &flow.load()),
            None => self.ours.ends(&place, &flow.load()),
        })
    }

    fn send(&self, number: usize) -> io::Result<Outcome> {
        let (flow, remote) = (self.laps[number].flow, self.address(1, number));
        let start = flow.start.0 + number as u64 * MILLISECOND / 7;
        if let Some(controller) = self.of_kernel(flow) {
            let over = (self.clock, Arc::clone(&self.over));
            flows::send_tcp(&self.from, controller, remote, start, over)?;
            return Ok(Outcome::default());
        }
        let socket = flows::udp(&self.from, PORTS[0] + number as u16)?;
        let (mut sender, _) = self.ends(number)?;
        let over = (self.clock, &*self.over);
        let (sent, _) = flows::drive(&mut *sender, &socket, Some((start, remote)), over, &AtomicU64::new(0))?;
        Ok(Outcome { sent, taken: None })
    }

    fn receive(&self, number: usize) -> io::Result<Outcome> {
        let (lap, port) = (&self.laps[number], PORTS[1] + number as u16);
        if self.of_kernel(lap.flow).is_some() {
            flows::take_tcp(&flows::listen(&self.to, port)?, &self.over, &lap.bytes)?;
            return Ok(Outcome::default());
        }
        let socket = flows::udp(&self.to, port)?;
        let (_, mut receiver) = self.ends(number)?;
        let over = (self.clock, &*self.over);
        let (_, taken) = flows::drive(&mut *receiver, &socket, None, over, &lap.bytes)?;
        Ok(Outcome { sent: None, taken })
    }

    fn result(&self, emulator: &Emulator, outcomes: &[Outcome]) -> Run {
        let flow = |(lap, outcome): (&Lap<'_>, &Outcome)| FlowRun {
            name: lap.name.clone(),
            bytes: lap.bytes.load(Relaxed),
            completion: outcome.taken.as_ref().and_then(|taken| taken.whole).map(|nanos| nanos as f64 / 1e6),
            frames: outcome
                .sent
                .as_ref()
                .zip(outcome.taken.as_ref())
                .filter(|_| lap.flow.has_frames())
                .map(|(sent, taken)| (sent.frames, taken.frames.count())),
            series: Vec::new(),
        };
        Run {
            scenario: self.scenario.id.to_string(),
            controller: self.rival.name(),
            seed: self.seed,
            figures: self.figures(emulator, outcomes),
            packets: emulator.lanes.iter().map(|lane| lane.link().stats().delivered).sum(),
            digest: 0,
            flows: self.laps.iter().zip(outcomes).map(flow).collect(),
            queue: Vec::new(),
        }
    }

    /// The figures that are available in real time: those of the link, of what arrived, and of our senders.
    fn figures(&self, emulator: &Emulator, outcomes: &[Outcome]) -> BTreeMap<String, f64> {
        let (link, nanos) = (emulator.lanes[0].link(), self.clock.now().max(1));
        let mut figures = of_link(self.scenario, self.trace.as_ref(), nanos, link.stats(), link.delays());
        let greedy = || self.laps.iter().filter(|lap| lap.flow.kind.is_greedy());
        let got = |lap: &Lap<'_>| (lap.bytes.load(Relaxed) - lap.settled.load(Relaxed)) as f64;
        figures.extend(of_shares(&greedy().map(|lap| (got(lap), lap.flow.is_tested())).collect::<Vec<_>>()));
        let mut put = |name: &str, value: f64| {
            figures.insert(name.to_owned(), value);
        };
        let ours = outcomes.iter().filter_map(|outcome| outcome.sent.as_ref());
        let (sent, again) =
            ours.fold((0, 0), |(sent, again), one| (sent + one.stream_bytes, again + one.again));
        if sent > 0 {
            put("retransmitted", again as f64 / sent as f64);
        }
        if greedy().count() > 0 {
            let bytes: u64 = greedy().map(|lap| lap.bytes.load(Relaxed)).sum();
            put("goodput", bytes as f64 * 8e9 / nanos as f64);
        }
        self.put_ages(outcomes, &mut put);
        figures
    }

    fn put_ages(&self, outcomes: &[Outcome], put: &mut impl FnMut(&str, f64)) {
        let (mut frames, mut datagrams) = (Histogram::default(), Histogram::default());
        for (lap, outcome) in self.laps.iter().zip(outcomes) {
            let taken = outcome.taken.clone().unwrap_or_default();
            let made = outcome.sent.as_ref().map_or(0, |sent| u64::from(sent.frames));
            let interval = lap.flow.frames().map_or(0, |media| media.interval);
            frames.merge(&ages_at_the_end(&taken.frames, made, interval));
            datagrams.merge(&taken.datagrams);
        }
        for (times, names) in
            [(frames, ["frame_p50", "frame_p99"]), (datagrams, ["datagram_p50", "datagram_p99"])]
        {
            for (name, share) in names.into_iter().zip([0.5, 0.99]).filter(|_| times.count() > 0) {
                put(name, times.quantile(share) as f64 / 1e6);
            }
        }
    }
}
