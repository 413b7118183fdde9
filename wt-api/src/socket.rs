//! UDP sockets: offload, ECN marks, local addresses, errors from the network.
//!
//! Owns the socket. Must never know QUIC, but for the one setting that a socket can forbid.

use std::{
    fmt, io,
    io::IoSliceMut,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    task::{Context, Poll, ready},
};

use quic_core::TransportConfig;
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use tokio::io::Interest;

/// What the kernel is asked to hold, in bytes; it may give less.
const KERNEL_BUFFER: usize = 2 << 20;

/// How a socket is made. What it sends is never cut up on the way where the system can forbid that
/// ([`DatagramSocket::may_fragment`]): QUIC asks for it (RFC 9000 §14), and path MTU discovery rests on it.
#[derive(Clone, Debug)]
pub(crate) struct SocketOptions {
    /// The address; port 0 lets the system choose.
    pub(crate) address: SocketAddr,
    /// Whether an IPv6 socket leaves IPv4 to others.
    pub(crate) only_v6: bool,
    /// Whether errors that the network reports (ICMP) are wanted.
    pub(crate) transport_errors: bool,
}

/// A UDP socket as the driver sees it. One task alone polls it.
pub(crate) trait DatagramSocket: fmt::Debug + Send + Sync {
    /// Receives into `buffers`; how many were filled. Ready with an error if the network or the system reported one.
    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>>;
    /// Sends at once or not at all.
    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()>;
    /// Ready when sending may work again.
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// Takes an error that the network reported: readiness does not tell of those.
    fn take_error(&self) -> Option<io::Error>;
    /// Whether the network may cut up what is sent. Larger datagrams must not be tried then: they would arrive.
    fn may_fragment(&self) -> bool;
    /// Segments that one send can carry.
    fn max_gso_segments(&self) -> usize;
    /// The address.
    fn local_address(&self) -> io::Result<SocketAddr>;
}

/// A socket of the operating system, on tokio.
#[derive(Debug)]
pub(crate) struct UdpSocket {
    io: tokio::net::UdpSocket,
    state: UdpSocketState,
}

impl UdpSocket {
    /// Binds; must be called within a tokio runtime.
    pub(crate) fn bind(options: &SocketOptions) -> io::Result<Self> {
        let domain = socket2::Domain::for_address(options.address);
        let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, Some(socket2::Protocol::UDP))?;
        if options.address.is_ipv6() {
            socket.set_only_v6(options.only_v6)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&options.address.into())?;
        let state = UdpSocketState::new((&socket).into())?;
        // Larger buffers are welcome, not needed.
        let _ = state.set_recv_buffer_size((&socket).into(), KERNEL_BUFFER);
        let _ = state.set_send_buffer_size((&socket).into(), KERNEL_BUFFER);
        if options.transport_errors {
            let _ = state.enable_transport_errors((&socket).into());
        }
        Ok(Self { io: tokio::net::UdpSocket::from_std(socket.into())?, state })
    }
}

impl DatagramSocket for UdpSocket {
    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.io.poll_recv_ready(cx))?;
            let received = self
                .io
                .try_io(Interest::READABLE, || self.state.recv(UdpSockRef::from(&self.io), buffers, metas));
            match received {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => {
                    if received.is_err() {
                        // The error stands in the error queue, too: left there it would keep the socket "ready".
                        while let Ok(Some(_)) = self.state.recv_transport_error((&self.io).into()) {}
                    }
                    return Poll::Ready(received);
                }
            }
        }
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.io.try_io(Interest::WRITABLE, || self.state.try_send((&self.io).into(), transmit))
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_send_ready(cx)
    }

    fn take_error(&self) -> Option<io::Error> {
        let error = self.state.recv_transport_error((&self.io).into()).ok()??;
        Some(io::Error::from_raw_os_error(error.raw_errno))
    }

    fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }

    fn max_gso_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }
}

/// Turns path MTU discovery off where its probes would arrive in pieces.
pub(crate) fn fit(transport: &mut TransportConfig, socket: &dyn DatagramSocket) {
    if socket.may_fragment() {
        transport.max_datagram_size = transport.datagram_size;
    }
}

/// The wildcard address of the family of `remote`, for a client's socket.
pub(crate) fn wildcard_for(remote: &SocketAddr) -> SocketAddr {
    match remote {
        SocketAddr::V4(_) => SocketAddr::from(([0, 0, 0, 0], 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    }
}

/// Whether an IPv6 wildcard has to leave IPv4 alone because it is listened on apart.
pub(crate) fn must_be_only_v6(address: &SocketAddr, all: &[SocketAddr]) -> bool {
    let wildcard = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    !wildcard || all.iter().any(|other| other.is_ipv4() && other.port() == address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn nothing_is_cut_up_on_linux() {
        let address = "127.0.0.1:0".parse().unwrap();
        let options = SocketOptions { address, only_v6: true, transport_errors: false };
        let socket = UdpSocket::bind(&options).unwrap();
        assert!(!socket.may_fragment());
        let mut transport = TransportConfig::default();
        fit(&mut transport, &socket);
        assert!(transport.max_datagram_size > transport.datagram_size);
    }

    #[test]
    fn a_lone_v6_wildcard_serves_v4_as_well() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (six, four, other) = (address("[::]:443"), address("0.0.0.0:443"), address("0.0.0.0:444"));
        assert!(!must_be_only_v6(&six, &[six, other]));
        assert!(must_be_only_v6(&six, &[six, four]));
        assert!(must_be_only_v6(&address("[::1]:443"), &[]));
    }
}
