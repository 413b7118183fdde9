//! Turns bytes into a sequence of hostile steps, for property tests and fuzzing. The steps are frames of
//! every type with arbitrary fields, and packets of any kind: coalesced, replayed, forged, or from another
//! address. There are floods, key updates and closes, and an application that acts meanwhile.
//!
//! Whatever the bytes are, these invariants hold: nothing panics or hangs, the memory stays in proportion to
//! the charges, a close has a code that RFC 9000 defines, and nothing is left of the connection.

mod source;

use std::{net::SocketAddr, time::Duration};

use quic_core::{Dir, Event, Level, Side, Space, StreamId};

use crate::{
    peer::Close,
    world::{Options, Stage, World},
};
use source::Source;

/// The most steps of one input.
const MAX_STEPS: usize = 120;
/// The most memory that the endpoint may hold for the peer, in bytes.
const MAX_MEMORY: usize = 8 << 20;
/// How much heap the endpoint and its connection may use beyond three times their charges, in bytes. It is as
/// in [`heap`](crate::heap), but with few streams and queued datagrams.
const UNCHARGED: isize = 64 << 10;

/// Plays the steps in `bytes`. Returns whether the endpoint accepted one of their packets as authentic.
///
/// # Panics
/// If an invariant is violated, which is the purpose.
#[must_use]
pub fn drive(bytes: &[u8]) -> bool {
    let mut source = Source::new(bytes);
    let first = source.byte();
    let side = if first & 1 == 0 { Side::Server } else { Side::Client };
    let stage =
        [Stage::Confirmed, Stage::Confirmed, Stage::Handshake, Stage::Initial][usize::from(first >> 1 & 3)];
    let mut world = World::with(side, stage, Options::default());
    let before = world.connection().stats().packets_received;
    let mut player = Player {
        world: &mut world,
        stage,
        sent: Vec::new(),
        validated: stage == Stage::Confirmed,
        charged: 0,
    };
    for _ in 0..MAX_STEPS {
        if source.is_empty() {
            break;
        }
        player.step(&mut source);
        player.check();
    }
    player.end();
    world.connection().stats().packets_received > before
}

struct Player<'a> {
    world: &'a mut World,
    stage: Stage,
    /// The latest datagrams, for replays.
    sent: Vec<Vec<u8>>,
    /// Whether the peer may have proved its address.
    validated: bool,
    /// The charges after the previous step, in bytes.
    charged: usize,
}

impl Player<'_> {
    fn step(&mut self, source: &mut Source<'_>) {
        match source.choice(16) {
            0..=5 => {
                let space = self.space(source);
                let payload = source.frames();
                let datagram = self.world.peer.sealed(space, payload);
                self.send(datagram);
            }
            6 => {
                let datagram: Vec<u8> =
                    (0..=source.choice(3)).flat_map(|_| self.odd_packet(source)).collect();
                self.send(datagram);
            }
            7 => self.again(source),
            8 => {
                self.validated = true;
                self.world.step();
            }
            9 => self.world.run_silently(Duration::from_millis(8 * u64::from(source.byte()))),
            10 | 11 => self.application(source),
            12 => self.flood(source),
            13 => {
                let datagram = source.bytes(255).to_vec();
                self.send(datagram);
            }
            14 => self.world.peer.acks = source.bool(),
            _ => self.world.peer.generation = source.choice(4),
        }
        self.world.poll();
    }

    /// The highest space for which the peer has keys, or sometimes another one.
    fn space(&self, source: &mut Source<'_>) -> Space {
        let usual = match self.stage {
            Stage::Initial => Space::Initial,
            Stage::Handshake => Space::Handshake,
            Stage::Confirmed => Space::Data,
        };
        let other = Space::ALL[source.choice(3)];
        if source.byte() > 230 && self.world.peer.has(other) { other } else { usual }
    }

    fn send(&mut self, datagram: Vec<u8>) {
        // Handshake packets prove the address (RFC 9000 §8.1).
        self.validated |= self.stage != Stage::Initial;
        self.world.deliver(&datagram);
        if self.sent.len() >= 8 {
            self.sent.remove(0);
        }
        self.sent.push(datagram);
    }

    /// A packet with one dishonest field.
    fn odd_packet(&mut self, source: &mut Source<'_>) -> Vec<u8> {
        let space = self.space(source);
        let payload = source.frames();
        let mut packet = self.world.peer.packet(space, payload);
        match source.choice(10) {
            0 => packet.flip = source.byte(),
            1 => packet.pn_size = 1 + source.choice(4),
            2 => packet.length = Some(source.number()),
            3 => packet.number = source.number(),
            4 => packet.generation = source.choice(3),
            5 => packet.key_phase = source.bool(),
            6 => packet.forged = true,
            7 => packet.dcid = source.bytes(20).to_vec(),
            8 => packet.version = u32::from(source.byte()),
            _ if packet.kind != Level::OneRtt => packet.kind = Level::ZeroRtt,
            _ => {}
        }
        // A 0-RTT packet is sealed with 1-RTT keys if there are any.
        if packet.kind == Level::ZeroRtt && !self.world.peer.has(Space::Data) {
            packet.kind = Level::Initial;
        }
        self.world.peer.seal(packet)
    }

    /// An earlier datagram, unchanged or damaged, from the same or another address.
    fn again(&mut self, source: &mut Source<'_>) {
        if self.sent.is_empty() {
            return;
        }
        let mut datagram = self.sent[source.choice(self.sent.len())].clone();
        let how = source.byte();
        if how & 1 == 1 && !datagram.is_empty() {
            let at = usize::from(source.byte()) * 7 % datagram.len();
            datagram[at] ^= 1 << (how >> 1 & 7);
        }
        if how & 0x80 == 0 {
            self.world.deliver(&datagram);
        } else {
            let elsewhere: SocketAddr = "198.51.100.7:9999".parse().expect("an address");
            self.world.deliver_from(elsewhere, &datagram);
        }
    }

    /// Sends a packet up to 512 times, with a counter in its last bytes.
    fn flood(&mut self, source: &mut Source<'_>) {
        let rounds = 2_u32 << source.choice(9);
        let mut payload = source.frame();
        if payload.is_empty() || self.stage != Stage::Confirmed {
            return;
        }
        for round in 0..rounds {
            let last = payload.len() - 1;
            payload[last] = payload[last].wrapping_add((round % 3) as u8);
            self.world.send_fast(&payload);
        }
    }

    fn application(&mut self, source: &mut Source<'_>) {
        let (side, now) = (self.world.side(), self.world.now);
        let dir = if source.bool() { Dir::Bidi } else { Dir::Uni };
        let index = u64::from(source.byte() % 4);
        let World { connection, meter, reads, .. } = &mut *self.world;
        let (_, connection) = connection.as_mut().expect("there is a connection");
        let kind = source.choice(8);
        meter.count(|| match kind {
            0 | 1 => {
                if let Some(id) = connection.open(dir) {
                    let _ = connection.write(id, &mut vec![7; 80 * usize::from(source.byte())].into());
                    let _ = connection.finish(id);
                }
            }
            2 => drop(connection.reset(StreamId::new(side, dir, index), 3, u64::from(source.byte()))),
            3 => drop(connection.stop_sending(StreamId::new(side.peer(), dir, index), 4)),
            4 => drop(connection.send_datagram(
                now,
                vec![8; 5 * usize::from(source.byte())].into(),
                Default::default(),
            )),
            5 => *reads = source.bool(),
            6 => drop(connection.update_keys()),
            _ if source.byte() > 200 => connection.close(now, u64::from(source.byte()), b"over"),
            _ => connection.ping(),
        });
    }

    /// Checks what holds at any time.
    fn check(&mut self) {
        let stats = self.world.connection().stats();
        assert!(stats.memory_peak <= MAX_MEMORY.min(stats.memory_limit), "{stats:?}");
        let (heap, now) = (self.world.meter.take_peak(), self.world.budget.used());
        // The worst moment may have been the beginning of the step.
        let charged = std::mem::replace(&mut self.charged, now).max(now);
        let permitted = 3 * charged as isize + UNCHARGED;
        assert!(heap <= permitted, "{heap} bytes of heap for {charged} charged");
        if !self.validated && self.world.side() == Side::Server {
            let (sent, received) = (self.world.bytes_out, self.world.bytes_in);
            assert!(sent <= 3 * received, "{sent} bytes for {received}");
        }
    }

    /// Checks what holds at the end. The world checks the rest when it is dropped.
    fn end(&mut self) {
        let closes = self.world.peer.closes();
        // RFC 9000 §10.2.3: in packets that anybody can read, an application's close becomes
        // APPLICATION_ERROR.
        let hidden = |close: &&Close| !close.application && close.code == 0x0c;
        let shown = closes.iter().filter(|close| !hidden(close)).count();
        assert!(shown <= 1 && closes.len() <= 2, "{closes:?}");
        for close in closes.iter().filter(|close| !close.application) {
            // RFC 9000 §20.1, RFC 9368 §10.
            assert!(matches!(close.code, 0..=0x11 | 0x0100..=0x01ff), "{close:?} has no code of a transport");
        }
        let completed = |event: &&Event| matches!(event, Event::HandshakeComplete);
        assert!(self.world.app.events.iter().filter(completed).count() <= 1);
    }
}
