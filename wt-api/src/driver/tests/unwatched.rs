//! A socket that is full, and that the system does not watch, as in a process that has no more files.

use std::{
    io,
    io::IoSliceMut,
    net::SocketAddr,
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    task::Wake,
};

use quinn_udp::{RecvMeta, Transmit};

use super::*;
use crate::{
    driver::{outgoing::RETRY, shard::Shard},
    mailbox::ShardBox,
    socket::DatagramSocket,
    testing::Network,
    udp::{NetworkReport, TrainSocket},
};

/// What a shard has asked of its socket.
#[derive(Debug, Default)]
struct Asked {
    sends: AtomicUsize,
    receives: AtomicUsize,
}

/// Has one datagram, which calls for an answer, and never room for that.
#[derive(Debug)]
struct Full(Arc<Asked>);

impl TrainSocket for Full {
    fn try_send(&self, _: &Transmit<'_>) -> io::Result<()> {
        self.0.sends.fetch_add(1, Relaxed);
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn try_send_plain(&self, _: SocketAddr, _: &[u8]) -> io::Result<()> {
        self.0.sends.fetch_add(1, Relaxed);
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl DatagramSocket for Full {
    fn poll_recv(
        &self,
        _: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        if self.0.receives.fetch_add(1, Relaxed) > 0 {
            return Poll::Pending;
        }
        // A long header of a version that nobody has, with two connection IDs of eight bytes (RFC 8999 §5.1).
        let datagram = [&[0xc0, 0x1a, 0x2a, 0x3a, 0x4b, 8][..], &[1; 8], &[8], &[2; 8], &[0; 1200]].concat();
        buffers[0][..datagram.len()].copy_from_slice(&datagram);
        metas[0] = RecvMeta::default();
        metas[0].addr = "192.0.2.1:4433".parse().unwrap();
        (metas[0].len, metas[0].stride) = (datagram.len(), datagram.len());
        Poll::Ready(Ok(1))
    }

    fn poll_writable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::Error::other("too many open files")))
    }

    fn take_report(&self) -> Option<NetworkReport> {
        None
    }

    fn want_reports(&self) {}

    fn reach(&self, remote: SocketAddr) -> Option<SocketAddr> {
        Some(remote)
    }

    fn may_fragment(&self) -> bool {
        false
    }

    fn max_gso_segments(&self) -> usize {
        1
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok("192.0.2.2:443".parse().unwrap())
    }
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn a_full_socket_that_cannot_be_watched_is_tried_again_later_and_not_at_once() {
    let network = Network::new(1);
    let runtime = network.host("server").enter(|| runtime::current().unwrap());
    let (asked, wakes) = (Arc::new(Asked::default()), Arc::new(Wakes::default()));
    let (tls, _) = testing::tls_server_config(ALPN);
    let endpoint = endpoint(EndpointBudget::unlimited(), 1, Some(ServerConfig::new(tls, [9; 32])));
    let socket = Box::new(Full(Arc::clone(&asked)));
    let mut shard = Shard::new(Arc::clone(&runtime), socket, ShardBox::new(), endpoint, None);
    let waker = Waker::from(Arc::clone(&wakes));
    assert!(Pin::new(&mut shard).poll(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(asked.sends.load(Relaxed), 1, "the answer was tried once");
    assert_eq!(wakes.0.load(Relaxed), 0, "and the task is not busy");
    assert_eq!(shard.sender.deadline(), Some(runtime.now() + RETRY));
}
