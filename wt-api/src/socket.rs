//! Sockets as the driver uses them: of the system, or of a virtual network.
//!
//! Owns this interface, and which addresses sockets get. It must never know QUIC, except for the one setting
//! that depends on the socket.

use std::{
    fmt, io,
    io::IoSliceMut,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    task::{Context, Poll},
};

use quic_core::TransportConfig;
use quinn_udp::RecvMeta;

use crate::udp::{NetworkReport, TrainSocket, UdpSocket};

/// The kernel buffer to ask for, in bytes; the system may give less.
pub(crate) const KERNEL_BUFFER: usize = 2 << 20;

/// A UDP socket as the driver uses it. Only one task polls it.
pub(crate) trait DatagramSocket: TrainSocket + fmt::Debug + Send + Sync {
    /// Receives into `buffers`. Returns how many were filled. Ready with an error if the network or the
    /// system reported one.
    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>>;
    /// Ready when sending may succeed again. An error if the socket cannot be watched: nothing tells then.
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// Takes a queued report of the network. Readiness does not announce these. Call it after an error of
    /// [`poll_recv`](Self::poll_recv), until there is none.
    fn take_report(&self) -> Option<NetworkReport>;
    /// Enables such reports on a socket that was made without them.
    fn want_reports(&self);
    /// The form in which the socket must write an address to send there; `None` if it cannot reach it.
    fn reach(&self, remote: SocketAddr) -> Option<SocketAddr>;
    /// Whether the network may fragment what is sent. If so, larger datagrams must not be probed, because
    /// they would arrive.
    fn may_fragment(&self) -> bool;
    /// How many segments one send can carry.
    fn max_gso_segments(&self) -> usize;
    /// The local address.
    fn local_address(&self) -> io::Result<SocketAddr>;
}

impl DatagramSocket for UdpSocket {
    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        Self::poll_recv(self, cx, buffers, metas)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_writable(self, cx)
    }

    fn take_report(&self) -> Option<NetworkReport> {
        Self::take_report(self)
    }

    fn want_reports(&self) {
        Self::want_reports(self);
    }

    fn reach(&self, remote: SocketAddr) -> Option<SocketAddr> {
        Self::reach(self, remote)
    }

    fn may_fragment(&self) -> bool {
        Self::may_fragment(self)
    }

    fn max_gso_segments(&self) -> usize {
        Self::max_gso_segments(self)
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        Self::local_address(self)
    }
}

/// Turns path MTU discovery off if its probes could be fragmented.
pub(crate) fn fit(transport: &mut TransportConfig, socket: &dyn DatagramSocket) {
    if socket.may_fragment() {
        transport.max_datagram_size = transport.datagram_size;
    }
}

/// The address to send to for one that a name resolved to. An IPv4 address in IPv6 form is reached by IPv4
/// (RFC 4291 §2.5.5.2). The unspecified address means this machine, which answers from its loopback address.
pub(crate) fn reached_at(found: &SocketAddr) -> SocketAddr {
    let address = match found.ip().to_canonical() {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    if address == found.ip() { *found } else { SocketAddr::new(address, found.port()) }
}

/// Converts an IPv4 address in IPv6 form (RFC 4291 §2.5.5.2) back to IPv4.
pub(crate) fn unmapped(address: SocketAddr) -> SocketAddr {
    let v4 = match &address {
        SocketAddr::V6(v6) => v6.ip().to_ipv4_mapped(),
        SocketAddr::V4(_) => None,
    };
    v4.map_or(address, |v4| SocketAddr::new(v4.into(), address.port()))
}

/// Which families a socket reaches: IPv4, IPv6.
pub(crate) fn families(socket: &dyn DatagramSocket) -> [bool; 2] {
    let remotes: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    remotes.map(|ip| socket.reach(SocketAddr::new(ip, 1)).is_some())
}

/// The wildcard address in the family of `remote`, for a client's socket.
pub(crate) fn wildcard_for(remote: &SocketAddr) -> SocketAddr {
    match remote {
        SocketAddr::V4(_) => SocketAddr::from(([0, 0, 0, 0], 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    }
}

/// Whether an IPv6 wildcard socket must not receive IPv4, because another socket listens there.
pub(crate) fn must_be_only_v6(address: &SocketAddr, all: &[SocketAddr]) -> bool {
    let wildcard = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    !wildcard || all.iter().any(|other| other.is_ipv4() && other.port() == address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn nothing_is_fragmented_on_linux() {
        use crate::udp::SocketOptions;
        let address = "127.0.0.1:0".parse().unwrap();
        let options =
            SocketOptions { address, only_v6: true, transport_errors: false, buffer: KERNEL_BUFFER };
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
