//! Both ends of a flow in real time: ours over UDP, and the kernel's TCP.

use std::{
    io::{self, IoSliceMut, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use quinn_udp::{EcnCodepoint, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, SockRef, Socket, Type};

use super::{
    super::node::{Node, Sent, Taken},
    clock::Clock,
    kernel,
    place::Place,
};

/// The longest time between two checks whether the run is over.
const LOOK: Duration = Duration::from_millis(20);
/// The most bytes that the system may coalesce for one call, from datagrams of one sender.
const BUFFER: usize = 65_536;
/// How many bytes are written to or read from a kernel's flow at once.
const CHUNK: usize = 64 << 10;

/// A UDP socket in a namespace, with room for a burst.
pub(super) fn udp(place: &Place, port: u16) -> io::Result<UdpSocket> {
    let address = SocketAddr::from((place.address, port));
    place.with(move || {
        let socket = UdpSocket::bind(address)?;
        for set in [Socket::set_recv_buffer_size, Socket::set_send_buffer_size] {
            // The system may grant less.
            let _ = set(&SockRef::from(&socket), 4 << 20);
        }
        Ok(socket)
    })
}

/// Drives an end over a socket until `over`; it begins at `start` if there is one: the time and the remote
/// end. What it counts, and what came; bytes that came are told to `bytes` all the while.
pub(super) fn drive(
    node: &mut dyn Node,
    socket: &UdpSocket,
    start: Option<(u64, SocketAddr)>,
    (clock, over): (Clock, &AtomicBool),
    bytes: &AtomicU64,
) -> io::Result<(Option<Sent>, Option<Taken>)> {
    let state = UdpSocketState::new(UdpSockRef::from(socket))?;
    let (own, mut start) = (socket.local_addr()?, start);
    let mut buffer = vec![0; BUFFER];
    while !over.load(Relaxed) {
        let now = clock.now();
        if let Some((_, remote)) = start.take_if(|(at, _)| *at <= now) {
            node.start(now, remote);
        }
        if node.poll_timeout().is_some_and(|due| due <= now) {
            node.handle_timeout(now);
        }
        send(node, socket, &state, clock)?;
        let due = [node.poll_timeout(), start.map(|(at, _)| at)].into_iter().flatten().min();
        let rest = due.map_or(LOOK, |due| Duration::from_nanos(due.saturating_sub(clock.now()))).min(LOOK);
        kernel::wait(&[socket.as_fd()], rest)?;
        receive(node, socket, &state, (clock, own), &mut buffer)?;
        bytes.store(node.taken().map_or(0, |taken| taken.bytes), Relaxed);
    }
    Ok((node.sent(), node.taken().cloned()))
}

fn send(node: &mut dyn Node, socket: &UdpSocket, state: &UdpSocketState, clock: Clock) -> io::Result<()> {
    while let Some(datagram) = node.poll_transmit(clock.now()) {
        let transmit = Transmit {
            destination: datagram.to,
            ecn: EcnCodepoint::from_bits(datagram.ecn),
            contents: &datagram.payload,
            segment_size: None,
            src_ip: None,
        };
        match state.try_send(UdpSockRef::from(socket), &transmit) {
            // A datagram without room is lost, as on any link.
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn receive(
    node: &mut dyn Node,
    socket: &UdpSocket,
    state: &UdpSocketState,
    (clock, own): (Clock, SocketAddr),
    buffer: &mut [u8],
) -> io::Result<()> {
    loop {
        let mut about = [RecvMeta::default()];
        match state.recv(UdpSockRef::from(socket), &mut [IoSliceMut::new(buffer)], &mut about) {
            Ok(_) => {
                let [about] = about;
                let ecn = about.ecn.map_or(0, |ecn| ecn as u8);
                for datagram in buffer[..about.len].chunks(about.stride.max(1)) {
                    node.handle_datagram(clock.now(), about.addr, own, ecn, datagram);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            // The other end may have closed its socket first.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// The kernel's TCP receives until `over`.
pub(super) fn take_tcp(listener: &TcpListener, over: &AtomicBool, bytes: &AtomicU64) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let mut stream = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if over.load(Relaxed) {
                    return Ok(());
                }
                kernel::wait(&[listener.as_fd()], LOOK)?;
            }
            Err(error) => return Err(error),
        }
    };
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(LOOK))?;
    let mut buffer = vec![0; CHUNK];
    while !over.load(Relaxed) {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => drop(bytes.fetch_add(length as u64, Relaxed)),
            Err(error) if may_pass(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A listener in a namespace.
pub(super) fn listen(place: &Place, port: u16) -> io::Result<TcpListener> {
    let address = SocketAddr::from((place.address, port));
    place.with(move || TcpListener::bind(address))
}

/// The kernel's TCP sends as much as it can with this controller, from `start` until `over`.
pub(super) fn send_tcp(
    place: &Place,
    controller: &'static str,
    remote: SocketAddr,
    start: u64,
    (clock, over): (Clock, Arc<AtomicBool>),
) -> io::Result<()> {
    while clock.now() < start && !over.load(Relaxed) {
        kernel::wait(&[], Duration::from_nanos(start.saturating_sub(clock.now())).min(LOOK))?;
    }
    let socket = place.with(move || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_tcp_congestion(controller.as_bytes())?;
        Ok(socket)
    })?;
    socket.connect_timeout(&remote.into(), Duration::from_secs(5))?;
    let mut stream = TcpStream::from(socket);
    stream.set_write_timeout(Some(LOOK))?;
    let filler = vec![0x5a; CHUNK];
    while !over.load(Relaxed) {
        match stream.write(&filler) {
            Ok(_) => {}
            Err(error) if may_pass(&error) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn may_pass(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
