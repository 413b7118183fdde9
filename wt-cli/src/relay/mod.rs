//! A link between clients and a server on this machine, in real time: rate, delay and buffer as in netsim's
//! models.
//!
//! Owns the link's clock and sockets. It must never know QUIC: it only forwards datagrams. Each client has
//! its own address towards the server, as behind a NAT. ECN marks are not forwarded.

mod spec;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use netsim::Lane;
pub(crate) use spec::LinkSpec;
use tokio::{net::UdpSocket, sync::mpsc, task::AbortHandle, time::Instant};

/// The most clients at once. A further one replaces the client that was silent for longest.
const CLIENTS: usize = 64;
/// How many datagrams from the server may wait for the relay. Further ones are lost.
const WAITING: usize = 4_096;
/// The receive buffer, larger than any datagram.
const BUFFER: usize = 65_536;
/// The ECN codepoint Not-ECT.
const NOT_ECT: u8 = 0;

/// A datagram from the server, and the client that it is for.
type Answer = (SocketAddr, Vec<u8>);

/// Where a datagram that leaves the link goes.
#[derive(Clone, Debug)]
struct To {
    /// The socket that sends it.
    socket: Arc<UdpSocket>,
    address: SocketAddr,
}

/// A client, and the socket that represents it towards the server.
struct Client {
    address: SocketAddr,
    back: Arc<UdpSocket>,
    heard: Instant,
    reader: AbortHandle,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// A relay with a bound socket.
pub(crate) struct Relay {
    front: Arc<UdpSocket>,
    server: SocketAddr,
    start: Instant,
    up: Lane<To>,
    down: Lane<To>,
    clients: Vec<Client>,
    answers: (mpsc::Sender<Answer>, mpsc::Receiver<Answer>),
}

impl Relay {
    /// Binds a relay to `server` at `address`.
    pub(crate) async fn bind(spec: &LinkSpec, server: SocketAddr, address: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            front: Arc::new(UdpSocket::bind(address).await?),
            server,
            start: Instant::now(),
            up: Lane::new(spec.config(), 1),
            down: Lane::new(spec.config(), 2),
            clients: Vec::new(),
            answers: mpsc::channel(WAITING),
        })
    }

    /// The address under which clients reach the server.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.front.local_addr()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Forwards datagrams, until it is dropped or its socket fails permanently.
    pub(crate) async fn run(mut self) -> io::Error {
        let mut buffer = vec![0; BUFFER];
        loop {
            let next = [self.up.next(), self.down.next()].into_iter().flatten().min();
            let due = next.map(|at| self.start + Duration::from_nanos(at));
            tokio::select! {
                received = self.front.recv_from(&mut buffer) => match received {
                    Ok((length, address)) => self.pass_up(address, &buffer[..length]).await,
                    Err(error) if may_pass(&error) => {}
                    Err(error) => return error,
                },
                Some((address, payload)) = self.answers.1.recv() => {
                    let to = To { socket: Arc::clone(&self.front), address };
                    let now = self.now();
                    self.down.offer(now, NOT_ECT, 0, payload, to, deliver);
                }
                () = until(due) => {}
            }
            let now = self.now();
            self.up.advance(now, deliver);
            self.down.advance(now, deliver);
        }
    }

    async fn pass_up(&mut self, address: SocketAddr, payload: &[u8]) {
        let back = match self.clients.iter_mut().find(|client| client.address == address) {
            Some(client) => {
                client.heard = Instant::now();
                Arc::clone(&client.back)
            }
            None => match self.admit(address).await {
                Ok(back) => back,
                Err(error) => {
                    tracing::warn!(%error, "the link has no socket for a client");
                    return;
                }
            },
        };
        let (to, now) = (To { socket: back, address: self.server }, self.now());
        self.up.offer(now, NOT_ECT, 0, payload.to_vec(), to, deliver);
    }

    async fn admit(&mut self, address: SocketAddr) -> io::Result<Arc<UdpSocket>> {
        let mut any = self.server;
        any.set_port(0);
        let back = Arc::new(UdpSocket::bind(any).await?);
        let silent = self.clients.iter().enumerate().min_by_key(|(_, client)| client.heard);
        if let (true, Some((silent, _))) = (self.clients.len() >= CLIENTS, silent) {
            self.clients.swap_remove(silent);
        }
        let reader = tokio::spawn(read(Arc::clone(&back), address, self.answers.0.clone())).abort_handle();
        self.clients.push(Client { address, back: Arc::clone(&back), heard: Instant::now(), reader });
        Ok(back)
    }
}

/// Receives what the server sends to a client.
async fn read(back: Arc<UdpSocket>, address: SocketAddr, answers: mpsc::Sender<Answer>) {
    let mut buffer = vec![0; BUFFER];
    loop {
        match back.recv_from(&mut buffer).await {
            // Datagrams are lost if the queue is full.
            Ok((length, _)) => drop(answers.try_send((address, buffer[..length].to_vec()))),
            Err(error) if may_pass(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "the link cannot receive from the server any more");
                return;
            }
        }
    }
}

/// A datagram that cannot be sent at once is lost, as on any link.
fn deliver(to: &To, _ecn: u8, payload: &[u8]) {
    let _ = to.socket.try_send_to(payload, to.address);
}

/// Whether the error is a report of the network about an earlier datagram.
fn may_pass(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset)
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn datagrams_pass_both_ways_and_each_client_has_an_address() {
        let spec = "1gbit,1ms,1bdp".parse().unwrap();
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = UdpSocket::bind(local).await.unwrap();
        let relay = Relay::bind(&spec, server.local_addr().unwrap(), local).await.unwrap();
        let front = relay.address().unwrap();
        let running = tokio::spawn(relay.run());
        let mut seen = Vec::new();
        for name in [b"one", b"two"] {
            let client = UdpSocket::bind(local).await.unwrap();
            client.send_to(name, front).await.unwrap();
            let mut buffer = [0; 10];
            let (length, from) = server.recv_from(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..length], name);
            seen.push(from);
            server.send_to(b"back", from).await.unwrap();
            let (length, from) = client.recv_from(&mut buffer).await.unwrap();
            assert_eq!((&buffer[..length], from), (&b"back"[..], front));
        }
        assert_ne!(seen[0], seen[1]);
        running.abort();
    }
}
