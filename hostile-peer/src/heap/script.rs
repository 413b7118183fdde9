//! The peer's steps: everything that a peer may send, in an order that a seed decides.
//!
//! Most of it respects the credit that the end gave, because a violation ends the connection and shows
//! little. The share that does not is one of the habits that a seed draws.

use std::{collections::BTreeMap, time::Duration};

use netsim::Random;
use quic_core::{ConnectionId, Dir, Side, StreamId, frame::Frame};

use super::{http, victim::View};
use crate::wire;

/// The most bytes of frames in a packet.
const PAYLOAD: usize = 1100;
/// The number of kinds of steps.
const KINDS: usize = 18;
/// The offset of the peer's own CRYPTO data ahead of TLS, beyond the data of its tickets.
const AHEAD: u64 = 16 << 10;

/// One step.
pub(super) enum Step {
    /// Packets with these frames.
    Send(Vec<Vec<u8>>),
    /// Sends what an honest peer sends now: acknowledgments.
    Honest,
    /// Time passes.
    Time(Duration),
    /// The application acts.
    Application,
}

/// The peer's plan.
pub(super) struct Script {
    side: Side,
    random: Random,
    /// How often each kind of step occurs, relative to the others.
    weights: [u64; KINDS],
    /// The share of frames that exceed the credit.
    breaks: f64,
    /// The share of streams whose first byte is held back.
    holes: f64,
    window: u64,
    /// The next offset of each stream.
    offsets: BTreeMap<StreamId, u64>,
    /// Streams that the peer has ended, with the code of their reset; 0 for FIN.
    ended: BTreeMap<StreamId, u64>,
    /// The sum of bytes over all streams.
    used: u64,
    opened: [u64; 2],
    /// Frames that are held back.
    held: Vec<Vec<u8>>,
    /// Frames for the next packets.
    out: Vec<Vec<u8>>,
    view: View,
    /// The streams of requests.
    requests: Vec<StreamId>,
    /// The streams that named a session.
    named: Vec<StreamId>,
}

impl Script {
    pub(super) fn new(side: Side, random: &mut Random, (window, together): (u64, u64)) -> Self {
        let mut random = Random::new(random.next_u64());
        let weights = std::array::from_fn(|_| [0, 1, 1, 4, 16][random.below(5) as usize]);
        let breaks = [0.0, 0.0, 0.0003, 0.01][random.below(4) as usize];
        let holes = [0.0, 0.05, 0.5][random.below(3) as usize];
        let mut script = Self {
            side,
            random,
            weights,
            breaks,
            holes,
            window,
            offsets: BTreeMap::new(),
            ended: BTreeMap::new(),
            used: 0,
            opened: [0; 2],
            held: Vec::new(),
            out: Vec::new(),
            view: View { max_data: together, max_streams: [10; 2], heard: [0; 2], issued: 0 },
            requests: Vec::new(),
            named: Vec::new(),
        };
        script.begin();
        script
    }

    /// Opens the streams that every connection has: control and QPACK.
    fn begin(&mut self) {
        let mut control = vec![0x00];
        control.extend(http::settings(&mut self.random));
        let streams: [Vec<u8>; 3] = [control, vec![0x02], vec![0x03]];
        for bytes in streams {
            let id = StreamId::new(self.side, Dir::Uni, self.opened[Dir::Uni as usize]);
            self.opened[Dir::Uni as usize] += 1;
            self.write(id, &bytes, false);
        }
    }

    fn control(&self) -> StreamId {
        StreamId::new(self.side, Dir::Uni, 0)
    }

    fn pick(&mut self) -> usize {
        let all: u64 = self.weights.iter().sum();
        let mut at = self.random.below(all.max(1));
        for (kind, weight) in self.weights.iter().enumerate() {
            if at < *weight {
                return kind;
            }
            at -= weight;
        }
        0
    }

    pub(super) fn step(&mut self, view: View) -> Step {
        self.view = view;
        let many = 1 << self.random.below(9);
        match self.pick() {
            0 => self.open_streams(many),
            1 => self.high_stream(),
            2 => self.go_on(many),
            3 => self.pierce(many),
            4 => self.end_streams(many),
            5 => self.datagrams(many),
            6 => self.control_frames(many),
            7 => self.requests(many.min(32)),
            8 => self.capsules(many),
            9 => self.release(),
            10 => self.quic_frames(many),
            11 => self.qpack(many),
            12 => return Step::Honest,
            13 => {
                let longest = [1, 50, 3000][self.random.below(3) as usize];
                return Step::Time(Duration::from_millis(1 + self.random.below(longest)));
            }
            14 | 15 => return Step::Application,
            16 => self.crypto(many),
            _ => self.bodies(many),
        }
        Step::Send(self.packets())
    }

    /// Puts the frames into packets, several into each where they fit.
    fn packets(&mut self) -> Vec<Vec<u8>> {
        let mut packets: Vec<Vec<u8>> = Vec::new();
        for frame in std::mem::take(&mut self.out) {
            match packets.last_mut() {
                Some(last) if last.len() + frame.len() <= PAYLOAD + 40 => last.extend(frame),
                _ => packets.push(frame),
            }
        }
        // A PING, so that each packet is long enough for the header protection sample.
        packets.iter_mut().for_each(|packet| packet.extend([1, 0, 0, 0]));
        packets
    }

    /// How many of `wanted` bytes `id` may still carry. Sometimes the limits are ignored.
    fn room(&mut self, id: StreamId, wanted: usize) -> usize {
        if self.random.chance(self.breaks) {
            return wanted;
        }
        let stream = self.window.saturating_sub(self.offsets.get(&id).copied().unwrap_or(0));
        let left = self.view.max_data.saturating_sub(self.used).min(stream);
        wanted.min(usize::try_from(left).unwrap_or(usize::MAX))
    }

    /// Writes bytes at the end of a stream: at once, in pieces, or with the first byte held back.
    fn write(&mut self, id: StreamId, bytes: &[u8], fin: bool) {
        if !self.may_write(id) {
            return;
        }
        let room = bytes.len();
        if self.room(id, room) < room {
            return;
        }
        if fin {
            self.ended.insert(id, 0);
        }
        let offset = *self.offsets.entry(id).or_insert(0);
        self.offsets.insert(id, offset + room as u64);
        self.used += room as u64;
        let piece = [PAYLOAD, PAYLOAD, 40, 1][self.random.below(4) as usize].max(room / 64).min(PAYLOAD);
        let hides = self.random.chance(self.holes);
        let mut at = 0;
        for chunk in bytes.chunks(piece.max(1)) {
            let end = at + chunk.len();
            let frame = wire::stream(id, offset + at as u64, fin && end == room, chunk);
            if hides && at == 0 && self.held.len() < 4096 {
                self.held.push(frame);
            } else {
                self.out.push(frame);
            }
            at = end;
        }
        if bytes.is_empty() {
            self.out.push(wire::stream(id, offset, fin, &[]));
        }
    }

    /// Opens the peer's next stream of a kind, if the limit permits one.
    fn open(&mut self, dir: Dir) -> Option<StreamId> {
        let index = self.opened[dir as usize];
        let permitted = index < self.view.max_streams[dir as usize];
        (permitted || self.random.chance(self.breaks)).then(|| {
            self.opened[dir as usize] += 1;
            StreamId::new(self.side, dir, index)
        })
    }

    fn dir(&mut self) -> Dir {
        if self.random.chance(0.5) { Dir::Bidi } else { Dir::Uni }
    }

    /// Whether the peer may send on a stream.
    fn may_write(&mut self, id: StreamId) -> bool {
        let ours = id.initiator() == self.side;
        let exists = ours || id.dir() == Dir::Bidi && id.index() < self.view.heard[Dir::Bidi as usize];
        exists && !self.ended.contains_key(&id) || self.random.chance(self.breaks)
    }

    /// Whether it is one of the streams that every connection has, which must not end.
    fn is_critical(id: StreamId) -> bool {
        id.dir() == Dir::Uni && id.index() < 3
    }

    /// A stream that the peer has written to or knows of.
    fn stream(&mut self) -> StreamId {
        let dir = self.dir();
        let heard = self.view.heard[dir as usize];
        if heard > 0 && self.random.chance(0.2) {
            return StreamId::new(self.side.peer(), dir, self.random.below(heard));
        }
        let index = self.random.below(self.opened[dir as usize].max(1));
        StreamId::new(self.side, dir, index)
    }

    /// A session ID: of a session that exists, may come to exist, or never can.
    fn session(&mut self) -> u64 {
        let known = self.requests.get(self.random.below(self.requests.len().max(1) as u64) as usize).copied();
        let most = if self.side.is_client() { self.view.max_streams[0] } else { self.view.heard[0] };
        match (self.random.below(10), known) {
            (0, _) => 4 * self.random.below(most.max(1)),
            (1, _) if self.random.chance(self.breaks / 4.0) => self.random.below(1 << 50),
            (_, Some(known)) => known.value(),
            _ => 0,
        }
    }

    fn preface(&mut self, dir: Dir, own: StreamId) -> Vec<u8> {
        let session = if dir == Dir::Bidi && self.side.is_client() && self.random.chance(0.02) {
            own.value()
        } else {
            self.session()
        };
        match self.random.below(20) {
            // A push stream, an unknown type, or a request.
            0 if dir == Dir::Uni => wire::ints(&[0x21 + 0x1f * self.random.below(9)]),
            1 if dir == Dir::Uni && self.random.chance(self.breaks) => wire::ints(&[0x01, 0]),
            _ => wire::ints(&[if dir == Dir::Bidi { 0x41 } else { 0x54 }, session]),
        }
    }

    fn open_streams(&mut self, many: u64) {
        let dir = self.dir();
        let size = self.random.below(60) as usize;
        let fin = self.random.chance(0.5);
        for _ in 0..many {
            let Some(id) = self.open(dir) else { break };
            let mut bytes = self.preface(dir, id);
            bytes.resize(bytes.len() + size, 7);
            // Some streams only send half of their preface.
            if self.random.chance(0.1) {
                bytes.truncate(1);
            } else {
                self.named.push(id);
            }
            self.write(id, &bytes, fin && bytes.len() > 1);
        }
    }

    /// Sends one frame that opens all lower streams.
    fn high_stream(&mut self) {
        let dir = self.dir();
        let last = self.view.max_streams[dir as usize];
        if self.opened[dir as usize] < last {
            self.opened[dir as usize] = last;
            self.write(StreamId::new(self.side, dir, last - 1), &[], false);
        }
    }

    fn go_on(&mut self, many: u64) {
        for _ in 0..many.min(64) {
            let count = self.named.len() as u64;
            if count > 0 && self.random.chance(0.8) {
                let id = self.named[self.random.below(count) as usize];
                let wanted = 1 << self.random.below(14);
                let size = self.room(id, wanted);
                let fin = self.random.chance(0.1);
                self.write(id, &vec![7; size], fin);
            } else if let Some(id) = self.request() {
                // The content of an unknown frame type.
                let size = 1 << self.random.below(14);
                let bytes = http::frame(0x21, &vec![7; size]);
                self.write(id, &bytes, false);
            }
        }
    }

    /// Sends single bytes at various offsets.
    fn pierce(&mut self, many: u64) {
        let id = self.stream();
        if Self::is_critical(id) || !self.may_write(id) {
            return;
        }
        let step = 2 + self.random.below(100);
        let room = self.room(id, (many * step) as usize) as u64;
        let offset = *self.offsets.entry(id).or_insert(0);
        for n in 1..room / step {
            self.out.push(wire::stream(id, offset + n * step, false, &[7]));
        }
        self.offsets.insert(id, offset + room);
        self.used += room;
    }

    fn end_streams(&mut self, many: u64) {
        for _ in 0..many {
            let id = self.stream();
            if Self::is_critical(id) && !self.random.chance(self.breaks / 20.0) {
                continue;
            }
            let final_size = self.offsets.get(&id).copied().unwrap_or(0);
            let code = [0x10c, 0x52e4_a40f_a8db, 0x3994_bd84][id.index() as usize % 3];
            let frame = match self.random.below(3) {
                0 if self.may_write(id) => Frame::ResetStream { id, code, final_size },
                1 if self.may_write(id) => {
                    let reliable_size = self.random.below(final_size + 1);
                    Frame::ResetStreamAt { id, code, final_size, reliable_size }
                }
                _ if id.dir() == Dir::Bidi || id.initiator() != self.side => Frame::StopSending { id, code },
                _ => continue,
            };
            if !matches!(frame, Frame::StopSending { .. }) {
                self.ended.insert(id, code);
            }
            self.out.push(wire::frame(&frame));
        }
    }

    fn datagrams(&mut self, many: u64) {
        let size = self.random.below(1000) as usize;
        for _ in 0..many {
            let mut data = wire::ints(&[self.session() / 4]);
            data.resize(data.len() + size, 8);
            self.out.push(wire::frame(&Frame::Datagram { data: &data, has_length: true }));
        }
    }

    fn control_frames(&mut self, many: u64) {
        let mut bytes = Vec::new();
        for n in 0..many {
            bytes.extend(http::control(n + self.used, self.side, self.view.max_streams[0], &mut self.random));
        }
        self.write(self.control(), &bytes, false);
    }

    /// Sends requests, or responses to those of the end.
    fn requests(&mut self, many: u64) {
        for _ in 0..many {
            let (id, mut bytes, is_final) = if self.side.is_client() {
                let Some(id) = self.open(Dir::Bidi) else { return };
                let plain = self.random.chance(0.3);
                let bytes = if plain { http::get(&mut self.random) } else { http::connect(&mut self.random) };
                (id, bytes, true)
            } else {
                let id = StreamId::new(Side::Client, Dir::Bidi, self.random.below(self.view.heard[0].max(1)));
                if self.requests.contains(&id) && !self.random.chance(self.breaks) {
                    continue;
                }
                let (bytes, is_final) = http::response(&mut self.random);
                (id, bytes, is_final)
            };
            // Truncated field sections, after which nothing follows.
            if self.random.chance(0.1) {
                bytes.truncate(bytes.len() / 2);
                self.write(id, &bytes, false);
                self.ended.insert(id, 0);
                continue;
            }
            let fin = self.random.chance(0.1) && is_final;
            self.write(id, &bytes, fin);
            if is_final {
                self.requests.push(id);
            }
        }
    }

    /// The stream of a request, if there is one.
    fn request(&mut self) -> Option<StreamId> {
        let count = self.requests.len() as u64;
        (count > 0).then(|| self.requests[self.random.below(count) as usize])
    }

    fn capsules(&mut self, many: u64) {
        let Some(id) = self.request() else { return self.requests(1) };
        let mut bytes = Vec::new();
        for n in 0..many {
            bytes.extend(http::capsule(n + self.used, &mut self.random));
        }
        // In one frame, or in a frame for each part.
        let piece = [bytes.len(), 7, 100][self.random.below(3) as usize].max(1);
        let framed: Vec<u8> = bytes.chunks(piece).flat_map(|part| http::frame(0x00, part)).collect();
        let fin = self.random.chance(0.02);
        self.write(id, &framed, fin);
    }

    fn bodies(&mut self, many: u64) {
        let Some(id) = self.request() else { return self.requests(1) };
        for _ in 0..many {
            let kind = if self.random.chance(0.5) { 0x00 } else { 0x21 + 0x1f * self.random.below(9) };
            let bytes = http::frame(kind, &vec![0; self.random.below(40) as usize]);
            self.write(id, &bytes, false);
        }
    }

    /// Sends some of the frames that were held back.
    fn release(&mut self) {
        let count = self.random.below(self.held.len() as u64 + 1) as usize;
        let from = self.held.len() - count;
        self.out.extend(self.held.drain(from..));
    }

    fn quic_frames(&mut self, many: u64) {
        let kind = self.random.below(11);
        for n in 0..many {
            let id = self.stream();
            let token = [n as u8; 40];
            let frame = match kind {
                0 => Frame::Ping,
                1 => Frame::MaxData(n + self.used),
                2 => Frame::MaxStreams { dir: self.dir(), limit: 100 + n },
                3 => Frame::DataBlocked(n),
                4 if self.may_write(id) => Frame::StreamDataBlocked { id, limit: n },
                5 => Frame::StreamsBlocked { dir: self.dir(), limit: n },
                6 => Frame::PathChallenge(n.to_be_bytes()),
                7 if !self.side.is_client() => Frame::NewToken(&token),
                8 => {
                    self.out.push(wire::frame(&Frame::NewConnectionId {
                        sequence: 1 + n % 3,
                        retire_prior_to: if self.random.chance(self.breaks) { n } else { 0 }.min(1 + n % 3),
                        id: ConnectionId::new(&(1 + n % 3).to_be_bytes()).expect("eight bytes"),
                        token: [(n % 3) as u8; 16],
                    }));
                    continue;
                }
                9 if self.random.chance(self.breaks) => Frame::Crypto { offset: 40 + 3 * n, data: &token },
                // Never the first ID, which the packets use.
                9 if self.view.issued > 0 => {
                    Frame::RetireConnectionId(1 + self.random.below(self.view.issued))
                }
                10 => Frame::PathResponse(n.to_be_bytes()),
                _ => Frame::Ping,
            };
            self.out.push(wire::frame(&frame));
        }
    }

    /// Sends CRYPTO data ahead of TLS, with holes that nothing fills, within the buffer limit.
    fn crypto(&mut self, many: u64) {
        let step = 2 + self.random.below(200);
        let size = 1 + self.random.below(step - 1) as usize;
        let from = AHEAD + self.random.below(20 << 10);
        let most = if self.random.chance(self.breaks) { u64::MAX } else { 60 << 10 };
        let data = vec![7; size];
        for n in 0..many {
            let offset = from + n * step;
            if offset + size as u64 > most {
                break;
            }
            self.out.push(wire::frame(&Frame::Crypto { offset, data: &data }));
        }
    }

    /// Sends instructions on the peer's QPACK streams: capacity 0 or insertions on the encoder's, cancellations
    /// on the decoder's.
    fn qpack(&mut self, many: u64) {
        let encoder = self.random.chance(0.7);
        let id = StreamId::new(self.side, Dir::Uni, if encoder { 1 } else { 2 });
        let many = many as usize * 16;
        let bytes = match (encoder, self.random.chance(0.5)) {
            (false, _) => vec![0x44; many],
            (true, false) => vec![0x20; many],
            // Capacity 4096; `:authority` with a value of two bytes and a Duplicate, again and again.
            (true, true) => [&[0x3f, 0xe1, 0x1f][..], &[0xc0, 2, b'a', b'b', 0x00].repeat(many)].concat(),
        };
        self.write(id, &bytes, false);
    }
}
