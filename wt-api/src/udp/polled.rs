//! A UDP socket that tokio watches.
//!
//! Owns which events the system reports. On Unix it reports room to send only while a task waits for room.
//! Otherwise each datagram that leaves the socket would wake the process once more, because there is room again.

#[cfg(not(unix))]
pub(super) use everywhere::Polled;
#[cfg(unix)]
pub(super) use unix::Polled;

#[cfg(unix)]
mod unix {
    use std::{
        io,
        net::{SocketAddr, UdpSocket},
        sync::Mutex,
        task::{Context, Poll, ready},
    };

    use tokio::io::{Interest, unix::AsyncFd};

    use crate::waiters::lock;

    /// The socket.
    #[derive(Debug)]
    pub(in crate::udp) struct Polled {
        io: AsyncFd<UdpSocket>,
        /// The same socket once more, while somebody waits for room.
        writer: Mutex<Option<AsyncFd<UdpSocket>>>,
    }

    /// tokio deprecates this because types of safe code can name a file that they do not own. Newer versions have an
    /// unsafe function in its place; a [`UdpSocket`] owns its file, and keeps it until it is dropped.
    #[allow(
        deprecated,
        reason = "tokio has no other one without unsafe code, and deprecates it in some versions"
    )]
    fn watch(socket: UdpSocket, interest: Interest) -> io::Result<AsyncFd<UdpSocket>> {
        AsyncFd::with_interest(socket, interest)
    }

    impl Polled {
        /// Takes a socket that does not block; must be called within a tokio runtime.
        pub(in crate::udp) fn new(socket: UdpSocket) -> io::Result<Self> {
            Ok(Self { io: watch(socket, Interest::READABLE)?, writer: Mutex::default() })
        }

        pub(in crate::udp) fn get(&self) -> &UdpSocket {
            self.io.get_ref()
        }

        /// Receives, if there may be something.
        pub(in crate::udp) fn try_read<T>(&self, read: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
            self.io.try_io(Interest::READABLE, |_| read())
        }

        pub(in crate::udp) fn receive_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
            self.try_read(|| self.get().recv_from(buffer))
        }

        pub(in crate::udp) fn send_to(&self, contents: &[u8], to: SocketAddr) -> io::Result<usize> {
            self.get().send_to(contents, to)
        }

        /// Sends.
        pub(in crate::udp) fn try_write<T>(&self, write: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
            write()
        }

        pub(in crate::udp) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.io.poll_read_ready(cx).map_ok(drop)
        }

        pub(in crate::udp) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            let mut writer = lock(&self.writer);
            let waiting = match &mut *writer {
                Some(waiting) => waiting,
                none => {
                    let again = self.get().try_clone()?;
                    none.insert(watch(again, Interest::WRITABLE)?)
                }
            };
            let room = ready!(waiting.poll_write_ready(cx)).map(drop);
            *writer = None;
            Poll::Ready(room)
        }
    }
}

#[cfg(not(unix))]
mod everywhere {
    use std::{
        io,
        net::{SocketAddr, UdpSocket},
        task::{Context, Poll},
    };

    use tokio::io::Interest;

    /// The socket.
    #[derive(Debug)]
    pub(in crate::udp) struct Polled(tokio::net::UdpSocket);

    impl Polled {
        /// Takes a socket that does not block; must be called within a tokio runtime.
        pub(in crate::udp) fn new(socket: UdpSocket) -> io::Result<Self> {
            tokio::net::UdpSocket::from_std(socket).map(Self)
        }

        pub(in crate::udp) fn get(&self) -> &tokio::net::UdpSocket {
            &self.0
        }

        /// Receives, if there may be something.
        pub(in crate::udp) fn try_read<T>(&self, read: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
            self.0.try_io(Interest::READABLE, read)
        }

        pub(in crate::udp) fn receive_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
            self.0.try_recv_from(buffer)
        }

        pub(in crate::udp) fn send_to(&self, contents: &[u8], to: SocketAddr) -> io::Result<usize> {
            self.0.try_send_to(contents, to)
        }

        /// Sends, if there may be room.
        pub(in crate::udp) fn try_write<T>(&self, write: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
            self.0.try_io(Interest::WRITABLE, write)
        }

        pub(in crate::udp) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.0.poll_recv_ready(cx)
        }

        pub(in crate::udp) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.0.poll_send_ready(cx)
        }
    }
}
