//! Members of the W3C interface that no other test covers: `docs/w3c.md` names a test for each.

mod virtual_common;

use std::{future::poll_fn, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use virtual_common::{pattern, seconds, session};
use wt_api::{
    CloseInfo, DatagramsWritableOptions, ReceiveStream, Reliability, SendStreamOptions, Server, WebTransport,
    WebTransportError, WebTransportErrorSource, WebTransportOptions,
    testing::{self, LinkConfig, MILLISECOND, Network, Pair},
};

/// A session over a link of 4 Mbit/s and 10 ms each way.
fn slow(seed: u64, configure: impl FnOnce(LinkConfig) -> LinkConfig) -> Pair {
    let pair = testing::pair(seed);
    let slow = configure(LinkConfig::new().rate(4_000_000).delay(10 * MILLISECOND));
    pair.link.change(|config| *config = slow.clone());
    pair
}

#[test]
fn a_long_reason_is_cut_between_characters() {
    for client_closes in [true, false] {
        let pair = testing::pair(72);
        pair.network.run(async {
            let (one, other) =
                if client_closes { (&pair.client, &pair.server) } else { (&pair.server, &pair.client) };
            // Three bytes each: 341 of them are 1023 bytes, and one more would be too many.
            one.close(CloseInfo::new(1, "\u{20ac}".repeat(400)));
            assert_eq!(other.closed().await.unwrap().reason, "\u{20ac}".repeat(341));
        });
    }
}

/// Streams in one direction and an eighth as many in the other, with losses: the test compares each counter
/// with what the link saw.
#[test]
fn the_connections_counters_agree_with_the_link() {
    let pair = slow(73, |config| config.bernoulli(0.02).jitter(2 * MILLISECOND));
    let size = 2_000_000;
    pair.network.run(async {
        let mut stream = pair.client.create_unidirectional_stream(SendStreamOptions::new()).await.unwrap();
        let sending = pair.client_host.spawn(async move {
            stream.write_chunk(pattern(1, size)).await.unwrap();
            stream.finished().await.unwrap();
        });
        let reading = pair.server_host.spawn({
            let session = pair.server.clone();
            async move {
                let mut stream = session.incoming_unidirectional_streams().next().await.unwrap().unwrap();
                stream.read_to_end(size).await.unwrap().len()
            }
        });
        pair.network.sleep(seconds(2)).await;
        assert!(pair.client.get_stats().await.unwrap().at_send_capacity, "the window is full");
        assert_eq!(reading.await, size);
        sending.await;
        pair.network.sleep(seconds(1)).await;
        let (sent, received) =
            (pair.client.get_stats().await.unwrap(), pair.server.get_stats().await.unwrap());
        let way = pair.link.stats_from(&pair.client_host);
        let payload = sent.bytes_sent.unwrap();
        // A few hundred bytes of HTTP/3 and the streams' prefaces come on top.
        assert!((2_000_000..2_001_000).contains(&payload), "{payload}");
        assert!((2_000_000..=payload).contains(&sent.bytes_acknowledged.unwrap()), "{sent:?}");
        let packets = sent.packets_sent.unwrap();
        // Only the handshake puts several packets into one datagram.
        assert!((way.offered..way.offered + 10).contains(&packets), "{packets} {way:?}");
        let lost = sent.packets_lost.unwrap();
        assert!(lost > 10 && lost.abs_diff(way.lost) <= 3, "{lost} {way:?}");
        let bytes_lost = sent.bytes_lost.unwrap();
        assert!((lost * 1_000..lost * 1_500).contains(&bytes_lost), "{bytes_lost} in {lost} packets");
        // Retransmissions, and the framing of some 1,500 packets.
        let overhead = sent.bytes_sent_overhead.unwrap();
        assert!((bytes_lost / 2..bytes_lost + packets * 60 + 10_000).contains(&overhead), "{overhead}");
        assert!(received.packets_received.unwrap() >= way.delivered, "{received:?} {way:?}");
        let bytes = received.bytes_received.unwrap();
        assert!((2_000_000..=payload + overhead).contains(&bytes), "{bytes}");
        // The handshake saw 1 ms each way; the data saw 10 ms and a queue.
        let min = sent.min_rtt.unwrap();
        assert!((Duration::from_millis(2)..Duration::from_millis(3)).contains(&min), "{min:?}");
        assert!((Duration::from_millis(20)..seconds(2)).contains(&sent.smoothed_rtt), "{sent:?}");
        assert!(!sent.rtt_variation.is_zero() && sent.rtt_variation < seconds(1), "{sent:?}");
        let rate = sent.estimated_send_rate.unwrap();
        assert!((500_000..40_000_000).contains(&rate), "{rate} bit/s");
        assert!(!sent.at_send_capacity, "nothing is left to send");
    });
}

#[test]
fn lost_datagrams_are_counted() {
    let pair = slow(74, |config| config.bernoulli(0.2));
    pair.network.run(async {
        let datagrams = pair.client.datagrams();
        for _ in 0..100 {
            datagrams.writable.send(Bytes::from(vec![1; 1_000])).await.unwrap();
            pair.network.sleep(Duration::from_millis(10)).await;
        }
        pair.network.sleep(seconds(3)).await;
        let mut received = 0;
        let mut readable = pair.server.datagrams().readable;
        while readable.try_recv().unwrap().is_some() {
            received += 1;
        }
        let lost = pair.client.get_stats().await.unwrap().datagrams.unwrap().lost_outgoing;
        assert!(lost > 5, "{lost}");
        assert_eq!(lost + received, 100);
    });
}

#[test]
fn datagrams_of_a_group_are_not_starved_by_streams_of_another() {
    let pair = slow(75, |config| config);
    pair.network.run(async {
        let mut flood =
            pair.client.create_unidirectional_stream(SendStreamOptions::new().send_order(5)).await.unwrap();
        let flooding = pair
            .client_host
            .spawn(async move { while flood.write_chunk(Bytes::from(vec![0; 16 << 10])).await.is_ok() {} });
        let reading = pair.server_host.spawn({
            let session = pair.server.clone();
            async move {
                let mut stream = session.incoming_unidirectional_streams().next().await.unwrap().unwrap();
                while let Ok(Some(_)) = stream.read_chunk(usize::MAX).await {}
            }
        });
        let group = pair.client.create_send_group().unwrap();
        let options = DatagramsWritableOptions::new().send_group(&group).send_order(1);
        let datagrams = pair.client.datagrams();
        datagrams.set_outgoing_max_age(Some(Duration::from_millis(500)));
        let mut writable = datagrams.create_writable(&options).unwrap();
        assert_eq!((writable.send_group(), writable.send_order()), (Some(group), 1));
        let mut readable = pair.server.datagrams().readable;
        pair.network.sleep(seconds(1)).await;
        writable.send("apart".into()).await.unwrap();
        assert_eq!(pair.network.within(seconds(2), readable.recv()).await.unwrap().unwrap(), "apart");
        // Within the stream's own group a datagram with a lower order waits, and one with a higher order does
        // not.
        writable.set_send_group(None).unwrap();
        assert_eq!(writable.send_group(), None);
        writable.send("behind".into()).await.unwrap();
        assert!(pair.network.within(seconds(2), readable.recv()).await.is_none());
        writable.set_send_order(6);
        assert_eq!(writable.send_order(), 6);
        writable.send("before".into()).await.unwrap();
        assert_eq!(pair.network.within(seconds(2), readable.recv()).await.unwrap().unwrap(), "before");
        drop((flooding, reading));
    });
}

#[test]
fn errors_distinguish_a_stream_from_the_session() {
    let pair = testing::pair(76);
    pair.network.run(async {
        let mut stream = pair.client.create_bidirectional_stream(SendStreamOptions::new()).await.unwrap();
        stream.writable.write_all(b"x").await.unwrap();
        let mut incoming = pair.server.incoming_bidirectional_streams().next().await.unwrap().unwrap();
        stream.writable.reset(6);
        let error = loop {
            if let Err(error) = incoming.readable.read_chunk(1).await {
                break error;
            }
        };
        assert_eq!(
            (error.error_source(), error.stream_error_code()),
            (WebTransportErrorSource::Stream, Some(6))
        );
        assert!(error.to_string().contains("reset") && error.to_string().contains('6'), "{error}");
        pair.client.close(CloseInfo::default());
        pair.server.closed().await.unwrap();
        let error = pair.server.create_unidirectional_stream(SendStreamOptions::new()).await.unwrap_err();
        assert_eq!(
            (error.error_source(), error.stream_error_code()),
            (WebTransportErrorSource::Session, None)
        );
    });
}

#[test]
fn reads_fill_the_callers_buffer_with_what_has_arrived() {
    let pair = testing::pair(78);
    pair.network.run(async {
        let mut stream = pair.client.create_unidirectional_stream(SendStreamOptions::new()).await.unwrap();
        let mut incoming = pair.server.incoming_unidirectional_streams();
        stream.write_all(b"abcdef").await.unwrap();
        let mut received = incoming.next().await.unwrap().unwrap();
        let mut buffer = [b'-'; 4];
        assert_eq!(received.read(&mut []).await.unwrap(), 0, "no room, which is not the end");
        assert_eq!((received.read(&mut buffer).await.unwrap(), &buffer), (4, b"abcd"));
        assert_eq!((received.read(&mut buffer).await.unwrap(), &buffer), (2, b"efcd"));
        stream.finish().unwrap();
        assert_eq!(received.read(&mut buffer).await.unwrap(), 0, "the end");
    });
}

/// As a `Stream`, the chunks are followed by one error and then by nothing, so that a loop over them ends by
/// itself.
#[test]
fn a_stream_of_chunks_ends_with_its_error() {
    use futures_core::Stream;
    async fn next(stream: &mut ReceiveStream) -> Option<Result<Bytes, WebTransportError>> {
        let mut stream = Pin::new(stream);
        poll_fn(|cx| stream.as_mut().poll_next(cx)).await
    }
    let pair = testing::pair(79);
    pair.network.run(async {
        let mut incoming = pair.server.incoming_unidirectional_streams();
        // Reset by the peer, stopped here, finished, and ended with the session.
        for (at, code) in [Some(6), None, None, None].into_iter().enumerate() {
            let mut stream =
                pair.client.create_unidirectional_stream(SendStreamOptions::new()).await.unwrap();
            stream.write_all(b"first").await.unwrap();
            let mut received = incoming.next().await.unwrap().unwrap();
            assert_eq!(next(&mut received).await.unwrap().unwrap(), "first");
            match at {
                0 => stream.reset(6),
                1 => received.stop(7),
                2 => stream.finish().unwrap(),
                _ => pair.client.close(CloseInfo::default()),
            }
            if at != 2 {
                let error = next(&mut received).await.unwrap().unwrap_err();
                assert_eq!(error.stream_error_code(), code, "{error}");
                let again = received.read_chunk(9).await.unwrap_err();
                assert_eq!(again.to_string(), error.to_string(), "other ways of reading go on to tell it");
            }
            for _ in 0..2 {
                assert!(next(&mut received).await.is_none(), "{at}");
            }
        }
    });
}

/// There is no WebTransport over HTTP/2 here: every session supports datagrams, whether the options require
/// that or not.
#[test]
fn every_session_supports_unreliable_transport() {
    let network = Network::new(77);
    let (host, client) = (network.host("server"), network.host("client"));
    let builder = Server::builder().identity(network.identity(["server"]));
    let server = Arc::new(host.enter(|| builder.build().unwrap()));
    network.run(async {
        for required in [false, true] {
            let options = WebTransportOptions::new()
                .server_certificate_hashes(server.certificate_hash())
                .require_unreliable(required);
            let (one, accepted) = session(&server, &client, options).await;
            assert_eq!([one.reliability(), accepted.reliability()], [Reliability::SupportsUnreliable; 2]);
            assert_eq!(WebTransport::SUPPORTS_RELIABLE_ONLY, one.datagrams().max_datagram_size() == 0);
        }
    });
}
