//! Makes connections: as many as possible in the given time, or a given number of idle ones.

use std::{
    collections::HashMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use quic_core::{
    Connection, ConnectionHandle, Dir, Event,
    base::Timestamp,
    error::{ConnectionError, call::Read},
};
use wt_api::ErrorCause;
use wt_cli::engine;

use super::{
    super::{
        growth::{AskServer, REST, Resident, SETTLE, WARM},
        report::Outcome,
        terms::clock,
        wire::Request,
    },
    client::unconnected,
};
use crate::{
    args::{Perf, PerfMode},
    connect,
    exit::Ended,
};

/// Makes handshakes, a limited number at a time. Each connection is closed as soon as it is established. One that
/// is to be resumed first sends a request, so that its ticket has arrived.
pub(super) struct Handshakes {
    asks: bool,
    resumed: u64,
    duration: Duration,
    began: Instant,
    begun: HashMap<usize, Instant>,
    wanted: usize,
    over: bool,
    outcome: Outcome,
    remote: SocketAddr,
    /// Why there is no connection.
    unconnected: Option<ErrorCause>,
}

impl Handshakes {
    /// Starts when the first connection is being made.
    pub(super) fn new(options: &Perf) -> Self {
        Self {
            asks: options.mode == PerfMode::Resume,
            resumed: 0,
            duration: Duration::from_secs_f64(options.seconds),
            began: clock(),
            begun: HashMap::new(),
            wanted: options.conns() - 1,
            over: false,
            outcome: Outcome::default(),
            remote: options.addr,
            unconnected: None,
        }
    }

    pub(super) fn outcome(self) -> Result<Outcome, Ended> {
        let outcome = Outcome { resumed: self.asks.then_some(self.resumed), ..self.outcome };
        self.unconnected.map_or(Ok(outcome), |cause| Err(connect::unconnected(&cause)))
    }

    fn end(&mut self, now: Timestamp, connection: &mut Connection) {
        connection.close(now, 0, b"");
        self.wanted += 1;
    }
}

/// Asks for as little as there is.
fn ask(connection: &mut Connection) {
    if let Some(stream) = connection.open(Dir::Bidi) {
        let mut request = Bytes::copy_from_slice(&Request::Count.encode());
        // There is credit for it, and if the connection has ended, its event says so.
        let _ = connection.write(stream, &mut request);
        let _ = connection.finish(stream);
    }
}

impl engine::Application for Handshakes {
    fn on_events(&mut self, now: Timestamp, handle: ConnectionHandle, connection: &mut Connection) {
        while let Some(event) = connection.poll_event() {
            match event {
                Event::HandshakeComplete => {
                    let begun = self.begun.remove(&handle.0).unwrap_or(self.began);
                    self.outcome.latencies.push(begun.elapsed());
                    self.outcome.operations += 1;
                    self.resumed += u64::from(connection.is_resumed());
                    if self.asks {
                        ask(connection);
                    } else {
                        self.end(now, connection);
                    }
                }
                Event::StreamReadable(id, _) => {
                    while let Ok(read) = connection.read(now, id, usize::MAX) {
                        match read {
                            Read::Data(_) => {}
                            Read::Finished => self.end(now, connection),
                            Read::Blocked => break,
                        }
                    }
                }
                Event::Closed(ConnectionError::LocallyClosed) => {}
                Event::Closed(error) => self.unconnected = Some(unconnected(&error, self.remote)),
                _ => {}
            }
        }
    }

    fn wanted(&mut self) -> usize {
        if self.over { 0 } else { std::mem::take(&mut self.wanted) }
    }

    fn on_connecting(&mut self, handle: ConnectionHandle) {
        self.begun.insert(handle.0, clock());
    }

    fn on_closed(&mut self, _handle: ConnectionHandle, _connection: &Connection) {}

    fn deadline(&self) -> Option<Instant> {
        Some(self.began + self.duration)
    }

    fn on_time(&mut self) {
        (self.over, self.outcome.elapsed) = (true, self.began.elapsed());
    }

    fn on_refused(&mut self) {
        self.unconnected = Some(ErrorCause::ConnectionRefused { remote: self.remote });
    }

    fn is_done(&self) -> bool {
        self.over || self.unconnected.is_some()
    }
}

/// The progress of idle connections.
enum Phase {
    /// The first ones are made, one after the other.
    Warming,
    /// They are idle until this time.
    Settling(Instant),
    /// The others are made, one after the other, since this time.
    Opening(Instant, Resident),
    /// All are idle until this time; making them took this long.
    Resting(Instant, Duration, Resident),
    Over,
}

/// Idle connections.
pub(super) struct Idle<'a> {
    ask: AskServer<'a>,
    conns: usize,
    open: usize,
    wanted: usize,
    phase: Phase,
    outcome: Outcome,
    remote: SocketAddr,
    failed: Option<Ended>,
}

impl<'a> Idle<'a> {
    /// Starts when the first connection is being made.
    pub(super) fn new(options: &Perf, ask: AskServer<'a>) -> Self {
        Self {
            ask,
            conns: options.conns(),
            open: 0,
            wanted: 0,
            phase: Phase::Warming,
            outcome: Outcome::default(),
            remote: options.addr,
            failed: None,
        }
    }

    pub(super) fn outcome(self) -> Result<Outcome, Ended> {
        self.failed.map_or(Ok(self.outcome), Err)
    }

    fn on_open(&mut self) {
        self.open += 1;
        match self.phase {
            Phase::Warming if self.open == WARM => self.phase = Phase::Settling(clock() + SETTLE),
            Phase::Opening(began, before) if self.open == WARM + self.conns => {
                self.phase = Phase::Resting(clock() + REST, began.elapsed(), before);
            }
            _ => self.wanted = 1,
        }
    }

    /// Measures, and enters the next phase.
    fn look(&mut self) -> Result<(), Ended> {
        match self.phase {
            Phase::Settling(_) => {
                self.phase = Phase::Opening(clock(), Resident::now(self.ask)?);
                self.wanted = 1;
            }
            Phase::Resting(_, elapsed, before) => {
                let growth = Resident::now(self.ask)?.growth_each(before, self.conns);
                self.outcome = Outcome {
                    operations: self.conns as u64,
                    elapsed,
                    growth: Some(growth),
                    ..Outcome::default()
                };
                self.phase = Phase::Over;
            }
            Phase::Warming | Phase::Opening(..) | Phase::Over => {}
        }
        Ok(())
    }
}

impl engine::Application for Idle<'_> {
    fn on_events(&mut self, _now: Timestamp, _handle: ConnectionHandle, connection: &mut Connection) {
        while let Some(event) = connection.poll_event() {
            match event {
                Event::HandshakeComplete => self.on_open(),
                Event::Closed(error) if !matches!(self.phase, Phase::Over) => {
                    self.failed = Some(connect::unconnected(&unconnected(&error, self.remote)));
                }
                _ => {}
            }
        }
    }

    fn wanted(&mut self) -> usize {
        std::mem::take(&mut self.wanted)
    }

    fn on_closed(&mut self, _handle: ConnectionHandle, _connection: &Connection) {}

    fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Settling(until) | Phase::Resting(until, ..) => Some(until),
            Phase::Warming | Phase::Opening(..) | Phase::Over => None,
        }
    }

    fn on_time(&mut self) {
        if let Err(ended) = self.look() {
            self.failed = Some(ended);
        }
    }

    fn on_refused(&mut self) {
        let cause = ErrorCause::ConnectionRefused { remote: self.remote };
        self.failed = Some(connect::unconnected(&cause));
    }

    fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Over) || self.failed.is_some()
    }
}
