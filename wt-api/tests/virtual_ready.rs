//! What is available when the application learns of a session: its task may run on another thread at that
//! very moment.

mod virtual_common;

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Wake, Waker},
};

use virtual_common::{echo_all, options, seconds, serve};
use wt_api::{
    AcceptOptions, WebTransport,
    testing::{LinkConfig, MILLISECOND, Network},
};

/// A waker that records the datagram size at the moment in which it is called.
struct Looks {
    session: WebTransport,
    size: AtomicUsize,
}

impl Wake for Looks {
    fn wake(self: Arc<Self>) {
        self.size.store(self.session.datagrams().max_datagram_size(), Ordering::SeqCst);
    }
}

#[test]
fn the_datagram_size_is_known_when_a_session_is_announced() {
    let network = Network::new(91);
    let (host, client) = (network.host("server"), network.host("client"));
    drop(network.link(&host, &client, &LinkConfig::new().delay(10 * MILLISECOND)));
    let (server, hash) = serve(&network, &host, Default::default());
    drop(host.spawn(echo_all(host.clone(), server)));
    client.run(async {
        let session = WebTransport::new("https://server/", options(hash)).unwrap();
        let looks = Arc::new(Looks { session: session.clone(), size: AtomicUsize::new(0) });
        let waker = Waker::from(Arc::clone(&looks));
        let mut ready = pin!(session.ready());
        assert!(ready.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        session.ready().await.unwrap();
        assert!(looks.size.load(Ordering::SeqCst) > 0);
    });
}

/// Path MTU discovery changes the size before the application accepts the request.
#[test]
fn the_datagram_size_is_known_when_a_session_is_accepted_late() {
    let network = Network::new(92);
    let (host, client) = (network.host("server"), network.host("client"));
    drop(network.link(&host, &client, &LinkConfig::new().delay(10 * MILLISECOND)));
    let (server, hash) = serve(&network, &host, Default::default());
    network.run(async {
        let session = client.enter(|| WebTransport::new("https://server/", options(hash)).unwrap());
        let request = server.accept().await.unwrap();
        network.sleep(seconds(5)).await;
        let accepted = request.accept(AcceptOptions::new()).await.unwrap();
        let size = accepted.datagrams().max_datagram_size();
        assert!(size > 1200, "discovery is over: {size}");
        accepted.datagrams().writable.send("at once".into()).await.unwrap();
        session.ready().await.unwrap();
        assert_eq!(session.datagrams().readable.recv().await.unwrap(), "at once");
    });
}
