//! The figures of a run, as shares, times and rates: computed from the counters of its link and flows.

use std::collections::BTreeMap;

use netsim::{Histogram, LinkStats, Trace};

use super::{
    flow::Kind,
    scenario::Scenario,
    world::{FlowRun, Member, World},
};

type Figures = BTreeMap<String, f64>;

/// All figures of a finished world, by name.
pub(super) fn of(world: &World<'_>, flows: &[FlowRun]) -> Figures {
    let mut figures = Figures::new();
    put_link(world, &mut figures);
    put_connections(world, &mut figures);
    put_shares(world, &mut figures);
    put_frames(world, &mut figures);
    put_datagrams(world, &mut figures);
    put_cross_traffic(world, &mut figures);
    if let Some(slowest) = flows.iter().filter_map(|flow| flow.completion).max_by(f64::total_cmp) {
        put(&mut figures, "completion", slowest);
    }
    let is_unfinished = |(member, flow): &(&Member<'_>, &FlowRun)| {
        member.flow.kind == Kind::Transfer && flow.completion.is_none()
    };
    let unfinished = world.members.iter().zip(flows).filter(is_unfinished).count();
    put(&mut figures, "unfinished", unfinished as f64);
    figures
}

fn put(figures: &mut Figures, name: &str, value: f64) {
    figures.insert(name.to_owned(), value);
}

/// Adds quantiles of a histogram of nanoseconds, in milliseconds.
fn put_times(figures: &mut Figures, times: &Histogram, names: &[(&str, f64)]) {
    for (name, share) in names {
        put(figures, name, times.quantile(*share) as f64 / 1e6);
    }
}

/// The ages of frames. Frames that had not arrived at the end count with their age then; they are taken for
/// the last ones that were made.
pub(super) fn ages_at_the_end(came: &Histogram, made: u64, interval: u64) -> Histogram {
    let mut ages = came.clone();
    (0..made.saturating_sub(came.count())).for_each(|place| ages.record(interval / 2 + place * interval));
    ages
}

fn put_link(world: &World<'_>, figures: &mut Figures) {
    let (stats, delays) = (world.sim.link_stats(world.bottleneck), world.sim.link_delays(world.bottleneck));
    figures.extend(of_link(world.scenario, world.trace.as_ref(), world.sim.now(), stats, delays));
}

/// The figures of the bottleneck in the first `nanos` nanoseconds, in virtual or real time.
pub(super) fn of_link(
    scenario: &Scenario,
    trace: Option<&Trace>,
    nanos: u64,
    link: &LinkStats,
    delays: &Histogram,
) -> Figures {
    let mut figures = Figures::new();
    put(&mut figures, "utilization", link.delivered_bytes as f64 / scenario.capacity(trace, nanos));
    put_times(&mut figures, delays, &[("queue_p50", 0.5), ("queue_p95", 0.95), ("queue_p99", 0.99)]);
    let dropped = link.queue_drops + link.managed_drops + link.policer_drops;
    put(&mut figures, "dropped", dropped as f64 / link.offered.max(1) as f64);
    put(&mut figures, "marked", link.marked as f64 / link.offered.max(1) as f64);
    figures
}

/// The figures of connections; models have none.
fn put_connections(world: &World<'_>, figures: &mut Figures) {
    let (mut sent, mut again, mut spurious, mut lost, mut packets, mut broken) = (0, 0, 0, 0, 0, 0);
    for member in world.members.iter().filter(|member| !member.flow.kind.is_modelled()) {
        let Some(end) = world.sent(member) else { continue };
        sent += end.stream_bytes;
        again += end.again;
        spurious += end.spurious;
        lost += end.lost;
        packets += end.packets;
        broken += u64::from(end.is_broken);
    }
    put(figures, "retransmitted", again as f64 / sent.max(1) as f64);
    put(figures, "spurious", spurious as f64 / packets.max(1) as f64);
    put(figures, "lost", lost as f64 / packets.max(1) as f64);
    put(figures, "broken", broken as f64);
}

/// How greedy flows share the link.
fn put_shares(world: &World<'_>, figures: &mut Figures) {
    let greedy: Vec<_> = world.members.iter().filter(|member| member.flow.kind.is_greedy()).collect();
    let last = |member: &Member<'_>| member.series.last().map_or(0, |sample| sample.bytes);
    let got = |member: &Member<'_>| (last(member) - member.settled) as f64;
    let all: Vec<_> = greedy.iter().map(|member| (got(member), member.flow.is_tested())).collect();
    figures.extend(of_shares(&all));
    if !all.is_empty() {
        let bytes: u64 = greedy.iter().map(|member| last(member)).sum();
        put(figures, "goodput", bytes as f64 * 8e9 / world.sim.now().max(1) as f64);
    }
}

/// How evenly the greedy flows share the link. Each entry is a flow's bytes and whether it is under test;
/// without a flow under test there is no share.
pub(super) fn of_shares(all: &[(f64, bool)]) -> Figures {
    let mut figures = Figures::new();
    let bytes = || all.iter().map(|(bytes, _)| *bytes);
    let (sum, squares) = (bytes().sum::<f64>(), bytes().map(|bytes| bytes * bytes).sum::<f64>());
    if all.len() < 2 || squares <= 0.0 {
        return figures;
    }
    put(&mut figures, "jain", sum * sum / (all.len() as f64 * squares));
    put(&mut figures, "ratio", bytes().fold(0.0, f64::max) / bytes().fold(f64::MAX, f64::min).max(1.0));
    let tested = || all.iter().filter(|(_, is_tested)| *is_tested);
    if tested().next().is_some() {
        put(&mut figures, "share", tested().map(|(bytes, _)| bytes).sum::<f64>() / sum);
    }
    figures
}

fn put_frames(world: &World<'_>, figures: &mut Figures) {
    let (mut ages, mut made, mut came) = (Histogram::default(), 0, 0);
    for member in world.members.iter().filter(|member| member.flow.has_frames()) {
        let sent = world.sent(member).map_or(0, |sent| u64::from(sent.frames));
        let frames = world.taken(member).map(|taken| taken.frames.clone()).unwrap_or_default();
        let interval = member.flow.frames().map_or(0, |media| media.interval);
        made += sent;
        came += frames.count();
        ages.merge(&ages_at_the_end(&frames, sent, interval));
    }
    if made > 0 {
        put_times(figures, &ages, &[("frame_p50", 0.5), ("frame_p95", 0.95), ("frame_p99", 0.99)]);
        put(figures, "frames_missing", (made - came) as f64);
    }
}

/// The ages of datagrams at arrival, the share that expired before it was sent, and the share that is missing
/// for any reason.
fn put_datagrams(world: &World<'_>, figures: &mut Figures) {
    let (mut ages, mut made, mut expired) = (Histogram::default(), 0, 0);
    for member in world.members.iter().filter(|member| member.flow.audio.is_some()) {
        let sent = world.sent(member).unwrap_or_default();
        made += sent.datagrams;
        expired += sent.expired;
        if let Some(taken) = world.taken(member) {
            ages.merge(&taken.datagrams);
        }
    }
    if ages.count() > 0 {
        put_times(figures, &ages, &[("datagram_p50", 0.5), ("datagram_p99", 0.99)]);
    }
    if made > 0 {
        put(figures, "expired", expired as f64 / made as f64);
        put(figures, "datagrams_missing", made.saturating_sub(ages.count()) as f64 / made as f64);
    }
}

/// The figures of cross traffic: pages, and calls that do not adapt.
fn put_cross_traffic(world: &World<'_>, figures: &mut Figures) {
    for (kind, names) in [
        (Kind::Web, [("page_p50", 0.5), ("page_p99", 0.99)]),
        (Kind::UdpMedia, [("call_p50", 0.5), ("call_p99", 0.99)]),
    ] {
        let mut times = Histogram::default();
        for member in world.members.iter().filter(|member| member.flow.kind == kind) {
            for end in world.nodes(member) {
                times.merge(end.times().unwrap_or(&Histogram::default()));
            }
        }
        if times.count() > 0 {
            put_times(figures, &times, &names);
        }
    }
}
