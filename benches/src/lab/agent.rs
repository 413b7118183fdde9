//! Applications of the laboratory: one end sends, the other one takes and notes when.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use netsim::Histogram;
use quic_core::{Connection, Dir, Event, Priority, StreamId, base::Timestamp, error::call::Read};
use soak::Party;

/// Bytes that are written at once.
const CHUNK: usize = 64 << 10;
/// Each stream begins with its kind and the time from which it counts.
const HEADER: usize = 9;

/// What a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cargo {
    Bytes = 0,
    Frame = 1,
}

/// Frames at a steady pace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Media {
    pub(super) interval: Duration,
    pub(super) frame: usize,
    pub(super) key_frame: usize,
    pub(super) key_every: u32,
}

/// What a connection is for.
#[derive(Clone, Debug)]
pub(super) enum Role {
    /// To send.
    Send {
        /// So many bytes on one stream.
        bytes: Option<u64>,
        media: Option<Media>,
    },
    /// To receive.
    Receive,
}

/// What came, and when.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    /// Bytes of streams.
    pub(super) bytes: u64,
    /// From a frame's making to its end, in nanoseconds.
    pub(super) frames: Histogram,
    /// When the stream that is no frame had come whole, and from when it counts.
    pub(super) whole: Option<(Timestamp, Timestamp)>,
}

/// A stream that is written.
#[derive(Debug)]
struct Outgoing {
    head: Bytes,
    left: u64,
}

/// One end of a connection.
#[derive(Debug)]
pub(super) struct Agent {
    connection: Connection,
    made: Timestamp,
    role: Role,
    ready: bool,
    sending: BTreeMap<StreamId, Outgoing>,
    /// Frames for which there is no stream yet: when they were made, and their bytes.
    waiting: VecDeque<(Timestamp, usize)>,
    next_frame: Option<Timestamp>,
    frames: u32,
    heads: BTreeMap<StreamId, BytesMut>,
    pub(super) taken: Taken,
    /// Why it ended, if it did.
    pub(super) ended: Option<String>,
    filler: Bytes,
}

impl Party for Agent {
    type Role = Role;

    fn new(connection: Connection, now: Timestamp, role: &Role) -> Self {
        Self {
            connection,
            made: now,
            role: role.clone(),
            ready: false,
            sending: BTreeMap::new(),
            waiting: VecDeque::new(),
            next_frame: None,
            frames: 0,
            heads: BTreeMap::new(),
            taken: Taken::default(),
            ended: None,
            filler: Bytes::from(vec![0x5a; CHUNK]),
        }
    }

    fn connection(&self) -> &Connection {
        &self.connection
    }

    fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.next_frame
    }

    fn work(&mut self, now: Timestamp) {
        while let Some(event) = self.connection.poll_event() {
            match event {
                Event::HandshakeComplete => self.begin(now),
                Event::StreamWritable(id, _) => self.write(id),
                Event::StreamOpened(id) | Event::StreamReadable(id, _) => self.read(now, id),
                Event::StreamsAvailable(Dir::Uni) => self.send_frames(),
                Event::Closed(error) => {
                    self.ended = Some(error.to_string());
                    self.next_frame = None;
                }
                _ => {}
            }
        }
        while self.next_frame.is_some_and(|due| due <= now) {
            self.make_frame();
        }
    }
}

impl Agent {
    /// Frames that were made.
    pub(super) fn frames(&self) -> u32 {
        self.frames
    }

    fn begin(&mut self, now: Timestamp) {
        let Role::Send { bytes, media } = self.role.clone() else { return };
        if std::mem::replace(&mut self.ready, true) {
            return;
        }
        // Before the bytes, so that the first frame does not wait behind them.
        self.next_frame = media.map(|_| now);
        if let Some(bytes) = bytes {
            self.open(Cargo::Bytes, self.made, bytes, 0);
        }
    }

    fn make_frame(&mut self) {
        let (Role::Send { media: Some(media), .. }, Some(due)) = (&self.role, self.next_frame) else {
            return;
        };
        let size = if self.frames.is_multiple_of(media.key_every) { media.key_frame } else { media.frame };
        self.next_frame = Some(due + media.interval);
        self.frames += 1;
        self.waiting.push_back((due, size));
        self.send_frames();
    }

    fn send_frames(&mut self) {
        while let Some((made, size)) = self.waiting.front().copied() {
            if !self.open(Cargo::Frame, made, size as u64, 1) {
                return;
            }
            self.waiting.pop_front();
        }
    }

    /// Opens a stream; false if the peer permits none now.
    fn open(&mut self, cargo: Cargo, from: Timestamp, bytes: u64, order: i64) -> bool {
        let Some(id) = self.connection.open(Dir::Uni) else { return false };
        self.connection.set_priority(id, Priority { order, ..Priority::default() });
        let mut head = BytesMut::with_capacity(HEADER);
        head.extend_from_slice(&[cargo as u8]);
        head.extend_from_slice(&from.as_nanos().to_be_bytes());
        self.sending.insert(id, Outgoing { head: head.freeze(), left: bytes });
        self.write(id);
        true
    }

    fn write(&mut self, id: StreamId) {
        let Some(stream) = self.sending.get_mut(&id) else { return };
        loop {
            let mut data = if stream.head.is_empty() {
                let size = usize::try_from(stream.left).unwrap_or(CHUNK).min(CHUNK);
                self.filler.slice(..size)
            } else {
                stream.head.clone()
            };
            if data.is_empty() {
                let _ = self.connection.finish(id);
                self.sending.remove(&id);
                return;
            }
            match self.connection.write(id, &mut data) {
                Ok(0) => return,
                Ok(taken) if stream.head.is_empty() => stream.left -= taken as u64,
                Ok(_) => stream.head = data,
                Err(_) => {
                    self.sending.remove(&id);
                    return;
                }
            }
        }
    }

    fn read(&mut self, now: Timestamp, id: StreamId) {
        loop {
            match self.connection.read(now, id, usize::MAX) {
                Ok(Read::Data(data)) => {
                    self.taken.bytes += data.len() as u64;
                    let head = self.heads.entry(id).or_default();
                    let missing = HEADER.saturating_sub(head.len()).min(data.len());
                    head.extend_from_slice(&data[..missing]);
                }
                Ok(Read::Finished) => return self.on_whole(now, id),
                _ => return,
            }
        }
    }

    fn on_whole(&mut self, now: Timestamp, id: StreamId) {
        let Some(head) = self.heads.remove(&id) else { return };
        let Some((&[kind], rest)) = head.split_first_chunk() else { return };
        let Some(from) = rest.first_chunk().map(|bytes| Timestamp::from_nanos(u64::from_be_bytes(*bytes)))
        else {
            return;
        };
        if kind == Cargo::Frame as u8 {
            let age = now.saturating_since(from).as_nanos();
            self.taken.frames.record(u64::try_from(age).unwrap_or(u64::MAX));
        } else {
            self.taken.whole = Some((from, now));
        }
    }
}
