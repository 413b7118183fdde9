//! A media flow over UDP that does not adapt: it sends frames at a steady pace, whatever the network does.

use std::{collections::VecDeque, net::SocketAddr};

use crate::{
    endpoint::{Datagram, Endpoint},
    histogram::Histogram,
};

/// The largest datagram, in bytes.
const LARGEST: usize = 1_200;
/// The length of the header in bytes: the time when the frame was made, the frame's number, and its number of
/// datagrams.
const HEADER: usize = 16;

/// The frames that are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MediaConfig {
    /// Nanoseconds from one frame to the next, at least 1.
    pub interval: u64,
    /// The size of a frame, in bytes.
    pub frame: usize,
    /// The size of a key frame, in bytes.
    pub key_frame: usize,
    /// How many frames there are from one key frame to the next, at least 1.
    pub key_every: u32,
}

impl MediaConfig {
    /// A frame of `frame` bytes every `interval` nanoseconds, all alike.
    #[must_use]
    pub const fn new(interval: u64, frame: usize) -> Self {
        Self { interval, frame, key_frame: frame, key_every: 1 }
    }

    /// Makes one of every `every` frames a key frame of `bytes`.
    #[must_use]
    pub const fn key_frames(self, bytes: usize, every: u32) -> Self {
        Self { key_frame: bytes, key_every: every, ..self }
    }
}

/// The sending end. It is silent until [`Self::start`].
#[derive(Debug)]
pub struct MediaSender {
    own: SocketAddr,
    config: MediaConfig,
    peer: Option<SocketAddr>,
    due: Option<u64>,
    frames: u32,
    out: VecDeque<Datagram>,
}

impl MediaSender {
    /// A sender at `own`.
    #[must_use]
    pub fn new(own: SocketAddr, config: MediaConfig) -> Self {
        Self { own, config, peer: None, due: None, frames: 0, out: VecDeque::new() }
    }

    /// Begins to send to a [`MediaReceiver`] at `peer`.
    pub fn start(&mut self, now: u64, peer: SocketAddr) {
        (self.peer, self.due) = (Some(peer), Some(now));
        self.handle_timeout(now);
    }

    /// How many frames were made.
    #[must_use]
    pub fn frames(&self) -> u32 {
        self.frames
    }

    fn make(&mut self, made: u64, to: SocketAddr) {
        let MediaConfig { frame, key_frame, key_every, .. } = self.config;
        let mut left = if self.frames.is_multiple_of(key_every.max(1)) { key_frame } else { frame };
        let count = left.div_ceil(LARGEST - HEADER).max(1);
        for _ in 0..count {
            let size = left.min(LARGEST - HEADER);
            left -= size;
            let mut payload = Vec::with_capacity(HEADER + size);
            payload.extend_from_slice(&made.to_be_bytes());
            payload.extend_from_slice(&self.frames.to_be_bytes());
            payload.extend_from_slice(&(count as u32).to_be_bytes());
            payload.resize(HEADER + size, 0);
            self.out.push_back(Datagram { from: self.own, to, ecn: 0, payload });
        }
        self.frames += 1;
    }
}

impl Endpoint for MediaSender {
    fn handle_datagram(&mut self, _now: u64, _from: SocketAddr, _to: SocketAddr, _ecn: u8, _data: &[u8]) {}

    fn handle_timeout(&mut self, now: u64) {
        while let (Some(due), Some(to)) = (self.due.filter(|due| *due <= now), self.peer) {
            self.make(due, to);
            self.due = Some(due + self.config.interval.max(1));
        }
    }

    fn poll_transmit(&mut self, _now: u64) -> Option<Datagram> {
        self.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<u64> {
        self.due
    }
}

/// The receiving end.
#[derive(Debug, Default)]
pub struct MediaReceiver {
    bytes: u64,
    ages: Histogram,
    /// The incomplete frames: number, and how many of its datagrams arrived.
    parts: VecDeque<(u32, u32)>,
}

/// The most incomplete frames; older ones are given up.
const OPEN: usize = 64;

impl MediaReceiver {
    /// How many bytes arrived.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The time from the making of a frame to the arrival of its last datagram, in nanoseconds.
    #[must_use]
    pub fn ages(&self) -> &Histogram {
        &self.ages
    }
}

impl Endpoint for MediaReceiver {
    fn handle_datagram(&mut self, now: u64, _from: SocketAddr, _to: SocketAddr, _ecn: u8, data: &[u8]) {
        let Some((head, body)) = data.split_first_chunk::<HEADER>() else { return };
        self.bytes += body.len() as u64;
        let [made, rest] = [0, 8].map(|at| u64::from_be_bytes(std::array::from_fn(|byte| head[at + byte])));
        let (frame, count) = ((rest >> 32) as u32, rest as u32);
        let known = self.parts.iter_mut().find(|(number, _)| *number == frame);
        let came = match known {
            Some((_, came)) => {
                *came += 1;
                *came
            }
            None => {
                if self.parts.len() == OPEN {
                    self.parts.pop_front();
                }
                self.parts.push_back((frame, 1));
                1
            }
        };
        if came == count {
            self.parts.retain(|(number, _)| *number != frame);
            self.ages.record(now.saturating_sub(made));
        }
    }

    fn handle_timeout(&mut self, _now: u64) {}

    fn poll_transmit(&mut self, _now: u64) -> Option<Datagram> {
        None
    }

    fn poll_timeout(&self) -> Option<u64> {
        None
    }
}
