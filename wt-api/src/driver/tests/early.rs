//! Clients without credit: those that have used it up themselves, by streams for a session that does not come, and those whose
//! data an application leaves unread.

use std::time::Duration;

use bytes::Bytes;
use h3_core::error::code;
use netsim::{Random, for_seeds};
use quic_core::{
    Dir, StreamId, TransportConfig,
    base::{Timestamp, varint},
    error::call::{Read, ReadError},
};
use wt_session::{Config, Dialect, Dialects};

use super::{Rig, once};
use crate::{BidirectionalStream, ReceiveStream, Server, WebTransport};

/// Seeds of a run of the suite.
const SEEDS: u64 = 6;
const TIMEOUT: Duration = Duration::from_secs(2);
/// How often the driver looks at most for what has waited too long, and what a test looks after.
const LOOK: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(20);
/// Streams of each direction that the client may have open.
const STREAMS: u64 = 120;
const REJECTED: u64 = 0x3994_bd84;
/// A HEADERS frame of 100 bytes, of which there are four.
const HALF: &[u8] = &[0x01, 0x40, 100, 0x00, 0x00, 0xd1];

/// What a seed draws.
#[derive(Debug)]
struct Drawn {
    dialect: Dialect,
    /// The largest window of the connection, in bytes.
    window: u64,
    /// Early streams, and the bytes on each: more than fit into the window.
    count: u64,
    size: usize,
    /// Of a hundred of them, so many are unidirectional.
    uni: u64,
}

impl Drawn {
    /// Each seed has another pair of a dialect and of directions.
    fn new(seed: u64, random: &mut Random) -> Self {
        let dialect = [Dialect::Draft02, Dialect::Draft16][(seed % 2) as usize];
        let window = (512 << 10) + random.below(1 << 20);
        // As many as sessions keep by default.
        let count = 8 + random.below(17);
        let size = (window / count + 1 + random.below(window / count)) as usize;
        Self { dialect, window, count, size, uni: [0, 50, 100][(seed % 3) as usize] }
    }

    fn rig(&self) -> Rig {
        let transport = TransportConfig::new()
            .keep_alive(Some(Duration::from_secs(10)))
            .max_streams_bidi(STREAMS)
            .max_streams_uni(STREAMS)
            .receive_window(self.window / 2)
            .max_receive_window(self.window)
            .stream_receive_window(self.window);
        let mut sessions = Config::default();
        sessions.dialects = Dialects::only(self.dialect);
        Rig::with_sessions(Server::builder().request_timeout(Some(TIMEOUT)), transport, &sessions)
    }
}

/// A session in which the application sends back what it reads, and a stream of the client's in it.
struct Echo {
    session: WebTransport,
    id: StreamId,
    asked: Option<StreamId>,
    stream: Option<BidirectionalStream>,
}

impl Echo {
    fn new(rig: &mut Rig) -> Self {
        let (session, id) = rig.session();
        Self { session, id, asked: None, stream: None }
    }

    /// The client sends so much on a new stream.
    fn ask(&mut self, rig: &mut Rig, size: usize) {
        self.asked = Some(rig.push_stream(Dir::Bidi, self.id.value(), size));
    }

    /// What the application can do now.
    fn serve(&mut self, rig: &mut Rig) {
        if self.stream.is_none() {
            self.stream = once(self.session.accept_bidirectional_stream()).and_then(Result::ok);
        }
        let Some(stream) = &mut self.stream else { return };
        let (reader, writer) = stream.split_mut();
        while let Some(Ok(Some(chunk))) = once(reader.read_chunk(usize::MAX)) {
            once(writer.write_chunk(chunk)).expect("there is room").expect("the session is open");
        }
        rig.turn();
    }

    /// How long it takes until the client has so much back, at most `most`.
    fn answered(&mut self, rig: &mut Rig, size: usize, most: Duration) -> Option<Duration> {
        let (begin, asked) = (rig.now, self.asked.take()?);
        let mut got = 0;
        while rig.now.saturating_since(begin) <= most {
            rig.turn();
            self.serve(rig);
            while let Ok(Read::Data(bytes)) = rig.client.read(rig.now, asked, usize::MAX) {
                got += bytes.len();
            }
            if got == size {
                self.stream = None;
                return Some(rig.now.saturating_since(begin));
            }
            rig.run(STEP);
        }
        None
    }
}

impl Rig {
    /// A stream of the client's in this session, or for it, with so many bytes.
    fn push_stream(&mut self, dir: Dir, session: u64, size: usize) -> StreamId {
        let mut data = Vec::with_capacity(size + 8);
        varint::put(&mut data, if dir == Dir::Bidi { 0x41 } else { 0x54 });
        varint::put(&mut data, session);
        data.resize(data.len() + size, 7);
        let stream = self.client.open(dir).expect("the server permits it");
        let mut data = Bytes::from(data);
        self.client.write(stream, &mut data).expect("it is open");
        assert!(data.is_empty(), "there is room");
        stream
    }

    /// Streams of a session that is not asked for, as they were drawn.
    fn fill(&mut self, drawn: &Drawn, session: u64, random: &mut Random) -> Vec<StreamId> {
        let dir = |random: &mut Random| if random.below(100) < drawn.uni { Dir::Uni } else { Dir::Bidi };
        (0..drawn.count).map(|_| self.push_stream(dir(random), session, drawn.size)).collect()
    }

    fn early(&mut self) -> usize {
        self.conn(|conn| conn.stack.sessions.early().0)
    }

    /// The server has reset its part of the stream with this code.
    fn has_reset(&mut self, stream: StreamId, code: u64) -> bool {
        self.client.read(self.now, stream, 1) == Err(ReadError::Reset(code))
    }
}

fn seconds(since: Timestamp, now: Timestamp) -> Duration {
    now.saturating_since(since)
}

#[test]
fn early_streams_that_use_up_the_credit_go_in_their_time_and_a_good_session_goes_on() {
    for_seeds(0..SEEDS, |seed| {
        let mut random = Random::new(seed);
        let drawn = Drawn::new(seed, &mut random);
        let mut rig = drawn.rig();
        let mut echo = Echo::new(&mut rig);
        echo.ask(&mut rig, 2000);
        assert_eq!(echo.answered(&mut rig, 2000, Duration::ZERO), Some(Duration::ZERO), "{drawn:?}");
        for round in 0..2 {
            let (before, growth) = (rig.budget.used(), rig.growth());
            // The last stream that the client may open.
            let never = rig.client.stream_limit(quic_core::Side::Client, Dir::Bidi) - 1;
            let early = rig.fill(&drawn, 4 * never, &mut random);
            rig.run(TIMEOUT / 4);
            let held = rig.budget.used() - before;
            assert!(held as u64 > drawn.window * 9 / 10, "{held} bytes: {drawn:?}");
            echo.ask(&mut rig, 2000);
            rig.run(TIMEOUT / 2);
            assert!(rig.early() > 0, "they have time: {drawn:?}");
            let took = echo.answered(&mut rig, 2000, TIMEOUT / 4 + LOOK + 2 * STEP);
            assert!(took.is_some(), "the good session was not served again in round {round}: {drawn:?}");
            rig.run(TIMEOUT + 2 * LOOK);
            assert_eq!(rig.early(), 0, "{drawn:?}");
            let bidi = early.iter().filter(|stream| stream.dir() == Dir::Bidi);
            let reset = bidi.filter(|stream| !rig.has_reset(**stream, REJECTED)).count();
            assert_eq!(reset, 0, "{drawn:?}");
            assert!(!rig.is_closed());
            // What was charged for them is given back, and the heap is as it was but for tables.
            let (used, more) = (rig.budget.used().saturating_sub(before), rig.growth() - growth);
            assert!(used < 32 << 10, "{used} bytes stay charged: {drawn:?}");
            assert!(more < 128 << 10, "{more} bytes stay: {drawn:?}");
        }
    });
}

#[test]
fn half_a_request_does_not_keep_the_streams_that_name_it() {
    for_seeds(0..SEEDS, |seed| {
        let mut random = Random::new(seed);
        let drawn = Drawn::new(seed, &mut random);
        let mut rig = drawn.rig();
        let mut echo = (random.below(2) == 0).then(|| Echo::new(&mut rig));
        let before = rig.budget.used();
        let half = rig.client.open(Dir::Bidi).expect("the server permits it");
        rig.client.write(half, &mut Bytes::from_static(HALF)).expect("it is open");
        let begin = rig.now;
        rig.fill(&drawn, half.value(), &mut random);
        rig.run(TIMEOUT / 2);
        assert!(rig.early() > 0);
        if let Some(echo) = &mut echo {
            echo.ask(&mut rig, 2000);
            let took = echo.answered(&mut rig, 2000, TIMEOUT / 2 + LOOK + 2 * STEP);
            assert!(took.is_some(), "the good session was not served again: {drawn:?}");
        }
        rig.run((TIMEOUT + LOOK).saturating_sub(seconds(begin, rig.now)));
        assert!(rig.has_reset(half, code::H3_REQUEST_INCOMPLETE), "{drawn:?}");
        // What comes after it is refused at once.
        rig.run(LOOK);
        assert_eq!(rig.early(), 0, "{drawn:?}");
        let used = rig.budget.used().saturating_sub(before);
        assert!(used < 32 << 10, "{used} bytes stay charged: {drawn:?}");
    });
}

/// What the application leaves unread is no fault of the client: it can neither finish its request nor begin another.
#[test]
fn a_client_whose_data_an_application_leaves_unread_is_not_late() {
    for_seeds(0..SEEDS, |seed| {
        let mut random = Random::new(seed);
        // Without flow control of its own one session can take all of the connection's.
        let drawn = Drawn { dialect: Dialect::Draft02, ..Drawn::new(seed, &mut random) };
        let mut rig = drawn.rig();
        let (session, id) = rig.session();
        let half = rig.client.open(Dir::Bidi).expect("the server permits it");
        rig.client.write(half, &mut Bytes::from_static(HALF)).expect("it is open");
        let waits = [Dir::Uni, Dir::Bidi].map(|dir| rig.push_stream(dir, half.value(), 100));
        rig.turn();
        let flood: Vec<StreamId> =
            (0..drawn.count).map(|_| rig.push_stream(Dir::Uni, id.value(), drawn.size)).collect();
        // Some of the streams are taken, none is read.
        let mut taken: Vec<ReceiveStream> = Vec::new();
        rig.run(10 * TIMEOUT);
        for _ in 0..random.below(drawn.count) {
            taken.extend(once(session.accept_unidirectional_stream()).and_then(Result::ok));
        }
        rig.run(10 * TIMEOUT);
        assert_eq!(rig.early(), waits.len(), "{drawn:?}");
        assert!(!rig.has_reset(half, code::H3_REQUEST_INCOMPLETE), "{drawn:?}");
        // All is read, and the client says no more though it could.
        let (mut read, begin) = (0, rig.now);
        while read < drawn.size * flood.len() {
            rig.run(STEP);
            assert!(rig.now.saturating_since(begin) < TIMEOUT, "{read} bytes came: {drawn:?}");
            taken.extend(once(session.accept_unidirectional_stream()).and_then(Result::ok));
            for stream in &mut taken {
                while let Some(Ok(Some(chunk))) = once(stream.read_chunk(usize::MAX)) {
                    read += chunk.len();
                }
            }
        }
        rig.run(TIMEOUT + LOOK);
        assert!(rig.has_reset(half, code::H3_REQUEST_INCOMPLETE), "{drawn:?}");
        assert_eq!(rig.early(), 0, "{drawn:?}");
    });
}
