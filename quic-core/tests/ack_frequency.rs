//! What the ends of a transfer ask of each other's acknowledgments (ack-frequency).

use netsim::{LinkConfig, MILLISECOND, SECOND, for_seeds};
use quic_core::{AckFrequency, Dir, TransportConfig};
use soak::{Setup, World, pattern};

/// How many datagrams the client sends while the server sends it `size` bytes, if the server may ask for fewer
/// acknowledgments or not.
fn datagrams_for(seed: u64, link: &LinkConfig, size: usize, asks: bool) -> (u64, u64) {
    let wanted = if asks { AckFrequency::Requested } else { AckFrequency::Permitted };
    let server = TransportConfig::new().ack_frequency(wanted);
    let mut world = World::with(seed, link, &Setup { server, ..Setup::default() });
    world.establish();
    let id = world.client().connection.open(Dir::Bidi).expect("credit");
    // The echo asks for the server's data: the client sends the same, but hears nothing of requests in that.
    let data = pattern(size);
    world.client().send(id, data.clone(), true);
    world.wait("echo", 600 * SECOND, |client, _| client.peer().finished.contains(&id));
    assert!(world.client().received[&id] == data, "it came back as it was");
    (world.client().connection.stats().datagrams_sent, world.sim.now())
}

#[test]
fn a_sender_with_a_large_window_is_acknowledged_less_often_and_is_as_fast() {
    let link = LinkConfig::new().rate(100_000_000 / 8).delay(20 * MILLISECOND);
    let (usual, usual_time) = datagrams_for(1, &link, 4 << 20, false);
    let (fewer, time) = datagrams_for(1, &link, 4 << 20, true);
    // The client's own data takes about 3,000 datagrams either way.
    assert!(fewer + 500 < usual, "{fewer} datagrams, not {usual}");
    assert!(time <= usual_time + usual_time / 10, "{time} ns, not {usual_time}");
}

#[test]
fn transfers_end_on_lossy_links_whoever_asks() {
    for_seeds(0..12, |seed| {
        let link =
            LinkConfig::new().rate(20_000_000 / 8).delay((1 + seed % 4 * 20) * MILLISECOND).bernoulli(0.03);
        for asks in [true, false] {
            let _ = datagrams_for(seed, &link, 300_000, asks);
        }
    });
}
