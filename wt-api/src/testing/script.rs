//! Errors of sockets, by a script.
//!
//! Owns the script of a host and the count of its sends. Must never know what is sent.

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

/// What a host's sockets answer.
#[derive(Default)]
pub(super) struct Script(Mutex<(u64, Option<Decide>)>);

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").finish_non_exhaustive()
    }
}

impl Script {
    pub(super) fn set(&self, decide: Decide) {
        *lock(&self.0) = (0, Some(decide));
    }

    /// What the system says to a send.
    pub(super) fn answer(
        &self,
        to: SocketAddr,
        bytes: usize,
        segment: usize,
        control: bool,
    ) -> io::Result<()> {
        let mut script = lock(&self.0);
        let (number, Some(decide)) = &mut *script else { return Ok(()) };
        *number += 1;
        let segments = bytes.div_ceil(segment.max(1));
        decide(&SendAttempt { number: *number, to, bytes, segment, segments, control })
    }
}
