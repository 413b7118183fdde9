//! An application with habits: it reads or not, it accepts, refuses or ignores requests, and it writes and
//! closes at random.

use bytes::Bytes;
use h3_core::{RequestHead, ResponseHead, transport::ConnTransport};
use http::{HeaderMap, Method, StatusCode};
use netsim::Random;
use quic_core::{Dir, StreamId, error::call::Read};
use wt_session::{CloseInfo, ConnectRequest, Event, SessionId, Sessions};

/// The most streams and sessions that the application remembers. Its lists have this capacity from the start.
const REMEMBERED: usize = 4096;

/// The application of the end under test.
pub(super) struct App {
    random: Random,
    /// The percentages of cases in which it reads data, accepts a session and answers a request.
    reads: u64,
    accepts: u64,
    answers: u64,
    sessions: Vec<SessionId>,
    streams: Vec<StreamId>,
    requests: Vec<StreamId>,
}

fn remember<T>(list: &mut Vec<T>, item: T, random: &mut Random) {
    if list.len() < REMEMBERED {
        list.push(item);
    } else {
        list[random.below(REMEMBERED as u64) as usize] = item;
    }
}

impl App {
    pub(super) fn new(mut random: Random) -> Self {
        let mut habit = || [0, 10, 50, 100][random.below(4) as usize];
        let (reads, accepts, answers) = (habit(), habit().max(10), habit());
        let sessions = Vec::with_capacity(REMEMBERED);
        let (streams, requests) = (Vec::with_capacity(REMEMBERED), Vec::with_capacity(REMEMBERED));
        Self { random, reads, accepts, answers, sessions, streams, requests }
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.random.below(100) < percent
    }

    fn one<T: Copy>(random: &mut Random, list: &[T]) -> Option<T> {
        list.get(random.below(list.len().max(1) as u64) as usize).copied()
    }

    pub(super) fn take_events(
        &mut self,
        sessions: &mut Sessions,
        h3: &mut h3_core::Connection,
        t: &mut ConnTransport<'_>,
    ) {
        while let Some(event) = sessions.poll_event() {
            match event {
                Event::Incoming { session, .. } => self.decide(session, sessions, h3, t),
                Event::Established { session, .. } => {
                    remember(&mut self.sessions, session, &mut self.random);
                }
                Event::StreamOpened { stream, .. } => {
                    remember(&mut self.streams, stream, &mut self.random);
                }
                Event::Readable { stream } if self.chance(self.reads) => {
                    while matches!(sessions.read(stream, 4096, t), Ok(Read::Data(_))) {}
                }
                Event::Writable { stream } if self.chance(50) => self.write(stream, sessions, t),
                Event::Http(event) => self.on_http(&event, h3, t),
                _ => {}
            }
        }
    }

    fn decide(
        &mut self,
        session: SessionId,
        sessions: &mut Sessions,
        h3: &mut h3_core::Connection,
        t: &mut ConnTransport<'_>,
    ) {
        remember(&mut self.sessions, session, &mut self.random);
        if self.chance(self.accepts) {
            let _ = sessions.accept(session, HeaderMap::new(), h3, t);
        } else if self.chance(30) {
            sessions.reject(session, StatusCode::FORBIDDEN, HeaderMap::new(), h3, t);
        }
    }

    fn on_http(&mut self, event: &h3_core::Event, h3: &mut h3_core::Connection, t: &mut ConnTransport<'_>) {
        match *event {
            h3_core::Event::Request { stream, .. } => {
                remember(&mut self.requests, stream, &mut self.random);
                if self.chance(self.answers) {
                    let head = ResponseHead::new(StatusCode::OK);
                    let _ = h3.send_response(stream, &head, false, t);
                    self.content(stream, h3, t);
                }
            }
            h3_core::Event::Data { stream } if self.chance(self.reads) => {
                while matches!(h3.read_data(stream, 4096, t), Ok(Read::Data(_))) {}
            }
            h3_core::Event::Writable { stream } if self.chance(50) => self.content(stream, h3, t),
            _ => {}
        }
    }

    fn bytes(&mut self) -> Bytes {
        Bytes::from(vec![7; 1 << self.random.below(18)])
    }

    fn content(&mut self, stream: StreamId, h3: &mut h3_core::Connection, t: &mut ConnTransport<'_>) {
        let mut data = self.bytes();
        while !data.is_empty() && h3.send_data(stream, &mut data, t).is_ok_and(|taken| taken > 0) {}
        if self.chance(20) {
            let _ = h3.finish(stream, t);
        }
    }

    fn write(&mut self, stream: StreamId, sessions: &mut Sessions, t: &mut ConnTransport<'_>) {
        let mut data = self.bytes();
        while !data.is_empty() && sessions.write(stream, &mut data, t).is_ok_and(|taken| taken > 0) {}
        if self.chance(20) {
            let _ = sessions.finish(stream, t);
        }
    }

    /// An action of the application's own accord.
    pub(super) fn act(
        &mut self,
        sessions: &mut Sessions,
        h3: &mut h3_core::Connection,
        t: &mut ConnTransport<'_>,
    ) {
        let session = Self::one(&mut self.random, &self.sessions);
        let stream = Self::one(&mut self.random, &self.streams);
        let request = Self::one(&mut self.random, &self.requests);
        match (self.random.below(16), session, stream, request) {
            (0..3, Some(session), ..) => {
                let dir = if self.chance(50) { Dir::Bidi } else { Dir::Uni };
                for _ in 0..=self.random.below(40) {
                    let Ok(Some(stream)) = sessions.open(session, dir, t) else { break };
                    remember(&mut self.streams, stream, &mut self.random);
                    self.write(stream, sessions, t);
                }
            }
            (3..5, _, Some(stream), _) => self.write(stream, sessions, t),
            (5, _, Some(stream), _) => drop(sessions.reset(stream, 5, t)),
            (6, _, Some(stream), _) => drop(sessions.stop(stream, 6, t)),
            (7, _, Some(stream), _) => while matches!(sessions.read(stream, 4096, t), Ok(Read::Data(_))) {},
            (8, Some(session), ..) => {
                for _ in 0..=self.random.below(300) {
                    let payload = Bytes::from(vec![8; 1000]);
                    let _ = sessions.send_datagram(session, payload, h3, t);
                }
            }
            (9, Some(session), ..) if self.chance(30) => {
                sessions.close(session, CloseInfo::new(9, "enough"), h3, t);
            }
            (10, Some(session), ..) if self.chance(30) => drop(sessions.drain(session, h3, t)),
            (11, Some(session), ..) => self.decide(session, sessions, h3, t),
            (12, .., Some(request)) => self.content(request, h3, t),
            (13, .., Some(request)) if self.chance(50) => h3.stop(request, 0x10c, t),
            (14, .., Some(request)) => h3.reset(request, 0x10c, t),
            (15, ..) if self.chance(3) => sessions.go_away(h3, t),
            _ => self.connect(sessions, h3, t),
        }
        self.take_events(sessions, h3, t);
    }

    fn connect(&mut self, sessions: &mut Sessions, h3: &mut h3_core::Connection, t: &mut ConnTransport<'_>) {
        if self.chance(30) {
            return self.get(h3, t);
        }
        let mut headers = HeaderMap::new();
        if self.chance(30) {
            let value = "v".repeat(1 << self.random.below(12));
            headers.insert("x-much", value.parse().expect("a field"));
        }
        let request =
            ConnectRequest::new("localhost".parse().expect("an authority"), "/".parse().expect("a path"))
                .with_headers(headers);
        // A server gets an error that says so.
        let _ = sessions.connect(request, h3, t);
    }

    /// A client's plain request, sometimes with content.
    fn get(&mut self, h3: &mut h3_core::Connection, t: &mut ConnTransport<'_>) {
        let authority = "localhost".parse().expect("an authority");
        let head = RequestHead::new(Method::GET, authority, "/".parse().expect("a path"));
        let fin = self.chance(80);
        if let Ok(stream) = h3.send_request(&head, fin, t) {
            remember(&mut self.requests, stream, &mut self.random);
            if !fin {
                self.content(stream, h3, t);
            }
        }
    }
}
