//! The sending side of a stream: the bytes that HTTP/3 has queued and the transport has not taken yet.
//!
//! It queues at most one head and one piece of content per stream and refuses more until they are taken.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use quic_core::{StreamId, error::call::WriteError};

use crate::{
    frame::{self, kind},
    transport::Transport,
};

/// The most content that one DATA frame takes from the caller, in bytes.
pub(super) const MAX_DATA_FRAME: usize = 256 * 1024;

/// The content that a DATA frame takes although the transport has no room, in bytes. The transport reports
/// new room only after a write was blocked, so some content must be queued.
const AHEAD: usize = 1024;

/// What may be sent next on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// A response head.
    Head,
    /// Content, trailers or the end.
    Body,
    /// Nothing: the end is queued.
    Ended,
    /// Nothing: the transport has the end, or the stream was reset or stopped.
    Closed,
}

#[derive(Debug)]
pub(super) struct Outgoing {
    queue: VecDeque<Bytes>,
    pub(super) stage: Stage,
    /// The caller found the queue full; an event follows when it is empty.
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

    /// Queues a DATA frame with a prefix of `data` if nothing else is queued, and returns how much it took.
    /// It takes as much as the transport has `room` for, at least [`AHEAD`] and at most [`MAX_DATA_FRAME`]:
    /// many blocked streams then queue little each.
    pub(super) fn push_data(&mut self, data: &mut Bytes, room: usize) -> usize {
        if !self.queue.is_empty() {
            return 0;
        }
        let most = room.clamp(AHEAD, MAX_DATA_FRAME);
        let part = if data.len() <= most {
            data.split_to(data.len())
        } else if most == AHEAD {
            // This is a copy, because a slice would keep the caller's whole buffer alive.
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

    /// Writes as much as the transport takes, and then the end.
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

    /// Drops the queue, since nothing more can be sent. After a stop, the stop's own event closes the stream
    /// and counts the request.
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
