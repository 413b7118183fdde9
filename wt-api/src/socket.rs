//! UDP sockets: offload, ECN marks, local addresses, errors from the network.
//!
//! Owns the socket. Must never know QUIC.

use std::{
    fmt, io,
    io::IoSliceMut,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    task::{Context, Poll, ready},
};

use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use tokio::io::Interest;

/// What the kernel is asked to hold, in bytes; it may give less.
const KERNEL_BUFFER: usize = 2 << 20;

/// How a socket is made.
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

    fn max_gso_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
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

    #[test]
    fn a_lone_v6_wildcard_serves_v4_as_well() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (six, four, other) = (address("[::]:443"), address("0.0.0.0:443"), address("0.0.0.0:444"));
        assert!(!must_be_only_v6(&six, &[six, other]));
        assert!(must_be_only_v6(&six, &[six, four]));
        assert!(must_be_only_v6(&address("[::1]:443"), &[]));
    }
}
