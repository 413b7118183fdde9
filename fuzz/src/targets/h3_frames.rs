//! An HTTP/3 connection whose peer sends what the input says, on streams that the input chooses.
//!
//! The first byte is the role under test. Steps follow: a byte for the action, a byte for the length, and
//! that many bytes.

use std::collections::BTreeMap;

use bytes::Bytes;
use h3_core::{
    Config, Connection, Event, RequestHead, Settings, Transport,
    transport::mock::{End, Pair},
};
use http::{
    Method,
    uri::{Authority, PathAndQuery},
};
use quic_core::{Dir, Side, StreamId, base::Timestamp, error::call::Read};

/// The most steps of one input; more find nothing new.
const MAX_STEPS: usize = 64;

/// How much data of the peer a connection may hold, in bytes: its budget for unfinished field sections, and
/// as much for the data in the transport between the two ends.
const STATE: usize = 512 << 10;

/// The result of a run: events, content by stream, the code of a failure.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    events: Vec<String>,
    content: BTreeMap<StreamId, Vec<u8>>,
    failure: Option<u64>,
}

struct Run {
    pair: Pair,
    side: Side,
    h3: Connection,
    outcome: Outcome,
    /// The peer's streams: control, QPACK encoder and decoder, the latest of unknown type, the current
    /// request.
    streams: [Option<StreamId>; 5],
    piece: usize,
}

fn settings() -> Settings {
    Settings::new()
        .enable_connect_protocol(true)
        .h3_datagram(true)
        .wt_enabled(1)
        .wt_enabled_draft02(1)
        .max_field_section_size(Some(4096))
}

impl Run {
    fn new(side: Side, piece: usize) -> Self {
        let (mut pair, mut h3) = (Pair::new(), Connection::new(Config::new(settings()), side));
        let (ours, _) = pair.ends(side);
        h3.start(ours);
        let mut run = Self { pair, side, h3, outcome: Outcome::default(), streams: [None; 5], piece };
        if side.is_client() {
            let head = RequestHead::new(
                Method::GET,
                Authority::from_static("localhost"),
                PathAndQuery::from_static("/"),
            );
            let (ours, _) = run.pair.ends(side);
            run.streams[4] = run.h3.send_request(&head, true, ours).ok();
        }
        run.settle();
        run
    }

    fn peer(&mut self) -> &mut End {
        self.pair.ends(self.side).1
    }

    /// The peer's stream in this slot; opens it and sends its type if necessary.
    fn stream(&mut self, slot: usize) -> Option<StreamId> {
        if self.streams[slot].is_none() {
            let dir = if slot == 4 { Dir::Bidi } else { Dir::Uni };
            let id = self.peer().open(dir)?;
            let kind: &[u8] = [&[0_u8][..], &[2], &[3], &[], &[]][slot];
            let _ = self.peer().write(id, &mut Bytes::copy_from_slice(kind));
            self.streams[slot] = Some(id);
        }
        self.streams[slot]
    }

    fn step(&mut self, what: u8, bytes: &[u8]) {
        let slot = usize::from(what & 7);
        match slot {
            0..=4 => {
                if let Some(id) = self.stream(slot) {
                    let _ = self.peer().write(id, &mut Bytes::copy_from_slice(bytes));
                }
            }
            5 => {
                let _ = self.peer().send_datagram(Bytes::copy_from_slice(bytes), Default::default());
            }
            // Ends the stream that the first byte names. Another one replaces it when needed.
            _ => {
                let ended = usize::from(bytes.first().copied().unwrap_or(4)) % 5;
                if let Some(id) = self.streams[ended] {
                    let _ = if slot == 6 { self.peer().finish(id) } else { self.peer().reset(id, 7, 0) };
                    if ended > 2 {
                        self.streams[ended] = None;
                    }
                }
            }
        }
        self.settle();
    }

    /// Delivers and handles until nothing changes.
    fn settle(&mut self) {
        loop {
            let moved = self.pair.deliver(self.piece);
            let (ours, theirs) = self.pair.ends(self.side);
            theirs.events.clear();
            while let Some(event) = ours.events.pop_front() {
                self.h3.on_event(&event, Timestamp::ORIGIN, ours);
            }
            self.collect();
            if !moved {
                break;
            }
        }
    }

    fn collect(&mut self) {
        while let Some(event) = self.h3.poll_event() {
            match event {
                Event::Data { stream } => {
                    let (ours, _) = self.pair.ends(self.side);
                    while let Ok(Read::Data(bytes)) = self.h3.read_data(stream, 100, ours) {
                        self.outcome.content.entry(stream).or_default().extend_from_slice(&bytes);
                    }
                }
                Event::Failed(error) => self.outcome.failure = Some(error.code()),
                other => self.outcome.events.push(format!("{other:?}")),
            }
        }
    }
}

fn run(side: Side, piece: usize, mut script: &[u8]) -> Outcome {
    let mut run = Run::new(side, piece);
    for _ in 0..MAX_STEPS {
        let [what, length, rest @ ..] = script else { break };
        let (bytes, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        run.step(*what, bytes);
        script = rest;
    }
    assert!(run.h3.open_requests() <= MAX_STEPS + 1, "requests are bounded by the streams that were opened");
    assert_eq!(run.h3.failure().map(|error| error.code()), run.outcome.failure, "a failure is told");
    let failed = run.outcome.failure.is_some();
    let (ours, _) = run.pair.ends(side);
    assert_eq!(ours.closes, usize::from(failed), "a failed connection is closed once");
    run.outcome
}

/// The size of the pieces in which bytes arrive makes no difference.
pub fn target(data: &[u8]) -> bool {
    super::bound::bounded(data, STATE, check)
}

fn check(data: &[u8]) -> bool {
    let Some((first, script)) = data.split_first() else { return false };
    let side = if first & 1 == 0 { Side::Server } else { Side::Client };
    let whole = run(side, usize::MAX, script);
    let pieces = run(side, usize::from(first >> 1).max(1), script);
    assert_eq!(whole.failure, pieces.failure);
    if whole.failure.is_none() {
        assert_eq!(whole, pieces);
    }
    whole.failure.is_none()
}
