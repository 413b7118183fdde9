//! What the system says when it does not send, by what there is to do about it.

use std::io;

const IS_LINUX: bool = cfg!(any(target_os = "linux", target_os = "android"));
/// `ENOBUFS`, `WSAENOBUFS`.
const NO_BUFFERS: i32 = number(105, 55, 10_055);
/// `ENOPROTOOPT`, `WSAENOPROTOOPT`.
const NO_OPTION: i32 = number(92, 42, 10_042);
/// `EIO`. Windows has another error of this number, which has a name.
const IO_ERROR: i32 = 5;
/// `EPERM`.
const NOT_PERMITTED: i32 = 1;

/// The number of an error where this is built: on Linux, on systems of BSD's kind, on Windows.
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
            io::ErrorKind::PermissionDenied => Self::Network,
            _ => error.raw_os_error().map_or(Self::Network, of_code),
        }
    }
}

/// By the system's own number, for errors that the standard library has no name for.
fn of_code(code: i32) -> Refusal {
    match code {
        NO_BUFFERS => Refusal::NoMemory,
        IO_ERROR | NO_OPTION => Refusal::Unsupported,
        _ => Refusal::Network,
    }
}

/// Whether an error says that this host cannot send to an address, or may not.
fn is_unreachable(error: &io::Error) -> bool {
    use io::ErrorKind::{
        AddrNotAvailable, HostUnreachable, NetworkDown, NetworkUnreachable, PermissionDenied,
    };
    matches!(
        error.kind(),
        AddrNotAvailable | HostUnreachable | NetworkDown | NetworkUnreachable | PermissionDenied
    )
}

/// Whether an error of receiving is the network's answer to something that was sent, and says that it led nowhere. What this
/// host's policy forbids (`EPERM`) is no answer: the network's own refusals are `EACCES`.
pub(crate) fn is_answer_unreachable(error: &io::Error) -> bool {
    is_unreachable(error) && error.raw_os_error() != Some(NOT_PERMITTED)
}
