//! What idle sessions cost.

mod virtual_common;

use heap_meter::{HeapMeter, Measure};
use virtual_common::{connect, echo_all, options, pattern, round_trip, seconds, serve};
use wt_api::testing::Network;

#[global_allocator]
static HEAP: HeapMeter = HeapMeter;

#[test]
fn a_hundred_idle_clients_share_their_buffers() {
    const CLIENTS: isize = 100;
    let network = Network::new(1);
    let (server, client) = (network.host("server"), network.host("client"));
    let (listener, hash) = serve(&network, &server, Default::default());
    drop(server.spawn(echo_all(server.clone(), listener)));
    client.run(async {
        // The first session creates what all share.
        let first = connect("server", options(hash)).await.unwrap();
        round_trip(&first, pattern(0, 100_000)).await.unwrap();
        network.sleep(seconds(5)).await;
        let measure = Measure::start();
        let mut sessions = Vec::new();
        for n in 0..CLIENTS {
            let session = connect("server", options(hash)).await.unwrap();
            round_trip(&session, pattern(n as u64, 100_000)).await.unwrap();
            sessions.push(session);
        }
        network.sleep(seconds(5)).await;
        let each = measure.growth() / CLIENTS;
        println!("{each} bytes a session, both ends");
        assert!(each < 130_000, "{each} bytes a session, both ends");
        // All of them still work.
        for session in &sessions {
            round_trip(session, pattern(3, 1_000)).await.unwrap();
        }
    });
}
