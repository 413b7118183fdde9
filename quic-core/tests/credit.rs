//! Credit is a promise: if a peer keeps to it, the connection is never closed for want of memory, whatever
//! the peer sends and whenever it is read.

use netsim::{LinkConfig, MILLISECOND, Random, SECOND, for_seeds};
use quic_core::{Dir, TransportConfig};
use soak::{Setup, World, content};

/// What one end sends: streams of random sizes, opened as credit permits.
struct Sender {
    random: Random,
    dir: Option<Dir>,
    largest: u64,
    left: usize,
}

impl Sender {
    fn draw(random: &mut Random) -> Self {
        let dirs = [None, Some(Dir::Uni), Some(Dir::Bidi)];
        let largest = [1, 10, 300, 3_000, 5_000, 30_000, 1_000_000][random.below(7) as usize];
        Self {
            dir: dirs[random.below(3) as usize],
            largest,
            left: (8_000_000 / largest).clamp(20, 4_000) as usize,
            random: Random::new(random.next_u64()),
        }
    }

    fn send(&mut self, peer: &mut soak::Peer) {
        while self.left > 0 {
            let dir = self.dir.unwrap_or(if self.random.chance(0.5) { Dir::Uni } else { Dir::Bidi });
            let Some(id) = peer.connection.open(dir) else { return };
            self.left -= 1;
            let size = 1 + self.random.below(self.largest) as usize;
            // The data is written in pieces, so that packets carry frames of many streams.
            let data = content(self.random.next_u64(), size);
            let at = self.random.below(size as u64) as usize;
            peer.send(id, data.slice(..at), false);
            peer.send(id, data.slice(at..), true);
        }
    }
}

fn settings(random: &mut Random) -> TransportConfig {
    let window = [64 << 10, 1 << 20, 8 << 20][random.below(3) as usize];
    let streams = [3, 100, 1_000][random.below(3) as usize];
    TransportConfig::new()
        .idle_timeout(None)
        .receive_window(window)
        .max_receive_window(window * [1, 4][random.below(2) as usize])
        .stream_receive_window((window / [1, 2, 4][random.below(3) as usize]).min(1 << 20))
        .max_streams_bidi(streams)
        .max_streams_uni(streams)
}

#[test]
fn no_connection_is_closed_for_data_that_its_credit_permitted() {
    for_seeds(0..60, |seed| {
        let mut random = Random::new(seed ^ 0xc4ed17);
        let link = LinkConfig::new()
            .rate([20_000_000, 500_000_000][random.below(2) as usize])
            .delay((1 + random.below(30)) * MILLISECOND)
            .queue(500_000)
            .bernoulli([0.0, 0.02][random.below(2) as usize])
            .reorder(0.05, 10 * MILLISECOND);
        let setup = Setup { client: settings(&mut random), server: settings(&mut random), back: None };
        let mut world = World::with(seed, &link, &setup);
        world.establish();
        let mut senders = [Sender::draw(&mut random), Sender::draw(&mut random)];
        for _ in 0..40 {
            // The application of either end may stop reading for a while, and still send.
            world.client_host().idle = random.chance(0.6);
            world.server_host().idle = random.chance(0.6);
            let [client, server] = &mut senders;
            client.send(world.client());
            server.send(world.server());
            world.pass((1 + random.below(300)) * MILLISECOND);
            for node in [world.client, world.server] {
                let peer = world.sim.endpoint(node).peer();
                let stats = peer.connection.stats();
                assert!(!peer.connection.is_closed(), "{:?}", peer.error);
                assert!(stats.memory_used <= stats.memory_limit, "{stats:?}");
            }
        }
        for host in [world.client, world.server] {
            world.sim.endpoint_mut(host).idle = false;
        }
        world.pass(20 * SECOND);
        assert_eq!((world.client().error.clone(), world.server().error.clone()), (None, None));
    });
}
