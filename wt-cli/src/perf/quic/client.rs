//! Sends requests, and counts what arrives.

use std::{
    collections::HashMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use quic_core::{
    Connection, ConnectionHandle, Dir, Event, StreamId,
    base::Timestamp,
    error::{ConnectionError, call::Read},
};
use wt_api::{ConnectStage, ErrorCause};
use wt_cli::engine;

use super::super::{
    report::Outcome,
    terms::{HANDSHAKE_TIMEOUT, clock, failed},
    wire::Request,
};
use crate::{
    args::{Perf, PerfMode},
    connect,
    exit::Ended,
};

/// How much is written at once.
const CHUNK: usize = 1 << 20;

pub(super) struct Application {
    mode: PerfMode,
    duration: Duration,
    /// The number of streams to keep busy.
    parallel: usize,
    request: Bytes,
    /// When the handshake completed.
    started: Option<Instant>,
    open: HashMap<StreamId, (Instant, u64)>,
    upload: Bytes,
    over: bool,
    outcome: Outcome,
    error: Option<String>,
    remote: SocketAddr,
    /// Why there is no connection.
    unconnected: Option<ErrorCause>,
}

/// Why there is no connection to a server, as the cause that sessions report.
pub(super) fn unconnected(error: &ConnectionError, remote: SocketAddr) -> ErrorCause {
    match error {
        ConnectionError::HandshakeTimeout => ErrorCause::Timeout {
            after: HANDSHAKE_TIMEOUT,
            stage: ConnectStage::Handshake { port: remote.port() },
        },
        error => ErrorCause::Connection(error.clone()),
    }
}

impl Application {
    pub(super) fn new(options: &Perf) -> Self {
        let parallel = match options.mode {
            PerfMode::Rr => options.inflight.max(1),
            PerfMode::Multi => options.streams.max(1),
            _ => 1,
        };
        Self {
            mode: options.mode,
            duration: Duration::from_secs_f64(options.seconds),
            parallel,
            request: request(options, parallel),
            started: None,
            open: HashMap::new(),
            upload: Bytes::from(vec![0x5a; CHUNK]),
            over: false,
            outcome: Outcome::default(),
            error: None,
            remote: options.addr,
            unconnected: None,
        }
    }

    /// The result. A failed connection ends the command like a failed session.
    pub(super) fn outcome(self) -> Result<Outcome, Ended> {
        if let Some(cause) = self.unconnected {
            return Err(connect::unconnected(&cause));
        }
        match self.error {
            Some(error) => Err(failed("connection", error)),
            None => Ok(self.outcome),
        }
    }

    /// Handles the end of the connection.
    fn on_connection_error(&mut self, error: &ConnectionError) {
        if self.started.is_some() {
            self.error = Some(error.to_string());
            return;
        }
        self.unconnected = Some(unconnected(error, self.remote));
    }

    fn start(&mut self, connection: &mut Connection) {
        self.started = Some(clock());
        for _ in 0..self.parallel {
            self.ask(connection);
        }
    }

    /// Opens a stream with a request. Without credit it does nothing; the end of another stream gives new
    /// credit.
    fn ask(&mut self, connection: &mut Connection) {
        let Some(id) = connection.open(Dir::Bidi) else { return };
        let mut request = self.request.clone();
        let _ = connection.write(id, &mut request);
        self.open.insert(id, (clock(), 0));
        if self.mode == PerfMode::Upload {
            self.upload(connection, id);
        } else {
            let _ = connection.finish(id);
        }
    }

    fn upload(&mut self, connection: &mut Connection, id: StreamId) {
        loop {
            if self.is_over() {
                let _ = connection.finish(id);
                return;
            }
            let mut chunk = self.upload.clone();
            if connection.write(id, &mut chunk).is_err() || !chunk.is_empty() {
                return;
            }
        }
    }

    fn is_over(&self) -> bool {
        self.started.is_some_and(|started| started.elapsed() >= self.duration)
    }

    fn read(&mut self, now: Timestamp, connection: &mut Connection, id: StreamId) {
        loop {
            match connection.read(now, id, usize::MAX) {
                Ok(Read::Data(data)) => self.count(id, &data),
                Ok(Read::Finished) => return self.answered(connection, id),
                Ok(Read::Blocked) => return,
                Err(error) => {
                    self.error = Some(error.to_string());
                    return;
                }
            }
        }
    }

    fn count(&mut self, id: StreamId, data: &[u8]) {
        if self.mode == PerfMode::Upload {
            // The server's count of bytes.
            self.outcome.bytes = data.first_chunk().map_or(0, |chunk| u64::from_be_bytes(*chunk));
            return;
        }
        self.outcome.bytes += data.len() as u64;
        if let Some((_, received)) = self.open.get_mut(&id) {
            *received += data.len() as u64;
        }
    }

    fn answered(&mut self, connection: &mut Connection, id: StreamId) {
        let Some((asked, received)) = self.open.remove(&id) else { return };
        if self.mode != PerfMode::Rr {
            self.over |= self.open.is_empty();
            return;
        }
        if received != self.request.len() as u64 {
            self.error = Some(format!("an answer of {received} bytes"));
        }
        self.outcome.operations += 1;
        self.outcome.latencies.push(asked.elapsed());
        self.ask(connection);
    }

    fn end(&mut self) {
        self.over = true;
        self.outcome.elapsed = self.started.map_or(Duration::ZERO, |started| started.elapsed());
    }
}

fn request(options: &Perf, parallel: usize) -> Bytes {
    let size = options.size.max(super::super::wire::HEADER);
    let request = match options.mode {
        PerfMode::Upload => Request::Up,
        PerfMode::Rr => Request::Echo { request: size as u64, answer: size as u64 },
        _ => Request::Down(options.bytes / parallel as u64),
    };
    let mut bytes = request.encode().to_vec();
    if options.mode == PerfMode::Rr {
        bytes.resize(size, 0);
    }
    bytes.into()
}

impl engine::Application for Application {
    fn on_events(&mut self, now: Timestamp, _handle: ConnectionHandle, connection: &mut Connection) {
        while let Some(event) = connection.poll_event() {
            match event {
                Event::HandshakeComplete => self.start(connection),
                Event::StreamReadable(id, _) => self.read(now, connection, id),
                Event::StreamWritable(id, _) => self.upload(connection, id),
                Event::StreamsAvailable(_) => {
                    while self.open.len() < self.parallel {
                        let before = self.open.len();
                        self.ask(connection);
                        if self.open.len() == before {
                            break;
                        }
                    }
                }
                Event::Closed(error) => self.on_connection_error(&error),
                _ => {}
            }
        }
        // An upload ends with the server's count.
        if self.mode == PerfMode::Upload {
            if self.is_over() {
                let ids: Vec<_> = self.open.keys().copied().collect();
                ids.into_iter().for_each(|id| self.upload(connection, id));
            }
            if self.over {
                self.end();
            }
        }
    }

    fn on_closed(&mut self, _handle: ConnectionHandle, _connection: &Connection) {
        self.over = true;
    }

    fn deadline(&self) -> Option<Instant> {
        let ends_by_itself = self.mode == PerfMode::Upload && self.is_over();
        self.started.filter(|_| !ends_by_itself).map(|started| started + self.duration)
    }

    fn on_time(&mut self) {
        if self.mode != PerfMode::Upload {
            self.end();
        }
    }

    fn on_refused(&mut self) {
        self.unconnected = Some(ErrorCause::ConnectionRefused { remote: self.remote });
    }

    fn is_done(&self) -> bool {
        self.over || self.error.is_some() || self.unconnected.is_some()
    }
}
