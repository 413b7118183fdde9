//! Features that only some systems have, in one place: signals, process groups, file permissions, path MTU,
//! processor affinity. Everything else builds and behaves the same everywhere. Each function here says what
//! it does on systems without the feature.

mod processes;
mod signals;

pub(crate) use processes::{code_of, in_group_of_its_own, kill};
pub(crate) use signals::{Hangup, Signals};

/// Makes files that are created with these options readable and writable only for their owner. On systems
/// other than Unix, the permissions of the directory apply.
pub(crate) fn owner_alone(options: &mut std::fs::OpenOptions) {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    #[cfg(not(unix))]
    let _ = options;
}

/// Makes a symbolic link. False on systems other than Unix, which have none for everybody.
#[cfg(test)]
pub(crate) fn symbolic_link(target: &std::path::Path, place: &std::path::Path) -> std::io::Result<bool> {
    #[cfg(unix)]
    return std::os::unix::fs::symlink(target, place).map(|()| true);
    #[cfg(not(unix))]
    {
        let _ = (target, place);
        Ok(false)
    }
}

/// Forbids fragmenting datagrams that a socket sends to this address, as QUIC requires (RFC 9000 §14). On
/// systems other than Linux, the system decides.
pub(crate) fn forbid_fragments(
    socket: &tokio::net::UdpSocket,
    remote: std::net::SocketAddr,
) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::net::sockopt::{
            Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
        };
        if remote.is_ipv4() {
            set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::PROBE)?;
        } else {
            set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::PROBE)?;
        }
        Ok(())
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (socket, remote);
        Ok(())
    }
}

/// The largest UDP payload that the path of a connected socket carries, in bytes, as far as the system knows
/// from its own link and from routers. Only Linux tells.
pub(crate) fn path_payload(socket: &tokio::net::UdpSocket, remote: std::net::SocketAddr) -> Option<u32> {
    #[cfg(target_os = "linux")]
    {
        use rustix::net::sockopt;
        let (mtu, headers) =
            if remote.is_ipv4() { (sockopt::ip_mtu(socket), 28) } else { (sockopt::ipv6_mtu(socket), 48) };
        mtu.ok()?.checked_sub(headers)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (socket, remote);
        None
    }
}

/// Pins the calling thread, and the threads that it starts, to one processor. Where that is impossible, a
/// measurement is just noisier.
pub(crate) fn pin(processor: usize) {
    #[cfg(target_os = "linux")]
    {
        let mut set = rustix::thread::CpuSet::new();
        set.set(processor);
        if let Err(error) = rustix::thread::sched_setaffinity(None, &set) {
            tracing::warn!(processor, %error, "not pinned to a processor");
        }
    }
    #[cfg(not(target_os = "linux"))]
    tracing::warn!(processor, "not pinned to a processor: this is only supported on Linux");
}
