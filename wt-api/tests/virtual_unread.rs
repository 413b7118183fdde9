//! What the application does not read or accept: what that blocks, and what it must not block.

mod virtual_common;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use virtual_common::{pattern, serve, session};
use wt_api::{
    ReceiveStream, SendStream, SendStreamOptions, Server, TransportConfig, WebTransport, WebTransportOptions,
    testing::{Host, LinkConfig, MILLISECOND, Network},
};

fn world(seed: u64) -> (Network, Arc<Server>, Host) {
    let network = Network::new(seed);
    let (host, client) = (network.host("server"), network.host("client"));
    let config = LinkConfig::new().rate(100_000_000).delay(10 * MILLISECOND);
    drop(network.link(&host, &client, &config));
    let server = host.enter(|| Server::builder().identity(network.identity(["server"])).build().unwrap());
    (network, Arc::new(server), client)
}

fn pooled() -> WebTransportOptions {
    WebTransportOptions::new().dangerous().no_certificate_verification().allow_pooling(true)
}

/// Sends without end.
async fn flood(mut stream: SendStream) {
    let piece = Bytes::from(vec![7; 64 << 10]);
    while stream.write_chunk(piece.clone()).await.is_ok() {}
}

/// Sends `size` bytes from one end to the other, which reads them at once. Returns how long that takes.
async fn transfer(network: &Network, from: &WebTransport, to: &WebTransport, size: usize) -> Duration {
    let begin = network.now();
    let mut stream = from.create_unidirectional_stream(SendStreamOptions::new()).await.unwrap();
    let sent = async {
        stream.write_chunk(pattern(3, size)).await.unwrap();
        stream.finished().await.unwrap();
    };
    let received = async {
        let mut incoming = to.incoming_unidirectional_streams();
        incoming.next().await.unwrap().unwrap().read_to_end(size).await.unwrap()
    };
    let ((), received) = tokio::join!(sent, received);
    assert!(received == pattern(3, size));
    network.now() - begin
}

/// The time of a transfer in one session, beside another session of the connection. The other session's
/// receiving application accepts `accepted` of `streams` streams and reads none.
fn beside_a_silent_one(streams: usize, accepted: usize, from_client: bool) -> Duration {
    let (network, server, client) = world(81);
    let run = network.clone();
    run.run(async move {
        let (one_client, one_server) = session(&server, &client, pooled()).await;
        let (two_client, two_server) = session(&server, &client, pooled()).await;
        let (from, to) = if from_client { (&one_client, &one_server) } else { (&one_server, &one_client) };
        let mut floods = Vec::new();
        for _ in 0..streams {
            // The session's stream limit blocks some of them; the connection's limit blocks none of the other
            // session's.
            let options = SendStreamOptions::new().wait_until_available(false);
            if let Ok(stream) = from.create_unidirectional_stream(options).await {
                floods.push(network.spawn(flood(stream)));
            }
        }
        let mut unread: Vec<ReceiveStream> = Vec::new();
        for _ in 0..accepted {
            unread.push(to.incoming_unidirectional_streams().next().await.unwrap().unwrap());
        }
        network.sleep(Duration::from_secs(2)).await;
        let (from, to) = if from_client { (two_client, two_server) } else { (two_server, two_client) };
        let took = transfer(&network, &from, &to, 10_000_000).await;
        // Once all its streams are read, the other session continues.
        let all = unread.len() == streams;
        let readers = unread.into_iter().filter(|_| all).map(|mut stream| {
            network.spawn(async move {
                let mut read = 0;
                while read < 1_000_000 {
                    read += stream.read_chunk(usize::MAX).await.unwrap().unwrap().len();
                }
            })
        });
        for reader in readers.collect::<Vec<_>>() {
            reader.await;
        }
        took
    })
}

#[test]
fn a_session_that_reads_nothing_blocks_no_other_session() {
    for from_client in [true, false] {
        let alone = beside_a_silent_one(0, 0, from_client);
        for (streams, accepted) in [(1, 1), (20, 20), (300, 0), (300, 100)] {
            let beside = beside_a_silent_one(streams, accepted, from_client);
            assert!(
                beside <= alone.mul_f64(1.2),
                "{beside:?} beside {streams} streams of which {accepted} were accepted, {alone:?} alone"
            );
        }
    }
}

#[test]
fn streams_can_be_read_in_any_order_however_many_wait() {
    for pooling in [false, true] {
        let (network, server, client) = world(82);
        network.clone().run(async move {
            let (from, to) = session(&server, &client, pooled().allow_pooling(pooling)).await;
            let mut tasks = Vec::new();
            for salt in 0..6 {
                let mut stream = from.create_unidirectional_stream(SendStreamOptions::new()).await.unwrap();
                tasks.push(network.spawn(async move {
                    stream.write_chunk(pattern(salt, 3_000_000)).await.unwrap();
                    stream.finished().await.unwrap();
                }));
            }
            let mut streams = Vec::new();
            for _ in 0..6 {
                streams.push(to.incoming_unidirectional_streams().next().await.unwrap().unwrap());
            }
            // The last stream first, while those before it stay unread.
            for (salt, stream) in streams.iter_mut().enumerate().rev() {
                assert!(stream.read_to_end(3_000_000).await.unwrap() == pattern(salt as u64, 3_000_000));
            }
            for task in tasks {
                task.await;
            }
        });
    }
}

#[test]
fn unread_data_is_bounded() {
    let network = Network::new(83);
    let (host, client) = (network.host("server"), network.host("client"));
    drop(network.link(&host, &client, &LinkConfig::new().rate(1_000_000_000).delay(MILLISECOND)));
    let transport = TransportConfig::new().max_receive_window(2 << 20);
    let (server, _) = serve(&network, &host, transport);
    network.clone().run(async move {
        let (session, accepted) = session(&server, &client, pooled().allow_pooling(false)).await;
        for _ in 0..50 {
            let stream = session.create_unidirectional_stream(SendStreamOptions::new()).await.unwrap();
            drop(network.spawn(flood(stream)));
        }
        network.sleep(Duration::from_secs(5)).await;
        let mut received = 0;
        let mut unread = Vec::new();
        for _ in 0..50 {
            let stream = accepted.incoming_unidirectional_streams().next().await.unwrap().unwrap();
            received += stream.get_stats().await.bytes_received;
            unread.push(stream);
        }
        // Most of the connection's window: QUIC does not grant credit for less than a quarter of it.
        assert!((3 << 19..=2 << 20).contains(&received), "{received}");
    });
}
