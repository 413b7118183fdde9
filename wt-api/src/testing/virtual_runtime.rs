//! The runtime of a host in a virtual network, which replaces tokio and the operating system.
//!
//! Owns sockets and timers for drivers. It must never know QUIC.

use std::{
    fmt, io,
    io::IoSliceMut,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::SystemTime,
};

use netsim::{Datagram, MILLISECOND, SECOND};
use quic_core::base::{Entropy, Timestamp};
use quinn_udp::{EcnCodepoint, RecvMeta, Transmit};

use super::{
    node::{Bound, Received},
    script::Script,
    world::{World, nanos, timestamp},
};
use crate::{
    buffers::BufferPool,
    mailbox::lock,
    runtime::{BoxFuture, MissingDriver, Runtime, Tally, Timer},
    socket::DatagramSocket,
    udp::{NetworkReport, SocketOptions, TrainSocket},
};

/// The first port for sockets that do not request one.
pub(super) const FIRST_PORT: u16 = 49_152;
/// The difference between the clocks of two consecutive hosts, in nanoseconds. No test runs as long.
const CLOCKS_APART: u64 = 1_000_000 * SECOND;
/// The most datagrams in one send, as on Linux.
const SEGMENTS: usize = 64;

/// A host's interface to the world.
#[derive(Clone)]
pub(super) struct HostRuntime {
    world: Arc<World>,
    host: usize,
    /// How far the host's clock is ahead, in nanoseconds, so that a time of one host means nothing on
    /// another.
    ahead: u64,
    tally: Arc<Tally>,
}

impl HostRuntime {
    pub(super) fn new(world: Arc<World>, host: usize) -> Self {
        Self { world, host, ahead: (host as u64 + 1) * CLOCKS_APART, tally: Arc::default() }
    }
}

impl HostRuntime {
    /// Binds a socket. One that `shares` has the address of another socket.
    fn bind_in(&self, options: &SocketOptions, shares: bool) -> io::Result<Box<dyn DatagramSocket>> {
        let mut fabric = lock(&self.world.fabric);
        let ip = options.address.ip();
        let all = fabric.host(self.host).addresses.clone();
        if !ip.is_unspecified() && !all.contains(&ip) {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        let port = match options.address.port() {
            0 => fabric.free_port(self.host)?,
            port => port,
        };
        let address = SocketAddr::new(ip, port);
        let id = fabric.node(self.host).bind(address, options, shares)?;
        let node = fabric.host(self.host).node;
        for own in all {
            fabric.sim.add_address(node, SocketAddr::new(own, port));
        }
        let script = Arc::clone(&fabric.host(self.host).script);
        let (world, full) = (Arc::clone(&self.world), Mutex::default());
        Ok(Box::new(VirtualSocket { world, host: self.host, id, address, script, full }))
    }
}

impl fmt::Debug for HostRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostRuntime").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Runtime for HostRuntime {
    fn now(&self) -> Timestamp {
        timestamp(self.world.now() + self.ahead)
    }

    fn wall_clock(&self) -> SystemTime {
        self.world.wall_clock()
    }

    fn entropy(&self) -> Box<dyn Entropy> {
        lock(&self.world.fabric).host(self.host).entropy.fork()
    }

    fn adopt(&self, _: std::net::UdpSocket) -> io::Result<Box<dyn DatagramSocket>> {
        let cause = "a host of a virtual network has no sockets of the system: give an address";
        Err(io::Error::new(io::ErrorKind::Unsupported, cause))
    }

    fn timer(&self) -> Pin<Box<dyn Timer>> {
        let timer = VirtualTimer::new(Arc::clone(&self.world));
        Box::pin(HostTimer { timer, ahead: self.ahead })
    }

    fn bind(&self, options: &SocketOptions) -> io::Result<Box<dyn DatagramSocket>> {
        self.bind_in(options, false)
    }

    fn bind_shared(&self, options: &SocketOptions, count: usize) -> io::Result<Vec<Box<dyn DatagramSocket>>> {
        let first = self.bind_in(options, false)?;
        let options = SocketOptions { address: first.local_address()?, ..options.clone() };
        let mut sockets = vec![first];
        while sockets.len() < count {
            sockets.push(self.bind_in(&options, true)?);
        }
        Ok(sockets)
    }

    fn parallelism(&self) -> usize {
        1
    }

    fn resolve(&self, name: &str, port: u16) -> BoxFuture<io::Result<Vec<SocketAddr>>> {
        let found = match name.parse::<IpAddr>() {
            Ok(address) => Some(vec![address]),
            Err(_) => {
                let mut fabric = lock(&self.world.fabric);
                match name {
                    "localhost" => Some(fabric.host(self.host).addresses.clone()),
                    name => fabric.names.get(name).cloned(),
                }
            }
        };
        let found = found
            .map(|all| all.into_iter().map(|address| SocketAddr::new(address, port)).collect())
            .ok_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, "no host of the virtual network has this name")
            });
        Box::pin(std::future::ready(found))
    }

    fn spawn(&self, task: BoxFuture<()>) {
        let runtime = Arc::new(self.clone());
        self.world.executor.spawn(Some((self.host, runtime)), task);
    }

    fn buffers(&self) -> Arc<BufferPool> {
        Arc::clone(&self.world.buffers)
    }

    fn identity(&self) -> String {
        format!("virtual {:p} {}", Arc::as_ptr(&self.world), self.host)
    }

    fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    fn check(&self) -> Result<(), MissingDriver> {
        Ok(())
    }
}

impl super::world::Fabric {
    /// Closes a socket. Its port becomes free unless another socket of the host has it too.
    fn close(&mut self, host: usize, id: u64) {
        let Some(bound) = self.node(host).sockets.remove(&id) else { return };
        let port = bound.address.port();
        if !self.node(host).has_port(port) {
            for address in self.host(host).addresses.clone() {
                self.sim.remove_address(SocketAddr::new(address, port));
            }
        }
    }

    /// A port that no socket of the host uses.
    pub(super) fn free_port(&mut self, host: usize) -> io::Result<u16> {
        for _ in FIRST_PORT..=u16::MAX {
            let state = self.host(host);
            let port = state.next_port;
            state.next_port = port.checked_add(1).unwrap_or(FIRST_PORT);
            if !self.node(host).has_port(port) {
                return Ok(port);
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }
}

/// A timer on virtual time.
#[derive(Debug)]
pub(super) struct VirtualTimer {
    world: Arc<World>,
    set: Option<(u64, u64)>,
}

impl VirtualTimer {
    pub(super) fn new(world: Arc<World>) -> Self {
        Self { world, set: None }
    }

    /// Ready once the time is at least `at`, in nanoseconds since the start.
    pub(super) fn poll_nanos(&mut self, cx: &Context<'_>, at: u64) -> Poll<()> {
        if self.world.now() >= at {
            self.set.take().into_iter().for_each(|set| self.world.remove_timer(set));
            return Poll::Ready(());
        }
        // Set again even for the same time, because another task may wait.
        self.set = Some(self.world.set_timer(self.set, at, cx.waker()));
        Poll::Pending
    }
}

/// A timer on a host's clock.
struct HostTimer {
    timer: VirtualTimer,
    ahead: u64,
}

impl Timer for HostTimer {
    fn poll_until(mut self: Pin<&mut Self>, cx: &mut Context<'_>, at: Timestamp) -> Poll<()> {
        let at = nanos(at).saturating_sub(self.ahead);
        self.timer.poll_nanos(cx, at)
    }
}

impl Drop for VirtualTimer {
    fn drop(&mut self) {
        if let Some(set) = self.set {
            self.world.remove_timer(set);
        }
    }
}

/// A socket of a host.
#[derive(Debug)]
struct VirtualSocket {
    world: Arc<World>,
    host: usize,
    id: u64,
    address: SocketAddr,
    script: Arc<Script>,
    /// When the socket is writable again, if the script has blocked it.
    full: Mutex<Option<(u64, VirtualTimer)>>,
}

impl VirtualSocket {
    /// Calls `work` with the socket's state, unless the host has vanished.
    fn with<T>(&self, work: impl FnOnce(&mut Bound) -> T) -> io::Result<T> {
        let mut fabric = lock(&self.world.fabric);
        let socket = fabric.node(self.host).sockets.get_mut(&self.id);
        socket.map(work).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

/// Copies a datagram into the driver's buffer, truncated to the size of the buffer.
fn fill(received: &Received, buffer: &mut [u8], meta: &mut RecvMeta) {
    let len = received.payload.len().min(buffer.len());
    buffer[..len].copy_from_slice(&received.payload[..len]);
    *meta = RecvMeta::default();
    (meta.addr, meta.len, meta.stride) = (received.from, len, len);
    (meta.ecn, meta.dst_ip) = (EcnCodepoint::from_bits(received.ecn), Some(received.to));
}

impl DatagramSocket for VirtualSocket {
    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        if let Err(error) = self.script.answer_receive() {
            return Poll::Ready(Err(error));
        }
        let polled = self.with(|socket| {
            let mut count = 0;
            for (buffer, meta) in buffers.iter_mut().zip(metas) {
                let Some(received) = socket.received.pop_front() else { break };
                fill(&received, buffer, meta);
                count += 1;
            }
            if count == 0 {
                if let Some(kind) = socket.failure.take() {
                    return Poll::Ready(Err(kind.into()));
                }
                socket.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(Ok(count))
        });
        polled.unwrap_or(Poll::Pending)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut full = lock(&self.full);
        if let Some((at, timer)) = &mut *full {
            std::task::ready!(timer.poll_nanos(cx, *at));
            *full = None;
        }
        Poll::Ready(Ok(()))
    }

    fn take_report(&self) -> Option<NetworkReport> {
        let (to, kind) = self.with(|socket| socket.reports.pop_front()).ok()??;
        Some(NetworkReport { error: kind.into(), to: Some(to) })
    }

    fn want_reports(&self) {
        let _ = self.with(|socket| socket.wants_reports = true);
    }

    fn reach(&self, remote: SocketAddr) -> Option<SocketAddr> {
        self.with(|socket| socket.has_family_of(&remote)).unwrap_or(true).then_some(remote)
    }

    fn may_fragment(&self) -> bool {
        false
    }

    fn max_gso_segments(&self) -> usize {
        SEGMENTS
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

impl TrainSocket for VirtualSocket {
    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let segment = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        self.ask(transmit.destination, transmit.contents.len(), segment, true)?;
        self.send(transmit)
    }

    fn try_send_plain(&self, destination: SocketAddr, contents: &[u8]) -> io::Result<()> {
        self.ask(destination, contents.len(), contents.len(), false)?;
        self.send(&Transmit { destination, ecn: None, contents, segment_size: None, src_ip: None })
    }
}

impl VirtualSocket {
    /// Asks the script for the result of a send.
    fn ask(&self, to: SocketAddr, bytes: usize, segment: usize, control: bool) -> io::Result<()> {
        let answer = self.script.answer(to, bytes, segment, control);
        if answer.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            let at = self.world.now() + MILLISECOND;
            *lock(&self.full) = Some((at, VirtualTimer::new(Arc::clone(&self.world))));
        }
        answer
    }

    fn send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let mut fabric = lock(&self.world.fabric);
        let to = transmit.destination;
        let bound = Some(self.address.ip()).filter(|ip| !ip.is_unspecified());
        let own = &fabric.host(self.host).addresses;
        let ip = transmit
            .src_ip
            .or(bound)
            .or_else(|| own.iter().copied().find(|own| own.is_ipv6() == to.is_ipv6()))
            .filter(|ip| ip.is_ipv6() == to.is_ipv6())
            .ok_or(io::ErrorKind::NetworkUnreachable)?;
        let from = SocketAddr::new(ip, self.address.port());
        let ecn = transmit.ecn.map_or(0, |codepoint| codepoint as u8);
        let node = fabric.node(self.host);
        if !node.sockets.contains_key(&self.id) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let segment = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        for payload in transmit.contents.chunks(segment) {
            node.out.push_back(Datagram { from, to, ecn, payload: payload.to_vec() });
        }
        Ok(())
    }
}

impl Drop for VirtualSocket {
    fn drop(&mut self) {
        lock(&self.world.fabric).close(self.host, self.id);
    }
}
