//! An application that pauses: as long as its peer respects its credit, no session ends, and in the end all
//! data arrives.

mod virtual_common;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use virtual_common::{pattern, session};
use wt_api::{
    SendStreamOptions, Server, TransportConfig, WebTransport, WebTransportOptions,
    testing::{LinkConfig, MILLISECOND, Network, Random, for_seeds},
};

/// What one end sends: a number of unidirectional streams of random sizes, as fast as credit permits.
#[derive(Clone, Copy)]
struct Load {
    streams: usize,
    largest: u64,
    seed: u64,
}

impl Load {
    fn draw(random: &mut Random) -> Self {
        let largest = [1, 40, 3_000, 30_000, 300_000][random.below(5) as usize];
        let streams = (4_000_000 / largest).clamp(30, 2_000) as usize;
        Self { streams, largest, seed: random.next_u64() }
    }

    fn sizes(self) -> impl Iterator<Item = usize> {
        let mut random = Random::new(self.seed);
        (0..self.streams).map(move |_| 1 + random.below(self.largest) as usize)
    }

    async fn send(self, session: WebTransport) {
        for size in self.sizes() {
            let mut stream = session.create_unidirectional_stream(SendStreamOptions::new()).await.unwrap();
            // In small pieces and in large ones.
            let data = pattern(size as u64, size);
            let at = size / 3;
            stream.write_chunk(data.slice(..at)).await.unwrap();
            stream.write_chunk(data.slice(at..)).await.unwrap();
            stream.finish().unwrap();
        }
    }
}

/// Accepts streams, sometimes late, and reads them at random times, in another order than they arrived.
async fn receive(network: Network, session: WebTransport, load: Load, mut random: Random) {
    let mut incoming = session.incoming_unidirectional_streams();
    let mut readers = Vec::new();
    for _ in 0..load.streams {
        if random.chance(0.02) {
            network.sleep(Duration::from_millis(random.below(3_000))).await;
        }
        let mut stream = incoming.next().await.unwrap().unwrap();
        let pause = if random.chance(0.3) { random.below(2_000) } else { 0 };
        let clock = network.clone();
        readers.push(network.spawn(async move {
            clock.sleep(Duration::from_millis(pause)).await;
            let data = stream.read_to_end(usize::MAX).await.unwrap();
            assert!(data == pattern(data.len() as u64, data.len()));
            data.len()
        }));
    }
    let mut sizes = Vec::new();
    for reader in readers {
        sizes.push(reader.await);
    }
    let mut expected: Vec<_> = load.sizes().collect();
    expected.sort_unstable();
    sizes.sort_unstable();
    assert!(sizes == expected);
}

fn settings(random: &mut Random) -> TransportConfig {
    let window = [100_000, 1 << 20][random.below(2) as usize];
    TransportConfig::new()
        .receive_window(window)
        .max_receive_window(window)
        .max_streams_uni(10 + [10, 1_000][random.below(2) as usize])
        .memory_budget(256 << 10)
}

#[test]
fn a_pausing_application_does_no_harm() {
    for_seeds(0..24, |seed| {
        let mut random = Random::new(seed ^ 0x9a75e5);
        let network = Network::new(seed);
        let (host, client) = (network.host("server"), network.host("client"));
        let link = LinkConfig::new()
            .rate(200_000_000)
            .delay(random.below(20) * MILLISECOND)
            .reorder(0.02, MILLISECOND);
        drop(network.link(&host, &client, &link));
        let (ours, theirs) = (settings(&mut random), settings(&mut random));
        let server = host.enter(|| {
            Server::builder().identity(network.identity(["server"])).transport(ours).build().unwrap()
        });
        let options = WebTransportOptions::new().dangerous().no_certificate_verification().transport(theirs);
        network.clone().run(async move {
            let (at_client, at_server) = session(&Arc::new(server), &client, options).await;
            let loads = [Load::draw(&mut random), Load::draw(&mut random)];
            let mut tasks = vec![
                network.spawn(loads[0].send(at_client.clone())),
                network.spawn(loads[1].send(at_server.clone())),
            ];
            // Kept to the end: dropping the last handle closes the session.
            let ends = [at_server, at_client];
            for (load, session) in loads.into_iter().zip(ends.clone()) {
                let random = Random::new(random.next_u64());
                tasks.push(network.spawn(receive(network.clone(), session, load, random)));
            }
            for task in tasks {
                task.await;
            }
            drop(ends);
        });
    });
}

/// Nobody accepts the streams: the sender reaches its limit and waits, however small the streams are. It
/// continues when the application accepts them.
#[test]
fn streams_that_nobody_accepts_make_their_sender_wait() {
    for size in [1, 3_000] {
        let network = Network::new(5);
        let (host, client) = (network.host("server"), network.host("client"));
        drop(network.link(&host, &client, &LinkConfig::new().delay(5 * MILLISECOND)));
        let transport = TransportConfig::new().max_streams_uni(50);
        let builder = Server::builder().identity(network.identity(["server"])).transport(transport);
        let server = host.enter(|| builder.build().unwrap());
        let options = WebTransportOptions::new().dangerous().no_certificate_verification();
        network.clone().run(async move {
            let (at_client, at_server) = session(&Arc::new(server), &client, options).await;
            let sent = Arc::new(std::sync::atomic::AtomicUsize::new(0));
            let count = Arc::clone(&sent);
            let sender = network.spawn(async move {
                for _ in 0..1_000 {
                    let mut stream =
                        at_client.create_unidirectional_stream(SendStreamOptions::new()).await.unwrap();
                    stream.write_chunk(Bytes::from(vec![7; size])).await.unwrap();
                    stream.finish().unwrap();
                    count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
                at_client
            });
            network.sleep(Duration::from_secs(20)).await;
            let before = sent.load(std::sync::atomic::Ordering::Relaxed);
            assert!(before <= 50, "{before} streams of {size} bytes were let in");
            let mut incoming = at_server.incoming_unidirectional_streams();
            for _ in 0..1_000 {
                let mut stream = incoming.next().await.unwrap().unwrap();
                assert_eq!(stream.read_to_end(usize::MAX).await.unwrap().len(), size);
            }
            drop(sender.await);
        });
    }
}
