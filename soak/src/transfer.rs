//! A random transfer over a bad network: bidirectional and unidirectional streams and datagrams, echoed.

use std::collections::BTreeMap;

use heap_meter::Measure;
use netsim::Simulation;
use quic_core::{Dir, StreamId, base::Timestamp};

use crate::{
    failure::Failure,
    host::{Host, Policy},
    peer::Peer,
    run::{Ending, Permits, Report, guarded, is_complete},
    scenario::{Change, Scenario, Workload},
    world::{Setup, World, content},
};

/// The client's address after a rebinding, as the server sees it.
const REBOUND: &str = "198.51.100.7:61000";
/// Keys of the contents: streams count from zero, datagrams from here.
const DATAGRAM_KEYS: u64 = 1 << 32;

/// Runs the transfer of `seed`.
///
/// # Errors
/// The invariant that did not hold.
pub fn transfer(seed: u64) -> Result<Report, Failure> {
    guarded(|| play(seed, &Scenario::draw(seed)))
}

/// Runs a scenario with the random numbers of `seed`.
///
/// # Errors
/// The invariant that did not hold.
pub fn play(seed: u64, scenario: &Scenario) -> Result<Report, Failure> {
    let measure = Measure::start();
    let mut world = build(seed, scenario);
    world.connect();
    let limit = scenario.time_limit();
    let mut ending = world.until("complete handshake", limit, is_complete)?;
    let mut sent = Sent::default();
    if ending == Ending::Done {
        ending = sent.run(&mut world, &scenario.workload, limit)?;
    }
    let took = world.sim.now();
    world.close()?;
    let permits = Permits {
        silence: scenario.may_fall_silent(),
        // The token has the address from before the rebinding.
        refused_token: scenario.rebinds() && scenario.policy == Policy::Retry,
    };
    world.check_end(ending, permits)?;
    if let Some(client) = world.sim.endpoint(world.client).last_peer() {
        sent.check(client, &scenario.workload, ending)?;
    }
    let report = world.report(ending, took);
    drop(sent);
    world.check_memory(&measure)?;
    Ok(report)
}

fn build(seed: u64, scenario: &Scenario) -> World {
    let setup = Setup {
        client: scenario.client.clone(),
        server: scenario.server.clone(),
        back: Some(scenario.back.clone()),
    };
    let mut world = World::with(seed, &scenario.there, &setup);
    world.server_host().policy = scenario.policy;
    let (client, inside, links) = (world.client, world.client_address, world.links);
    for (at, change) in scenario.changes.clone() {
        world.sim.at(at, move |sim| match change {
            Change::Mtu(size) => links.iter().for_each(|link| sim.link_mut(*link).mtu = size),
            Change::Rebind => sim.rebind(inside, REBOUND.parse().expect("an address")),
            Change::UpdateKeys => {
                for peer in sim.endpoint_mut(client).driver.connections.values_mut() {
                    peer.connection.update_keys();
                }
            }
        });
    }
    world
}

/// The data that the client sent.
#[derive(Default)]
struct Sent {
    /// The contents of streams, as keys and sizes, by the client's stream ID.
    streams: BTreeMap<StreamId, (u64, usize)>,
}

impl Sent {
    /// Starts everything and waits for all echoes and the last datagram.
    fn run(&mut self, world: &mut World, workload: &Workload, limit: u64) -> Result<Ending, Failure> {
        self.open(world.client_host().last_peer_mut(), workload, 0);
        let last = schedule_datagrams(&mut world.sim, world.client, workload);
        let total = 1 + workload.small.len();
        let mut next = self.streams.len();
        // Streams beyond the peer's limit are opened as it is raised.
        while next < total {
            let seen = world.client_host().last_peer_mut().map_or(0, |peer| peer.events.len());
            let news = |peer: &Peer| peer.error.is_none() && peer.events.len() > seen;
            let more = world.until("credit for streams", limit, news)?;
            if more == Ending::Silent {
                return Ok(more);
            }
            self.open(world.client_host().last_peer_mut(), workload, next);
            next = self.streams.len();
        }
        let ending = world.until("echo of all streams", limit, |peer| peer.finished.len() == total)?;
        if ending == Ending::Done && world.sim.now() < last {
            // Wait for the remaining datagrams; the connection may end meanwhile.
            let _ = world.sim.run_until(|_| false, last);
        }
        let ended = world.client_host().last_peer_mut().is_none_or(|peer| peer.error.is_some());
        Ok(if ended { Ending::Silent } else { ending })
    }

    /// Opens streams, beginning with the index `next`, as many as the peer permits.
    fn open(&mut self, peer: Option<&mut Peer>, workload: &Workload, next: usize) {
        let Some(peer) = peer else { return };
        let all = std::iter::once((Dir::Bidi, workload.bulk)).chain(workload.small.iter().copied());
        for (index, (dir, size)) in all.enumerate().skip(next) {
            let Some(id) = peer.connection.open(dir) else { return };
            self.streams.insert(id, (index as u64, size));
            peer.send(id, content(index as u64, size), true);
        }
    }

    /// Checks that everything that arrived is what was sent, and that all of it arrived if the run was done.
    fn check(&self, client: &Peer, workload: &Workload, ending: Ending) -> Result<(), Failure> {
        let complete = ending == Ending::Done;
        let mut answers = Vec::new();
        for (id, (key, size)) in &self.streams {
            let expected = content(*key, *size);
            match id.dir() {
                Dir::Bidi => check_stream(client, *id, &expected, complete)?,
                Dir::Uni => answers.push(expected),
            }
        }
        // Only its bytes show to which stream an answer belongs.
        let wrong =
            |id: &StreamId, bytes: &[u8]| Err(Failure::WrongBytes(format!("{} bytes on {id}", bytes.len())));
        let of_server = || client.received.iter().filter(|(id, _)| id.dir() == Dir::Uni);
        for (id, received) in of_server().filter(|(id, _)| client.finished.contains(id)) {
            let Some(at) = answers.iter().position(|answer| *answer == *received) else {
                return wrong(id, received);
            };
            answers.swap_remove(at);
        }
        for (id, received) in of_server().filter(|(id, _)| !client.finished.contains(id)) {
            if !answers.iter().any(|answer| answer.starts_with(received)) {
                return wrong(id, received);
            }
        }
        // Empty streams bring a FIN and no bytes.
        if complete && answers.iter().any(|answer| !answer.is_empty()) {
            return Err(Failure::WrongBytes("an answer is missing".to_owned()));
        }
        check_datagrams(client, workload)
    }
}

fn check_stream(client: &Peer, id: StreamId, expected: &[u8], complete: bool) -> Result<(), Failure> {
    let received = client.received.get(&id).map_or(&[][..], Vec::as_slice);
    let whole = complete || client.finished.contains(&id);
    if expected.starts_with(received) && (!whole || received.len() == expected.len()) {
        return Ok(());
    }
    let at = received.iter().zip(expected).position(|(a, b)| a != b);
    let (got, all) = (received.len(), expected.len());
    Err(Failure::WrongBytes(format!("{got} of {all} bytes on stream {id}, the first wrong one: {at:?}")))
}

/// Checks that each datagram arrived unchanged and at most once.
fn check_datagrams(client: &Peer, workload: &Workload) -> Result<(), Failure> {
    let mut seen = vec![false; workload.datagrams.len()];
    for data in &client.datagrams {
        let index = data.first_chunk::<8>().map_or(usize::MAX, |index| u64::from_be_bytes(*index) as usize);
        let size = workload.datagrams.get(index);
        if size.is_none_or(|size| datagram(index, *size) != *data) {
            return Err(Failure::WrongBytes(format!("a datagram of {} bytes", data.len())));
        }
        if std::mem::replace(&mut seen[index], true) {
            return Err(Failure::WrongBytes(format!("datagram {index} arrived twice")));
        }
    }
    Ok(())
}

/// The datagram `index`: its number, then bytes that depend on it.
fn datagram(index: usize, size: usize) -> bytes::Bytes {
    let mut data = (index as u64).to_be_bytes().to_vec();
    data.extend(content(DATAGRAM_KEYS + index as u64, size.saturating_sub(8)));
    data.into()
}

/// Sends the datagrams from now on, in bursts. Returns when the last one leaves.
fn schedule_datagrams(sim: &mut Simulation<Host>, client: netsim::NodeId, workload: &Workload) -> u64 {
    let mut at = sim.now();
    let sizes: Vec<_> = workload.datagrams.iter().copied().enumerate().collect();
    for burst in sizes.chunks(workload.burst.max(1)) {
        at += workload.interval;
        let burst = burst.to_vec();
        sim.at(at, move |sim| {
            let now = sim.now();
            let host = sim.endpoint_mut(client);
            let clock: Timestamp = host.clock(now);
            for peer in host.driver.connections.values_mut() {
                for (index, size) in &burst {
                    // A datagram that does not fit the queue or the path is dropped; datagrams are
                    // unreliable.
                    let _ = peer.connection.send_datagram(clock, datagram(*index, *size), Default::default());
                }
            }
        });
    }
    at
}
