//! The figures of a run: what its link and its flows counted, as shares, times and rates.

use std::collections::BTreeMap;

use netsim::Histogram;

use super::{
    flow::Kind,
    world::{FlowRun, Member, World},
};

type Figures = BTreeMap<String, f64>;

/// All figures of a world that has come to its end, by name.
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

/// Milliseconds below which these shares of a histogram of nanoseconds are.
fn put_times(figures: &mut Figures, times: &Histogram, names: &[(&str, f64)]) {
    for (name, share) in names {
        put(figures, name, times.quantile(*share) as f64 / 1e6);
    }
}

/// The ages of frames that came, and of those that had not come at the end: as old as they were then, at least. They are taken for
/// the last ones that were made.
pub(super) fn ages_at_the_end(came: &Histogram, made: u64, interval: u64) -> Histogram {
    let mut ages = came.clone();
    (0..made.saturating_sub(came.count())).for_each(|place| ages.record(interval / 2 + place * interval));
    ages
}

fn put_link(world: &World<'_>, figures: &mut Figures) {
    let (now, link) = (world.sim.now(), *world.sim.link_stats(world.bottleneck));
    let capacity = match &world.trace {
        Some(trace) => trace.capacity(0, now) as f64,
        None => offered_capacity(world, now),
    };
    // A recorded link may have had no moment to send in yet.
    put(figures, "utilization", link.delivered_bytes as f64 / capacity.max(1.0));
    let delays = world.sim.link_delays(world.bottleneck);
    put_times(figures, delays, &[("queue_p50", 0.5), ("queue_p95", 0.95), ("queue_p99", 0.99)]);
    let dropped = link.queue_drops + link.managed_drops + link.policer_drops;
    put(figures, "dropped", dropped as f64 / link.offered.max(1) as f64);
    put(figures, "marked", link.marked as f64 / link.offered.max(1) as f64);
}

/// Bytes that could have left while the rate was changed.
fn offered_capacity(world: &World<'_>, now: u64) -> f64 {
    let (mut from, mut rate, mut bytes) = (0, world.scenario.rate(None), 0.0);
    let changes = world.scenario.changes.iter().filter_map(|change| Some((change.at.0, change.rate?.0)));
    for (at, next) in changes.chain([(now, 0)]) {
        let at = at.min(now);
        bytes += (at - from) as f64 * rate as f64 / 8e9;
        (from, rate) = (at, next);
    }
    bytes
}

/// What the connections count; models are not among them.
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

/// How those that want all that there is share it.
fn put_shares(world: &World<'_>, figures: &mut Figures) {
    let greedy: Vec<_> = world.members.iter().filter(|member| member.flow.kind.is_greedy()).collect();
    let last = |member: &Member<'_>| member.series.last().map_or(0, |sample| sample.bytes);
    let got = |member: &Member<'_>| (last(member) - member.settled) as f64;
    let all: Vec<f64> = greedy.iter().map(|member| got(member)).collect();
    let (sum, squares) = (all.iter().sum::<f64>(), all.iter().map(|bytes| bytes * bytes).sum::<f64>());
    if all.len() > 1 && squares > 0.0 {
        put(figures, "jain", sum * sum / (all.len() as f64 * squares));
        let most = all.iter().copied().fold(0.0, f64::max);
        put(figures, "ratio", most / all.iter().copied().fold(f64::MAX, f64::min).max(1.0));
        let tested = greedy.iter().filter(|member| member.flow.is_tested());
        put(figures, "share", tested.map(|member| got(member)).sum::<f64>() / sum);
    }
    if !all.is_empty() {
        let bytes: u64 = greedy.iter().map(|member| last(member)).sum();
        put(figures, "goodput", bytes as f64 * 8e9 / world.sim.now().max(1) as f64);
    }
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

/// How old datagrams were when they came; which became too old before they were sent, and which are missing for that or otherwise.
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

/// What others had of it: pages, and calls that do not adapt.
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
