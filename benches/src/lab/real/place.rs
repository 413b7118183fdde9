//! One end of the link: a network namespace with a TUN device, and the sockets made in it.

use std::{
    fs::File,
    io,
    net::Ipv4Addr,
    process::{Command, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use super::kernel;

type Task = Box<dyn FnOnce() + Send>;

/// A namespace. It lives as long as this value or a socket in it.
pub(super) struct Place {
    pub(super) address: Ipv4Addr,
    tasks: Sender<Task>,
}

impl Place {
    /// A namespace at `address`, the other end at `peer`, and the device between them.
    pub(super) fn new(address: Ipv4Addr, peer: Ipv4Addr) -> io::Result<(Self, File)> {
        let (tasks, waiting): (Sender<Task>, Receiver<Task>) = channel();
        let (made, result) = channel();
        thread::Builder::new().name(format!("namespace {address}")).spawn(move || {
            // If nobody receives the result, the caller is gone.
            let _ = made.send(make(address, peer));
            for task in waiting {
                task();
            }
        })?;
        let device = result.recv().map_err(io::Error::other)??;
        Ok((Self { address, tasks }, device))
    }

    /// Runs a task in the namespace, such as making a socket.
    pub(super) fn with<R: Send + 'static>(
        &self,
        act: impl FnOnce() -> io::Result<R> + Send + 'static,
    ) -> io::Result<R> {
        let (done, result) = channel();
        let task: Task = Box::new(move || drop(done.send(act())));
        self.tasks.send(task).map_err(|_| io::Error::other("the namespace's thread is gone"))?;
        result.recv().map_err(io::Error::other)?
    }
}

fn make(address: Ipv4Addr, peer: Ipv4Addr) -> io::Result<File> {
    kernel::enter_new_network()?;
    let device = kernel::open_tun("lab")?;
    let (address, peer) = (address.to_string(), peer.to_string());
    ip(&["addr", "add", &address, "peer", &peer, "dev", "lab"])?;
    // This queue never drops, so that the link's queue is the only one that does.
    ip(&["link", "set", "lab", "up", "mtu", "1500", "txqueuelen", "100000"])?;
    Ok(device)
}

/// Runs `ip` in the namespace of the calling thread.
fn ip(arguments: &[&str]) -> io::Result<()> {
    let output = Command::new("ip").args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| io::Error::new(error.kind(), format!("ip (iproute2): {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("ip {}: {}", arguments.join(" "), said.trim())))
}
