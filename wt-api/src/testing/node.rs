//! A host in the simulation: its sockets, and what they send.
//!
//! Owns bound sockets and their queues. It must never know the driver.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::{IpAddr, SocketAddr},
    task::Waker,
};

use netsim::Datagram;

use crate::udp::SocketOptions;

/// A received datagram.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) from: SocketAddr,
    pub(super) to: IpAddr,
    pub(super) ecn: u8,
    pub(super) payload: Vec<u8>,
}

/// A bound socket.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) address: SocketAddr,
    only_v6: bool,
    pub(super) received: VecDeque<Received>,
    pub(super) reader: Option<Waker>,
    /// Whether it gets reports of the network.
    pub(super) wants_reports: bool,
    /// The queued reports of the network, with the destinations of the datagrams.
    pub(super) reports: VecDeque<(SocketAddr, io::ErrorKind)>,
    /// The error of the next receive call, which announces a report.
    pub(super) failure: Option<io::ErrorKind>,
}

impl Bound {
    /// Whether it receives datagrams sent to `address`.
    fn takes(&self, address: SocketAddr) -> bool {
        let of_any = self.address.ip().is_unspecified();
        let family = self.address.is_ipv6() == address.is_ipv6() || (self.address.is_ipv6() && !self.only_v6);
        self.address.port() == address.port() && ((of_any && family) || self.address.ip() == address.ip())
    }

    /// Whether it can send to `remote`.
    pub(super) fn has_family_of(&self, remote: &SocketAddr) -> bool {
        let dual = self.address.is_ipv6() && self.address.ip().is_unspecified() && !self.only_v6;
        dual || self.address.is_ipv6() == remote.is_ipv6()
    }

    fn excludes(&self, other: &Self) -> bool {
        let same_ip = self.address.ip() == other.address.ip();
        let of_any = self.address.ip().is_unspecified() || other.address.ip().is_unspecified();
        let family = self.address.is_ipv6() == other.address.is_ipv6()
            || (self.address.is_ipv6() && !self.only_v6)
            || (other.address.is_ipv6() && !other.only_v6);
        self.address.port() == other.address.port() && (same_ip || (of_any && family))
    }
}

/// A host's sockets.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) sockets: BTreeMap<u64, Bound>,
    next: u64,
    /// Counts received datagrams if the sockets that share an address get them in turn.
    pub(super) turn: Option<usize>,
    pub(super) out: VecDeque<Datagram>,
}

impl Node {
    /// Binds a socket to `address`, whose port is given. If it `shares`, other sockets may have the same
    /// address.
    pub(super) fn bind(
        &mut self,
        address: SocketAddr,
        options: &SocketOptions,
        shares: bool,
    ) -> io::Result<u64> {
        let bound = Bound {
            address,
            only_v6: options.only_v6,
            received: VecDeque::new(),
            reader: None,
            wants_reports: options.transport_errors,
            reports: VecDeque::new(),
            failure: None,
        };
        if !shares && self.sockets.values().any(|other| other.excludes(&bound)) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        self.next += 1;
        self.sockets.insert(self.next, bound);
        Ok(self.next)
    }

    /// Reports to all sockets with reports enabled that datagrams to `to` were not delivered.
    pub(super) fn report(&mut self, to: SocketAddr, kind: io::ErrorKind) {
        for socket in self.sockets.values_mut().filter(|socket| socket.wants_reports) {
            socket.reports.push_back((to, kind));
            socket.failure = Some(kind);
            socket.reader.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Whether a socket has this port.
    pub(super) fn has_port(&self, port: u16) -> bool {
        self.sockets.values().any(|socket| socket.address.port() == port)
    }
}

impl netsim::Endpoint for Node {
    fn handle_datagram(&mut self, _now: u64, from: SocketAddr, to: SocketAddr, ecn: u8, data: &[u8]) {
        // A socket for this address takes precedence over one for all addresses.
        let takers = || self.sockets.iter().filter(|(_, socket)| socket.takes(to));
        let Some((_, first)) = takers().min_by_key(|(_, socket)| socket.address.ip().is_unspecified()) else {
            return;
        };
        let address = first.address;
        let sharing: Vec<u64> =
            takers().filter(|(_, socket)| socket.address == address).map(|(id, _)| *id).collect();
        // As long as all sockets are open, datagrams from the same address and port go to the same one.
        let place = match &mut self.turn {
            Some(turn) => {
                *turn += 1;
                *turn
            }
            None => usize::from(from.port()),
        };
        let Some(socket) = self.sockets.get_mut(&sharing[place % sharing.len()]) else { return };
        socket.received.push_back(Received { from, to: to.ip(), ecn, payload: data.to_vec() });
        if let Some(reader) = socket.reader.take() {
            reader.wake();
        }
    }

    fn handle_timeout(&mut self, _now: u64) {}

    fn poll_transmit(&mut self, _now: u64) -> Option<Datagram> {
        self.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<u64> {
        None
    }
}
