//! Runs of a client and a server from the first datagram until both have forgotten the connection, and the
//! invariants of all runs.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use heap_meter::Measure;
use netsim::{MILLISECOND, Outcome, SECOND, Simulation};
use quic_core::Event;

use crate::{
    failure::{Ends, Failure, is_closed_by_client, is_silent_end, is_token_refused},
    host::Host,
    peer::Peer,
    world::World,
};

/// The code with which the client closes when it is done.
pub(crate) const DONE: u64 = 0x600d;
/// The most heap that the tables of two endpoints without connections may keep, in bytes.
const EMPTY_ENDPOINTS: isize = 8 << 10;
/// Closing takes three probe timeouts; if the close is lost, the other end takes its idle timeout.
const CLOSING: u64 = 60 * SECOND;

/// How a successful run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The client completed its work.
    Done,
    /// The connection ended by its idle timeout before that, or the server refused a client that was rebound
    /// after a Retry.
    Silent,
}

/// Which other endings of a run are permitted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Permits {
    /// By the idle timeout.
    pub(crate) silence: bool,
    /// By a refusal of the client's Retry token.
    pub(crate) refused_token: bool,
}

/// The report of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// How it ended.
    pub ending: Ending,
    /// The virtual time at which the work was done or the connection ended, in nanoseconds.
    pub took: u64,
    /// A hash of the times, sizes and fates of all datagrams.
    pub digest: u64,
    /// Datagrams delivered by the network.
    pub delivered: u64,
}

/// Runs `body` and turns leaks and panics into failures.
pub(crate) fn guarded(body: impl FnOnce() -> Result<Report, Failure>) -> Result<Report, Failure> {
    let measure = Measure::start();
    let result = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        let message = payload.downcast_ref::<String>().cloned();
        let message = message.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Failure::Panic(message.unwrap_or_default()))
    });
    match (&result, measure.growth()) {
        (Ok(_), growth) if growth != 0 => Err(Failure::Leak(growth)),
        _ => result,
    }
}

/// Whether the client's connection is complete, or over.
fn client_ended(host: &Host) -> bool {
    host.last_peer().is_none_or(|peer| peer.error.is_some())
}

impl World {
    /// Runs until the client's connection satisfies `condition` or has ended, and returns which.
    pub(crate) fn until(
        &mut self,
        waiting_for: &'static str,
        limit: u64,
        condition: impl Fn(&Peer) -> bool,
    ) -> Result<Ending, Failure> {
        let client = self.client;
        let met = |sim: &Simulation<Host>| sim.endpoint(client).last_peer().is_some_and(&condition);
        let over = |sim: &Simulation<Host>| met(sim) || client_ended(sim.endpoint(client));
        match self.sim.run_until(over, limit) {
            Outcome::Reached if met(&self.sim) => Ok(Ending::Done),
            Outcome::Reached => Ok(Ending::Silent),
            Outcome::TimedOut | Outcome::Idle => Err(self.hang(waiting_for)),
        }
    }

    fn hang(&self, waiting_for: &'static str) -> Failure {
        let state = [self.client, self.server].map(|node| {
            let peer = self.sim.endpoint(node).last_peer();
            peer.map(|peer| (peer.finished.len(), peer.error.clone(), peer.connection.stats()))
        });
        Failure::Hang { waiting_for, at: self.sim.now() / MILLISECOND, state: format!("{state:?}") }
    }

    /// Closes the client, if it has not ended, and waits until both ends have forgotten the connection.
    pub(crate) fn close(&mut self) -> Result<(), Failure> {
        let now = self.sim.now();
        let host = self.client_host();
        let clock = host.clock(now);
        for peer in host.driver.connections.values_mut() {
            peer.connection.close(clock, DONE, b"");
        }
        let (client, server) = (self.client, self.server);
        let empty = |sim: &Simulation<Host>, node| {
            let host: &Host = sim.endpoint(node);
            host.driver.connections.is_empty() && host.driver.endpoint.connections() == 0
        };
        let limit = now + CLOSING + self.three_pto();
        match self.sim.run_until(|sim| empty(sim, client) && empty(sim, server), limit) {
            Outcome::Reached => Ok(()),
            Outcome::TimedOut | Outcome::Idle => Err(self.hang("end of both connections")),
        }
    }

    /// Three probe timeouts of the slower end, in nanoseconds (RFC 9000 §10.2, RFC 9002 §6.2.1).
    fn three_pto(&self) -> u64 {
        let of = |node| {
            let stats = self.sim.endpoint(node).last_peer().map(|peer: &Peer| peer.connection.stats());
            stats.map_or(Duration::ZERO, |stats| stats.smoothed_rtt + 4 * stats.rtt_variation)
        };
        let delay =
            self.client_config.transport.max_ack_delay.max(self.server_config.transport.max_ack_delay);
        (3 * (of(self.client).max(of(self.server)) + delay)).as_nanos() as u64
    }

    /// How the connections ended, client first.
    pub(crate) fn ends(&self) -> Ends {
        [self.client, self.server]
            .map(|node| self.sim.endpoint(node).last_peer().and_then(|p| p.error.clone()))
    }

    /// The checks that every run ends with.
    pub(crate) fn check_end(&self, ending: Ending, permits: Permits) -> Result<(), Failure> {
        let ends = self.ends();
        match ending {
            Ending::Done if !is_closed_by_client(&ends, DONE) => return Err(Failure::UncleanEnd(ends)),
            Ending::Silent if permits.refused_token && is_token_refused(&ends) => {}
            Ending::Silent if !is_silent_end(&ends) => return Err(Failure::UncleanEnd(ends)),
            Ending::Silent if !permits.silence => return Err(Failure::NeedlessSilence(ends)),
            _ => {}
        }
        self.check_silence()?;
        self.check_amplification()
    }

    /// An idle timeout ends a connection only after that time without a packet (RFC 9000 §10.1).
    fn check_silence(&self) -> Result<(), Failure> {
        let ends =
            [(self.client, &self.client_config.transport), (self.server, &self.server_config.transport)];
        for (node, config) in ends {
            let Some(peer) = self.sim.endpoint(node).last_peer() else { continue };
            let idle = peer.error == Some(quic_core::error::ConnectionError::IdleTimeout);
            if let (true, Some(ended), Some(timeout)) = (idle, peer.ended, config.idle_timeout) {
                let silence = ended - peer.heard();
                if silence < timeout {
                    return Err(Failure::EarlySilence { silence: silence.as_millis() as u64 });
                }
            }
        }
        Ok(())
    }

    /// RFC 9000 §8.1.
    pub(crate) fn check_amplification(&self) -> Result<(), Failure> {
        let traffic = &self.sim.endpoint(self.server).traffic;
        match traffic.values().find_map(|traffic| traffic.amplified) {
            Some((sent, received)) => Err(Failure::Amplification { sent, received }),
            None => Ok(()),
        }
    }

    /// Drops everything but the two endpoints, which have no connections any more, and measures what they
    /// would keep in a longer process. `measure` was started before the world was made.
    pub(crate) fn check_memory(self, measure: &Measure) -> Result<(), Failure> {
        let Self { sim, client_config, server_config, .. } = self;
        drop((client_config, server_config));
        let endpoints = sim.into_endpoints().map(|host| {
            let mut endpoint = host.driver.endpoint;
            // The TLS configuration belongs to the application and keeps tickets, so it does not count.
            endpoint.set_server(None);
            endpoint
        });
        let endpoints: Vec<_> = endpoints.collect();
        match measure.growth() {
            growth if growth > EMPTY_ENDPOINTS => Err(Failure::EndpointsKeepMemory(growth)),
            _ => {
                drop(endpoints);
                Ok(())
            }
        }
    }

    pub(crate) fn report(&self, ending: Ending, took: u64) -> Report {
        Report { ending, took, digest: self.sim.digest(), delivered: self.sim.delivered() }
    }
}

/// Whether the handshake is complete at the client.
pub(crate) fn is_complete(peer: &Peer) -> bool {
    !peer.connection.is_handshaking()
}

/// Whether the handshake is confirmed at the client.
pub(crate) fn is_confirmed(peer: &Peer) -> bool {
    peer.has(&Event::HandshakeConfirmed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        host::Traffic,
        world::{Setup, lan},
    };

    fn report() -> Report {
        Report { ending: Ending::Done, took: 1, digest: 2, delivered: 3 }
    }

    #[test]
    fn leaks_and_panics_are_failures() {
        assert_eq!(guarded(|| Ok(report())).ok(), Some(report()));
        let leak = guarded(|| {
            std::mem::forget(vec![0_u8; 100]);
            Ok(report())
        });
        assert!(matches!(leak, Err(Failure::Leak(100))));
        let panic = guarded(|| panic!("because {}", 7));
        assert!(matches!(panic, Err(Failure::Panic(why)) if why == "because 7"));
    }

    #[test]
    fn connections_that_are_not_dropped_are_noticed() {
        let measure = Measure::start();
        let mut world = World::with(1, &lan(), &Setup::default());
        world.establish();
        // The server does not drop the connection: the test moves it elsewhere.
        let peers = std::mem::take(&mut world.server_host().driver.connections);
        let kept: Vec<_> = peers.into_values().collect();
        assert!(matches!(world.check_memory(&measure), Err(Failure::EndpointsKeepMemory(_))));
        drop(kept);
    }

    #[test]
    fn a_server_that_sends_too_much_is_noticed() {
        let mut world = World::with(1, &lan(), &Setup::default());
        world.establish();
        assert!(world.check_amplification().is_ok());
        // As if nothing had been received and the address were not validated: everything sent now is too
        // much.
        let address = world.client_address;
        world.server_host().traffic.insert(address, Traffic::of_a_handshake());
        world.server().connection.ping();
        world.pass(SECOND);
        assert!(matches!(world.check_amplification(), Err(Failure::Amplification { .. })));
    }
}
