//! Clients that ask for something and do not go on: half a head, a request whose content never comes.

use std::time::Duration;

use bytes::Bytes;
use h3_core::{RequestHead, error::code, transport::ConnTransport};
use http::Method;
use quic_core::{Dir, StreamId, TransportConfig, error::call::ReadError};

use super::{Rig, answering, pieces_of};
use crate::{
    ServerBuilder,
    http3::{Body, Response},
};

const SECOND: Duration = Duration::from_secs(1);
/// A HEADERS frame of 100 bytes, of which there are four.
const HALF: &[u8] = &[0x01, 0x40, 100, 0x00, 0x00, 0xd1];
const STREAMS: u64 = 10;

/// A client that keeps the connection alive may have ten streams open.
fn rig(builder: ServerBuilder) -> Rig {
    let transport = TransportConfig::new().keep_alive(Some(10 * SECOND)).max_streams_bidi(STREAMS);
    Rig::new(builder, transport)
}

fn builder() -> ServerBuilder {
    answering(|request| match request.uri().path() {
        "/huge" => Response::new(Body::from(vec![7; 40 << 20])),
        "/large" => Response::new(Body::from(vec![7; 300 << 10])),
        "/panic" => Response::new(pieces_of(std::iter::from_fn(|| panic!("a test's content")))),
        _ => Response::new(Body::empty()),
    })
}

impl Rig {
    /// A stream that begins with these bytes.
    fn begin(&mut self, bytes: &[u8]) -> StreamId {
        let id = self.client.open(Dir::Bidi).expect("there is credit");
        self.client.write(id, &mut Bytes::copy_from_slice(bytes)).unwrap();
        id
    }

    /// The code with which the server has reset its part. It has stopped the other one if the credit comes back.
    fn reset_of(&mut self, id: StreamId) -> Option<u64> {
        match self.client.read(self.now, id, 1) {
            Err(ReadError::Reset(code)) => Some(code),
            _ => None,
        }
    }

    /// A request with content that does not come.
    fn post(&mut self, method: Method, path: &str) -> StreamId {
        let mut head = RequestHead::new(method, "localhost".parse().unwrap(), path.parse().unwrap());
        head.headers.append("content-length", "1000".parse().unwrap());
        let mut transport = ConnTransport::new(&mut self.client, self.now);
        let stream = self.h3.send_request(&head, false, &mut transport).expect("there is credit");
        self.h3.send_data(stream, &mut Bytes::from_static(b"it begins"), &mut transport).unwrap();
        stream
    }

    fn requests(&mut self) -> usize {
        self.conn(|conn| conn.stack.h3.open_requests())
    }
}

#[test]
fn a_head_that_does_not_end_ends_its_stream_alone_and_the_credit_comes_back() {
    let mut rig = rig(builder());
    let mut before = (0, 0);
    for round in 0..15 {
        let halves: Vec<StreamId> = (0..STREAMS).map(|_| rig.begin(HALF)).collect();
        assert_eq!(rig.client.open(Dir::Bidi), None, "that is all the server permits");
        rig.run(29 * SECOND);
        assert_eq!(rig.requests(), STREAMS as usize);
        rig.run(2 * SECOND);
        for half in halves {
            assert_eq!(rig.reset_of(half), Some(code::H3_REQUEST_INCOMPLETE));
        }
        assert!(!rig.is_closed());
        assert_eq!(rig.requests(), 0);
        // Whoever asks in words is answered.
        let stream = rig.get(Method::GET, "/", &[]);
        rig.run(SECOND);
        assert!(rig.got[&stream].finished && rig.got[&stream].status == 200);
        if round == 1 {
            before = (rig.budget.used(), rig.growth());
        }
    }
    // What QUIC charges ahead comes and goes; ten streams would cost twice as much.
    let charged = rig.budget.used().saturating_sub(before.0);
    assert!(charged < 4 << 10, "{charged} bytes stay charged");
    let growth = rig.growth() - before.1;
    assert!(growth < 4 << 10, "{growth} bytes are left");
}

/// Streams that name a session which the client does not ask for have the time of a request, and their credit comes back.
#[test]
fn streams_for_a_session_that_is_not_asked_for_end_in_their_time() {
    for (timeout, time) in [(None, 31), (Some(2 * SECOND), 3)] {
        let mut rig = rig(match timeout {
            Some(timeout) => builder().request_timeout(Some(timeout)),
            None => builder(),
        });
        for round in 0..3 {
            // The stream that would be opened next, and is not.
            let session = 4 * (STREAMS * (round + 1) - 1) as u8;
            let early: Vec<StreamId> =
                (1..STREAMS).map(|_| rig.begin(&[0x40, 0x41, 0x40, session])).collect();
            rig.run(time * SECOND - 2 * SECOND);
            assert_eq!(rig.conn(|conn| conn.stack.sessions.early().0), early.len());
            rig.run(3 * SECOND);
            for stream in early {
                assert_eq!(rig.reset_of(stream), Some(0x3994_bd84));
            }
            assert_eq!(rig.conn(|conn| conn.stack.sessions.early().0), 0);
            assert!(!rig.is_closed());
            let stream = rig.get(Method::GET, "/", &[]);
            rig.run(SECOND);
            assert!(rig.got[&stream].finished && rig.got[&stream].status == 200);
        }
    }
}

#[test]
fn the_time_of_a_request_is_the_servers_choice_and_may_be_none() {
    let mut short = rig(builder().request_timeout(Some(2 * SECOND)));
    let half = short.begin(HALF);
    short.run(3 * SECOND);
    assert_eq!(short.reset_of(half), Some(code::H3_REQUEST_INCOMPLETE));
    for timeout in [None, Some(Duration::ZERO), Some(Duration::MAX)] {
        let mut rig = rig(builder().request_timeout(timeout));
        let half = rig.begin(HALF);
        rig.run(1000 * SECOND);
        assert!(!rig.is_closed());
        assert_eq!(rig.reset_of(half), None, "{timeout:?}");
    }
}

#[test]
fn content_that_nobody_sends_does_not_keep_a_stream_whose_response_has_arrived() {
    let mut rig = rig(builder());
    for round in 0..20 {
        let asked = [
            (rig.post(Method::POST, "/"), 0),
            (rig.post(Method::HEAD, "/large"), 0),
            (rig.post(Method::POST, "/large"), 300 << 10),
        ];
        let broken = rig.post(Method::POST, "/panic");
        let unwanted = rig.post(Method::POST, "/large");
        rig.stop(unwanted);
        rig.run(SECOND);
        for (stream, bytes) in asked {
            let got = rig.got[&stream];
            assert!(got.finished && got.reset.is_none() && got.bytes == bytes, "{round}: {got:?}");
        }
        assert_eq!(rig.got[&broken].reset, Some(code::H3_INTERNAL_ERROR));
        assert_eq!(rig.requests(), 0, "round {round}");
        assert!(!rig.is_closed());
    }
    // 100 requests on ten streams.
    assert!(rig.client.stream_limit(quic_core::Side::Client, Dir::Bidi) >= 100);
}

#[test]
fn content_is_not_refused_before_the_response_has_arrived() {
    let mut rig = rig(builder());
    rig.deaf = true;
    let stream = rig.post(Method::POST, "/large");
    rig.run(5 * SECOND);
    assert_eq!(rig.requests(), 1);
    rig.listen();
    rig.run(5 * SECOND);
    let got = rig.got[&stream];
    assert!(got.finished && got.bytes == 300 << 10, "{got:?}");
    assert_eq!(rig.requests(), 0);
}

/// The client decides when a response is over, and so for how long what it sends meanwhile would lie here.
#[test]
fn content_that_no_handler_takes_holds_nothing_while_the_response_waits() {
    let mut rig = rig(builder());
    rig.leaves_content = true;
    let head = RequestHead::new(Method::POST, "localhost".parse().unwrap(), "/huge".parse().unwrap());
    let mut transport = ConnTransport::new(&mut rig.client, rig.now);
    let stream = rig.h3.send_request(&head, false, &mut transport).expect("there is credit");
    rig.run(SECOND);
    let (before, mut left) = (rig.growth(), 64 << 20);
    for _ in 0..10_000 {
        let size = (64 << 10).min(left);
        let mut chunk = Bytes::from(vec![7; size]);
        let mut transport = ConnTransport::new(&mut rig.client, rig.now);
        rig.h3.send_data(stream, &mut chunk, &mut transport).unwrap();
        left -= size - chunk.len();
        rig.run(SECOND / 100);
        if left == 0 {
            break;
        }
    }
    assert_eq!(left, 0, "its client may send on");
    assert!(rig.growth() - before < 1 << 20, "{} bytes are held", rig.growth() - before);
    assert_eq!((rig.requests(), rig.got[&stream].finished), (1, false), "the response waits for its reader");
}
