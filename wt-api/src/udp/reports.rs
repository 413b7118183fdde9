//! What the network reports of datagrams that were sent (ICMP), and what is told of those that come: systems tell it in different
//! ways.
//!
//! The one place in the library that asks which system this is.

use std::{io, net::SocketAddr};

use quinn_udp::UdpSocketState;

/// What the network reports of a datagram that was sent.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "for the programs of this workspace alone")]
pub struct NetworkReport {
    /// What became of it.
    pub error: io::Error,
    /// Where it was sent, if the system tells.
    pub to: Option<SocketAddr>,
}

/// What a receive call reports, by the same name on every system: that nothing listens on a port (ICMP port unreachable)
/// is a refused connection on Unix and one that was reset on Windows. A UDP socket has no other that could be reset.
pub(super) fn answered(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::ConnectionReset => io::Error::new(io::ErrorKind::ConnectionRefused, error),
        _ => error,
    }
}

/// Asks the system to keep what the network reports of datagrams that were sent.
#[cfg(unix)]
pub(super) fn report_errors(state: &UdpSocketState, socket: quinn_udp::UdpSockRef<'_>) {
    // A system that keeps no such errors has fewer of them to tell, and a connection ends by its timers.
    let _ = state.enable_transport_errors(socket);
}

/// Windows keeps no such errors apart: it tells them as the result of the next call that receives, unasked.
#[cfg(not(unix))]
pub(super) fn report_errors(_: &UdpSocketState, _: quinn_udp::UdpSockRef<'_>) {}

/// Has the system not tell when each datagram came, which quinn-udp 0.6 asks for and nobody here reads. Its buffer has no room
/// for that beside the rest: the system cut off the ECN mark of each train, so that ECN looked broken on every path, and was
/// given up.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn forgo_timestamps(socket: &socket2::Socket) -> io::Result<()> {
    use nix::sys::socket::{setsockopt, sockopt::ReceiveTimestampns};
    setsockopt(socket, ReceiveTimestampns, &false).map_err(io::Error::from)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn forgo_timestamps(_: &socket2::Socket) -> io::Result<()> {
    Ok(())
}

/// Room for what the system says beside a report: the report, and on which interface it came.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[repr(align(16))]
struct Control([u8; 256]);

/// The next report of those that the system has kept. quinn-udp names who reports it, which may be a router; a socket with
/// several peers has to know whom it is about.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn next_report(socket: &tokio::net::UdpSocket) -> Option<NetworkReport> {
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
        // Whatever else is kept there is no report.
        let Some(number) = number else { continue };
        let to = message.address.and_then(|address| {
            let v4 = address.as_sockaddr_in().map(|address| SocketAddr::V4((*address).into()));
            v4.or_else(|| address.as_sockaddr_in6().map(|address| SocketAddr::V6((*address).into())))
        });
        return Some(NetworkReport { error: io::Error::from_raw_os_error(number), to });
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn next_report(_: &tokio::net::UdpSocket) -> Option<NetworkReport> {
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
