//! Scripted socket errors.
//!
//! Owns the script of a host, and the counts of its sends and receives. It must never know what is sent.

use std::{fmt, io, net::SocketAddr, sync::Mutex};

use crate::mailbox::lock;

/// A send call of one of a host's sockets, with one datagram or a train of equal ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendAttempt {
    /// The number of the send on this host since the script started, from 1. Refused sends count too.
    pub number: u64,
    /// The destination.
    pub to: SocketAddr,
    /// The total number of bytes.
    pub bytes: usize,
    /// The size of each datagram in bytes; the last one may be smaller.
    pub segment: usize,
    /// The number of datagrams.
    pub segments: usize,
    /// Whether the call has ancillary data: an ECN mark, a source address, or the size of segments. A socket
    /// does not use it any more after it was refused.
    pub control: bool,
}

type Decide = Box<dyn FnMut(&SendAttempt) -> io::Result<()> + Send>;
type DecideReceive = Box<dyn FnMut(u64) -> io::Result<()> + Send>;

/// The scripted results of a host's sockets.
#[derive(Default)]
pub(super) struct Script {
    sends: Mutex<(u64, Option<Decide>)>,
    receives: Mutex<(u64, Option<DecideReceive>)>,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").finish_non_exhaustive()
    }
}

impl Script {
    pub(super) fn set(&self, decide: Decide) {
        *lock(&self.sends) = (0, Some(decide));
    }

    pub(super) fn set_receives(&self, decide: DecideReceive) {
        *lock(&self.receives) = (0, Some(decide));
    }

    /// The result of a receive call.
    pub(super) fn answer_receive(&self) -> io::Result<()> {
        let mut script = lock(&self.receives);
        let (number, Some(decide)) = &mut *script else { return Ok(()) };
        *number += 1;
        decide(*number)
    }

    /// The result of a send call.
    pub(super) fn answer(
        &self,
        to: SocketAddr,
        bytes: usize,
        segment: usize,
        control: bool,
    ) -> io::Result<()> {
        let mut script = lock(&self.sends);
        let (number, Some(decide)) = &mut *script else { return Ok(()) };
        *number += 1;
        let segments = bytes.div_ceil(segment.max(1));
        decide(&SendAttempt { number: *number, to, bytes, segment, segments, control })
    }
}
