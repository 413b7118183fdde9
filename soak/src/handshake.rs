//! Handshakes that lose packets: 30 % each way, or chosen ones.

use heap_meter::Measure;
use netsim::{LinkConfig, Loss, MILLISECOND, Random, SECOND};
use quic_core::{Dir, TransportConfig};

use crate::{
    failure::Failure,
    peer::Peer,
    run::{Ending, Permits, Report, guarded, is_complete, is_confirmed},
    world::{Setup, World, content},
};

/// The time limit of a handshake; a longer one counts as failed.
pub const HANDSHAKE_LIMIT: u64 = 60 * SECOND;
/// The loss of the handshakes' links, each way.
pub const HANDSHAKE_LOSS: f64 = 0.3;
/// Patterns lose datagrams among this many first ones of each direction.
const PATTERN_DATAGRAMS: u64 = 12;
/// The one-way delay of patterns.
const PATTERN_DELAY: u64 = 20 * MILLISECOND;
/// How many bytes are echoed after a pattern's handshake, so that each direction has twelve datagrams.
const PATTERN_BYTES: usize = 20_000;
/// The generator that draws delays; the links' generators have small numbers.
const DRAW: u64 = 0x4a_d544;

/// Runs the handshake of `seed` under heavy loss. Returns [`Ending::Silent`] if it was not confirmed in a
/// minute.
///
/// # Errors
/// The invariant that was violated.
pub fn handshake(seed: u64) -> Result<Report, Failure> {
    guarded(|| {
        let measure = Measure::start();
        let delay = MILLISECOND + Random::derived(seed, DRAW).below(100 * MILLISECOND);
        let link = LinkConfig::new().delay(delay).bernoulli(HANDSHAKE_LOSS);
        let mut world = World::with(seed, &link, &patient());
        world.connect();
        let ending = match world.until("confirmed handshake", HANDSHAKE_LIMIT, is_confirmed) {
            // A late handshake is counted; it violates no invariant.
            Err(Failure::Hang { .. }) => Ending::Silent,
            other => other?,
        };
        let took = world.sim.now();
        world.close()?;
        world.check_amplification()?;
        let report = world.report(ending, took);
        world.check_memory(&measure)?;
        Ok(report)
    })
}

/// Settings without a limit on the duration of a handshake, which is measured here.
fn patient() -> Setup {
    let transport = TransportConfig::new().handshake_timeout(None);
    Setup { client: transport.clone(), server: transport, back: None }
}

/// The indexes of the datagrams that a pattern loses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// From the client to the server.
    pub there: Vec<u64>,
    /// From the server to the client.
    pub back: Vec<u64>,
}

/// Every choice of one or two datagrams among the first twelve of each direction. They include each choice
/// among the first twelve of the connection, in whatever order the ends send.
#[must_use]
pub fn patterns() -> Vec<Pattern> {
    let all: Vec<_> = (0..2 * PATTERN_DATAGRAMS).collect();
    let pattern = |lost: &[u64]| {
        let (there, back): (Vec<u64>, Vec<u64>) = lost.iter().partition(|index| **index < PATTERN_DATAGRAMS);
        Pattern { there, back: back.iter().map(|index| index - PATTERN_DATAGRAMS).collect() }
    };
    let singles = all.iter().map(|one| pattern(&[*one]));
    let pairs = all.iter().flat_map(|one| all[*one as usize + 1..].iter().map(|two| pattern(&[*one, *two])));
    singles.chain(pairs).collect()
}

/// Runs a handshake and a small echo without the datagrams of the pattern numbered `index`.
///
/// # Errors
/// The invariant that was violated.
pub fn losing(index: u64) -> Result<Report, Failure> {
    let Some(pattern) = patterns().into_iter().nth(index as usize) else {
        return Err(Failure::Panic(format!("there is no pattern {index}")));
    };
    guarded(|| {
        let measure = Measure::start();
        let link = |lost: &[u64]| LinkConfig::new().delay(PATTERN_DELAY).loss(Loss::Indexes(lost.to_vec()));
        let setup = Setup { back: Some(link(&pattern.back)), ..Setup::default() };
        let mut world = World::with(index, &link(&pattern.there), &setup);
        world.connect();
        // The handshake is not confirmed yet: the client fills its window with packets that the server cannot
        // read until it has the client's last handshake message.
        world.until("complete handshake", HANDSHAKE_LIMIT, is_complete)?;
        let data = content(index, PATTERN_BYTES);
        let stream = world.client_host().last_peer_mut().and_then(|peer| {
            let id = peer.connection.open(Dir::Bidi)?;
            peer.send(id, data.clone(), true);
            Some(id)
        });
        let echoed = |peer: &Peer| stream.is_some_and(|id| peer.finished.contains(&id));
        let ending = world.until("echo", HANDSHAKE_LIMIT, echoed)?;
        let took = world.sim.now();
        world.close()?;
        world.check_end(ending, Permits::default())?;
        let client = world.sim.endpoint(world.client).last_peer();
        if client.zip(stream).is_none_or(|(peer, id)| peer.received.get(&id).is_none_or(|r| data != *r)) {
            return Err(Failure::WrongBytes("the echo".to_owned()));
        }
        drop((data, echoed));
        let report = world.report(ending, took);
        world.check_memory(&measure)?;
        Ok(report)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pattern_of_one_and_two_occurs_once() {
        let all = patterns();
        assert_eq!(all.len(), 24 + 24 * 23 / 2);
        assert!(all.iter().enumerate().all(|(at, one)| !all[..at].contains(one)));
        assert!(all.contains(&Pattern { there: vec![0], back: vec![11] }));
        assert!(all.contains(&Pattern { there: vec![], back: vec![3, 4] }));
    }
}
