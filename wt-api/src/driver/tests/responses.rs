//! Responses of a server whose client acknowledges nothing, stops some, or takes its time.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::Method;
use netsim::{Random, for_seeds};
use quic_core::{StreamId, TransportConfig, base::Budget};

use super::{Rig, answering, pieces_of};
use crate::http3::{Body, Response};

const MIB: isize = 1 << 20;

/// What a connection with the default settings may hold of content, QUIC's own share and what is copied of it included.
const CONTENT: isize = 4 * MIB + 2 * MIB;

fn bytes(size: usize) -> Response {
    Response::new(Body::from(vec![7; size]))
}

fn pieces(count: usize, size: usize) -> Response {
    Response::new(pieces_of((0..count).map(move |_| Bytes::from(vec![7; size]))))
}

#[test]
fn bodies_that_nobody_acknowledges_wait_for_their_turn_before_they_are_made() {
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let builder = answering(move |_| {
        count.fetch_add(1, Relaxed);
        bytes(300 << 10)
    });
    let mut rig = Rig::new(builder, TransportConfig::default());
    rig.deaf = true;
    let streams: Vec<StreamId> = (0..900).map(|n| rig.get(Method::GET, &format!("/{n}"), &[])).collect();
    rig.turn();
    let worst = rig.worst();
    assert!(worst < CONTENT + 2 * MIB, "{worst} bytes of heap");
    assert!(rig.budget.used() as isize >= worst / 3, "{} bytes are charged", rig.budget.used());
    let before = made.load(Relaxed);
    assert!((14..=16).contains(&before), "the handler made {before} bodies");
    // The client hears again: everybody is answered, in order.
    rig.listen();
    rig.run(Duration::from_secs(20));
    assert_eq!(made.load(Relaxed), 900);
    assert_eq!(rig.order, streams);
    assert!(rig.got.values().all(|got| got.status == 200 && got.bytes == 300 << 10 && got.finished));
    let worst = rig.worst();
    assert!(worst < CONTENT + 2 * MIB, "{worst} bytes of heap while all were answered");
    let left = rig.growth();
    assert!(left < MIB, "{left} bytes are left");
}

#[test]
fn a_few_large_bodies_hold_up_no_small_one() {
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let builder = answering(move |request| {
        count.fetch_add(1, Relaxed);
        let size = if request.uri().path() == "/large" { 20 << 20 } else { 1000 };
        bytes(size)
    });
    let mut rig = Rig::new(builder, TransportConfig::default());
    rig.deaf = true;
    // Each is much more than the bound.
    let large: Vec<StreamId> = (0..7).map(|_| rig.get(Method::GET, "/large", &[])).collect();
    let small: Vec<StreamId> = (0..2).map(|_| rig.get(Method::GET, "/small", &[])).collect();
    rig.turn();
    assert_eq!(made.load(Relaxed), 8, "one small one is answered beside them, the other waits");
    rig.listen();
    rig.run(Duration::from_secs(60));
    assert_eq!(made.load(Relaxed), 9);
    assert!(large.iter().all(|stream| rig.got[stream].bytes == 20 << 20));
    assert!(small.iter().all(|stream| rig.got[stream].bytes == 1000));
}

/// How many of ten bodies of 100 kB are made while nothing is acknowledged.
fn made_at_once(transport: TransportConfig, others: usize) -> usize {
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let builder = answering(move |_| {
        count.fetch_add(1, Relaxed);
        bytes(100_000)
    });
    let mut rig = Rig::new(builder, transport);
    let mut budget = Budget::new(usize::MAX, rig.budget.clone());
    budget.charge(others).unwrap();
    rig.deaf = true;
    for _ in 0..10 {
        rig.get(Method::GET, "/", &[]);
    }
    rig.turn();
    made.load(Relaxed)
}

#[test]
fn where_memory_is_short_responses_are_made_one_by_one() {
    assert_eq!(made_at_once(TransportConfig::default(), 0), 10);
    // Three quarters of the endpoint's memory are spent, and a little.
    assert_eq!(made_at_once(TransportConfig::default(), 769 << 20), 1);
    // A connection that is to hold little answers eight at once all the same: its endpoint has memory.
    let little = TransportConfig::new().max_send_memory(256 << 10);
    assert_eq!(made_at_once(little.clone(), 0), 8);
    assert_eq!(made_at_once(little, 769 << 20), 1);
}

#[test]
fn bodies_that_are_stopped_as_more_of_them_could_leave_are_let_go() {
    let builder = answering(|_| bytes(3 << 20));
    let mut rig = Rig::new(builder, TransportConfig::default());
    for round in 0..10 {
        rig.deaf = true;
        let streams: Vec<StreamId> = (0..6).map(|_| rig.get(Method::GET, "/", &[])).collect();
        rig.run(Duration::from_millis(100));
        // What came is acknowledged, and nothing more is wanted, in one breath.
        rig.listen();
        streams.into_iter().for_each(|stream| rig.stop(stream));
        rig.run(Duration::from_secs(1));
        assert!(rig.conn(|conn| conn.http.is_idle()), "round {round}");
    }
    let left = rig.growth();
    assert!(left < MIB / 4, "{left} bytes are left");
}

#[test]
fn heads_that_wait_are_bounded_and_read_later() {
    let builder = answering(|request| {
        assert_eq!(request.headers()["cookie"].len(), 4000);
        bytes(150 << 10)
    });
    let mut rig = Rig::new(builder, TransportConfig::default());
    rig.deaf = true;
    let fields = [("cookie", "c".repeat(4000))];
    let streams: Vec<StreamId> = (0..900).map(|_| rig.get(Method::GET, "/", &fields)).collect();
    // The client paces what it sends.
    rig.run(Duration::from_secs(1));
    let heads = rig.conn(|conn| conn.http.heads());
    assert!((256 << 10..264 << 10).contains(&heads), "{heads} bytes of heads wait");
    // What QUIC holds of the others is within the windows.
    let worst = rig.worst();
    assert!(worst <= 3 * rig.budget.used() as isize + MIB, "{worst} for {}", rig.budget.used());
    rig.listen();
    rig.run(Duration::from_secs(20));
    assert_eq!(rig.order, streams);
}

#[test]
fn a_server_that_shuts_down_rejects_what_waits_unprocessed() {
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let builder = answering(move |_| {
        count.fetch_add(1, Relaxed);
        bytes(1 << 20)
    });
    let mut rig = Rig::new(builder, TransportConfig::default());
    rig.deaf = true;
    let fields = [("cookie", "c".repeat(4000))];
    let streams: Vec<StreamId> = (0..200).map(|_| rig.get(Method::GET, "/", &fields)).collect();
    // The client paces what it sends.
    rig.run(Duration::from_secs(1));
    let made = made.load(Relaxed);
    rig.conn(crate::driver::state::conn::Conn::go_away);
    rig.turn();
    rig.listen();
    rig.run(Duration::from_secs(5));
    for (n, stream) in streams.iter().enumerate() {
        let got = rig.got[stream];
        if n < made {
            assert!(got.finished && got.bytes == 1 << 20, "{n}: {got:?}");
        } else {
            assert_eq!(got.reset, Some(h3_core::error::code::H3_REQUEST_REJECTED), "{n}: {got:?}");
        }
    }
    assert!(rig.is_closed(), "nothing is left to wait for");
}

#[test]
fn a_server_without_memory_makes_no_bodies() {
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let builder = answering(move |_| {
        count.fetch_add(1, Relaxed);
        bytes(1000)
    });
    let mut rig = Rig::new(builder, TransportConfig::default());
    // Other connections hold nearly all of it.
    let mut others = Budget::new(usize::MAX, rig.budget.clone());
    others.charge(960 << 20).unwrap();
    let refused = rig.get(Method::GET, "/", &[]);
    rig.run(Duration::from_secs(1));
    assert_eq!(rig.got[&refused].reset, Some(h3_core::error::code::H3_REQUEST_REJECTED));
    assert_eq!(made.load(Relaxed), 0);
    others.release(960 << 20);
    let answered = rig.get(Method::GET, "/", &[]);
    rig.run(Duration::from_secs(1));
    assert_eq!((rig.got[&answered].bytes, made.load(Relaxed)), (1000, 1));
}

#[test]
fn content_without_end_and_without_bytes_holds_up_nobody() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let builder = answering(move |request| {
        if request.uri().path() == "/other" {
            return Response::new(Body::from("other"));
        }
        let count = Arc::clone(&count);
        Response::new(pieces_of(std::iter::from_fn(move || {
            count.fetch_add(1, Relaxed);
            Some(Bytes::new())
        })))
    });
    let mut rig = Rig::new(builder, TransportConfig::default());
    rig.get(Method::GET, "/endless", &[]);
    let other = rig.get(Method::GET, "/other", &[]);
    // One turn of the connection after the other, as the driver gives them.
    rig.turns(20);
    let pieces = asked.load(Relaxed);
    // At most 128 a turn of 1024 events: each counts as eight.
    assert!((100..=20 * 128).contains(&pieces), "{pieces} pieces in 20 turns");
    assert!(rig.got[&other].finished, "the other one has its turns");
}

#[test]
fn pieces_are_held_one_a_response_and_grow_for_one_at_a_time() {
    // A small piece first, so that many responses are let in, then large ones.
    let builder = answering(|_| {
        let sizes = [1000].into_iter().chain([128 << 10; 2]);
        Response::new(pieces_of(sizes.map(|size| Bytes::from(vec![7; size]))))
    });
    let mut rig = Rig::new(builder, TransportConfig::default());
    rig.deaf = true;
    let streams: Vec<StreamId> = (0..900).map(|_| rig.get(Method::GET, "/", &[])).collect();
    rig.turn();
    let worst = rig.worst();
    assert!(worst < CONTENT + 4 * MIB, "{worst} bytes of heap");
    rig.listen();
    rig.run(Duration::from_secs(60));
    assert_eq!(rig.order.len(), streams.len());
    assert!(rig.got.values().all(|got| got.bytes == 1000 + (256 << 10) && got.finished));
    // QUIC may hold as much as its window lets out, which grows.
    let worst = rig.worst();
    assert!(worst < CONTENT + 20 * MIB, "{worst} bytes of heap while all were answered");
}

/// Content that panics when it is dropped.
struct Bomb(u32);

impl Iterator for Bomb {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        self.0 = self.0.checked_sub(1)?;
        Some(Bytes::from(vec![7; 1000]))
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a test's content is dropped");
    }
}

/// Wherever that is: at its end, unasked for, refused, given up by either side, with the connection.
#[test]
fn content_that_panics_when_it_is_dropped_ends_no_other_response() {
    let builder = answering(|request| {
        let path = request.uri().path();
        let response = match path {
            "/none" => http::Response::builder().status(204),
            "/status" => http::Response::builder().status(999),
            "/length" => http::Response::builder().header("content-length", "word"),
            "/short" => http::Response::builder().header("content-length", "9"),
            "/fields" => http::Response::builder().header("connection", "close"),
            _ => http::Response::builder(),
        };
        response.body(pieces_of(Bomb(if path == "/long" { u32::MAX } else { 3 }))).unwrap()
    });
    let mut rig = Rig::new(builder, TransportConfig::default());
    for (method, path, answered) in [
        (Method::GET, "/whole", (200, 3000)),
        (Method::HEAD, "/whole", (200, 0)),
        (Method::GET, "/none", (204, 0)),
        (Method::GET, "/status", (500, 0)),
        (Method::GET, "/length", (500, 0)),
        (Method::GET, "/fields", (500, 0)),
    ] {
        let stream = rig.get(method, path, &[]);
        rig.run(Duration::from_secs(1));
        let got = rig.got[&stream];
        assert_eq!((got.status, got.bytes), answered, "{path}");
        assert!(got.finished && !rig.is_closed(), "{path}: {got:?}");
    }
    let short = rig.get(Method::GET, "/short", &[]);
    rig.run(Duration::from_secs(1));
    assert_eq!(rig.got[&short].reset, Some(h3_core::error::code::H3_INTERNAL_ERROR));
    let sending = |rig: &mut Rig| rig.conn(|conn| conn.http.all.len());
    let long = [0; 3].map(|_| rig.get(Method::GET, "/long", &[]));
    rig.turns(5);
    assert_eq!(sending(&mut rig), 3);
    rig.stop(long[0]);
    rig.turns(20);
    assert!(sending(&mut rig) == 2 && !rig.is_closed());
    // Two go with the connection, one in the other's panic.
    drop(rig);
}

/// What a drawn request is answered with.
#[derive(Clone, Copy, Debug)]
struct Drawn {
    pieces: Option<usize>,
    size: usize,
}

impl Drawn {
    fn bytes(self) -> usize {
        self.pieces.unwrap_or(1) * self.size
    }
}

/// Requests of drawn sizes and counts by a client that hears, is deaf, stops and waits as it likes.
fn draw(seed: u64) {
    let random = &mut Random::new(seed);
    let answers: Arc<Mutex<Vec<Drawn>>> = Arc::default();
    let known = Arc::clone(&answers);
    let builder = answering(move |request| {
        let index: usize = request.uri().path()[1..].parse().unwrap();
        let Drawn { pieces: count, size } = known.lock().unwrap()[index];
        match count {
            Some(count) => pieces(count, size),
            None => bytes(size),
        }
    });
    let mut rig = Rig::new(builder, TransportConfig::default());
    let (mut streams, mut stopped) = (Vec::new(), Vec::new());
    for _ in 0..40 {
        match random.below(8) {
            0..4 => {
                for _ in 0..random.below(60) {
                    let size = 1 << random.below(21);
                    let pieces = random.chance(0.4).then(|| random.below(6) as usize + 1);
                    let drawn = Drawn { pieces, size };
                    let mut answers = answers.lock().unwrap();
                    if streams.len() < 900 {
                        let method = if random.chance(0.1) { Method::HEAD } else { Method::GET };
                        let path = format!("/{}", answers.len());
                        let expected = if method == Method::HEAD { 0 } else { drawn.bytes() };
                        answers.push(drawn);
                        streams.push((rig.get(method, &path, &[]), expected));
                    }
                }
                rig.turn();
            }
            4 => rig.deaf = true,
            5 => rig.listen(),
            6 => {
                for _ in 0..random.below(10) {
                    if let Some((stream, _)) = streams.get(random.below(1 + streams.len() as u64) as usize) {
                        rig.stop(*stream);
                        stopped.push(*stream);
                    }
                }
                rig.turn();
            }
            _ => rig.run(Duration::from_millis(random.below(300))),
        }
        let (worst, charged) = (rig.worst(), rig.budget.used() as isize);
        assert!(worst < CONTENT + 2 * MIB + 2 * MIB, "{worst} bytes of heap, {charged} charged");
    }
    rig.listen();
    rig.run(Duration::from_secs(25));
    assert!(!rig.is_closed());
    for (stream, bytes) in &streams {
        let got = rig.got[stream];
        let whole = got.finished && got.bytes == *bytes;
        assert!(whole || stopped.contains(stream), "{stream:?}: {got:?} of {bytes} bytes");
    }
    let left = rig.conn(|conn| (conn.http.held(), conn.http.heads()));
    assert_eq!(left, (0, 0), "nothing is counted any more");
    let left = rig.growth();
    assert!(left < MIB, "{left} bytes are left");
}

#[test]
fn requests_drawn_at_random_are_answered_and_hold_little() {
    for_seeds(0..12, draw);
}
