//! What the network reports of datagrams that were sent (ICMP), and what is told of those that come: systems tell it in different
//! ways.
//!
//! The one place in the library that asks which system this is.

use std::io;

use quinn_udp::UdpSocketState;

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
pub(super) fn report_errors(state: &UdpSocketState, socket: &socket2::Socket) {
    // A system that keeps no such errors has fewer of them to tell, and a connection ends by its timers.
    let _ = state.enable_transport_errors(socket.into());
}

/// Windows keeps no such errors apart: it tells them as the result of the next call that receives, unasked.
#[cfg(not(unix))]
pub(super) fn report_errors(_: &UdpSocketState, _: &socket2::Socket) {}

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

/// The next error of those that the system has kept.
#[cfg(unix)]
pub(super) fn reported_error(state: &UdpSocketState, socket: &tokio::net::UdpSocket) -> Option<io::Error> {
    let error = state.recv_transport_error(socket.into()).ok()??;
    Some(io::Error::from_raw_os_error(error.raw_errno))
}

#[cfg(not(unix))]
pub(super) fn reported_error(_: &UdpSocketState, _: &tokio::net::UdpSocket) -> Option<io::Error> {
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
