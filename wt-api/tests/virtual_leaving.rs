//! A caller that gives up waiting leaves nothing behind, and what was on its way to it returns.

mod virtual_common;

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use heap_meter::{HeapMeter, Measure};
use virtual_common::{connect, echo_all, open_all, options, pattern, round_trip, seconds, serve, session};
use wt_api::{
    Server, TransportConfig, WebTransport,
    testing::{self, Network, Pair},
};

#[global_allocator]
static HEAP: HeapMeter = HeapMeter;

/// How often the tests give up each wait.
const TIMES: usize = 20_000;

/// The waker of a task that ends right after it was polled.
struct Passing(Arc<AtomicUsize>);

impl Wake for Passing {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Passing {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Polls `work` once for a task of its own, and drops it.
fn look_in<T>(alive: &Arc<AtomicUsize>, work: impl Future<Output = T>) -> Poll<T> {
    alive.fetch_add(1, Ordering::Relaxed);
    let waker = Waker::from(Arc::new(Passing(Arc::clone(alive))));
    pin!(work).poll(&mut Context::from_waker(&waker))
}

/// Lets `TIMES` tasks wait and give up. None of them stays in memory, and the heap does not grow noticeably.
macro_rules! give_up {
    ($what:expr, $wait:expr) => {
        let alive = Arc::new(AtomicUsize::new(0));
        let heap = Measure::start();
        for _ in 0..TIMES {
            assert!(look_in(&alive, $wait).is_pending(), "{} is there at once", $what);
        }
        assert_eq!(alive.load(Ordering::Relaxed), 0, "tasks stay that waited for {}", $what);
        assert!(heap.peak_growth() < 16 << 10, "{} holds {} bytes", $what, heap.peak_growth());
    };
}

fn few_streams(seed: u64) -> (Network, Arc<Server>, testing::Host, wt_api::CertificateHash) {
    let network = Network::new(seed);
    let (host, client) = (network.host("server"), network.host("client"));
    let transport = TransportConfig::new().max_streams_bidi(6).max_streams_uni(8);
    let (server, hash) = serve(&network, &host, transport);
    drop(host.spawn(echo_all(host.clone(), Arc::clone(&server))));
    (network, server, client, hash)
}

/// The server permits five streams of a kind.
#[test]
fn a_stream_opened_for_a_caller_that_gave_up_is_returned() {
    let (network, _server, client, hash) = few_streams(1);
    client.run(async {
        let session = connect("server", options(hash)).await.unwrap();
        for _ in 0..12 {
            let mut bidi = pin!(session.create_bidirectional_stream(Default::default()));
            let mut uni = pin!(session.create_unidirectional_stream(Default::default()));
            let cx = &mut Context::from_waker(Waker::noop());
            // Futures that would complete at once are dropped as well.
            let (bidi, uni) = (bidi.as_mut().poll(cx), uni.as_mut().poll(cx));
            assert_eq!(bidi.is_ready(), uni.is_ready());
            drop((bidi, uni));
            network.sleep(Duration::from_millis(50)).await;
        }
        let data = pattern(1, 1000);
        let echoed = network.within(seconds(5), round_trip(&session, data.clone())).await;
        assert_eq!(echoed.expect("the credit is there again").unwrap(), data);
        let uni = session.create_unidirectional_stream(Default::default());
        network.within(seconds(5), uni).await.expect("the credit is there again").unwrap();
    });
}

#[test]
fn tasks_that_give_up_on_a_session_leave_nothing() {
    let Pair { network, client, server: _server, link, .. } = testing::pair(2);
    let mut datagrams = client.datagrams();
    let mut sizes = datagrams.watch_max_datagram_size();
    let mut bidi = client.incoming_bidirectional_streams();
    let mut uni = client.incoming_unidirectional_streams();
    let group = client.create_send_group().unwrap();
    network.run(async {
        network.sleep(seconds(5)).await;
        while sizes.current() != client.datagrams().max_datagram_size() {
            sizes.changed().await.unwrap();
        }
        let mut stream = client.create_bidirectional_stream(Default::default()).await.unwrap();
        // From here on no datagram arrives.
        link.change(|config| *config = config.clone().bernoulli(1.0));
        let writer = &mut stream.writable;
        while let Some(written) = network.within(seconds(1), writer.write(&[0; 64 << 10])).await {
            written.unwrap();
        }
        datagrams.set_outgoing_max_buffered_datagrams(1);
        while let Some(sent) = network.within(seconds(1), datagrams.writable.send("x".into())).await {
            sent.unwrap();
        }
        give_up!("the end", client.closed());
        give_up!("the drain", client.draining());
        give_up!("a bidirectional stream", bidi.next());
        give_up!("a unidirectional stream", uni.next());
        give_up!("a datagram", datagrams.readable.recv());
        give_up!("a datagram", datagrams.readable.recv_into(&mut [0; 2000]));
        give_up!("room for a datagram", datagrams.writable.send("x".into()));
        give_up!("another size", sizes.changed());
        give_up!("room", stream.writable.write(b"x"));
        give_up!("room", stream.writable.write_chunk("x".into()));
        give_up!("the end of a stream", stream.writable.stopped());
        give_up!("data", stream.readable.read_chunk(9));
        give_up!("data", stream.readable.read(&mut [0; 9]));
        // These ask the driver, which only runs after this.
        give_up!("counts", client.get_stats());
        give_up!("counts of a stream", stream.writable.get_stats());
        give_up!("counts of a stream", stream.readable.get_stats());
        give_up!("counts of a group", group.get_stats());
        give_up!("keying material", client.export_keying_material(b"", b"", &mut [0; 16]));
        give_up!("an atomic write", stream.writable.atomic_write("x".into()));
    });
}

#[test]
fn tasks_that_give_up_while_there_is_no_session_leave_nothing() {
    let network = Network::new(3);
    let (host, nowhere, client) = (network.host("server"), network.host("nowhere"), network.host("client"));
    let (server, hash) = serve(&network, &host, TransportConfig::default());
    drop(nowhere);
    client.run(async {
        let connecting = WebTransport::new("https://nowhere/", options(hash)).unwrap();
        network.sleep(seconds(1)).await;
        let datagrams = connecting.datagrams();
        give_up!("a session", connecting.ready());
        give_up!("its end", connecting.closed());
        give_up!("its counts", connecting.get_stats());
        give_up!("its datagrams", datagrams.writable.send("x".into()));
        give_up!("a stream", connecting.create_bidirectional_stream(Default::default()));
        give_up!("a stream", connecting.create_unidirectional_stream(Default::default()));
        give_up!("a request", server.accept());
        let (session, _accepted) = session(&server, &client, options(hash)).await;
        // Each shutdown tells the clients.
        for _ in 0..100 {
            assert!(network.within(Duration::from_millis(1), server.shutdown(seconds(60))).await.is_none());
        }
        give_up!("no connection", server.shutdown(seconds(60)));
        drop(session);
    });
}

#[test]
fn streams_that_nobody_waits_for_any_more_are_not_opened() {
    let (network, server_, client, hash) = few_streams(4);
    client.run(async {
        let session = connect("server", options(hash)).await.unwrap();
        let streams = open_all(&session).await;
        give_up!("credit", session.create_bidirectional_stream(Default::default()));
        network.sleep(Duration::from_millis(50)).await;
        give_up!("credit", session.create_bidirectional_stream(Default::default()));
        // Half of them are dropped after the driver has seen them.
        let alive = Arc::new(AtomicUsize::new(0));
        let heap = Measure::start();
        for _ in 0..100 {
            let mut waiting = Vec::new();
            for _ in 0..10 {
                let mut create = Box::pin(session.create_bidirectional_stream(Default::default()));
                assert!(look_in(&alive, create.as_mut()).is_pending());
                waiting.push(create);
            }
            network.sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(alive.load(Ordering::Relaxed), 0);
        assert!(heap.growth() < 16 << 10, "{} bytes", heap.growth());
        // None of them keeps the session alive.
        drop((streams, session));
        network.sleep(seconds(1)).await;
        let sessions = network.within(seconds(10), server_.shutdown(seconds(60))).await;
        sessions.expect("the session was closed when its last handle went");
    });
}
