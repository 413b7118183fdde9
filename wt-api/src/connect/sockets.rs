//! The sockets of a client, one for each address family, and their drivers.
//!
//! One socket serves all connections of its family, which their connection IDs distinguish. A socket without
//! an explicit address is made for the first connection. Unless a [`Client`](crate::Client) keeps it, it is
//! closed with the last one, and the next connection gets a new socket.
//!
//! Owns who uses a socket, and when it is released. It must never know names or sessions.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use quic_core::{CidFactory, Endpoint, EndpointConfig, base::EndpointBudget};

use crate::{
    driver::Shard,
    error::{ClientError, ErrorCause},
    jobs::{Connect, Inbox, ShardCommand, Way, ended_with_server},
    mailbox::{ShardBox, lock},
    runtime::RuntimeHandle,
    socket::{DatagramSocket, KERNEL_BUFFER, wildcard_for},
    udp::SocketOptions,
};

/// The size of a client's connection IDs in bytes.
const CID_LENGTH: usize = 8;
/// The default memory limit of all connections together, in bytes.
pub(crate) const MEMORY: usize = 1 << 30;

/// How addresses of one family are reached.
#[derive(Debug)]
pub(crate) enum Door {
    /// By a socket that is made when needed. Has its driver, if there was one.
    Any(Option<Arc<Inbox>>),
    /// By an existing socket, or by several in turn.
    Fixed(Vec<Arc<Inbox>>),
    /// Not at all.
    Shut,
}

/// The sockets of a client.
#[derive(Debug)]
pub(crate) struct Sockets {
    /// A number that is unique among the sockets of the process.
    number: u64,
    /// For IPv4 and for IPv6.
    doors: Mutex<[Door; 2]>,
    /// Whether they stay open without connections, until they are [released](Self::release).
    kept: bool,
    /// Whether they belong to a server, and end with it.
    of_server: bool,
    budget: EndpointBudget,
}

fn family(remote: &SocketAddr) -> usize {
    usize::from(remote.is_ipv6())
}

impl Sockets {
    fn new(doors: [Door; 2], kept: bool, of_server: bool, budget: EndpointBudget) -> Arc<Self> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { number, doors: Mutex::new(doors), kept, of_server, budget })
    }

    /// The sockets that all callers on a runtime share if they have no client of their own. They stay the
    /// same as long as one of them has a connection.
    pub(crate) fn of_runtime(runtime: &RuntimeHandle) -> Arc<Self> {
        static ALL: Mutex<Vec<(String, Weak<Sockets>)>> = Mutex::new(Vec::new());
        let name = runtime.identity();
        let mut all = lock(&ALL);
        all.retain(|(_, sockets)| sockets.strong_count() > 0);
        let known = all.iter().find(|(other, _)| *other == name).and_then(|(_, sockets)| sockets.upgrade());
        known.unwrap_or_else(|| {
            let doors = [Door::Any(None), Door::Any(None)];
            let new = Self::new(doors, false, false, EndpointBudget::new(MEMORY));
            all.push((name, Arc::downgrade(&new)));
            new
        })
    }

    /// The sockets of a client. `bound` are the given sockets with the families that each reaches. If it is
    /// empty, both families get a socket when needed.
    pub(crate) fn of_client(
        runtime: &RuntimeHandle,
        bound: Vec<(Box<dyn DatagramSocket>, [bool; 2])>,
        budget: EndpointBudget,
    ) -> Arc<Self> {
        let doors =
            if bound.is_empty() { [Door::Any(None), Door::Any(None)] } else { [Door::Shut, Door::Shut] };
        let sockets = Self::new(doors, true, false, budget);
        for (socket, reaches) in bound {
            let inbox = sockets.drive(runtime, socket, ShardBox::new());
            for (door, reaches) in lock(&sockets.doors).iter_mut().zip(reaches) {
                if reaches {
                    *door = Door::Fixed(vec![Arc::clone(&inbox)]);
                }
            }
        }
        sockets
    }

    /// The sockets of a server, whose drivers run as long as the server needs them.
    pub(crate) fn of_server(doors: [Door; 2], budget: EndpointBudget) -> Arc<Self> {
        Self::new(doors, false, true, budget)
    }

    /// A number that is unique among the sockets of the process.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Whether there is a socket for an address, or one can be made.
    pub(crate) fn reach(&self, remote: &SocketAddr) -> bool {
        !matches!(lock(&self.doors)[family(remote)], Door::Shut)
    }

    /// Requests a connection from a driver.
    pub(crate) fn connect(
        self: &Arc<Self>,
        runtime: &RuntimeHandle,
        connect: Connect,
    ) -> Result<Way, ErrorCause> {
        let attempt = Arc::clone(&connect.attempt);
        let remote = attempt.remote;
        let mut command = ShardCommand::Connect(Box::new(connect));
        let mut doors = lock(&self.doors);
        match &mut doors[family(&remote)] {
            Door::Shut => Err(ErrorCause::NoSocket { remote }),
            Door::Fixed(inboxes) => {
                inboxes.rotate_left(1);
                for inbox in inboxes.iter() {
                    match inbox.try_command(command) {
                        Ok(()) => return Ok(Way { inbox: Arc::clone(inbox), attempt }),
                        // One driver of a server that is shutting down has ended before the others.
                        Err(back) => command = back,
                    }
                }
                Err(if self.of_server { ended_with_server() } else { ErrorCause::RuntimeGone })
            }
            Door::Any(inbox) => {
                if let Some(inbox) = inbox {
                    match inbox.try_command(command) {
                        Ok(()) => return Ok(Way { inbox: Arc::clone(inbox), attempt }),
                        // Its last connection has ended, and the socket with it.
                        Err(back) => command = back,
                    }
                }
                let socket = bind(runtime, wildcard_for(&remote));
                let socket = socket.map_err(|error| ErrorCause::Socket(Arc::new(error)))?;
                let new = ShardBox::new();
                new.command(command);
                *inbox = Some(Arc::clone(&new));
                Ok(Way { inbox: self.drive(runtime, socket, new), attempt })
            }
        }
    }

    /// Replaces the socket for the family of an address by a new one, which is bound there. Returns its address.
    pub(crate) fn rebind(
        self: &Arc<Self>,
        runtime: &RuntimeHandle,
        address: SocketAddr,
    ) -> Result<SocketAddr, ClientError> {
        let refuse =
            |cause| Err(ClientError::Socket(Arc::new(io::Error::new(io::ErrorKind::Unsupported, cause))));
        if self.of_server {
            return refuse("it is a server's, and stays where the server is");
        }
        let mut doors = lock(&self.doors);
        let [v4, v6] = &*doors;
        if let (Door::Fixed(v4), Door::Fixed(v6)) = (v4, v6)
            && v4.iter().any(|inbox| v6.iter().any(|other| Arc::ptr_eq(inbox, other)))
        {
            return refuse(
                "it serves both address families; build the client with a socket for each of them",
            );
        }
        let door = &mut doors[family(&address)];
        if matches!(door, Door::Shut) {
            return refuse("the client was built without one for this address family");
        }
        let socket =
            bind(runtime, address).map_err(|error| ClientError::Bind { address, error: Arc::new(error) })?;
        let bound = socket.local_address().map_err(|error| ClientError::Socket(Arc::new(error)))?;
        let inbox = match door {
            Door::Any(inbox) => inbox.clone(),
            Door::Fixed(inboxes) => inboxes.first().cloned(),
            Door::Shut => None,
        };
        let socket = match inbox {
            Some(inbox) => match inbox.try_command(ShardCommand::Rebind(socket)) {
                Ok(()) => return Ok(bound),
                // Its driver has ended with its last connection, or with its runtime.
                Err(ShardCommand::Rebind(socket)) => socket,
                Err(_) => return Ok(bound),
            },
            None => socket,
        };
        let new = self.drive(runtime, socket, ShardBox::new());
        *door = if self.kept { Door::Fixed(vec![new]) } else { Door::Any(Some(new)) };
        Ok(bound)
    }

    /// Starts a driver for a socket.
    fn drive(
        self: &Arc<Self>,
        runtime: &RuntimeHandle,
        socket: Box<dyn DatagramSocket>,
        inbox: Arc<Inbox>,
    ) -> Arc<Inbox> {
        let mut entropy = runtime.entropy();
        let mut reset_key = [0; 32];
        entropy.fill(&mut reset_key);
        let config =
            EndpointConfig::new(CidFactory::new(CID_LENGTH, 0, &reset_key)).budget(self.budget.clone());
        let endpoint = Endpoint::new(config, None, entropy);
        let shard = Shard::new(Arc::clone(runtime), socket, Arc::clone(&inbox), endpoint, None);
        let shard = if self.kept { shard.keep() } else { shard };
        // Later connections find the sockets as long as a driver runs.
        let sockets = Arc::clone(self);
        runtime.spawn(Box::pin(async move {
            shard.await;
            drop(sockets);
        }));
        inbox
    }

    /// No more connections will be requested: the sockets are closed with the last one, and connections that
    /// wait for further use are closed now.
    pub(crate) fn release(&self, runtime: &RuntimeHandle) {
        let release = |inbox: &Arc<Inbox>| inbox.command(ShardCommand::Release(runtime.tally().enter()));
        for door in lock(&self.doors).iter() {
            match door {
                Door::Any(inbox) => {
                    inbox.iter().for_each(release);
                }
                Door::Fixed(inboxes) if !self.of_server => {
                    inboxes.iter().for_each(release);
                }
                Door::Fixed(_) | Door::Shut => {}
            }
        }
    }
}

/// Binds a client's socket, which receives the network's reports about its attempts.
pub(crate) fn bind(runtime: &RuntimeHandle, address: SocketAddr) -> io::Result<Box<dyn DatagramSocket>> {
    runtime.bind(&SocketOptions { address, only_v6: true, transport_errors: true, buffer: KERNEL_BUFFER })
}
