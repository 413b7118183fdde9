//! What an observer sees, held against the counters of the connection.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use netsim::{LinkConfig, Loss, MILLISECOND, SECOND, for_seeds};
use quic_core::{
    ConnectionStart, ConnectionState, ConnectionStats, Dir, KeyUpdate, Level, Observer, ObserverFactory,
    SendLimit, Side, Space, TraceEvent, TransportConfig, base::Timestamp, frame::Frame,
};
use soak::{Setup, World, pattern};

/// What the observer of a connection has counted.
#[derive(Clone, Debug, Default)]
struct Seen {
    side: Option<Side>,
    sent: BTreeSet<(Space, u64)>,
    acked: BTreeSet<(Space, u64)>,
    lost: [u64; 2],
    received: u64,
    dropped: u64,
    datagrams: [u64; 2],
    bytes: [u64; 2],
    stream_bytes: u64,
    dgrams: u64,
    states: Vec<ConnectionState>,
    parameters: Vec<Side>,
    updates: Vec<(Level, KeyUpdate)>,
    discarded: Vec<Level>,
    timeouts: u64,
    last: Option<Timestamp>,
    limit: Option<SendLimit>,
    closed: bool,
}

impl Seen {
    fn note(&mut self, now: Timestamp, event: &TraceEvent<'_>) {
        if !matches!(event, TraceEvent::PacketReceived { waited: true, .. }) {
            assert!(self.last <= Some(now), "time goes on: {event:?}");
            self.last = Some(now);
        }
        match event {
            TraceEvent::Started(start) => self.side = Some(start.side),
            TraceEvent::PacketSent { level, number, frames, datagram, .. } => {
                assert!(self.sent.insert((level.space(), *number)), "{number} is sent once");
                assert_eq!(*datagram, self.datagrams[0]);
                assert!(frames.iter().count() > 0);
                for frame in frames.iter() {
                    match frame {
                        Frame::Stream { data, .. } => self.stream_bytes += data.len() as u64,
                        Frame::Datagram { .. } => self.dgrams += 1,
                        _ => {}
                    }
                }
            }
            TraceEvent::PacketReceived { frames, .. } => {
                assert!(frames.iter().count() > 0);
                self.received += 1;
            }
            TraceEvent::PacketDropped { .. } => self.dropped += 1,
            TraceEvent::DatagramSent { size, .. } => {
                self.datagrams[0] += 1;
                self.bytes[0] += *size as u64;
            }
            TraceEvent::DatagramReceived { size, .. } => {
                self.datagrams[1] += 1;
                self.bytes[1] += *size as u64;
            }
            TraceEvent::PacketsAcked { space, numbers } => {
                for number in *numbers {
                    assert!(self.sent.contains(&(*space, *number)), "{number} was sent");
                    assert!(self.acked.insert((*space, *number)), "{number} is acknowledged once");
                }
            }
            TraceEvent::PacketLost { level, number, mtu_probe, .. } => {
                assert!(self.sent.contains(&(level.space(), *number)) && *level != Level::ZeroRtt);
                self.lost[usize::from(*mtu_probe)] += 1;
            }
            TraceEvent::StateChanged { old, new } => {
                assert_eq!(*old, self.states.last().copied());
                self.states.push(*new);
            }
            TraceEvent::ParametersSet { owner, .. } => self.parameters.push(*owner),
            TraceEvent::KeyUpdated { level, trigger, .. } => self.updates.push((*level, *trigger)),
            TraceEvent::KeyDiscarded { level } => self.discarded.push(*level),
            TraceEvent::TimerChanged { change: quic_core::TimerChange::Expired, .. } => self.timeouts += 1,
            TraceEvent::LimitChanged { old, new } => {
                assert!(self.limit.is_none_or(|limit| limit == *old) && old != new);
                self.limit = Some(*new);
            }
            TraceEvent::Closed(_) => self.closed = true,
            _ => {}
        }
    }
}

/// The observers of all connections of one end, the newest last.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<Seen>>>);

struct One(Log, usize);

impl Observer for One {
    fn on_event(&mut self, now: Timestamp, event: &TraceEvent<'_>) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)[self.1].note(now, event);
    }
}

impl ObserverFactory for Log {
    fn observer(&self, _: &ConnectionStart) -> Option<Box<dyn Observer>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Seen::default());
        Some(Box::new(One(self.clone(), all.len() - 1)))
    }
}

impl Log {
    fn last(&self) -> Seen {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).last().cloned().expect("a connection")
    }
}

fn observed(log: &Log) -> TransportConfig {
    TransportConfig::new().observers(Some(Arc::new(log.clone())))
}

fn lossy(seed: u64) -> LinkConfig {
    let link = LinkConfig::new().rate(10_000_000).delay(10 * MILLISECOND).queue(60_000);
    match seed % 3 {
        0 => link,
        1 => link.loss(Loss::Bernoulli(0.03)),
        _ => link.loss(Loss::Bernoulli(0.02)).reorder(0.02, 15 * MILLISECOND),
    }
}

fn check(seen: &Seen, stats: &ConnectionStats) {
    assert_eq!(seen.sent.len() as u64, stats.packets_sent);
    assert_eq!(seen.received, stats.packets_received);
    assert_eq!(seen.dropped, stats.packets_dropped);
    assert_eq!(seen.datagrams, [stats.datagrams_sent, stats.datagrams_received]);
    assert_eq!(seen.bytes, [stats.bytes_sent, stats.bytes_received]);
    assert_eq!(seen.acked.len() as u64, stats.packets_acked + stats.spurious_losses);
    assert_eq!(seen.lost, [stats.packets_lost, stats.mtu_probes_lost]);
    assert_eq!(seen.stream_bytes, stats.stream_bytes_sent + stats.stream_bytes_retransmitted);
    assert_eq!(seen.dgrams, stats.dgrams_sent);
    assert_eq!(stats.limited.total(), stats.lifetime, "{:?}", stats.limited);
}

#[test]
fn an_observer_counts_what_the_connection_counts() {
    for_seeds(0..12, |seed| {
        let logs = [Log::default(), Log::default()];
        let setup = Setup { client: observed(&logs[0]), server: observed(&logs[1]), ..Setup::default() };
        let mut world = World::with(seed, &lossy(seed), &setup);
        world.establish();
        let id = world.client().connection.open(Dir::Bidi).expect("credit");
        for _ in 0..20 {
            let now = soak::time(world.sim.now());
            let client = world.client();
            client
                .connection
                .send_datagram(now, Bytes::from_static(&[1; 300]), Default::default())
                .expect("room");
            client.send(id, pattern(20_000), false);
            world.pass(20 * MILLISECOND);
        }
        world.client().connection.update_keys();
        world.client().send(id, pattern(1_000), true);
        world.wait("the echo", 60 * SECOND, |client, _| client.peer().finished.contains(&id));
        world.pass(SECOND);
        for (log, stats) in
            logs.iter().zip([world.client().connection.stats(), world.server().connection.stats()])
        {
            let seen = log.last();
            check(&seen, &stats);
            assert_eq!(seen.parameters.len(), 2);
            assert_eq!(seen.states.last(), Some(&ConnectionState::HandshakeConfirmed));
            assert_eq!(seen.discarded, [Level::Initial, Level::Handshake]);
            let expected = if seen.side == Some(Side::Client) { KeyUpdate::Local } else { KeyUpdate::Remote };
            assert_eq!(seen.updates.last(), Some(&(Level::OneRtt, expected)), "{:?}", seen.updates);
            assert_eq!(seen.updates.len(), 4, "{:?}", seen.updates);
            assert_eq!(stats.key_updates, 1);
            assert!(stats.handshake_time <= stats.confirmation_time && stats.handshake_time.is_some());
        }
        let now = world.sim.now();
        let now = world.client_host().clock(now);
        world.client().connection.close(now, 7, b"enough");
        world.wait("both gone", 30 * SECOND, |client, server| {
            client.driver.connections.is_empty() && server.driver.connections.is_empty()
        });
        let [client, server] = logs.map(|log| log.last());
        assert!(client.closed && server.closed);
        assert!(client.states.contains(&ConnectionState::Closing));
        assert!(server.states.contains(&ConnectionState::Draining));
    });
}

/// Each reason shows where it is the reason.
#[test]
fn the_time_without_sending_is_told_by_its_reason() {
    let link = LinkConfig::new().rate(10_000_000).delay(25 * MILLISECOND).queue(60_000);
    let most = |client: TransportConfig, server: TransportConfig, bytes: usize, rest: u64| {
        let mut world = World::with(5, &link, &Setup { client, server, ..Setup::default() });
        world.establish();
        let before = world.client().connection.stats();
        let id = world.client().connection.open(Dir::Uni).expect("credit");
        world.client().send(id, pattern(bytes), true);
        world.wait("the data", 120 * SECOND, |_, server| server.peer().finished.contains(&id));
        world.pass(rest);
        let stats = world.client().connection.stats();
        assert_eq!(stats.limited.total(), stats.lifetime);
        assert!(before.limited.of(SendLimit::Handshake) >= before.handshake_time.expect("complete"));
        let spent = |limit| stats.limited.of(limit) - before.limited.of(limit);
        SendLimit::ALL.into_iter().max_by_key(|limit| spent(*limit)).expect("some")
    };
    let usual = TransportConfig::new;
    let narrow = usual().receive_window(20_000).max_receive_window(20_000);
    assert_eq!(most(usual(), narrow, 600_000, 0), SendLimit::ConnectionFlowControl);
    let narrow = usual().stream_receive_window(20_000).max_stream_receive_window(20_000);
    assert_eq!(most(usual(), narrow, 600_000, 0), SendLimit::StreamFlowControl);
    let by_network = most(usual(), usual(), 3_000_000, 0);
    assert!(matches!(by_network, SendLimit::CongestionWindow | SendLimit::Pacing), "{by_network:?}");
    assert_eq!(most(usual(), usual(), 100, SECOND), SendLimit::Application);
}

#[test]
fn nobody_has_to_watch() {
    let mut world = World::new(1, &lossy(0));
    world.establish();
    assert!(world.client().connection.is_observed(), "the world itself does");
    let (tls, certificate) = quic_core::testing::tls_server_config(b"x");
    drop(tls);
    let config = quic_core::ClientConfig::new(quic_core::testing::tls_client_config(&certificate, b"x"));
    let cids = quic_core::CidFactory::new(8, 0, &[1; 32]);
    let entropy = Box::new(quic_core::base::SeededEntropy::new(1));
    let mut endpoint = quic_core::Endpoint::new(quic_core::EndpointConfig::new(cids), None, entropy);
    let (_, connection) = endpoint
        .connect(soak::time(1), &config, "localhost", ([192, 0, 2, 1], 443).into())
        .expect("a configuration");
    assert!(!connection.is_observed());
}
