//! Reports of the network about sent datagrams (ICMP), and ancillary data of received ones, both of which
//! depend on the system.
//!
//! This is the only module of the library that distinguishes operating systems.

use std::{io, net::SocketAddr};

use quinn_udp::UdpSocketState;

/// A report of the network about a datagram that was sent.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "for the programs of this workspace alone")]
pub struct NetworkReport {
    /// Why it was not delivered.
    pub error: io::Error,
    /// Its destination, if the system tells.
    pub to: Option<SocketAddr>,
}

/// Gives an error of a receive call the same kind on every system. If nothing listens on a port (ICMP port
/// unreachable), Unix reports a refused connection, and Windows a reset one. A UDP socket has no other
/// connection that could be reset.
pub(super) fn answered(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::ConnectionReset => io::Error::new(io::ErrorKind::ConnectionRefused, error),
        _ => error,
    }
}

/// Makes the system queue the network's reports about sent datagrams.
#[cfg(unix)]
pub(super) fn report_errors(state: &UdpSocketState, socket: quinn_udp::UdpSockRef<'_>) {
    // Without this queue there are fewer reports, and connections end by their timers.
    let _ = state.enable_transport_errors(socket);
}

/// Windows has no such queue. It returns these errors from the next receive call without being asked.
#[cfg(not(unix))]
pub(super) fn report_errors(_: &UdpSocketState, _: quinn_udp::UdpSockRef<'_>) {}

/// Turns off the receive timestamps that quinn-udp 0.6 enables and that this library does not use.
/// quinn-udp's control buffer has no room for them: the system cut off the ECN mark of each train, so ECN
/// seemed to fail on every path and was disabled.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn forgo_timestamps(socket: &socket2::Socket) -> io::Result<()> {
    use nix::sys::socket::{setsockopt, sockopt::ReceiveTimestampns};
    setsockopt(socket, ReceiveTimestampns, &false).map_err(io::Error::from)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn forgo_timestamps(_: &socket2::Socket) -> io::Result<()> {
    Ok(())
}

/// The control buffer for a report, which also holds the interface on which it arrived.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[repr(align(16))]
struct Control([u8; 256]);

/// The next queued report. quinn-udp names the sender of the report, which may be a router. A socket with
/// several peers needs the destination that the report is about.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn next_report(socket: &std::net::UdpSocket) -> Option<NetworkReport> {
    use std::os::fd::AsRawFd as _;

    use nix::{
        errno::Errno,
        sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg},
    };
    loop {
        let (mut payload, mut control) = ([0; 1], Control([0; 256]));
        let mut payload = [io::IoSliceMut::new(&mut payload)];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let message =
            recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut payload, Some(&mut control.0), flags);
        let message = match message {
            Ok(message) => message,
            Err(Errno::EINTR) => continue,
            Err(_) => return None,
        };
        let number = message.cmsgs().into_iter().flatten().find_map(|said| match said {
            ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _) => {
                i32::try_from(error.ee_errno).ok()
            }
            _ => None,
        });
        // Other messages in the queue are not reports.
        let Some(number) = number else { continue };
        let to = message.address.and_then(|address| {
            let v4 = address.as_sockaddr_in().map(|address| SocketAddr::V4((*address).into()));
            v4.or_else(|| address.as_sockaddr_in6().map(|address| SocketAddr::V6((*address).into())))
        });
        return Some(NetworkReport { error: io::Error::from_raw_os_error(number), to });
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn next_report<S>(_: &S) -> Option<NetworkReport> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_without_a_listener_refuses_on_every_system() {
        for (told, kind) in [
            (io::ErrorKind::ConnectionReset, io::ErrorKind::ConnectionRefused),
            (io::ErrorKind::ConnectionRefused, io::ErrorKind::ConnectionRefused),
            (io::ErrorKind::WouldBlock, io::ErrorKind::WouldBlock),
        ] {
            assert_eq!(answered(told.into()).kind(), kind);
        }
    }
}
