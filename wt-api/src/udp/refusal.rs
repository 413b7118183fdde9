//! What the system says when it does not send, by what there is to do about it.

use std::io;

/// Why a send was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The socket's buffer is full: it tells when there is room.
    Full,
    /// The system has no memory for it now (`ENOBUFS`, `ENOMEM`). It does not tell when it has.
    NoMemory,
    /// Too long (`EMSGSIZE`), as a train or as a datagram.
    TooLong,
    /// Something about the call is not supported (`EIO`, `EINVAL`, `EOPNOTSUPP`, `ENOPROTOOPT`): segmentation, a mark, a
    /// source address.
    Unsupported,
    /// Anything else: no route, a filter, an answer of the network to what was sent before.
    Network,
}

impl Refusal {
    pub(super) fn of(error: &io::Error) -> Self {
        if quinn_udp::is_msg_size_err(error) {
            return Self::TooLong;
        }
        match error.kind() {
            io::ErrorKind::WouldBlock => Self::Full,
            io::ErrorKind::OutOfMemory => Self::NoMemory,
            io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported => Self::Unsupported,
            _ => error.raw_os_error().map_or(Self::Network, of_code),
        }
    }
}

#[cfg(unix)]
fn of_code(code: i32) -> Refusal {
    match code {
        libc::ENOBUFS => Refusal::NoMemory,
        libc::EIO | libc::ENOPROTOOPT => Refusal::Unsupported,
        _ => Refusal::Network,
    }
}

#[cfg(windows)]
fn of_code(code: i32) -> Refusal {
    /// `WSAENOBUFS`.
    const NO_BUFFERS: i32 = 10_055;
    /// `WSAENOPROTOOPT`.
    const NO_OPTION: i32 = 10_042;
    match code {
        NO_BUFFERS => Refusal::NoMemory,
        NO_OPTION => Refusal::Unsupported,
        _ => Refusal::Network,
    }
}

/// Whether an error says that this host cannot send to an address, or may not.
pub(crate) fn is_unreachable(error: &io::Error) -> bool {
    use io::ErrorKind::{
        AddrNotAvailable, HostUnreachable, NetworkDown, NetworkUnreachable, PermissionDenied,
    };
    matches!(
        error.kind(),
        AddrNotAvailable | HostUnreachable | NetworkDown | NetworkUnreachable | PermissionDenied
    )
}
