//! The edges of the W3C interface: calls before the session is ready, as it ends and afterwards, and values
//! at the limits of their ranges.

mod virtual_common;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use virtual_common::{open_all, open_all_uni, pattern, seconds, session};
use wt_api::{
    AcceptOptions, CertificateError, CertificateHash, CloseInfo, ConnectOptionsError, ErrorCause,
    ExportError, SendStreamOptions, Server, TransportConfig, WebTransport, WebTransportErrorSource,
    WebTransportOptions,
    testing::{self, Host, LinkConfig, MILLISECOND, Network, Pair},
};

/// A server named `server` that permits its clients few streams, and a client's host.
fn serve(seed: u64) -> (Network, Arc<Server>, Host) {
    let network = Network::new(seed);
    let (host, client) = (network.host("server"), network.host("client"));
    let transport = TransportConfig::new().max_streams_bidi(3).max_streams_uni(4);
    let builder = Server::builder().identity(network.identity(["server"])).transport(transport);
    (network, Arc::new(host.enter(|| builder.build().unwrap())), client)
}

fn options() -> WebTransportOptions {
    WebTransportOptions::new().dangerous().no_certificate_verification()
}

fn connect(client: &Host) -> WebTransport {
    client.enter(|| WebTransport::new("https://server/", options()).unwrap())
}

#[test]
fn calls_made_while_connecting_take_effect_once_ready() {
    let (network, server, client) = serve(101);
    network.run(async {
        let one = connect(&client);
        // More streams than the server permits: two wait only for the session, one fails, one goes on
        // waiting.
        let create = |wait| {
            let one = one.clone();
            let options = SendStreamOptions::new().wait_until_available(wait);
            client.spawn(async move { one.create_bidirectional_stream(options).await })
        };
        let (first, second, refused, waiting) = (create(false), create(true), create(false), create(true));
        let stats = client.spawn({
            let one = one.clone();
            async move { one.get_stats().await }
        });
        let key = client.spawn({
            let one = one.clone();
            async move {
                let mut key = [0; 16];
                one.export_keying_material(b"label", b"", &mut key).await.map(|()| key)
            }
        });
        let datagram = client.spawn({
            let writable = one.datagrams().writable;
            async move { writable.send("early".into()).await }
        });
        let accepted = server.accept().await.unwrap().accept(AcceptOptions::new()).await.unwrap();
        let (first, _second) = (first.await.unwrap(), second.await.unwrap());
        let error = network.within(seconds(5), refused).await.expect("not left to wait").unwrap_err();
        assert!(matches!(error.cause(), ErrorCause::QuotaExceeded), "{error}");
        assert!(stats.await.unwrap().packets_sent > Some(0));
        let mut theirs = [0; 16];
        accepted.export_keying_material(b"label", b"", &mut theirs).await.unwrap();
        assert_eq!(key.await.unwrap(), theirs);
        datagram.await.unwrap();
        assert_eq!(accepted.datagrams().readable.recv().await.unwrap(), "early");
        // A call that does not wait does not overtake one that does.
        let error = open_all(&one).await;
        assert!(error.is_empty());
        let (mut readable, mut writable) = first.split();
        writable.finish().unwrap();
        let mut incoming = accepted.incoming_bidirectional_streams().next().await.unwrap().unwrap();
        incoming.writable.finish().unwrap();
        assert_eq!(incoming.readable.read_to_end(1).await.unwrap(), "");
        assert_eq!(readable.read_to_end(1).await.unwrap(), "");
        network.within(seconds(5), waiting).await.expect("there is credit again").unwrap();
    });
}

#[test]
fn waiting_calls_end_as_soon_as_the_session_closes() {
    for client_closes in [true, false] {
        let (network, server, client) = serve(102);
        network.run(async {
            let (one, accepted) = session(&server, &client, options()).await;
            let (_bidi, mut uni) = (open_all(&one).await, open_all_uni(&one).await);
            let spawn_creating = |uni: bool| {
                let one = one.clone();
                client.spawn(async move {
                    let options = SendStreamOptions::new();
                    if uni {
                        one.create_unidirectional_stream(options).await.map(drop)
                    } else {
                        one.create_bidirectional_stream(options).await.map(drop)
                    }
                })
            };
            let creating = [spawn_creating(true), spawn_creating(false)];
            let incoming = client.spawn({
                let one = one.clone();
                async move { one.incoming_unidirectional_streams().next().await.is_none() }
            });
            let datagram = client.spawn({
                let mut readable = one.datagrams().readable;
                async move { readable.recv().await }
            });
            network.sleep(Duration::from_millis(50)).await;
            // The close waits until this is acknowledged, but no call waits for the close.
            uni[0].write_all(b"on its way").await.unwrap();
            uni[0].finish().unwrap();
            let closed = if client_closes { &one } else { &accepted };
            closed.close(CloseInfo::new(5, "first"));
            closed.close(CloseInfo::new(6, "second"));
            let begin = network.now();
            // Counters remain available.
            assert!(closed.get_stats().await.unwrap().bytes_received > Some(0));
            for creating in creating {
                let error = creating.await.unwrap_err();
                assert!(matches!(error.cause(), ErrorCause::SessionClosed { .. }), "{error}");
                assert_eq!(error.error_source(), WebTransportErrorSource::Session);
            }
            if client_closes {
                assert!(network.now() - begin < Duration::from_millis(1), "before the network has a say");
            }
            assert!(incoming.await, "a clean end");
            assert!(matches!(datagram.await.unwrap_err().cause(), ErrorCause::SessionClosed { .. }));
            assert!(network.now() - begin < Duration::from_millis(10), "a few round trips at most");
            let info = CloseInfo::new(5, "first");
            assert_eq!((one.closed().await.unwrap(), accepted.closed().await.unwrap()), (info.clone(), info));
            one.draining().await;
            accepted.draining().await;
        });
    }
}

#[test]
fn a_lost_connection_fails_everything_with_its_cause() {
    let pair = testing::pair(103);
    pair.network.run(async {
        let mut stream = pair.client.create_bidirectional_stream(SendStreamOptions::new()).await.unwrap();
        let group = pair.client.create_send_group().unwrap();
        stream.writable.set_send_group(Some(&group)).unwrap();
        stream.writable.write_all(b"x").await.unwrap();
        stream.writable.finished().await.unwrap();
        pair.server_host.vanish();
        let error = pair.client.closed().await.unwrap_err();
        let idle = |error: &wt_api::WebTransportError| {
            error.error_source() == WebTransportErrorSource::Session
                && error.stream_error_code().is_none()
                && virtual_common::is_idle_timeout(error)
        };
        assert!(idle(&error), "{error}");
        assert!(idle(&pair.client.closed().await.unwrap_err()), "also afterwards");
        pair.client.draining().await;
        pair.client.ready().await.expect("it was ready once");
        assert!(idle(&stream.readable.read_chunk(1).await.unwrap_err()));
        let options = SendStreamOptions::new();
        assert!(idle(&pair.client.create_unidirectional_stream(options.clone()).await.unwrap_err()));
        assert!(idle(&pair.client.create_bidirectional_stream(options).await.unwrap_err()));
        assert!(idle(&pair.client.create_send_group().unwrap_err()));
        assert!(idle(&pair.client.datagrams().readable.recv().await.unwrap_err()));
        let mut key = [0; 16];
        let refused = pair.client.export_keying_material(b"", b"", &mut key).await.unwrap_err();
        assert!(matches!(refused, ExportError::Session(error) if idle(&error)));
        // An abnormal end is an error of the incoming streams, reported once.
        let mut incoming = pair.client.incoming_bidirectional_streams();
        assert!(idle(&incoming.next().await.unwrap().unwrap_err()));
        assert!(incoming.next().await.is_none());
        // The last counters remain available, as do those of streams and groups.
        assert!(pair.client.get_stats().await.unwrap().packets_sent > Some(0));
        assert_eq!(stream.writable.get_stats().await.bytes_acknowledged, 1);
        assert_eq!(group.get_stats().await.bytes_acknowledged, 1);
    });
}

#[test]
fn without_a_connection_there_are_no_counters_and_no_keys() {
    let (network, server, client) = serve(104);
    network.run(async {
        let hashes = [CertificateHash::new([1; 32])];
        let options = WebTransportOptions::new().server_certificate_hashes(hashes);
        let one = client.enter(|| WebTransport::new("https://server/", options).unwrap());
        let stats = client.spawn({
            let one = one.clone();
            async move { one.get_stats().await }
        });
        let failed = |error: &wt_api::WebTransportError| {
            matches!(error.cause(), ErrorCause::Certificate(CertificateError::HashMismatch { .. }))
        };
        assert!(failed(&one.ready().await.unwrap_err()));
        assert!(failed(&one.closed().await.unwrap_err()));
        one.draining().await;
        assert!(failed(&one.create_bidirectional_stream(SendStreamOptions::new()).await.unwrap_err()));
        let mut key = [0; 16];
        let refused = one.export_keying_material(b"", b"", &mut key).await.unwrap_err();
        assert!(matches!(refused, ExportError::Session(error) if failed(&error)));
        assert_eq!((one.protocol(), one.response_headers()), (None, None));
        // W3C: InvalidStateError, for calls before and after the failure.
        assert!(failed(&stats.await.unwrap_err()));
        assert!(failed(&one.get_stats().await.unwrap_err()));
        one.close(CloseInfo::default());
        assert!(failed(&one.closed().await.unwrap_err()), "closing what has failed changes nothing");
        drop(server);
    });
}

#[test]
fn reasons_are_cut_at_1024_bytes_and_not_before() {
    let cases = [
        (String::new(), 0),
        ("a".repeat(1_024), 1_024),
        ("a".repeat(1_025), 1_024),
        // The last character would end at byte 1025.
        (format!("{}\u{fc}", "a".repeat(1_023)), 1_023),
        (format!("{}\u{1f980}", "a".repeat(1_020)), 1_024),
        (format!("{}\u{1f980}", "a".repeat(1_021)), 1_021),
    ];
    for (reason, kept) in cases {
        for code in [0, u32::MAX] {
            let pair = testing::pair(105);
            pair.network.run(async {
                pair.server.close(CloseInfo::new(code, reason.clone()));
                let told = pair.client.closed().await.unwrap();
                assert_eq!((told.close_code, told.reason.as_str()), (code, &reason[..kept]));
                // W3C: the side that closes keeps the whole reason.
                assert_eq!(pair.server.closed().await.unwrap().reason, reason);
            });
        }
    }
}

/// A session over a link of 4 Mbit/s and 10 ms each way.
fn slow(seed: u64) -> Pair {
    let pair = testing::pair(seed);
    pair.link.change(|config| *config = LinkConfig::new().rate(4_000_000).delay(10 * MILLISECOND));
    pair
}

#[test]
fn send_orders_rank_strictly_over_their_whole_range() {
    let pair = slow(106);
    pair.network.run(async {
        let orders = [0, i64::MIN, i64::MAX, -1, i64::MIN + 1, 1];
        let size = 100_000;
        let mut sending = Vec::new();
        for order in orders {
            let mut stream = pair
                .client
                .create_unidirectional_stream(SendStreamOptions::new().send_order(order))
                .await
                .unwrap();
            assert_eq!(stream.send_order(), order);
            sending.push(pair.client_host.spawn(async move {
                let mut data = order.to_be_bytes().to_vec();
                data.resize(size, 0);
                stream.write_chunk(data.into()).await.unwrap();
                stream.finished().await.unwrap();
            }));
        }
        let mut incoming = pair.server.incoming_unidirectional_streams();
        let mut reading = Vec::new();
        for _ in orders {
            let mut stream = incoming.next().await.unwrap().unwrap();
            let network = pair.network.clone();
            reading.push(pair.server_host.spawn(async move {
                let data = stream.read_to_end(size).await.unwrap();
                (network.now(), i64::from_be_bytes(data[..8].try_into().unwrap()))
            }));
        }
        let mut done = Vec::new();
        for reading in reading {
            done.push(reading.await);
        }
        done.sort_unstable();
        // A stream that was written before the others existed may be ahead by as much as the path takes at
        // once.
        let done: Vec<_> = done.into_iter().map(|(_, order)| order).collect();
        assert_eq!(done, [i64::MAX, 1, 0, -1, i64::MIN + 1, i64::MIN]);
        for sending in sending {
            sending.await;
        }
    });
}

#[test]
fn ages_and_numbers_of_datagrams_at_the_ends_of_their_ranges() {
    let pair = testing::pair(107);
    pair.network.run(async {
        let (sending, mut receiving) = (pair.client.datagrams(), pair.server.datagrams());
        assert_eq!((sending.incoming_max_age(), sending.outgoing_max_age()), (None, None));
        assert_eq!(sending.incoming_max_buffered_datagrams().get(), 1_024);
        assert_eq!(sending.outgoing_max_buffered_datagrams().get(), 256);
        // An infinite age is the same as no limit.
        for age in [Some(Duration::MAX), None] {
            sending.set_outgoing_max_age(age);
            receiving.set_incoming_max_age(age);
            assert_eq!((sending.outgoing_max_age(), receiving.incoming_max_age()), (age, age));
            sending.writable.send("kept".into()).await.unwrap();
            pair.network.sleep(seconds(20)).await;
            assert_eq!(receiving.readable.try_recv().unwrap().unwrap(), "kept");
        }
        // The shortest age possible.
        receiving.set_incoming_max_age(Some(Duration::from_nanos(1)));
        sending.writable.send("late".into()).await.unwrap();
        pair.network.sleep(seconds(1)).await;
        assert_eq!(receiving.readable.try_recv().unwrap(), None);
        assert_eq!(pair.server.get_stats().await.unwrap().datagrams.unwrap().expired_incoming, 1);
        receiving.set_incoming_max_age(Some(Duration::ZERO));
        sending.set_outgoing_max_age(Some(Duration::ZERO));
        assert_eq!((sending.outgoing_max_age(), receiving.incoming_max_age()), (None, None));
        for count in [u32::MAX, 1] {
            sending.set_outgoing_max_buffered_datagrams(count);
            receiving.set_incoming_max_buffered_datagrams(count);
            assert_eq!(sending.outgoing_max_buffered_datagrams().get(), count);
            assert_eq!(receiving.incoming_max_buffered_datagrams().get(), count);
            for n in 0..20u8 {
                sending.writable.send(vec![n].into()).await.unwrap();
            }
            pair.network.sleep(seconds(1)).await;
            let mut received = Vec::new();
            while let Some(datagram) = receiving.readable.try_recv().unwrap() {
                received.push(datagram[0]);
            }
            let expected: Vec<u8> = if count == 1 { vec![19] } else { (0..20).collect() };
            assert_eq!(received, expected, "the newest are kept");
        }
        sending.set_outgoing_max_buffered_datagrams(0);
        assert_eq!(sending.outgoing_max_buffered_datagrams().get(), 1);
    });
}

#[test]
fn a_reset_or_stopped_stream_reads_and_writes_no_more() {
    let pair = testing::pair(108);
    pair.network.run(async {
        let mut stream = pair.client.create_bidirectional_stream(SendStreamOptions::new()).await.unwrap();
        // An empty write announces the stream to the peer at once, and carries no data.
        assert_eq!(stream.writable.write(&[]).await.unwrap(), 0);
        stream.writable.write_chunk(Bytes::new()).await.unwrap();
        let mut incoming = pair.server.incoming_bidirectional_streams();
        let mut other = incoming.next().await.unwrap().unwrap();
        assert!(pair.network.within(seconds(1), other.readable.read_chunk(9)).await.is_none());
        stream.writable.write_all(b"hello").await.unwrap();
        other.readable.stop(7);
        other.readable.stop(8);
        let error = other.readable.read_chunk(9).await.unwrap_err();
        assert!(matches!(error.cause(), ErrorCause::StreamFinished), "{error}");
        assert_eq!(stream.writable.stopped().await.unwrap(), Some(7), "the first code counts");
        other.writable.write_all(&pattern(1, 10)).await.unwrap();
        assert_eq!(stream.readable.read_chunk(99).await.unwrap().unwrap(), pattern(1, 10));
        other.writable.reset(9);
        other.writable.reset(10);
        let error = other.writable.write_all(b"more").await.unwrap_err();
        assert!(matches!(error.cause(), ErrorCause::StreamFinished), "{error}");
        assert!(other.writable.finish().is_err());
        assert_eq!(stream.readable.read_chunk(9).await.unwrap_err().stream_error_code(), Some(9));
        assert_eq!(stream.readable.get_stats().await.bytes_read, 10);
    });
}

#[test]
fn an_empty_list_of_hashes_leaves_the_certificate_to_its_issuer() {
    let network = Network::new(109);
    let (host, client) = (network.host("server"), network.host("client"));
    let identity = network.identity(["server"]);
    let authority = identity.certificate_chain();
    let server = Arc::new(host.enter(|| Server::builder().identity(identity).build().unwrap()));
    network.run(async {
        let trusting = WebTransportOptions::new().trusted_certificates(authority);
        drop(session(&server, &client, trusting.clone().server_certificate_hashes([])).await);
        // As in W3C, hashes exclude pooling.
        let pooled = |options: WebTransportOptions| {
            client.enter(|| WebTransport::new("https://server/", options.allow_pooling(true)))
        };
        let one = pooled(trusting.clone().server_certificate_hashes([])).unwrap();
        let hash = CertificateHash::new([1; 32]);
        let error = pooled(trusting.server_certificate_hashes([hash])).unwrap_err();
        assert_eq!(error, ConnectOptionsError::PoolingWithHashes);
        drop(one);
    });
}

#[test]
fn response_fields_that_cannot_be_sent_do_not_leave_the_client_waiting() {
    let (network, server, client) = serve(110);
    let fields = |name: &'static str, value: &'static str| {
        let mut fields = HeaderMap::new();
        fields.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        AcceptOptions::new().headers(fields)
    };
    network.run(async {
        let one = connect(&client);
        let accepted = server.accept().await.unwrap().accept(fields("connection", "close")).await.unwrap();
        let error = network.within(seconds(5), one.ready()).await.expect("an answer").unwrap_err();
        let status = StatusCode::INTERNAL_SERVER_ERROR.as_u16();
        assert!(matches!(error.cause(), ErrorCause::Status { status: told } if *told == status), "{error}");
        let error = accepted.closed().await.unwrap_err();
        assert!(matches!(error.cause(), ErrorCause::SessionFailed(_)), "{error}");
        // The library sets the field that chooses a protocol; the application may not.
        let one = connect(&client);
        let accepted = server.accept().await.unwrap().accept(fields("wt-protocol", "\"a\"")).await.unwrap();
        one.ready().await.unwrap();
        for session in [one, accepted] {
            assert_eq!(session.protocol(), None);
            assert!(session.response_headers().unwrap().is_empty());
        }
    });
}
