//! The applications of the laboratory: one end sends, the other one receives and records when.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use quic_core::{
    Connection, DatagramOptions, Dir, Event, Priority, StreamId, base::Timestamp, error::call::Read,
    testing::HasConnection,
};
use soak::Party;

use super::{
    node::{Audio, Load, Taken},
    packets::PacketLog,
};

/// How many bytes are written at once.
const CHUNK: usize = 64 << 10;
/// The length of a stream's header in bytes: its kind, and the time from which its age counts.
const HEADER: usize = 9;
/// The length of a datagram's header in bytes: the time when it was made.
const DATAGRAM_HEADER: usize = 8;
/// The priorities: a stream with a higher one is sent first.
const AUDIO_ORDER: i64 = 2;
const FRAME_ORDER: i64 = 1;
const BYTES_ORDER: i64 = 0;

/// The contents of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cargo {
    Bytes = 0,
    Frame = 1,
}

/// The role of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    /// To send.
    Send(Load),
    /// To receive.
    Receive,
}

/// A stream being written.
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
    /// Frames that wait for a stream: when they were made, and their size in bytes.
    waiting: VecDeque<(Timestamp, usize)>,
    next_frame: Option<Timestamp>,
    frames: u32,
    next_datagram: Option<Timestamp>,
    datagrams: u64,
    refused: u64,
    heads: BTreeMap<StreamId, BytesMut>,
    pub(super) taken: Taken,
    /// Why the connection ended, if it did.
    pub(super) ended: Option<String>,
    filler: Bytes,
}

impl HasConnection for Agent {
    fn connection(&self) -> &Connection {
        &self.connection
    }

    fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

impl Party for Agent {
    type Role = (Role, Option<PacketLog>);

    fn new(mut connection: Connection, now: Timestamp, (role, log): &Self::Role) -> Self {
        if let Some(log) = log {
            connection.add_observer(Box::new(log.clone()));
        }
        Self {
            connection,
            made: now,
            role: *role,
            ready: false,
            sending: BTreeMap::new(),
            waiting: VecDeque::new(),
            next_frame: None,
            frames: 0,
            next_datagram: None,
            datagrams: 0,
            refused: 0,
            heads: BTreeMap::new(),
            taken: Taken::default(),
            ended: None,
            filler: Bytes::from(vec![0x5a; CHUNK]),
        }
    }

    fn deadline(&self) -> Option<Timestamp> {
        [self.next_frame, self.next_datagram].into_iter().flatten().min()
    }

    fn work(&mut self, now: Timestamp) {
        while let Some(event) = self.connection.poll_event() {
            match event {
                Event::HandshakeComplete => self.begin(now),
                Event::StreamWritable(id, _) => self.write(id),
                Event::StreamOpened(id) | Event::StreamReadable(id, _) => self.read(now, id),
                Event::StreamsAvailable(Dir::Uni) => self.send_frames(),
                Event::DatagramReadable => self.take_datagrams(now),
                Event::Closed(error) => {
                    self.ended = Some(error.to_string());
                    (self.next_frame, self.next_datagram) = (None, None);
                }
                _ => {}
            }
        }
        while self.next_frame.is_some_and(|due| due <= now) {
            self.make_frame();
        }
        while let Some(due) = self.next_datagram.filter(|due| *due <= now) {
            self.make_datagram(now, due);
        }
    }
}

impl Agent {
    /// How many frames were made.
    pub(super) fn frames(&self) -> u32 {
        self.frames
    }

    /// How many datagrams were made.
    pub(super) fn datagrams(&self) -> u64 {
        self.datagrams
    }

    /// How many datagrams found no room.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    fn begin(&mut self, now: Timestamp) {
        let Role::Send(Load { bytes, media, audio, .. }) = self.role else { return };
        if std::mem::replace(&mut self.ready, true) {
            return;
        }
        // Frames start before the bytes, so that the first frame does not wait behind them.
        self.next_frame = media.map(|_| now);
        self.next_datagram = audio.map(|_| now);
        if let Some(bytes) = bytes {
            self.open(Cargo::Bytes, self.made, bytes, BYTES_ORDER);
        }
    }

    fn make_frame(&mut self) {
        let (Role::Send(Load { media: Some(media), .. }), Some(due)) = (self.role, self.next_frame) else {
            return;
        };
        let size = if self.frames.is_multiple_of(media.key_every) { media.key_frame } else { media.frame };
        self.next_frame = Some(due + Duration::from_nanos(media.interval));
        self.frames += 1;
        self.waiting.push_back((due, size));
        self.send_frames();
    }

    fn make_datagram(&mut self, now: Timestamp, due: Timestamp) {
        let Role::Send(Load { audio: Some(Audio { interval, size, max_age }), .. }) = self.role else {
            return;
        };
        self.next_datagram = Some(due + Duration::from_nanos(interval));
        self.datagrams += 1;
        let mut data = BytesMut::with_capacity(size);
        data.extend_from_slice(&due.as_nanos().to_be_bytes());
        data.resize(size.max(DATAGRAM_HEADER), 0x5a);
        let options = DatagramOptions::default()
            .with_priority(Priority::new().order(AUDIO_ORDER))
            .with_max_age(max_age.map(Duration::from_nanos))
            .after(now.saturating_since(due));
        if self.connection.send_datagram(now, data.freeze(), options).is_err() {
            self.refused += 1;
        }
    }

    fn take_datagrams(&mut self, now: Timestamp) {
        while let Some(data) = self.connection.receive_datagram(now) {
            let Some(made) = data.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)) else { continue };
            self.taken.datagrams.record(nanos(now, Timestamp::from_nanos(made)));
        }
    }

    fn send_frames(&mut self) {
        while let Some((made, size)) = self.waiting.front().copied() {
            if !self.open(Cargo::Frame, made, size as u64, FRAME_ORDER) {
                return;
            }
            self.waiting.pop_front();
        }
    }

    /// Opens a stream; false if the peer permits none now.
    fn open(&mut self, cargo: Cargo, from: Timestamp, bytes: u64, order: i64) -> bool {
        let Some(id) = self.connection.open(Dir::Uni) else { return false };
        self.connection.set_priority(id, Priority::new().order(order));
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
            self.taken.frames.record(nanos(now, from));
        } else {
            self.taken.whole = Some(nanos(now, from));
        }
    }
}

/// The nanoseconds from one time to another.
fn nanos(to: Timestamp, from: Timestamp) -> u64 {
    u64::try_from(to.saturating_since(from).as_nanos()).unwrap_or(u64::MAX)
}
