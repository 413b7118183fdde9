//! A network between the two ends that loses, changes and inspects datagrams.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// The direction of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToServer,
    ToClient,
}

/// Handles each datagram. Returning false loses it.
pub(crate) trait Network: Send + 'static {
    fn pass(&mut self, way: Way, datagram: &mut [u8]) -> bool;
}

/// The running network, until it is dropped. It carries one connection after the other.
pub(crate) struct Proxy<N> {
    pub(crate) port: u16,
    network: Arc<Mutex<N>>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl<N: Network> Proxy<N> {
    /// A network in front of the server on `port`.
    pub(crate) fn start(port: u16, network: N) -> Self {
        let bind = || {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            // Only to notice the end.
            socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
            socket
        };
        let (near, far) = (Arc::new(bind()), Arc::new(bind()));
        far.connect(("127.0.0.1", port)).expect("an address");
        let own = near.local_addr().expect("bound").port();
        let (network, over) = (Arc::new(Mutex::new(network)), Arc::<AtomicBool>::default());
        let client = Arc::<Mutex<Option<SocketAddr>>>::default();
        let threads = [Way::ToServer, Way::ToClient].map(|way| {
            let (near, far, client) = (Arc::clone(&near), Arc::clone(&far), Arc::clone(&client));
            let (network, over) = (Arc::clone(&network), Arc::clone(&over));
            thread::spawn(move || {
                let mut buffer = vec![0; 65_536];
                while !over.load(Ordering::Relaxed) {
                    let from = if way == Way::ToServer { &near } else { &far };
                    let Ok((size, remote)) = from.recv_from(&mut buffer) else { continue };
                    let datagram = &mut buffer[..size];
                    if way == Way::ToServer {
                        *client.lock().expect("no panic") = Some(remote);
                    }
                    if !network.lock().expect("no panic").pass(way, datagram) {
                        continue;
                    }
                    let client = *client.lock().expect("no panic");
                    let _ = match (way, client) {
                        (Way::ToServer, _) => far.send(datagram),
                        (Way::ToClient, Some(client)) => near.send_to(datagram, client),
                        (Way::ToClient, None) => Ok(0),
                    };
                }
            })
        });
        Self { port: own, network, over, threads: threads.into() }
    }

    /// Ends the network and returns it.
    pub(crate) fn end(mut self) -> N
    where
        N: Default,
    {
        self.stop();
        std::mem::take(&mut self.network.lock().expect("no panic"))
    }
}

impl<N> Proxy<N> {
    fn stop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl<N> Drop for Proxy<N> {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The fault of some of the datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Lost,
    Corrupted,
}

/// Applies the fault to a percentage of the datagrams in each direction, always to the same ones.
pub(crate) struct Faulty {
    pub(crate) fault: Fault,
    pub(crate) percent: u64,
    pub(crate) state: u64,
}

impl Network for Faulty {
    fn pass(&mut self, _way: Way, datagram: &mut [u8]) -> bool {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let draw = self.state >> 33;
        if draw % 100 >= self.percent {
            return true;
        }
        if self.fault == Fault::Corrupted
            && let Some(byte) = datagram.get_mut((draw >> 8) as usize % datagram.len().max(1))
        {
            *byte ^= 0x55;
            return true;
        }
        false
    }
}

/// Loses some of the client's first datagrams, and counts.
#[derive(Default)]
pub(crate) struct Witness {
    /// The numbers of the client's datagrams to lose, from 1.
    lost: std::ops::Range<usize>,
    from_client: usize,
    /// How many Retry packets went to the client.
    pub(crate) retries: usize,
    /// Whether a Handshake packet of the client arrived, which proves its address.
    validated: bool,
    bytes_to_server: usize,
    /// How many bytes the server sent before that.
    pub(crate) unvalidated: usize,
    /// By how many bytes that exceeded the limit of RFC 9000 §8.1, at worst.
    pub(crate) beyond_limit: usize,
}

impl Witness {
    pub(crate) fn losing(lost: std::ops::Range<usize>) -> Self {
        Self { lost, ..Self::default() }
    }
}

impl Network for Witness {
    fn pass(&mut self, way: Way, datagram: &mut [u8]) -> bool {
        let kinds = long_packets(datagram);
        if way == Way::ToServer {
            self.from_client += 1;
            if self.lost.contains(&self.from_client) {
                return false;
            }
            self.bytes_to_server += datagram.len();
            self.validated |= kinds.contains(&HANDSHAKE);
            return true;
        }
        self.retries += usize::from(kinds.contains(&RETRY));
        if !self.validated {
            self.unvalidated += datagram.len();
            self.beyond_limit =
                self.beyond_limit.max(self.unvalidated.saturating_sub(3 * self.bytes_to_server));
        }
        true
    }
}

/// Types of packets with a long header in version 1 (RFC 9000 §17.2).
const INITIAL: u8 = 0;
const HANDSHAKE: u8 = 2;
const RETRY: u8 = 3;

/// The types of the packets with a long header in a datagram, in order.
fn long_packets(datagram: &[u8]) -> Vec<u8> {
    let (mut kinds, mut rest) = (Vec::new(), datagram);
    while let Some(first) = rest.first().filter(|first| *first & 0x80 != 0) {
        let kind = first >> 4 & 3;
        kinds.push(kind);
        match packet_size(rest, kind).and_then(|size| rest.get(size..)) {
            Some(behind) => rest = behind,
            None => break,
        }
    }
    kinds
}

/// The size of the first packet; `None` if it has no length field or is cut off.
fn packet_size(packet: &[u8], kind: u8) -> Option<usize> {
    if kind == RETRY {
        return None;
    }
    let mut at = 5;
    for _ in 0..2 {
        at += 1 + usize::from(*packet.get(at)?);
    }
    if kind == INITIAL {
        let token = varint(packet, &mut at)?;
        at += token;
    }
    let length = varint(packet, &mut at)?;
    Some(at + length)
}

fn varint(packet: &[u8], at: &mut usize) -> Option<usize> {
    let first = *packet.get(*at)?;
    let bytes = packet.get(*at..*at + (1 << (first >> 6)))?;
    *at += bytes.len();
    Some(bytes.iter().skip(1).fold(usize::from(first & 0x3f), |value, byte| value << 8 | usize::from(*byte)))
}
