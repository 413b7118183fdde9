//! Send groups, send orders, ages and counters on a virtual network whose link is slow enough for them to
//! matter.

mod virtual_common;

use std::time::Duration;

use bytes::Bytes;
use virtual_common::{pattern, seconds};
use wt_api::{
    DatagramError, DatagramsWritableOptions, ErrorCause, ReceiveStream, SendStreamOptions, WebTransport,
    testing::{self, LinkConfig, MILLISECOND, Pair},
};

/// A session over a link of 4 Mbit/s and 10 ms each way.
fn slow(seed: u64) -> Pair {
    let pair = testing::pair(seed);
    pair.link.change(|config| *config = LinkConfig::new().rate(4_000_000).delay(10 * MILLISECOND));
    pair
}

fn options() -> SendStreamOptions {
    SendStreamOptions::new()
}

/// Opens a stream with far more data than the link can carry during the test.
async fn flood(pair: &Pair, options: SendStreamOptions, mark: u8) -> wt_api::testing::Task<()> {
    let mut stream = pair.client.create_unidirectional_stream(options).await.unwrap();
    pair.client_host
        .spawn(async move { while stream.write_chunk(Bytes::from(vec![mark; 16 << 10])).await.is_ok() {} })
}

/// Counts what the streams bring in this time, by the mark in their first byte.
async fn count(pair: &Pair, session: &WebTransport, streams: usize, time: Duration) -> [u64; 8] {
    let mut incoming = session.incoming_unidirectional_streams();
    let mut readers = Vec::new();
    let until = pair.network.now() + time;
    for _ in 0..streams {
        let mut stream = incoming.next().await.unwrap().unwrap();
        let network = pair.network.clone();
        readers.push(pair.server_host.spawn(async move {
            let (mut mark, mut total) = (0, 0);
            while let Some(left) = until.checked_sub(network.now())
                && let Some(Ok(Some(chunk))) = network.within(left, stream.read_chunk(usize::MAX)).await
            {
                mark = chunk[0];
                total += chunk.len() as u64;
            }
            (mark, total)
        }));
    }
    let mut counts = [0; 8];
    for reader in readers {
        let (mark, total) = reader.await;
        counts[usize::from(mark)] += total;
    }
    counts
}

fn share(part: u64, other: u64) -> f64 {
    part as f64 / (part + other) as f64
}

#[test]
fn groups_share_a_session_equally_however_many_streams_they_have() {
    let pair = slow(11);
    pair.network.run(async {
        let (one, two) = (pair.client.create_send_group().unwrap(), pair.client.create_send_group().unwrap());
        let mut floods = Vec::new();
        for _ in 0..3 {
            floods.push(flood(&pair, options().send_group(&one), 1).await);
        }
        floods.push(flood(&pair, options().send_group(&two), 2).await);
        let counts = count(&pair, &pair.server, 4, seconds(5)).await;
        let share = share(counts[1], counts[2]);
        assert!((0.47..0.53).contains(&share), "{counts:?}");
        assert!(counts[1] + counts[2] > 2_000_000, "the link carries 2.5 MB in that time: {counts:?}");
    });
}

#[test]
fn send_orders_are_strict_in_a_group_and_can_change_while_data_flows() {
    let pair = slow(12);
    pair.network.run(async {
        let high = flood(&pair, options().send_order(7), 1).await;
        let mut low = pair.client.create_unidirectional_stream(options().send_order(3)).await.unwrap();
        assert_eq!((low.send_order(), low.send_group()), (3, None));
        let network = pair.network.clone();
        // The lower stream's first bytes reach the server after 2 s, because of its new rank and not by
        // chance.
        let raised = pair.client_host.spawn(async move {
            low.write_chunk(Bytes::from(vec![2; 200 << 10])).await.unwrap();
            network.sleep(seconds(2)).await;
            let before = low.get_stats().await;
            low.set_send_order(9);
            low.finish().unwrap();
            low.finished().await.unwrap();
            (before, low.get_stats().await, network.now())
        });
        let counts = count(&pair, &pair.server, 2, seconds(6)).await;
        let (before, after, done) = raised.await;
        assert_eq!(before.bytes_sent, 0, "starved: {before:?}");
        assert_eq!(before.bytes_written, 200 << 10);
        assert_eq!((after.bytes_sent, after.bytes_acknowledged), (200 << 10, 200 << 10));
        assert!(done < seconds(4), "200 KiB take 0.4 s once they go first: {done:?}");
        assert_eq!(counts[2], 200 << 10);
        drop(high);
    });
}

#[test]
fn datagrams_rank_among_streams_and_expire_when_their_turn_does_not_come() {
    let pair = slow(13);
    pair.network.run(async {
        let stream = flood(&pair, options().send_order(5), 1).await;
        // The flood has begun; for the moment only the stream sends.
        pair.network.sleep(Duration::from_millis(100)).await;
        let datagrams = pair.client.datagrams();
        datagrams.set_outgoing_max_age(Some(Duration::from_millis(300)));
        assert_eq!(datagrams.outgoing_max_age(), Some(Duration::from_millis(300)));
        let low = datagrams.create_writable(&DatagramsWritableOptions::new().send_order(1)).unwrap();
        let high = datagrams.create_writable(&DatagramsWritableOptions::new().send_order(9)).unwrap();
        let reader = pair.server_host.spawn({
            let (session, network) = (pair.server.clone(), pair.network.clone());
            async move {
                let (mut seen, mut readable) = (Vec::new(), session.datagrams().readable);
                while let Some(Ok(data)) = network.within(seconds(3), readable.recv()).await {
                    seen.push(data[0]);
                }
                seen
            }
        });
        for _ in 0..10 {
            low.send(Bytes::from_static(&[1; 100])).await.unwrap();
            high.send(Bytes::from_static(&[2; 100])).await.unwrap();
        }
        count(&pair, &pair.server, 1, seconds(2)).await;
        let seen = reader.await;
        assert_eq!(seen, [2; 10], "the low ones wait behind the stream until they are too old");
        let stats = pair.client.get_stats().await.unwrap().datagrams.unwrap();
        assert_eq!((stats.expired_outgoing, stats.lost_outgoing), (10, 0), "{stats:?}");
        drop(stream);
    });
}

#[test]
fn received_datagrams_are_dropped_by_number_and_by_age_and_counted() {
    let pair = testing::pair(14);
    pair.network.run(async {
        let mut datagrams = pair.server.datagrams();
        datagrams.set_incoming_max_buffered_datagrams(0);
        assert_eq!(datagrams.incoming_max_buffered_datagrams().get(), 1, "less than one is one");
        datagrams.set_incoming_max_buffered_datagrams(4);
        for n in 0..6u8 {
            pair.client.datagrams().writable.send(Bytes::from(vec![n])).await.unwrap();
        }
        pair.network.sleep(seconds(1)).await;
        assert_eq!(datagrams.readable.recv().await.unwrap(), [2][..], "the oldest made room");
        datagrams.set_incoming_max_age(Some(Duration::from_millis(500)));
        assert_eq!(datagrams.readable.try_recv().unwrap(), None, "three are a second old");
        pair.client.datagrams().writable.send("fresh".into()).await.unwrap();
        let mut buffer = [0; 4];
        let error = datagrams.readable.recv_into(&mut buffer).await.unwrap_err();
        assert!(matches!(error, DatagramError::BufferTooSmall { needed: 5 }), "{error}");
        let mut buffer = [0; 8];
        assert_eq!(datagrams.readable.recv_into(&mut buffer).await.unwrap(), 5);
        assert_eq!(&buffer[..5], b"fresh");
        let stats = pair.server.get_stats().await.unwrap().datagrams.unwrap();
        assert_eq!((stats.dropped_incoming, stats.expired_incoming), (2, 3), "{stats:?}");
        datagrams.set_incoming_max_age(Some(Duration::ZERO));
        assert_eq!(datagrams.incoming_max_age(), None);
    });
}

#[test]
fn a_full_outgoing_queue_makes_senders_wait() {
    let pair = slow(15);
    pair.network.run(async {
        let datagrams = pair.client.datagrams();
        datagrams.set_outgoing_max_buffered_datagrams(3);
        assert_eq!(datagrams.outgoing_max_buffered_datagrams().get(), 3);
        let fits = || Bytes::from(vec![0; 1000]);
        let mut refused = false;
        // Nothing leaves while this task runs, so only the limit can stop it.
        for _ in 0..4 {
            refused = matches!(datagrams.writable.try_send(fits()), Err(DatagramError::Full));
        }
        assert!(refused);
        datagrams.writable.send(fits()).await.unwrap();
        let mut readable = pair.server.datagrams().readable;
        for _ in 0..4 {
            assert_eq!(readable.recv().await.unwrap().len(), 1000);
        }
    });
}

#[test]
fn the_largest_datagram_size_is_reported_when_path_mtu_discovery_raises_it() {
    let pair = testing::pair(16);
    pair.network.run(async {
        let mut size = pair.client.datagrams().watch_max_datagram_size();
        let first = size.current();
        let next = size.changed().await.expect("the session is open");
        assert!(next > first, "{first} {next}");
        assert_eq!(size.current(), next);
        pair.client.close(Default::default());
        while size.changed().await.is_some() {}
    });
}

#[test]
fn counters_of_streams_and_groups_add_up() {
    let pair = testing::pair(17);
    pair.network.run(async {
        let group = pair.client.create_send_group().unwrap();
        let mut over = pair.client.create_unidirectional_stream(options().send_group(&group)).await.unwrap();
        over.write_all(&pattern(1, 10_000)).await.unwrap();
        over.finished().await.unwrap();
        let mut open = pair.client.create_unidirectional_stream(options()).await.unwrap();
        open.set_send_group(Some(&group)).unwrap();
        assert_eq!(open.send_group(), Some(group.clone()));
        open.write_all(&pattern(2, 500)).await.unwrap();
        let mut incoming = pair.server.incoming_unidirectional_streams();
        let mut first = incoming.next().await.unwrap().unwrap();
        let mut second = incoming.next().await.unwrap().unwrap();
        pair.network.sleep(seconds(1)).await;
        let sum = group.get_stats().await;
        assert_eq!((sum.bytes_written, sum.bytes_sent, sum.bytes_acknowledged), (10_500, 10_500, 10_500));
        let done = over.get_stats().await;
        assert_eq!((done.bytes_written, done.bytes_acknowledged), (10_000, 10_000), "kept after the end");
        assert_eq!(first.read_chunk(4_000).await.unwrap().unwrap().len().min(1), 1);
        let stats = first.get_stats().await;
        assert_eq!(stats.bytes_received, 10_000);
        assert!(stats.bytes_read > 0 && stats.bytes_read <= 4_000);
        assert_eq!(second.read_chunk(usize::MAX).await.unwrap().unwrap(), pattern(2, 500));
        open.set_send_group(None).unwrap();
        open.reset(1);
        pair.network.sleep(seconds(1)).await;
        assert_eq!(group.get_stats().await.bytes_written, 10_000, "the group keeps its counters");
        let mut last = pair.client.create_unidirectional_stream(options().send_group(&group)).await.unwrap();
        last.write_all(&pattern(3, 300)).await.unwrap();
        last.finish().unwrap();
        // Sent, but not acknowledged yet: the path takes 1 ms each way.
        pair.network.sleep(Duration::from_micros(500)).await;
        assert_eq!(last.get_stats().await.bytes_sent, 300);
        pair.client.close(Default::default());
        // While it closes, and afterwards.
        assert_eq!(group.get_stats().await.bytes_written, 10_300);
        assert_eq!(last.get_stats().await.bytes_sent, 300);
        pair.client.closed().await.unwrap();
        assert_eq!(group.get_stats().await.bytes_acknowledged, 10_300);
    });
}

#[test]
fn groups_of_another_session_are_refused() {
    let (one, two) = (testing::pair(18), testing::pair(19));
    let foreign = two.client.create_send_group().unwrap();
    one.network.run(async {
        let refused =
            |error: &wt_api::WebTransportError| matches!(error.cause(), ErrorCause::ForeignSendGroup);
        let error =
            one.client.create_unidirectional_stream(options().send_group(&foreign)).await.unwrap_err();
        assert!(refused(&error), "{error}");
        let mut stream = one.client.create_unidirectional_stream(options()).await.unwrap();
        assert!(refused(&stream.set_send_group(Some(&foreign)).unwrap_err()));
        assert_eq!(stream.send_group(), None);
        let options = DatagramsWritableOptions::new().send_group(&foreign);
        assert!(refused(&one.client.datagrams().create_writable(&options).unwrap_err()));
        one.client.close(Default::default());
        assert!(matches!(
            one.client.create_send_group().unwrap_err().cause(),
            ErrorCause::SessionClosed { .. }
        ));
    });
}

/// Reads until the stream ends, finished or reset. Returns what arrived, and the code of a reset.
async fn drain(mut stream: ReceiveStream) -> (usize, Option<u32>) {
    let mut total = 0;
    loop {
        match stream.read_chunk(usize::MAX).await {
            Ok(Some(chunk)) => total += chunk.len(),
            Ok(None) => return (total, None),
            Err(error) => return (total, error.stream_error_code()),
        }
    }
}

#[test]
fn committed_data_survives_a_reset_and_the_rest_does_not() {
    let pair = slow(20);
    pair.network.run(async {
        let mut stream = pair.client.create_unidirectional_stream(options()).await.unwrap();
        stream.write_all(&pattern(1, 100_000)).await.unwrap();
        stream.commit();
        stream.write_all(&pattern(1, 100_000)).await.unwrap();
        stream.reset(33);
        let received = pair.server.incoming_unidirectional_streams().next().await.unwrap().unwrap();
        assert_eq!(drain(received).await, (100_000, Some(33)));
    });
}

#[test]
fn a_commit_behind_the_peers_window_delays_the_reset() {
    let pair = slow(21);
    pair.network.run(async {
        let mut stream = pair.client.create_unidirectional_stream(options()).await.unwrap();
        // More than a stream's first window, and more than QUIC's own buffer holds.
        let size = 2_000_000;
        let writer = pair.client_host.spawn(async move {
            stream.write_all(&pattern(1, size)).await.unwrap();
            stream.commit();
            stream.write_all(b"and this is lost").await.unwrap();
            stream.reset(34);
            stream.finished().await.unwrap_err()
        });
        let received = pair.server.incoming_unidirectional_streams().next().await.unwrap().unwrap();
        assert_eq!(drain(received).await, (size, Some(34)));
        let error = writer.await;
        assert!(matches!(error.cause(), ErrorCause::StreamFinished), "{error}");
    });
}

#[test]
fn an_atomic_write_is_sent_complete_or_not_at_all() {
    let pair = testing::pair(22);
    pair.network.run(async {
        let mut stream = pair.client.create_unidirectional_stream(options()).await.unwrap();
        stream.atomic_write(pattern(1, 50_000)).await.unwrap();
        let error = stream.atomic_write(pattern(2, 100 << 20)).await.unwrap_err();
        assert!(matches!(error.cause(), ErrorCause::WouldBlock { size: 104_857_600 }), "{error}");
        stream.atomic_write(Bytes::new()).await.unwrap();
        stream.write_all(&pattern(3, 10)).await.unwrap();
        stream.atomic_write(Bytes::new()).await.unwrap();
        stream.finish().unwrap();
        let mut received = pair.server.incoming_unidirectional_streams().next().await.unwrap().unwrap();
        let data = received.read_to_end(usize::MAX).await.unwrap();
        assert_eq!(data, [pattern(1, 50_000), pattern(3, 10)].concat(), "nothing of the second");
        assert_eq!(stream.get_stats().await.bytes_written, 50_010);
        let error = stream.atomic_write(pattern(4, 1)).await.unwrap_err();
        assert!(matches!(error.cause(), ErrorCause::StreamFinished), "{error}");
    });
}
