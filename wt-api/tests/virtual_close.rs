//! What an application learns about its own close: the peer has received it, or has not confirmed that.

mod virtual_common;

use std::time::Duration;

use virtual_common::{options, seconds, serve, session};
use wt_api::{
    CloseInfo, CloseOutcome, ErrorCause, TransportConfig,
    testing::{self, LinkConfig, MILLISECOND, Network, Pair},
};

fn info() -> CloseInfo {
    CloseInfo::new(7, "done")
}

#[test]
fn a_close_that_the_peer_received_is_acknowledged() {
    for (seed, client_closes) in [(1, true), (2, false)] {
        let network = Network::new(seed);
        let (host, client) = (network.host("server"), network.host("client"));
        network.link(&host, &client, &LinkConfig::new().delay(50 * MILLISECOND));
        let (server, hash) = serve(&network, &host, TransportConfig::default());
        network.run(async {
            let (client, server) = session(&server, &client, options(hash)).await;
            network.sleep(seconds(1)).await;
            let (closer, peer) = if client_closes { (client, server) } else { (server, client) };
            let group = closer.create_send_group().unwrap();
            closer.close(info());
            assert_eq!(closer.close_outcome(), None);
            let begin = network.now();
            let counts = group.get_stats().await;
            assert_eq!(counts.bytes_written, 0);
            assert_eq!(closer.closed().await.unwrap(), info());
            let waited = network.now() - begin;
            assert!(waited >= Duration::from_millis(100), "a round trip: {waited:?}");
            assert!(waited < Duration::from_millis(200), "and no deadline: {waited:?}");
            assert_eq!(closer.close_outcome(), Some(CloseOutcome::Acknowledged));
            assert_eq!(peer.closed().await.unwrap(), info());
            assert_eq!(peer.close_outcome(), None, "it closed nothing");
        });
    }
}

/// Whichever side closes, a connection that only this session uses ends when both sides know, before any
/// deadline. A client program with nothing else to do then ends.
#[test]
fn the_connection_of_a_closed_session_ends_with_it() {
    for (seed, client_closes) in [(1, true), (2, false)] {
        let network = Network::new(seed);
        let (host, client) = (network.host("server"), network.host("client"));
        network.link(&host, &client, &LinkConfig::new().delay(50 * MILLISECOND));
        let (server, hash) = serve(&network, &host, TransportConfig::default());
        network.run(async {
            let (client, server) = session(&server, &client, options(hash)).await;
            network.sleep(seconds(1)).await;
            let connection = client.connection().unwrap();
            let closer = if client_closes { &client } else { &server };
            let begin = network.now();
            closer.close(info());
            assert_eq!(closer.closed().await.unwrap(), info());
            assert_eq!(closer.close_outcome(), Some(CloseOutcome::Acknowledged));
            drop(connection.closed().await);
            let waited = network.now() - begin;
            assert!(waited < Duration::from_millis(500), "{waited:?}");
        });
    }
}

#[test]
fn a_close_without_an_answer_ends_at_its_deadline() {
    for client_closes in [true, false] {
        let Pair { network, client, server, link, .. } = testing::pair(3);
        network.run(async {
            network.sleep(seconds(1)).await;
            link.change(|config| *config = config.clone().bernoulli(1.0));
            let closer = if client_closes { &client } else { &server };
            let mut stream = closer.create_unidirectional_stream(Default::default()).await.unwrap();
            stream.write_all(b"never acknowledged").await.unwrap();
            stream.finish().unwrap();
            let begin = network.now();
            closer.close(info());
            assert_eq!(closer.closed().await.unwrap(), info());
            let waited = network.now() - begin;
            assert!(waited >= seconds(2) && waited < seconds(5), "{waited:?}");
            assert_eq!(closer.close_outcome(), Some(CloseOutcome::Unanswered));
            // A later call gets the same outcome.
            closer.close(CloseInfo::default());
            assert_eq!(closer.closed().await.unwrap(), info());
        });
    }
}

#[test]
fn a_close_on_a_lost_connection_reports_the_loss() {
    let network = Network::new(4);
    let (host, client) = (network.host("server"), network.host("client"));
    let link = network.link(&host, &client, &LinkConfig::new().delay(50 * MILLISECOND));
    let transport = TransportConfig::new().idle_timeout(Some(seconds(3)));
    let (server, hash) = serve(&network, &host, transport);
    network.run(async {
        let (client, server) = session(&server, &client, options(hash).keep_alive_sessions(false)).await;
        link.change(|config| *config = config.clone().bernoulli(1.0));
        network.sleep(Duration::from_millis(2_500)).await;
        // The idle timeout expires before the deadline.
        server.close(info());
        assert_eq!(server.closed().await.unwrap(), info());
        assert_eq!(server.close_outcome(), Some(CloseOutcome::ConnectionLost));
        let error = client.closed().await.expect_err("nothing arrived");
        assert!(matches!(error.cause(), ErrorCause::Connection(_)), "{error}");
        assert_eq!(client.close_outcome(), None);
    });
}

#[test]
fn a_close_with_a_vanished_peer_does_not_delay_a_servers_shutdown() {
    let network = Network::new(5);
    let (host, client) = (network.host("server"), network.host("client"));
    network.link(&host, &client, &LinkConfig::new().delay(10 * MILLISECOND));
    let (server, hash) = serve(&network, &host, TransportConfig::default());
    network.run(async {
        let (_client, accepted) = session(&server, &client, options(hash)).await;
        network.sleep(seconds(1)).await;
        client.vanish();
        accepted.close(info());
        server.shutdown(Duration::ZERO).await;
        assert_eq!(accepted.closed().await.unwrap(), info());
        assert!(accepted.close_outcome().is_some_and(|outcome| outcome != CloseOutcome::Acknowledged));
    });
}

/// The mailbox and the peer's windows hold data back when the session closes, and sending it takes longer
/// than a few probe timeouts. All of it arrives.
#[test]
fn streams_finished_before_a_close_arrive_whatever_their_size() {
    for (streams, size, rate) in [
        (1, 400_000, 1_000_000_000),
        (1, 5_000_000, 1_000_000_000),
        (4, 1_000_000, 8_000_000),
        (40, 30_000, 2_000_000),
    ] {
        for client_closes in [true, false] {
            let network = Network::new(6);
            let (host, client) = (network.host("server"), network.host("client"));
            network.link(&host, &client, &LinkConfig::new().delay(10 * MILLISECOND).rate(rate));
            let (server, hash) = serve(&network, &host, TransportConfig::default());
            network.run(async {
                let (client_session, server_session) = session(&server, &client, options(hash)).await;
                let (closer, reader) = if client_closes {
                    (client_session, server_session)
                } else {
                    (server_session, client_session)
                };
                let counted = host.spawn(async move {
                    let mut incoming = reader.incoming_unidirectional_streams();
                    let mut sizes = Vec::new();
                    while let Some(Ok(mut stream)) = incoming.next().await {
                        sizes.push(stream.read_to_end(1 << 24).await.map(|bytes| bytes.len()));
                    }
                    sizes
                });
                for _ in 0..streams {
                    let mut stream = closer.create_unidirectional_stream(Default::default()).await.unwrap();
                    stream.write_all(&vec![7; size]).await.unwrap();
                    stream.finish().unwrap();
                }
                closer.close(info());
                closer.closed().await.unwrap();
                assert_eq!(closer.close_outcome(), Some(CloseOutcome::Acknowledged));
                let sizes = counted.await;
                assert_eq!(sizes.len(), streams, "{size} at {rate}");
                sizes.into_iter().for_each(|read| assert_eq!(read.unwrap(), size));
            });
        }
    }
}

/// A server that shuts down ends the connection after its last session, but not before that session's client
/// knows that the server received its close. For the client an earlier CONNECTION_CLOSE would be a lost
/// connection.
#[test]
fn a_clients_close_is_acknowledged_by_a_server_that_shuts_down() {
    for (seed, loss) in (0..60).map(|seed| (seed, [0.0, 0.1, 0.3][seed as usize % 3])) {
        let network = Network::new(seed);
        let (host, client) = (network.host("server"), network.host("client"));
        let link = network.link(&host, &client, &LinkConfig::new().delay(10 * MILLISECOND));
        let (server, hash) = serve(&network, &host, TransportConfig::default());
        network.run(async {
            let (client, accepted) = session(&server, &client, options(hash)).await;
            let shutdown = host.spawn(async move { server.shutdown(seconds(60)).await });
            client.draining().await;
            link.change(|config| *config = config.clone().bernoulli(loss));
            client.close(info());
            assert_eq!(client.closed().await.unwrap(), info());
            assert_eq!(client.close_outcome(), Some(CloseOutcome::Acknowledged), "seed {seed}, loss {loss}");
            assert_eq!(accepted.closed().await.unwrap(), info());
            shutdown.await;
        });
    }
}

/// A reader that pauses grants no credit meanwhile. The close waits for such a reader, but not for one that
/// never reads.
#[test]
fn a_close_waits_for_a_reader_that_pauses_and_not_for_one_that_stays_away() {
    const SIZE: usize = 3_000_000;
    for (pause, whole) in [(50, true), (300, true), (1_500, true), (60_000, false)] {
        let network = Network::new(7);
        let (host, client) = (network.host("server"), network.host("client"));
        network.link(&host, &client, &LinkConfig::new().delay(MILLISECOND));
        let (server, hash) = serve(&network, &host, TransportConfig::default());
        network.run(async {
            let (reader, closer) = session(&server, &client, options(hash)).await;
            let mut written = 0;
            for _ in 0..3 {
                let mut stream = closer.create_unidirectional_stream(Default::default()).await.unwrap();
                // As much as fits into the buffers.
                let all = network.within(seconds(1), stream.write_all(&vec![7; SIZE])).await;
                assert!(all.is_none_or(|result| result.is_ok()));
                written += stream.get_stats().await.bytes_written;
                stream.finish().unwrap();
            }
            let begin = network.now();
            closer.close(info());
            network.sleep(Duration::from_millis(pause)).await;
            let mut incoming = reader.incoming_unidirectional_streams();
            let mut read = 0;
            while let Some(Ok(mut stream)) = incoming.next().await {
                while let Ok(Some(chunk)) = stream.read_chunk(usize::MAX).await {
                    read += chunk.len() as u64;
                }
            }
            closer.closed().await.unwrap();
            assert_eq!(read == written, whole, "{pause} ms: {read} of {written}");
            assert!(network.now() - begin < Duration::from_millis(pause + 5_000), "{pause} ms");
        });
    }
}

/// A reader that goes on reading slowly could delay a close for ever: it has a minute.
#[test]
fn a_close_waits_a_minute_for_a_slow_reader() {
    let network = Network::new(9);
    let (host, client) = (network.host("server"), network.host("client"));
    network.link(&host, &client, &LinkConfig::new().delay(MILLISECOND));
    let (server, hash) = serve(&network, &host, TransportConfig::default());
    network.run(async {
        let narrow = TransportConfig::new()
            .stream_receive_window(4 << 10)
            .max_stream_receive_window(4 << 10)
            .receive_window(8 << 10)
            .max_receive_window(8 << 10);
        let (reader, closer) = session(&server, &client, options(hash).transport(narrow)).await;
        let mut stream = closer.create_unidirectional_stream(Default::default()).await.unwrap();
        // As much as fits into the buffers.
        drop(network.within(seconds(1), stream.write_all(&[7; 1_000_000])).await);
        stream.finish().unwrap();
        let begin = network.now();
        closer.close(info());
        let clock = network.clone();
        drop(client.spawn(async move {
            let mut stream = reader.accept_unidirectional_stream().await.unwrap();
            while let Ok(Some(_)) = stream.read_chunk(800).await {
                clock.sleep(Duration::from_millis(200)).await;
            }
        }));
        assert_eq!(closer.closed().await.unwrap(), info());
        let waited = network.now() - begin;
        assert!(waited >= seconds(60) && waited < seconds(65), "{waited:?}");
    });
}

/// A short outage or heavy loss loses nothing of the streams that were finished before a close.
#[test]
fn an_outage_loses_nothing_of_finished_streams() {
    const SIZE: usize = 300_000;
    for seed in 0..24 {
        let (silence, loss) = [(60, 0.0), (200, 0.0), (1_000, 0.0), (0, 0.15)][seed as usize % 4];
        let network = Network::new(seed);
        let (host, client) = (network.host("server"), network.host("client"));
        let link = network.link(&host, &client, &LinkConfig::new().delay(MILLISECOND));
        let (server, hash) = serve(&network, &host, TransportConfig::default());
        network.run(async {
            let (reader, closer) = session(&server, &client, options(hash)).await;
            let read = network.spawn(async move {
                let mut sizes = Vec::new();
                while let Ok(mut stream) = reader.accept_unidirectional_stream().await {
                    sizes.extend(stream.read_to_end(SIZE).await.map(|data| data.len()));
                }
                sizes
            });
            link.change(|config| *config = config.clone().bernoulli(loss));
            for _ in 0..3 {
                let mut stream = closer.create_unidirectional_stream(Default::default()).await.unwrap();
                stream.write_all(&vec![7; SIZE]).await.unwrap();
                stream.finish().unwrap();
            }
            closer.close(info());
            if silence > 0 {
                link.change(|config| *config = config.clone().bernoulli(1.0));
                network.sleep(Duration::from_millis(silence)).await;
                link.change(|config| *config = config.clone().bernoulli(0.0));
            }
            closer.closed().await.unwrap();
            assert_eq!(read.await, [SIZE; 3], "seed {seed}, {silence} ms, loss {loss}");
        });
    }
}
