//! A UDP socket of the operating system, on tokio.
//!
//! Owns the socket, and the ancillary data of each datagram. It must never know QUIC.

use std::{
    io::{self, IoSliceMut},
    net::SocketAddr,
    task::{Context, Poll, ready},
};

use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use tokio::io::Interest;

use super::{
    polled::Polled,
    reports::{NetworkReport, answered, forgo_timestamps, next_report, report_errors},
    trains::TrainSocket,
};

/// How to make a socket. Its datagrams are never fragmented where the system can forbid that
/// ([`UdpSocket::may_fragment`]). QUIC requires it (RFC 9000 §14), and path MTU discovery depends on it.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "for the programs of this workspace alone")]
pub struct SocketOptions {
    /// The address; port 0 lets the system choose.
    pub address: SocketAddr,
    /// Whether an IPv6 socket does not receive IPv4.
    pub only_v6: bool,
    /// Whether to report errors of the network (ICMP).
    pub transport_errors: bool,
    /// The size of the system's buffer to ask for in each direction, in bytes; the system may give less.
    pub buffer: usize,
}

/// A UDP socket.
///
/// Some sandboxes do not support ECN marks and local addresses. There the socket works without them: it sends
/// and receives datagrams one by one, and path MTU discovery is not possible.
#[derive(Debug)]
pub struct UdpSocket {
    io: Polled,
    /// Support for ancillary data and offload, if there is any.
    state: Option<UdpSocketState>,
    /// Whether it is an IPv6 socket that reaches IPv4 through mapped addresses.
    dual: bool,
}

impl UdpSocket {
    /// Binds a socket; must be called within a tokio runtime.
    ///
    /// # Errors
    /// The system has no such socket, or the address cannot be used.
    pub fn bind(options: &SocketOptions) -> io::Result<Self> {
        Self::bind_with(options, false, |socket| UdpSocketState::new(socket.into()))
    }

    /// Whether the system can distribute the datagrams for an address among several sockets.
    pub const CAN_SHARE: bool = cfg!(target_os = "linux");

    /// Binds `count` sockets to one address, at least one; must be called within a tokio runtime. The system
    /// delivers datagrams from the same remote address and port to the same socket, as long as all of them
    /// are open. Another program that wants the address gets an error, as with one socket.
    ///
    /// # Errors
    /// As [`bind`](Self::bind). More than one socket fails where the system [cannot share](Self::CAN_SHARE)
    /// an address.
    pub fn bind_shared(options: &SocketOptions, count: usize) -> io::Result<Vec<Self>> {
        // The first socket is bound without sharing, so that binding fails if another program has the
        // address, even a shared one.
        let first = Self::bind(options)?;
        let address = first.local_address()?;
        let mut sockets = vec![first];
        if count > 1 {
            share(sockets[0].io.get())?;
        }
        let options = SocketOptions { address, ..options.clone() };
        while sockets.len() < count {
            sockets.push(Self::bind_with(&options, true, |socket| UdpSocketState::new(socket.into()))?);
        }
        Ok(sockets)
    }

    /// Binds, and calls `prepare` for ancillary data and offload. `shares` is whether another socket has the
    /// address already.
    pub(super) fn bind_with(
        options: &SocketOptions,
        shares: bool,
        prepare: impl FnOnce(&socket2::Socket) -> io::Result<UdpSocketState>,
    ) -> io::Result<Self> {
        let domain = socket2::Domain::for_address(options.address);
        let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, Some(socket2::Protocol::UDP))?;
        if options.address.is_ipv6() {
            socket.set_only_v6(options.only_v6)?;
        }
        if shares {
            share(&socket)?;
        }
        socket.bind(&options.address.into())?;
        // Larger buffers are welcome, but not necessary.
        let _ = socket.set_recv_buffer_size(options.buffer);
        let _ = socket.set_send_buffer_size(options.buffer);
        Self::equip(socket, options.transport_errors, prepare)
    }

    /// Takes a bound socket from the application, and keeps its buffer sizes; must be called within a tokio
    /// runtime. `transport_errors` is whether to report errors of the network (ICMP).
    ///
    /// # Errors
    /// The socket is connected to a peer, or the system refuses to drive it.
    pub fn adopt(socket: std::net::UdpSocket, transport_errors: bool) -> io::Result<Self> {
        if let Ok(peer) = socket.peer_addr() {
            let cause = format!("the socket is connected to {peer}: it takes datagrams of nobody else");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, cause));
        }
        Self::equip(socket.into(), transport_errors, |socket| UdpSocketState::new(socket.into()))
    }

    /// Sets up a bound socket for QUIC.
    fn equip(
        socket: socket2::Socket,
        transport_errors: bool,
        prepare: impl FnOnce(&socket2::Socket) -> io::Result<UdpSocketState>,
    ) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?.as_socket();
        let address = address.ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?;
        let dual = address.is_ipv6() && address.ip().is_unspecified() && !socket.only_v6().unwrap_or(true);
        let state = prepare(&socket)
            .inspect_err(|error| {
                tracing::warn!(
                    %error,
                    %address,
                    "the system refuses ECN marks or local addresses on this socket: it does without, and without offload"
                );
            })
            .ok();
        if let Err(error) = forgo_timestamps(&socket) {
            tracing::debug!(%error, "the system tells when datagrams came, and may leave out their ECN marks");
        }
        if let (Some(state), true) = (&state, transport_errors) {
            report_errors(state, (&socket).into());
        }
        Ok(Self { io: Polled::new(socket.into())?, state, dual })
    }

    /// Receives available datagrams into `buffers`. Returns how many buffers were filled.
    ///
    /// # Errors
    /// `WouldBlock` if there are none; otherwise the error of the network or the system.
    pub fn try_recv(&self, buffers: &mut [IoSliceMut<'_>], metas: &mut [RecvMeta]) -> io::Result<usize> {
        if let Some(state) = &self.state {
            let socket = UdpSockRef::from(self.io.get());
            return self.io.try_read(|| state.recv(socket, buffers, metas)).map_err(answered);
        }
        let (Some(buffer), Some(meta)) = (buffers.first_mut(), metas.first_mut()) else { return Ok(0) };
        let (len, addr) = self.io.receive_from(buffer).map_err(answered)?;
        *meta = RecvMeta::default();
        (meta.addr, meta.len, meta.stride) = (addr, len, len);
        Ok(1)
    }

    /// Receives into `buffers`. Returns how many buffers were filled.
    ///
    /// # Errors
    /// The error of the network or the system. After it, [take](Self::take_report) the network's reports
    /// until there are none, because a queued report keeps the socket "ready".
    pub fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.io.poll_readable(cx))?;
            match self.try_recv(buffers, metas) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return Poll::Ready(received),
            }
        }
    }

    /// Ready when sending may succeed again.
    ///
    /// # Errors
    /// The runtime is gone, or on Unix the process has no file left by which the socket could be watched. Ask again
    /// later; nothing tells when.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_writable(cx)
    }

    /// Waits until the socket can be read or written, as `interest` says.
    ///
    /// # Errors
    /// The runtime is gone.
    pub async fn ready(&self, interest: Interest) -> io::Result<()> {
        std::future::poll_fn(|cx| {
            if interest.is_readable()
                && let Poll::Ready(readable) = self.io.poll_readable(cx)
            {
                return Poll::Ready(readable);
            }
            if interest.is_writable() { self.io.poll_writable(cx) } else { Poll::Pending }
        })
        .await
    }

    /// Takes a queued report of the network. Readiness does not announce these.
    pub fn take_report(&self) -> Option<NetworkReport> {
        next_report(self.io.get())
    }

    /// Enables reports of the network on a socket that was made without them.
    pub fn want_reports(&self) {
        if let Some(state) = &self.state {
            report_errors(state, self.io.get().into());
        }
    }

    /// The form in which the socket must write an address to send there; `None` if it cannot reach it.
    pub fn reach(&self, remote: SocketAddr) -> Option<SocketAddr> {
        let local = self.local_address().ok()?;
        match remote {
            SocketAddr::V4(v4) if local.is_ipv6() && self.dual => {
                Some((v4.ip().to_ipv6_mapped(), v4.port()).into())
            }
            _ if local.is_ipv6() == remote.is_ipv6() => Some(remote),
            _ => None,
        }
    }

    /// Whether the network may fragment what is sent. If so, larger datagrams must not be probed, because
    /// they would arrive.
    pub fn may_fragment(&self) -> bool {
        self.state.as_ref().is_none_or(UdpSocketState::may_fragment)
    }

    /// How many segments one send can carry.
    pub fn max_gso_segments(&self) -> usize {
        self.state.as_ref().map_or(1, UdpSocketState::max_gso_segments)
    }

    /// The local address.
    ///
    /// # Errors
    /// The system does not tell it.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.io.get().local_addr()
    }
}

/// Lets other sockets of this user bind the same address (`SO_REUSEPORT`).
#[cfg(target_os = "linux")]
fn share<'a, S>(socket: &'a S) -> io::Result<()>
where
    socket2::SockRef<'a>: From<&'a S>,
{
    socket2::SockRef::from(socket).set_reuse_port(true)
}

/// On other systems the last socket of an address gets all datagrams.
#[cfg(not(target_os = "linux"))]
fn share<S>(_: &S) -> io::Result<()> {
    let cause = "this system does not share an address out among several sockets: set shards to 1";
    Err(io::Error::new(io::ErrorKind::Unsupported, cause))
}

impl TrainSocket for UdpSocket {
    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let Some(state) = &self.state else {
            return self.try_send_plain(transmit.destination, transmit.contents);
        };
        let before = state.max_gso_segments();
        let sent = self.io.try_write(|| state.try_send(self.io.get().into(), transmit));
        // quinn-udp retries without a mark if the system calls a message invalid, over IPv4. This detects
        // that the retry succeeded, because no datagram is marked any more.
        if sent.is_ok() && before > 1 && state.max_gso_segments() == 1 {
            tracing::warn!("the system refuses ECN marks over IPv4: datagrams leave without");
        }
        sent
    }

    fn try_send_plain(&self, destination: SocketAddr, contents: &[u8]) -> io::Result<()> {
        self.io.send_to(contents, destination).map(drop)
    }
}
