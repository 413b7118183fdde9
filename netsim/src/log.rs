//! The log of a simulation, for comparing runs and for reading when a test fails.

use std::net::SocketAddr;

/// Why a datagram did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropCause {
    /// The queue was full.
    Queue,
    /// The datagram was larger than the link's MTU.
    Mtu,
    /// The link was down.
    Outage,
    /// The link drops datagrams whose ECN bits are not zero.
    Ecn,
    /// It was lost on the wire.
    Wire,
    /// No node has the address, or no link leads to it.
    Unreachable,
    /// The queue's discipline dropped it although there was room.
    Managed,
    /// A policer had no token for it.
    Policer,
}

/// An event in the life of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Happened {
    /// A node sent it.
    Sent,
    /// A node got it.
    Delivered,
    /// It was dropped.
    Dropped(DropCause),
}

/// One line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Entry {
    /// The time, in nanoseconds.
    pub at: u64,
    /// The event.
    pub happened: Happened,
    /// The sender, as the receiver sees it.
    pub from: SocketAddr,
    /// The receiver, as the sender sees it.
    pub to: SocketAddr,
    /// The length of the payload, in bytes.
    pub bytes: usize,
    /// The ECN bits.
    pub ecn: u8,
}
