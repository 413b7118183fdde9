//! The sending side of a stream: what HTTP/3 has written and the transport has not taken yet.
//!
//! Holds at most one head and one piece of content per stream; more is refused until it is taken.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use quic_core::{StreamId, error::call::WriteError};

use crate::{
    frame::{self, kind},
    transport::Transport,
};

/// The most content that one DATA frame takes from the caller, in bytes.
pub(super) const MAX_DATA_FRAME: usize = 256 * 1024;

/// The content that a DATA frame takes though the transport has no room, in bytes: what HTTP/3 holds of a stream, for one has
/// to be blocked to hear that there is room again.
const AHEAD: usize = 1024;

/// What may be sent next on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// A response head.
    Head,
    /// Content, trailers or the end.
    Body,
    /// Nothing: the end was sent or is on its way.
    Ended,
    /// Nothing: finished and handed over, reset, or stopped.
    Closed,
}

#[derive(Debug)]
pub(super) struct Outgoing {
    queue: VecDeque<Bytes>,
    pub(super) stage: Stage,
    /// The caller met a full queue and wants to hear when it is empty.
    pub(super) waiting: bool,
}

impl Outgoing {
    pub(super) fn new(stage: Stage) -> Self {
        Self { queue: VecDeque::new(), stage, waiting: false }
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.queue.push_back(bytes);
        }
    }

    /// Queues a HEADERS frame around an encoded field section.
    pub(super) fn push_headers(&mut self, section: &[u8]) {
        let mut out = BytesMut::with_capacity(section.len() + 9);
        frame::put_head(kind::HEADERS, section.len() as u64, &mut out);
        out.extend_from_slice(section);
        self.push(out.freeze());
    }

    /// Queues a DATA frame with a prefix of `data`, if nothing else is queued: how much was taken. No more than the transport
    /// has `room` for and a little: where many streams wait for a peer that takes nothing, each holds that little.
    pub(super) fn push_data(&mut self, data: &mut Bytes, room: usize) -> usize {
        if !self.queue.is_empty() {
            return 0;
        }
        let most = room.clamp(AHEAD, MAX_DATA_FRAME);
        let part = if data.len() <= most {
            data.split_to(data.len())
        } else if most == AHEAD {
            // A copy: a slice would keep all of the caller's piece.
            data.split_to(most).to_vec().into()
        } else {
            data.split_to(most)
        };
        let taken = part.len();
        if taken > 0 {
            let mut head = BytesMut::with_capacity(9);
            frame::put_head(kind::DATA, taken as u64, &mut head);
            self.push(head.freeze());
            self.push(part);
        }
        taken
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Hands over as much as the transport takes, and the end after everything.
    pub(super) fn flush(&mut self, id: StreamId, transport: &mut impl Transport) -> Result<(), WriteError> {
        while let Some(front) = self.queue.front_mut() {
            let written = transport.write(id, front);
            if front.is_empty() {
                self.queue.pop_front();
            }
            match written {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(self.fail(error)),
            }
        }
        if self.stage == Stage::Ended {
            transport.finish(id).map_err(|error| self.fail(error))?;
            self.close();
        }
        Ok(())
    }

    /// Nothing more can be sent. A stop that shows up in a write is told by its own event, which closes, and counts what was
    /// made useless.
    fn fail(&mut self, error: WriteError) -> WriteError {
        self.queue = VecDeque::new();
        if !matches!(error, WriteError::Stopped(_)) {
            self.close();
        }
        error
    }

    pub(super) fn close(&mut self) {
        self.queue = VecDeque::new();
        self.stage = Stage::Closed;
    }
}
