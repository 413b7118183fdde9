//! Streams that an application opens: it gets them at once where the peer's limits permit them, and no stream
//! ID is lost, skipped or withheld.

mod virtual_common;

use std::{
    future::Future,
    io,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use virtual_common::{echo, options, pattern, seconds, serve, session};
use wt_api::{
    AcceptOptions, BidirectionalStream, CloseInfo, Identity, SendStream, SendStreamOptions, Server,
    TransportConfig, WebTransport, WebTransportError, WebTransportOptions,
    testing::{self, Host, LinkConfig, MILLISECOND, Network, Pair},
};

/// Polls once and gives up.
fn once<T>(work: impl Future<Output = T>) -> Option<T> {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}

/// The same, where the session is open.
fn now<T>(work: impl Future<Output = Result<T, WebTransportError>>) -> Option<T> {
    once(work).map(|result| result.expect("the session is open"))
}

fn bidi(session: &WebTransport) -> Option<BidirectionalStream> {
    now(session.create_bidirectional_stream(SendStreamOptions::new()))
}

fn uni(session: &WebTransport) -> Option<SendStream> {
    now(session.create_unidirectional_stream(SendStreamOptions::new()))
}

#[test]
fn streams_that_the_limits_permit_are_there_at_once() {
    let Pair { network, client, server, .. } = testing::pair(1);
    network.run(async {
        network.sleep(seconds(1)).await;
        for (from, to) in [(&client, &server), (&server, &client)] {
            let (mut ids, mut unis) = (Vec::new(), Vec::new());
            for round in 0..20_u8 {
                // Of both kinds, some of them ranked, some without data.
                let group = from.create_send_group().unwrap();
                let ranked = SendStreamOptions::new().send_group(&group).send_order(3);
                let mut one = now(from.create_unidirectional_stream(ranked)).expect("there is credit");
                assert_eq!(one.send_order(), 3);
                assert!(one.send_group().is_some());
                let two = bidi(from).expect("there is credit");
                unis.push(one.id());
                ids.push(two.writable.id());
                one.write_all(&[round]).await.unwrap();
                one.finish().unwrap();
                let mut came = to.incoming_unidirectional_streams().next().await.unwrap().unwrap();
                assert_eq!(came.read_to_end(9).await.unwrap(), [round][..]);
                let came = to.incoming_bidirectional_streams().next().await.unwrap().unwrap();
                drop((came, two));
            }
            for ids in [ids, unis] {
                assert!(ids.windows(2).all(|pair| pair[1] == pair[0] + 4), "none is skipped: {ids:?}");
            }
        }
    });
}

/// A server that permits five streams of a kind.
fn five(seed: u64) -> (Network, Host, Arc<Server>, Host, WebTransportOptions) {
    let network = Network::new(seed);
    let (host, client) = (network.host("server"), network.host("client"));
    network.link(&host, &client, &LinkConfig::new().delay(10 * MILLISECOND));
    let transport = TransportConfig::new().max_streams_bidi(6);
    let (server, hash) = serve(&network, &host, transport);
    (network, host, server, client, options(hash))
}

#[test]
fn a_stream_on_its_way_to_a_caller_that_gave_up_is_returned() {
    let (network, host, server, client, options) = five(2);
    network.run(async {
        let (client, server) = session(&server, &client, options).await;
        network.sleep(seconds(1)).await;
        drop(host.spawn(echo(host.clone(), server)));
        let mut held = Vec::new();
        for _ in 0..12 {
            network.sleep(seconds(1)).await;
            held.extend(std::iter::from_fn(|| bidi(&client)));
            assert_eq!(held.len(), 5);
            let mut wanted = pin!(client.create_bidirectional_stream(SendStreamOptions::new()));
            assert!(wanted.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            drop(held.pop());
            network.sleep(seconds(1)).await;
        }
        let last = client.create_bidirectional_stream(SendStreamOptions::new());
        network.within(seconds(5), last).await.expect("all credit is there again").unwrap();
    });
}

/// A caller that waits gets its stream before later callers, even if these do not wait.
#[test]
fn no_caller_overtakes_those_that_wait() {
    let (network, _host, server, client, options) = five(3);
    network.run(async {
        let (client, server) = session(&server, &client, options).await;
        network.sleep(seconds(1)).await;
        let mut held: Vec<_> = std::iter::from_fn(|| bidi(&client)).collect();
        let mut first = pin!(client.create_bidirectional_stream(SendStreamOptions::new()));
        assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        held.clear();
        for _ in 0..5 {
            drop(server.incoming_bidirectional_streams().next().await);
        }
        let mut second = None;
        let first = loop {
            match first.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(stream) => break stream.unwrap(),
                Poll::Pending => second = second.or_else(|| bidi(&client)),
            }
            network.sleep(Duration::from_millis(1)).await;
        };
        let second = second.or_else(|| bidi(&client)).expect("there is credit again");
        assert!(first.writable.id() < second.writable.id());
    });
}

fn pooled() -> WebTransportOptions {
    WebTransportOptions::new().dangerous().no_certificate_verification().allow_pooling(true)
}

#[test]
fn sessions_of_a_connection_share_its_stream_credit() {
    for seed in 0..4 {
        let network = Network::new(seed);
        let (host, client) = (network.host("server"), network.host("client"));
        network.link(&host, &client, &LinkConfig::new().delay(10 * MILLISECOND));
        let transport = TransportConfig::new().max_streams_bidi(12);
        let (server, _) = serve(&network, &host, transport);
        network.run(async {
            let (one, one_there) = session(&server, &client, pooled()).await;
            let (two, two_there) = session(&server, &client, pooled()).await;
            network.sleep(seconds(1)).await;
            let mut ids = Vec::new();
            let mut of_one = vec![bidi(&one).unwrap()];
            let mut of_two = vec![bidi(&two).unwrap()];
            // A third session requests the next stream ID, which lies between IDs that are claimed but not
            // open.
            let third = client.enter(|| WebTransport::new("https://server/", pooled()).unwrap());
            of_one.extend(bidi(&one));
            of_one.extend(bidi(&one));
            let request = server.accept().await.unwrap();
            let three_there = request.accept(AcceptOptions::new()).await.unwrap();
            third.ready().await.unwrap();
            network.sleep(seconds(1)).await;
            while let Some(stream) = bidi(&one) {
                of_one.push(stream);
                of_two.extend(bidi(&two));
            }
            ids.extend(of_one.iter().chain(&of_two).map(|stream| stream.writable.id()));
            ids.sort_unstable();
            let count = ids.len();
            ids.dedup();
            assert_eq!(ids.len(), count, "an ID has one owner");
            // One session drops its streams: the other gets their credit besides its own.
            drop(of_one);
            drop(of_two);
            for stream in [&one_there, &two_there, &three_there] {
                while let Some(came) =
                    network.within(seconds(1), stream.incoming_bidirectional_streams().next()).await
                {
                    drop(came);
                }
            }
            for session in [&one, &two, &third] {
                let stream = session.create_bidirectional_stream(SendStreamOptions::new());
                network.within(seconds(5), stream).await.expect("the credit is everyone's").unwrap();
            }
        });
    }
}

/// Opens a stream when it is woken, which is in the middle of the driver's work.
struct Opener {
    session: WebTransport,
    opened: Mutex<Vec<SendStream>>,
}

impl Wake for Opener {
    fn wake(self: Arc<Self>) {
        if let Some(stream) = uni(&self.session) {
            self.opened.lock().unwrap().push(stream);
        }
    }
}

/// A stream claimed for a session that ends at that moment uses up its ID, and no other session of the
/// connection waits for it.
#[test]
fn streams_of_a_session_that_ends_are_skipped() {
    for seed in 0..4 {
        let network = Network::new(seed);
        let (host, client) = (network.host("server"), network.host("client"));
        network.link(&host, &client, &LinkConfig::new().delay(10 * MILLISECOND));
        let (server, _) = serve(&network, &host, TransportConfig::default());
        network.run(async {
            let (one, one_there) = session(&server, &client, pooled()).await;
            let (two, two_there) = session(&server, &client, pooled()).await;
            network.sleep(seconds(1)).await;
            let mut early = uni(&one).expect("there is credit");
            let opener = Arc::new(Opener { session: one.clone(), opened: Mutex::default() });
            let mut ends = pin!(early.finished());
            assert!(ends.as_mut().poll(&mut Context::from_waker(&Arc::clone(&opener).into())).is_pending());
            one_there.close(CloseInfo::default());
            one.closed().await.unwrap();
            let mut streams = std::mem::take(&mut *opener.opened.lock().unwrap());
            assert_eq!(streams.len(), 1, "streams end before their session does");
            for stream in &mut streams {
                let ended = network.within(seconds(5), stream.finished()).await;
                assert!(ended.expect("a stream of a closed session ends").is_err());
            }
            let mut stream = uni(&two).expect("there is credit");
            assert!(stream.id() > streams[0].id());
            stream.write_all(b"on").await.unwrap();
            stream.finish().unwrap();
            let came = two_there.incoming_unidirectional_streams();
            let came = network.within(seconds(5), async move { { came }.next().await }).await;
            let mut came = came.expect("it is heard of").unwrap().unwrap();
            assert_eq!(came.read_to_end(9).await.unwrap(), "on");
        });
    }
}

/// An application opens, writes, finishes and closes in one go. All of it precedes the close, though the
/// driver was woken for the session before.
#[test]
fn streams_finished_before_a_close_arrive() {
    for seed in 0..4 {
        let Pair { network, client, server, .. } = testing::pair(seed);
        network.run(async {
            network.sleep(seconds(1)).await;
            let mut old = uni(&client).expect("there is credit");
            old.write_all(b"first ").await.unwrap();
            network.sleep(seconds(1)).await;
            // From here on the driver has not run.
            client.datagrams().writable.send("look".into()).await.unwrap();
            old.write_all(b"old").await.unwrap();
            old.finish().unwrap();
            let data = pattern(seed, 9_000);
            let mut new = uni(&client).expect("there is credit");
            new.write_all(&data).await.unwrap();
            new.finish().unwrap();
            client.close(CloseInfo::new(7, "all said"));
            let mut incoming = server.incoming_unidirectional_streams();
            let mut came = Vec::new();
            while let Some(Ok(mut stream)) = incoming.next().await {
                came.push(stream.read_to_end(10_000).await.expect("it was finished before"));
            }
            assert_eq!(came, ["first old".into(), data]);
            assert_eq!(server.closed().await.unwrap().close_code, 7);
        });
    }
}

#[test]
fn streams_that_were_claimed_fail_with_their_connection() {
    let Pair { network, client, server, link, .. } = testing::pair(9);
    network.run(async {
        network.sleep(seconds(1)).await;
        link.change(|config| *config = config.clone().bernoulli(1.0));
        drop(server);
        let mut streams: Vec<_> = (0..3).map(|_| uni(&client).expect("there is credit")).collect();
        for stream in &mut streams {
            stream.write_all(b"nobody").await.unwrap();
        }
        assert!(client.closed().await.is_err());
        for stream in &mut streams {
            assert!(stream.finished().await.is_err());
        }
        assert!(client.create_unidirectional_stream(SendStreamOptions::new()).await.is_err());
    });
}

/// A client whose ClientHello takes three packets; a browser's takes two because of its post-quantum keys.
fn talkative(server: &Identity) -> WebTransportOptions {
    let mut roots = rustls::RootCertStore::empty();
    server.certificate_chain().into_iter().for_each(|certificate| roots.add(certificate.into()).unwrap());
    let provider = Arc::new(quic_core::crypto::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = (0..20).map(|index| vec![b'a' + index; 100]).chain([b"h3".to_vec()]).collect();
    WebTransportOptions::new().rustls_config(Arc::new(config))
}

/// However the packets of the handshake arrive, separately, late or twice, the first stream that a handle
/// opens has the stream ID that follows those of HTTP/3.
#[test]
fn a_fragmented_handshake_keeps_the_order_of_streams() {
    for seed in 0..40 {
        let (rate, loss) =
            ([100_000, 1_000_000, 100_000_000][seed as usize % 3], [0.0, 0.2][seed as usize % 2]);
        let network = Network::new(seed);
        let (host, client) = (network.host("server"), network.host("client"));
        let config = LinkConfig::new().delay(10 * MILLISECOND).rate(rate).bernoulli(loss);
        network.link(&host, &client, &config);
        let identity = network.identity([host.name()]);
        let options = talkative(&identity);
        let server = host.enter(|| Server::builder().identity(identity).build().unwrap());
        network.run(async {
            let (client, accepted) = session(&server, &client, options).await;
            network.sleep(seconds(1)).await;
            for (from, to) in [(&client, &accepted), (&accepted, &client)] {
                let mut one = uni(from).unwrap_or_else(|| panic!("seed {seed}: there is credit"));
                one.write_all(b"one way").await.unwrap();
                one.finish().unwrap();
                let mut came =
                    to.incoming_unidirectional_streams().next().await.expect("it is open").unwrap();
                assert_eq!(came.read_to_end(9).await.unwrap(), b"one way"[..], "seed {seed}");
                let two = bidi(from).unwrap_or_else(|| panic!("seed {seed}: there is credit"));
                let came = to.incoming_bidirectional_streams().next().await.expect("it is open").unwrap();
                drop((came, two));
            }
        });
    }
}

#[test]
fn who_takes_streams_sees_the_first_of_a_burst_before_the_last_is_taken_in() {
    const BURST: usize = 300;
    let Pair { network, client, server, server_host, .. } = testing::pair(7);
    let deaf = Arc::new(AtomicBool::new(false));
    let is_deaf = Arc::clone(&deaf);
    server_host.answer_receives(move |_| match is_deaf.load(Ordering::Relaxed) {
        true => Err(io::ErrorKind::OutOfMemory.into()),
        false => Ok(()),
    });
    network.run(async {
        network.sleep(seconds(1)).await;
        deaf.store(true, Ordering::Relaxed);
        let mut burst = Vec::new();
        for _ in 0..BURST {
            let mut stream = uni(&client).expect("there is credit");
            assert_eq!(now(stream.write(&[7; 20])), Some(20));
            stream.finish().unwrap();
            burst.push(stream);
        }
        // All of it waits in the server's socket.
        network.sleep(seconds(1) / 20).await;
        deaf.store(false, Ordering::Relaxed);
        let mut incoming = server.incoming_unidirectional_streams();
        let (mut rounds, mut came) = (Vec::new(), Vec::new());
        while came.len() < BURST {
            let before = came.len();
            came.push(incoming.next().await.expect("the session is open").expect("no error"));
            came.extend(
                std::iter::from_fn(|| once(incoming.next())?).map(|stream| stream.expect("no error")),
            );
            rounds.push(came.len() - before);
        }
        // A datagram holds some fifty of them, and the driver ends its turn with each.
        assert!(rounds.iter().all(|streams| *streams < 64), "{rounds:?}");
    });
}
