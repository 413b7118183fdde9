//! A record of what was written and sent, with which arrivals are compared.
//!
//! A stream begins with its own number, the salt; every later byte follows from the salt and the offset. The
//! ledger must never know sessions.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use bytes::Bytes;

use crate::book::lock;

/// The length of the salt, in bytes.
const HEAD: u64 = 8;

/// The bytes of the stream `salt` from `offset` on.
pub(crate) fn content(salt: u64, offset: u64, size: usize) -> Bytes {
    (offset..).take(size).map(|at| byte(salt, at)).collect::<Vec<u8>>().into()
}

fn byte(salt: u64, at: u64) -> u8 {
    match usize::try_from(at) {
        Ok(head @ 0..8) => salt.to_be_bytes()[head],
        _ => (salt.wrapping_mul(31) ^ at ^ (at >> 8)) as u8,
    }
}

/// The writer's record of a stream.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    /// The most bytes that may have been written.
    at_most: u64,
    /// How many bytes must arrive even if the stream is reset.
    committed: u64,
    /// The least length at which the stream was finished, if it was.
    finished: Option<u64>,
}

/// All streams of a session, of both ends.
#[derive(Debug, Default)]
pub(crate) struct Streams(Mutex<BTreeMap<u64, Written>>);

impl Streams {
    pub(crate) fn may_write(&self, salt: u64, up_to: u64) {
        let mut streams = lock(&self.0);
        let written = streams.entry(salt).or_default();
        written.at_most = written.at_most.max(up_to);
    }

    pub(crate) fn committed(&self, salt: u64, size: u64) {
        lock(&self.0).entry(salt).or_default().committed = size;
    }

    pub(crate) fn finished(&self, salt: u64, at_least: u64) {
        lock(&self.0).entry(salt).or_default().finished = Some(at_least);
    }

    fn get(&self, salt: u64) -> Option<Written> {
        lock(&self.0).get(&salt).copied()
    }
}

/// The reader's record of a stream.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    head: [u8; HEAD as usize],
    offset: u64,
}

impl Seen {
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Checks the next bytes that were read.
    pub(crate) fn take(&mut self, data: &[u8], streams: &Streams) -> Result<(), String> {
        for value in data {
            let at = self.offset;
            self.offset += 1;
            if let Some(head) = usize::try_from(at).ok().and_then(|at| self.head.get_mut(at)) {
                *head = *value;
                continue;
            }
            let salt = u64::from_be_bytes(self.head);
            if byte(salt, at) != *value {
                return Err(format!("byte {at} of the stream {salt:#x} is not what was written"));
            }
        }
        let Some(salt) = self.salt() else { return Ok(()) };
        match streams.get(salt) {
            Some(written) if self.offset <= written.at_most => Ok(()),
            written => Err(format!("{} bytes of the stream {salt:#x} were read: {written:?}", self.offset)),
        }
    }

    /// Checks the end of the stream.
    pub(crate) fn end(&self, streams: &Streams) -> Result<(), String> {
        let Some(salt) = self.salt() else { return Ok(()) };
        match streams.get(salt) {
            Some(Written { finished: Some(least), at_most, .. })
                if (least..=at_most).contains(&self.offset) =>
            {
                Ok(())
            }
            written => {
                Err(format!("the stream {salt:#x} ended cleanly after {} bytes: {written:?}", self.offset))
            }
        }
    }

    /// Checks the reset of the stream.
    pub(crate) fn reset(&self, streams: &Streams) -> Result<(), String> {
        let Some(salt) = self.salt() else { return Ok(()) };
        match streams.get(salt) {
            Some(Written { committed, .. }) if self.offset < committed => Err(format!(
                "{} bytes of the stream {salt:#x} arrived, {committed} were committed",
                self.offset
            )),
            _ => Ok(()),
        }
    }

    fn salt(&self) -> Option<u64> {
        (self.offset >= HEAD).then(|| u64::from_be_bytes(self.head))
    }
}

/// The datagrams of a session in one direction.
#[derive(Debug, Default)]
pub(crate) struct Datagrams(Mutex<Way>);

#[derive(Debug, Default)]
struct Way {
    next: u64,
    accepted: BTreeSet<u64>,
    received: BTreeSet<u64>,
    /// Datagrams that are too short for a number.
    short_accepted: u64,
    short_received: u64,
}

impl Datagrams {
    /// A payload of `size` bytes for the session `number`, and its own number if it has room for one.
    pub(crate) fn make(&self, session: u64, size: usize) -> (Bytes, Option<u64>) {
        if size < 16 {
            return (Bytes::from(vec![0; size]), None);
        }
        let mut way = lock(&self.0);
        let number = way.next;
        way.next += 1;
        let mut payload = Vec::with_capacity(size);
        payload.extend_from_slice(&session.to_be_bytes());
        payload.extend_from_slice(&number.to_be_bytes());
        payload.resize(size, 7);
        (payload.into(), Some(number))
    }

    /// Records that a datagram will be sent.
    pub(crate) fn accepted(&self, number: Option<u64>) {
        let mut way = lock(&self.0);
        match number {
            Some(number) => drop(way.accepted.insert(number)),
            None => way.short_accepted += 1,
        }
    }

    /// Checks a datagram that arrived in the session `session`.
    pub(crate) fn received(&self, session: u64, payload: &[u8]) -> Result<(), String> {
        let mut way = lock(&self.0);
        let Some((of, rest)) = payload.split_first_chunk::<8>().filter(|(_, rest)| rest.len() >= 8) else {
            way.short_received += 1;
            return Ok(());
        };
        let of = u64::from_be_bytes(*of);
        if of != session {
            return Err(format!("a datagram of session {of} came at session {session}"));
        }
        let number = rest.first_chunk().map_or(0, |number| u64::from_be_bytes(*number));
        if !way.received.insert(number) {
            return Err(format!("the datagram {number} of session {session} came twice"));
        }
        Ok(())
    }

    /// How many datagrams were accepted and received.
    pub(crate) fn counts(&self) -> [u64; 2] {
        let way = lock(&self.0);
        [way.accepted.len() as u64 + way.short_accepted, way.received.len() as u64 + way.short_received]
    }

    /// Checks, once nothing more is sent, that every datagram that arrived was sent.
    pub(crate) fn check(&self) -> Result<(), String> {
        let way = lock(&self.0);
        if let Some(number) = way.received.difference(&way.accepted).next() {
            return Err(format!("the datagram {number} came, though its send was given up or failed"));
        }
        if way.short_received > way.short_accepted {
            return Err(format!("{} short datagrams came of {}", way.short_received, way.short_accepted));
        }
        Ok(())
    }
}
