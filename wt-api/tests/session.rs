//! Sessions over real sockets: streams, datagrams, closing.

mod common;

use bytes::Bytes;
use common::{builder, connect, loopback, options, pair, pair_with, request, server, transport, url, within};
use quic_core::base::Ecn;
use wt_api::{
    AcceptOptions, CloseInfo, DatagramError, ErrorCause, Reliability, SendStreamOptions, WebTransport,
};
use wt_session::Dialect;

fn open() -> SendStreamOptions {
    SendStreamOptions::new()
}

#[tokio::test]
async fn a_session_has_streams_in_both_directions() {
    let server = server();
    let (client, accepted) = pair(&server).await;
    assert_eq!(client.negotiated_draft().unwrap().0, "draft-16");
    assert_eq!(client.reliability(), Reliability::SupportsUnreliable);
    for (one, other) in [(&client, &accepted), (&accepted, &client)] {
        let mut bidi = within(one.create_bidirectional_stream(open())).await.unwrap();
        within(bidi.writable.write_all(b"ping")).await.unwrap();
        bidi.writable.finish().unwrap();
        let mut incoming = other.incoming_bidirectional_streams();
        let mut echo = within(incoming.next()).await.unwrap().unwrap();
        assert_eq!(within(echo.readable.read_to_end(100)).await.unwrap(), "ping");
        within(echo.writable.write_chunk(Bytes::from_static(b"pong"))).await.unwrap();
        within(echo.writable.finished()).await.unwrap();
        assert_eq!(within(bidi.readable.read_to_end(100)).await.unwrap(), "pong");

        let mut uni = within(one.create_unidirectional_stream(open())).await.unwrap();
        within(uni.write_all(b"one way")).await.unwrap();
        uni.finish().unwrap();
        let mut readable = within(other.incoming_unidirectional_streams().next()).await.unwrap().unwrap();
        assert_eq!(within(readable.read_to_end(100)).await.unwrap(), "one way");
    }
}

#[tokio::test]
async fn a_url_with_the_unspecified_address_reaches_this_machine() {
    for (listen, host) in [("0.0.0.0:0", "0.0.0.0"), ("[::]:0", "[::]"), ("[::]:0", "0.0.0.0")] {
        let server = builder().listen(listen.parse().unwrap()).build().unwrap();
        let url = format!("https://{host}:{}/", server.local_addresses()[0].port());
        let client = WebTransport::new(&url, options(&server)).unwrap();
        let accepted = within(server.accept()).await.unwrap().accept(AcceptOptions::new());
        within(accepted).await.unwrap();
        within(client.ready()).await.unwrap();
    }
}

#[tokio::test]
async fn megabytes_arrive_complete_through_bounded_mailboxes() {
    let server = server();
    let (client, accepted) = pair(&server).await;
    let data: Vec<u8> = (0..5_000_000u32).map(|i| (i % 251) as u8).collect();
    let mut stream = within(client.create_unidirectional_stream(open())).await.unwrap();
    let sent = data.clone();
    let writer = tokio::spawn(async move {
        within(stream.write_all(&sent)).await.unwrap();
        within(stream.finished()).await.unwrap();
    });
    let mut readable = within(accepted.incoming_unidirectional_streams().next()).await.unwrap().unwrap();
    let received = within(readable.read_to_end(data.len())).await.unwrap();
    assert!(received == data);
    writer.await.unwrap();
    let stats = within(client.get_stats()).await.unwrap();
    assert!(stats.bytes_acknowledged >= Some(5_000_000), "{stats:?}");
}

#[tokio::test]
async fn datagrams_go_both_ways_and_know_their_limit() {
    // The limit must not grow during the test.
    let fixed = || transport().max_datagram_size(0);
    let server = builder().transport(fixed()).listen(loopback()).build().unwrap();
    let (client, accepted) = pair_with(&server, options(&server).transport(fixed())).await;
    for (one, other) in [(&client, &accepted), (&accepted, &client)] {
        let max = one.datagrams().max_datagram_size();
        assert!(max > 1000, "{max}");
        for payload in [Bytes::new(), Bytes::from_static(b"small"), Bytes::from(vec![7; max])] {
            within(one.datagrams().writable.send(payload.clone())).await.unwrap();
            assert_eq!(within(other.datagrams().readable.recv()).await.unwrap(), payload);
        }
        let error = within(one.datagrams().writable.send(Bytes::from(vec![7; max + 1]))).await.unwrap_err();
        assert!(matches!(error, DatagramError::TooLarge { size, max: m } if size == max + 1 && m == max));
    }
}

/// Lets the tasks of a runtime run until all of them wait.
fn turns(runtime: &tokio::runtime::Runtime) {
    runtime.block_on(async {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
    });
}

/// Lets both runtimes run in turn until the task is done.
fn finish<T>(runtimes: [&tokio::runtime::Runtime; 2], task: tokio::task::JoinHandle<T>) -> T {
    for _ in 0..10_000 {
        runtimes.into_iter().for_each(turns);
        if task.is_finished() {
            return runtimes[0].block_on(task).unwrap();
        }
    }
    panic!("it takes too long");
}

/// The reader's runtime has one thread and gets its turn late. The socket then contains more datagrams than
/// the queue holds, and nobody can read while the driver receives them.
#[test]
fn a_fast_reader_loses_no_datagram_of_a_burst() {
    let [one, other] = [(); 2]
        .map(|()| tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"));
    let both = [&one, &other];
    let server = std::sync::Arc::new(one.block_on(async { server() }));
    let options = options(&server);
    let client = other.block_on(async { WebTransport::new(&url(&server, "/test"), options).unwrap() });
    let asked = std::sync::Arc::clone(&server);
    let accepted = finish(
        both,
        one.spawn(async move { request(&asked).await.accept(AcceptOptions::new()).await.unwrap() }),
    );
    let ready = client.clone();
    finish(both, other.spawn(async move { ready.ready().await.unwrap() }));
    let mut readable = accepted.datagrams().readable;
    let reader = one.spawn(async move {
        let mut count = 0_u64;
        while readable.recv().await.is_ok() {
            count += 1;
        }
        count
    });
    let datagrams = client.datagrams();
    datagrams.set_outgoing_max_buffered_datagrams(10_000);
    for _ in 0..50 {
        while datagrams.writable.try_send(Bytes::from_static(b"tiny")).is_ok() {}
        // Everything that the window permits leaves before the server gets its turn.
        turns(&other);
        turns(&one);
    }
    let asked = accepted.clone();
    let stats = finish(both, one.spawn(async move { asked.get_stats().await.unwrap() }));
    client.close(CloseInfo::default());
    let count = finish(both, reader);
    println!("{count} read, {:?}", stats.datagrams);
    assert!(count > 10_000, "{count}");
    assert_eq!(stats.datagrams.unwrap().dropped_incoming, 0, "nothing that arrived was dropped");
}

#[tokio::test]
async fn close_carries_code_and_reason_in_both_directions() {
    let server = server();
    for client_closes in [true, false] {
        let (client, accepted) = pair(&server).await;
        let (one, other) = if client_closes { (&client, &accepted) } else { (&accepted, &client) };
        let info = CloseInfo::new(4_000_000_000, "goodbye, ü");
        one.close(info.clone());
        assert_eq!(within(other.closed()).await.unwrap(), info);
        assert_eq!(within(one.closed()).await.unwrap(), info);
        let error = within(one.create_bidirectional_stream(open())).await.unwrap_err();
        assert!(matches!(error.cause(), ErrorCause::SessionClosed { .. }));
        let error = within(other.create_unidirectional_stream(open())).await.unwrap_err();
        assert!(matches!(error.cause(), ErrorCause::SessionClosed { .. }));
        assert!(within(other.incoming_bidirectional_streams().next()).await.is_none());
        assert!(within(one.datagrams().readable.recv()).await.is_err());
        assert!(one.datagrams().writable.try_send(Bytes::new()).is_err());
        assert!(within(one.get_stats()).await.unwrap().packets_sent > Some(0));
    }
}

#[tokio::test]
async fn dropping_the_last_handle_closes_with_code_zero() {
    let server = server();
    let (client, accepted) = pair(&server).await;
    let kept = client.clone();
    drop(client);
    let mut stream = within(kept.create_unidirectional_stream(open())).await.unwrap();
    within(stream.write_all(b"still here")).await.unwrap();
    stream.finish().unwrap();
    drop((kept, stream));
    assert_eq!(within(accepted.closed()).await.unwrap(), CloseInfo::default());
    let mut readable = within(accepted.incoming_unidirectional_streams().next()).await.unwrap().unwrap();
    assert_eq!(within(readable.read_to_end(100)).await.unwrap(), "still here");
}

#[tokio::test]
async fn resets_and_stops_carry_their_codes() {
    let server = server();
    let (client, accepted) = pair(&server).await;
    let mut incoming = accepted.incoming_bidirectional_streams();
    for code in [0, 1, 29, 30, 0xffff_ffff] {
        let mut stream = within(client.create_bidirectional_stream(open())).await.unwrap();
        within(stream.writable.write_all(b"x")).await.unwrap();
        let mut other = within(incoming.next()).await.unwrap().unwrap();
        assert_eq!(within(other.readable.read_chunk(10)).await.unwrap().unwrap(), "x");
        stream.writable.reset(code);
        let error = within(other.readable.read_chunk(10)).await.unwrap_err();
        assert_eq!(error.stream_error_code(), Some(code));
        stream.readable.stop(code);
        assert_eq!(within(other.writable.stopped()).await.unwrap(), Some(code));
        let error = within(other.writable.write(b"y")).await.unwrap_err();
        assert_eq!(error.stream_error_code(), Some(code));
    }
}

#[tokio::test]
async fn a_reset_before_any_payload_reaches_the_session() {
    let server = server();
    let (client, accepted) = pair(&server).await;
    let mut stream = within(client.create_bidirectional_stream(open())).await.unwrap();
    stream.writable.reset(9);
    drop(stream);
    // Whether the peer sees the stream depends on the preface. The session survives in either case.
    let mut uni = within(client.create_unidirectional_stream(open())).await.unwrap();
    within(uni.write_all(b"alive")).await.unwrap();
    uni.finish().unwrap();
    let mut readable = within(accepted.incoming_unidirectional_streams().next()).await.unwrap().unwrap();
    assert_eq!(within(readable.read_to_end(10)).await.unwrap(), "alive");
}

#[tokio::test]
async fn two_hundred_streams_at_once() {
    let server = server();
    let (client, accepted) = pair(&server).await;
    let echo = tokio::spawn(async move {
        let mut incoming = accepted.incoming_bidirectional_streams();
        while let Some(Ok(stream)) = incoming.next().await {
            tokio::spawn(async move {
                let (mut readable, mut writable) = stream.split();
                let all = readable.read_to_end(10_000).await.unwrap();
                writable.write_chunk(all).await.unwrap();
                writable.finished().await.unwrap();
            });
        }
    });
    let mut streams = Vec::new();
    for _ in 0..200 {
        streams.push(within(client.create_bidirectional_stream(open())).await.unwrap());
    }
    let mut tasks = Vec::new();
    for (number, mut stream) in streams.into_iter().enumerate() {
        tasks.push(tokio::spawn(async move {
            let data = vec![number as u8; 1000 + number];
            stream.writable.write_all(&data).await.unwrap();
            stream.writable.finish().unwrap();
            assert!(stream.readable.read_to_end(10_000).await.unwrap() == data);
        }));
    }
    for task in tasks {
        within(task).await.unwrap();
    }
    client.close(CloseInfo::default());
    within(echo).await.unwrap();
}

#[tokio::test]
async fn opening_a_stream_waits_for_credit_or_fails() {
    let limited = transport().max_streams_uni(6);
    let server = common::builder().listen(common::loopback()).transport(limited).build().unwrap();
    let (client, accepted) = pair(&server).await;
    let mut open_streams = Vec::new();
    let error = loop {
        match within(client.create_unidirectional_stream(open().wait_until_available(false))).await {
            Ok(stream) => open_streams.push(stream),
            Err(error) => break error,
        }
    };
    assert!(matches!(error.cause(), ErrorCause::QuotaExceeded), "{error}");
    // HTTP/3 itself uses three of the six.
    assert_eq!(open_streams.len(), 3);
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.create_unidirectional_stream(open()).await }
    });
    for mut stream in open_streams {
        within(stream.write_all(b"x")).await.unwrap();
        stream.finish().unwrap();
        let mut readable = within(accepted.incoming_unidirectional_streams().next()).await.unwrap().unwrap();
        within(readable.read_to_end(10)).await.unwrap();
    }
    let late = within(waiting).await.unwrap().unwrap();
    drop(late);
}

#[tokio::test]
async fn draining_is_reported_and_changes_nothing_else() {
    let server = server();
    let (client, accepted) = pair(&server).await;
    accepted.drain();
    within(client.draining()).await;
    let mut stream = within(client.create_unidirectional_stream(open())).await.unwrap();
    within(stream.write_all(b"x")).await.unwrap();
    within(stream.finished()).await.unwrap();
}

#[tokio::test]
async fn requests_show_what_the_client_sent() {
    let server =
        common::builder().listen(common::loopback()).allowed_origins(["https://a.example"]).build().unwrap();
    let mut headers = http::HeaderMap::new();
    headers.insert("x-token", "secret".parse().unwrap());
    let client = WebTransport::new(
        &url(&server, "/a/b?c=d"),
        options(&server).headers(headers).origin("https://a.example"),
    )
    .unwrap();
    let asked = request(&server).await;
    assert_eq!(
        (asked.path(), asked.query(), asked.origin()),
        ("/a/b", Some("c=d"), Some("https://a.example"))
    );
    assert_eq!(asked.authority(), url(&server, "").trim_start_matches("https://"));
    assert_eq!(asked.headers()["x-token"], "secret");
    assert_eq!(asked.dialect(), "draft-16");
    assert_eq!(client.remote_address(), None, "it is not ready");
    let mut answer = http::HeaderMap::new();
    answer.insert("x-answer", "yes".parse().unwrap());
    let accepted = asked.accept(AcceptOptions::new().headers(answer)).await.unwrap();
    within(client.ready()).await.unwrap();
    assert_eq!(client.response_headers().unwrap()["x-answer"], "yes");
    assert_eq!(accepted.request_headers()["x-token"], "secret");
    let authority = url(&server, "");
    let authority = authority.trim_start_matches("https://");
    for end in [&client, &accepted] {
        assert_eq!((end.authority(), end.path(), end.query()), (authority, "/a/b", Some("c=d")));
    }
    let listens = server.local_addresses()[0];
    assert_eq!((client.remote_address(), accepted.local_address()), (Some(listens), Some(listens)));
    let ports = [client.local_address(), accepted.remote_address()].map(|address| address.unwrap().port());
    assert_eq!(ports[0], ports[1]);
}

#[tokio::test]
async fn a_session_can_be_closed_while_it_connects() {
    let server = server();
    let client = connect(&server);
    client.close(CloseInfo::default());
    assert!(within(client.ready()).await.is_err());
    assert!(within(client.closed()).await.is_err());
}

#[tokio::test]
async fn streams_work_by_the_traits_of_tokio() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = server();
    let (client, accepted) = pair_with(&server, options(&server)).await;
    let mut stream = within(client.create_unidirectional_stream(open())).await.unwrap();
    within(AsyncWriteExt::write_all(&mut stream, b"by the trait")).await.unwrap();
    within(stream.shutdown()).await.unwrap();
    let mut readable = within(accepted.incoming_unidirectional_streams().next()).await.unwrap().unwrap();
    let mut text = String::new();
    within(AsyncReadExt::read_to_string(&mut readable, &mut text)).await.unwrap();
    assert_eq!(text, "by the trait");
}

#[tokio::test]
async fn a_sink_holds_its_writer_back_and_its_close_ends_the_stream() {
    use futures_sink::Sink;
    use std::{
        future::poll_fn,
        pin::pin,
        task::{Context, Poll, Waker},
    };
    let server = server();
    let (client, accepted) = pair(&server).await;
    let mut stream = pin!(within(client.create_unidirectional_stream(open())).await.unwrap());
    let chunk = Bytes::from(vec![9; 64 << 10]);
    // Nobody reads, so the sink accepts only what the windows and the buffers hold.
    let mut taken = 0;
    let full = loop {
        match stream.as_mut().poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(ready) => {
                ready.unwrap();
                stream.as_mut().start_send(chunk.clone()).unwrap();
                taken += chunk.len();
            }
            Poll::Pending => break taken,
        }
    };
    assert!((256 << 10..64 << 20).contains(&full), "{full}");
    let reading = tokio::spawn(async move {
        let mut readable = accepted.incoming_unidirectional_streams().next().await.unwrap().unwrap();
        readable.read_to_end(usize::MAX).await.unwrap().len()
    });
    for _ in 0..32 {
        within(poll_fn(|cx| stream.as_mut().poll_ready(cx))).await.unwrap();
        stream.as_mut().start_send(chunk.clone()).unwrap();
        taken += chunk.len();
    }
    within(poll_fn(|cx| Sink::<Bytes>::poll_flush(stream.as_mut(), cx))).await.unwrap();
    within(poll_fn(|cx| Sink::<Bytes>::poll_close(stream.as_mut(), cx))).await.unwrap();
    assert_eq!(within(reading).await.unwrap(), taken);
    assert_eq!(stream.bytes_written(), taken as u64);
    // Closing twice is no error; sending after the close is one.
    within(poll_fn(|cx| Sink::<Bytes>::poll_close(stream.as_mut(), cx))).await.unwrap();
    let error = within(poll_fn(|cx| stream.as_mut().poll_ready(cx))).await.unwrap_err();
    assert!(matches!(error.cause(), ErrorCause::StreamFinished), "{error}");
}

#[tokio::test]
async fn congestion_control_reads_back_what_is_in_force() {
    use wt_api::CongestionControl::{Default, LowLatency, Throughput};
    let server = server();
    for wanted in [Default, Throughput, LowLatency] {
        let (client, accepted) = pair_with(&server, options(&server).congestion_control(wanted)).await;
        assert_eq!(client.congestion_control(), wanted);
        assert_eq!(accepted.congestion_control(), Default);
    }
}

#[tokio::test]
async fn a_client_of_any_draft_is_served() {
    for dialect in Dialect::ALL {
        serve_a_client_of(dialect).await;
    }
}

async fn serve_a_client_of(dialect: Dialect) {
    let server = server();
    let client = WebTransport::new(&url(&server, "/old"), options(&server).only_dialect(dialect)).unwrap();
    let asked = request(&server).await;
    assert_eq!((asked.dialect(), asked.path()), (dialect.name(), "/old"));
    let accepted = asked.accept(AcceptOptions::new()).await.unwrap();
    within(client.ready()).await.unwrap();
    assert_eq!(client.negotiated_draft().unwrap().0, dialect.name());
    assert_eq!(accepted.negotiated_draft().unwrap().0, dialect.name());
    for (one, other) in [(&client, &accepted), (&accepted, &client)] {
        let mut stream = within(one.create_bidirectional_stream(open())).await.unwrap();
        within(stream.writable.write_all(b"old")).await.unwrap();
        let mut incoming = other.incoming_bidirectional_streams();
        let mut arrived = within(incoming.next()).await.unwrap().unwrap();
        assert_eq!(within(arrived.readable.read_chunk(10)).await.unwrap().unwrap(), "old");
        stream.writable.reset(77);
        let error = within(arrived.readable.read_chunk(10)).await.unwrap_err();
        assert_eq!(error.stream_error_code(), Some(77));
        within(one.datagrams().writable.send(Bytes::from_static(b"maybe"))).await.unwrap();
        assert_eq!(within(other.datagrams().readable.recv()).await.unwrap(), "maybe");
    }
    let info = CloseInfo::new(12, "over");
    client.close(info.clone());
    assert_eq!(within(accepted.closed()).await.unwrap(), info);
    assert_eq!(within(client.closed()).await.unwrap(), info);
}

/// ECN stays in use when the socket sends and receives several datagrams in one call.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn ecn_stays_in_use_after_trains_of_datagrams() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let server = builder().listen(address.parse().unwrap()).build().unwrap();
        let url = format!("https://{}/", server.local_addresses()[0]);
        let client = WebTransport::new(&url, options(&server)).unwrap();
        let served = request(&server).await.accept(AcceptOptions::new()).await.unwrap();
        within(client.ready()).await.unwrap();
        let mut up = client.create_unidirectional_stream(SendStreamOptions::new()).await.unwrap();
        let received = tokio::spawn(async move {
            let mut stream = served.accept_unidirectional_stream().await.unwrap();
            (stream.read_to_end(8 << 20).await.unwrap().len(), served)
        });
        up.write_all(&vec![7; 4 << 20]).await.unwrap();
        up.finish().unwrap();
        let (read, _served) = within(received).await.unwrap();
        assert_eq!(read, 4 << 20);
        let stats = client.connection().unwrap().stats().await.unwrap();
        assert_eq!(stats.ecn, Ecn::Ect0, "{address}");
    }
}
