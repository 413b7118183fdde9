//! Derives numbers, choices and frames from bytes.

use quic_core::{ConnectionId, Dir, StreamId, base::varint, frame::Frame};

use crate::wire;

/// Reads the driver's input. After its end, every value is zero.
#[derive(Debug)]
pub(super) struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// One of `count` choices.
    pub(super) fn choice(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    pub(super) fn bool(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub(super) fn bytes(&mut self, max: usize) -> &'a [u8] {
        let count = usize::from(self.byte()).min(max).min(self.0.len());
        let (bytes, rest) = self.0.split_at(count);
        self.0 = rest;
        bytes
    }

    /// Mostly small numbers and values near limits.
    pub(super) fn number(&mut self) -> u64 {
        let first = self.byte();
        match first {
            0..160 => u64::from(first % 20),
            160..224 => u64::from(first) << 8 | u64::from(self.byte()),
            _ => {
                let edge = (1_u64 << (self.byte() % 63)).min(varint::MAX);
                (edge + u64::from(first % 4)).saturating_sub(2).min(varint::MAX)
            }
        }
    }

    fn stream(&mut self) -> StreamId {
        let value = if self.byte() < 240 { u64::from(self.byte() % 24) } else { self.number() };
        StreamId::from_value(value).expect("below 2^62")
    }

    fn dir(&mut self) -> Dir {
        if self.bool() { Dir::Bidi } else { Dir::Uni }
    }

    /// One to five frames.
    pub(super) fn frames(&mut self) -> Vec<u8> {
        (0..=self.choice(5)).flat_map(|_| self.frame()).collect()
    }

    /// A frame of any type with arbitrary fields, or bytes that are not a frame.
    pub(super) fn frame(&mut self) -> Vec<u8> {
        let frame = match self.choice(28) {
            0..=4 => {
                let (id, fin) = (self.stream(), self.bool());
                let offset = self.number();
                let data = self.bytes(40);
                let offset = offset.min(varint::MAX - data.len() as u64);
                Frame::Stream { id, offset, fin, data }
            }
            5 => Frame::ResetStream { id: self.stream(), code: self.number(), final_size: self.number() },
            6 => {
                let (id, code, final_size) = (self.stream(), self.number(), self.number());
                Frame::ResetStreamAt { id, code, final_size, reliable_size: self.number().min(final_size) }
            }
            7 => Frame::StopSending { id: self.stream(), code: self.number() },
            8 => Frame::Crypto { offset: self.number() % (1 << 40), data: self.bytes(40) },
            9 => Frame::MaxData(self.number()),
            10 => Frame::MaxStreamData { id: self.stream(), limit: self.number() },
            11 => Frame::MaxStreams { dir: self.dir(), limit: self.number().min(1 << 60) },
            12 => Frame::DataBlocked(self.number()),
            13 => Frame::StreamDataBlocked { id: self.stream(), limit: self.number() },
            14 => Frame::StreamsBlocked { dir: self.dir(), limit: self.number().min(1 << 60) },
            15 => return self.new_connection_id(),
            16 => Frame::RetireConnectionId(self.number()),
            17 => Frame::PathChallenge([self.byte(); 8]),
            18 => Frame::PathResponse([self.byte(); 8]),
            19 => Frame::Datagram { data: self.bytes(40), has_length: true },
            20 => Frame::NewToken(self.bytes(40)),
            21 => Frame::HandshakeDone,
            22 => Frame::TransportClose {
                code: self.number(),
                frame_type: self.number(),
                reason: self.bytes(20),
            },
            23 => Frame::ApplicationClose { code: self.number(), reason: self.bytes(20) },
            24 => return self.ack(),
            25 => Frame::Padding(usize::from(self.byte()) + 1),
            26 => return self.bytes(40).to_vec(),
            _ => Frame::Ping,
        };
        wire::frame(&frame)
    }

    fn new_connection_id(&mut self) -> Vec<u8> {
        let sequence = self.number();
        let id = if self.byte() < 240 { sequence } else { self.number() };
        wire::frame(&Frame::NewConnectionId {
            sequence,
            retire_prior_to: self.number().min(sequence),
            id: ConnectionId::new(&id.to_be_bytes()).expect("eight bytes"),
            token: [id as u8; 16],
        })
    }

    fn ack(&mut self) -> Vec<u8> {
        let (largest, delay, first) = (self.number(), self.number(), self.number());
        let ranges: Vec<_> =
            (0..self.choice(4)).map(|_| (u64::from(self.byte() % 4), u64::from(self.byte() % 4))).collect();
        wire::ack(largest, delay, first.min(largest), &ranges)
    }
}
