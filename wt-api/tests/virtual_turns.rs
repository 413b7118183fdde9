//! The connections of a server take turns: a connection that is never done does not keep the others waiting.

mod virtual_common;

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use heap_meter::{HeapMeter, Measure};
use virtual_common::{options, serve, session};
use wt_api::{TransportConfig, WebTransport, testing::Network};

#[global_allocator]
static HEAP: HeapMeter = HeapMeter;

/// Repeats its request as soon as it is answered, in the driver's own turn, like the fastest possible
/// application.
struct Flood {
    session: WebTransport,
    asked: AtomicUsize,
    asking: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
}

/// More commands than any connection should have to wait for.
const MANY: usize = 200_000;

impl Flood {
    fn new(session: &WebTransport) -> Arc<Self> {
        Arc::new(Self { session: session.clone(), asked: AtomicUsize::new(0), asking: Mutex::new(None) })
    }

    fn ask(self: &Arc<Self>) {
        let waker = Waker::from(Arc::clone(self));
        let mut asking = self.asking.lock().unwrap();
        while self.asked.load(Ordering::Relaxed) < MANY {
            let question = asking.get_or_insert_with(|| {
                let session = self.session.clone();
                Box::pin(async move { drop(session.get_stats().await) })
            });
            match question.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(()) => *asking = None,
                Poll::Pending => break,
            }
            self.asked.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Wake for Flood {
    fn wake(self: Arc<Self>) {
        self.ask();
    }
}

/// Records how far the flood was when it is woken.
struct Watch {
    flood: Arc<Flood>,
    seen: AtomicUsize,
}

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        self.seen.store(self.flood.asked.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

#[test]
fn a_flood_of_commands_leaves_others_their_turn() {
    let network = Network::new(1);
    let (host, client) = (network.host("server"), network.host("client"));
    let (server, hash) = serve(&network, &host, TransportConfig::default());
    network.run(async {
        let (_one, busy) = session(&server, &client, options(hash)).await;
        let (_other, quiet) = session(&server, &client, options(hash)).await;
        let flood = Flood::new(&busy);
        let watch = Arc::new(Watch { flood: Arc::clone(&flood), seen: AtomicUsize::new(0) });
        flood.ask();
        let waker = Waker::from(Arc::clone(&watch));
        let mut question = Box::pin(quiet.get_stats());
        assert!(question.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        network.sleep(Duration::from_millis(1)).await;
        assert!(question.await.is_ok());
        assert_eq!(flood.asked.load(Ordering::Relaxed), MANY, "the flood had its turns as well");
        let seen = watch.seen.load(Ordering::Relaxed);
        assert!((1..=2048).contains(&seen), "{seen} commands before another connection had its turn");
    });
}

#[test]
fn options_that_are_set_in_a_loop_are_one_command() {
    let network = Network::new(2);
    let (host, client) = (network.host("server"), network.host("client"));
    let (server, hash) = serve(&network, &host, TransportConfig::default());
    network.run(async {
        let (_one, busy) = session(&server, &client, options(hash)).await;
        let datagrams = busy.datagrams();
        let heap = Measure::start();
        for n in 0..10_000u16 {
            busy.set_anticipated_concurrent_incoming_bidirectional_streams(Some(n));
            busy.set_anticipated_concurrent_incoming_unidirectional_streams(Some(n));
            datagrams.set_outgoing_max_age(Some(Duration::from_millis(n.into())));
            datagrams.set_outgoing_max_buffered_datagrams(n.into());
            busy.drain();
        }
        assert!(heap.peak_growth() < 1 << 10, "{} bytes", heap.peak_growth());
    });
}
