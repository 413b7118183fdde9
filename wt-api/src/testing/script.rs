//! Errors of sockets, by a script.
//!
//! Owns the script of a host and the counts of its sends and receives. Must never know what is sent.

use std::{fmt, io, net::SocketAddr, sync::Mutex};

use crate::mailbox::lock;

/// A send that one of a host's sockets is asked for, of one datagram or a train of equal ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendAttempt {
    /// Which send of the host it is since the script began, from 1; refused ones count.
    pub number: u64,
    /// Where to.
    pub to: SocketAddr,
    /// Bytes in all.
    pub bytes: usize,
    /// Bytes of each datagram, of which the last may have fewer.
    pub segment: usize,
    /// Datagrams.
    pub segments: usize,
    /// Whether anything is said about it beside the address: an ECN mark, a source address, the size of segments. A socket
    /// says nothing any more once that was refused.
    pub control: bool,
}

type Decide = Box<dyn FnMut(&SendAttempt) -> io::Result<()> + Send>;
type DecideReceive = Box<dyn FnMut(u64) -> io::Result<()> + Send>;

/// What a host's sockets answer.
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

    /// What the system says to a call that is to receive.
    pub(super) fn answer_receive(&self) -> io::Result<()> {
        let mut script = lock(&self.receives);
        let (number, Some(decide)) = &mut *script else { return Ok(()) };
        *number += 1;
        decide(*number)
    }

    /// What the system says to a send.
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
