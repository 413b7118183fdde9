//! The system's errors when it does not send, classified by how to react.

use std::io;

const IS_LINUX: bool = cfg!(any(target_os = "linux", target_os = "android"));
/// `ENOBUFS`, `WSAENOBUFS`.
const NO_BUFFERS: i32 = number(105, 55, 10_055);
/// `ENOPROTOOPT`, `WSAENOPROTOOPT`.
const NO_OPTION: i32 = number(92, 42, 10_042);
/// `EIO`. On Windows this number is another error, which has a name.
const IO_ERROR: i32 = 5;
/// `EPERM`.
const NOT_PERMITTED: i32 = 1;

/// The number of an error on the target system: Linux, a BSD, or Windows.
const fn number(linux: i32, bsd: i32, windows: i32) -> i32 {
    if cfg!(windows) {
        windows
    } else if IS_LINUX {
        linux
    } else {
        bsd
    }
}

/// Why a send was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The socket's buffer is full. Readiness tells when there is room.
    Full,
    /// The system has no memory for it now (`ENOBUFS`, `ENOMEM`). Nothing tells when it has.
    NoMemory,
    /// The train or the datagram is too long (`EMSGSIZE`).
    TooLong,
    /// The system does not support a feature of the call (`EIO`, `EINVAL`, `EOPNOTSUPP`, `ENOPROTOOPT`):
    /// segmentation, an ECN mark, or a source address.
    Unsupported,
    /// Anything else: no route, a filter, or an error that an earlier datagram caused.
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
            io::ErrorKind::PermissionDenied => Self::Network,
            _ => error.raw_os_error().map_or(Self::Network, of_code),
        }
    }
}

/// Classifies by the system's error number, for errors that the standard library does not name.
fn of_code(code: i32) -> Refusal {
    match code {
        NO_BUFFERS => Refusal::NoMemory,
        IO_ERROR | NO_OPTION => Refusal::Unsupported,
        _ => Refusal::Network,
    }
}

/// Whether an error says that this host cannot, or may not, send to an address.
fn is_unreachable(error: &io::Error) -> bool {
    use io::ErrorKind::{
        AddrNotAvailable, HostUnreachable, NetworkDown, NetworkUnreachable, PermissionDenied,
    };
    matches!(
        error.kind(),
        AddrNotAvailable | HostUnreachable | NetworkDown | NetworkUnreachable | PermissionDenied
    )
}

/// Whether an error of a receive call is a report of the network that a datagram could not be delivered.
/// `EPERM` comes from this host's policy, and is not such a report; the network's refusals are `EACCES`.
pub(crate) fn is_answer_unreachable(error: &io::Error) -> bool {
    is_unreachable(error) && error.raw_os_error() != Some(NOT_PERMITTED)
}
