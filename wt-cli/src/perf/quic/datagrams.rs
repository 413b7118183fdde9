//! Sends datagrams as fast as QUIC takes them, and asks how many arrived.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use quic_core::{
    Connection, ConnectionHandle, DatagramOptions, Dir, Event, StreamId,
    base::Timestamp,
    error::call::{DatagramError, Read},
};
use wt_api::ErrorCause;
use wt_cli::engine;

use super::{
    super::{
        report::Outcome,
        terms::{GRACE, clock, failed, too_large},
        wire::Request,
    },
    client::unconnected,
};
use crate::{args::Perf, connect, exit::Ended};

enum Phase {
    Connecting,
    /// Since this time.
    Sending(Instant),
    /// Datagrams in flight may arrive until this time.
    Waiting(Instant),
    Asking,
    Over,
}

pub(super) struct Datagrams {
    options: Perf,
    data: Bytes,
    phase: Phase,
    sent: u64,
    outcome: Outcome,
    remote: SocketAddr,
    failed: Option<Ended>,
}

impl Datagrams {
    pub(super) fn new(options: &Perf) -> Self {
        Self {
            options: options.clone(),
            data: Bytes::from(vec![0x5a; options.size]),
            phase: Phase::Connecting,
            sent: 0,
            outcome: Outcome::default(),
            remote: options.addr,
            failed: None,
        }
    }

    pub(super) fn outcome(self) -> Result<Outcome, Ended> {
        self.failed.map_or(Ok(self.outcome), Err)
    }

    /// Sends what QUIC takes, or enters the next phase when it is time.
    fn work(&mut self, now: Timestamp, connection: &mut Connection) {
        match self.phase {
            Phase::Sending(began) if began.elapsed() < Duration::from_secs_f64(self.options.seconds) => {
                self.send(now, connection);
            }
            Phase::Sending(began) => {
                self.outcome.elapsed = began.elapsed();
                self.phase = Phase::Waiting(clock() + GRACE);
            }
            Phase::Waiting(until) if until <= clock() => {
                let Some(id) = connection.open(Dir::Bidi) else { return };
                let mut request = Bytes::copy_from_slice(&Request::Count.encode());
                let _ = connection.write(id, &mut request);
                let _ = connection.finish(id);
                self.phase = Phase::Asking;
            }
            Phase::Connecting | Phase::Waiting(_) | Phase::Asking | Phase::Over => {}
        }
    }

    fn send(&mut self, now: Timestamp, connection: &mut Connection) {
        loop {
            match connection.send_datagram(now, self.data.clone(), DatagramOptions::default()) {
                Ok(()) => self.sent += 1,
                Err(DatagramError::Full) => return,
                Err(DatagramError::TooLarge { max, .. }) => {
                    self.failed = Some(too_large(&self.options, max));
                    return;
                }
                Err(error) => {
                    self.failed = Some(failed("datagrams", error));
                    return;
                }
            }
        }
    }

    fn read(&mut self, now: Timestamp, connection: &mut Connection, id: StreamId) {
        loop {
            match connection.read(now, id, usize::MAX) {
                Ok(Read::Data(count)) => {
                    let arrived = count.first_chunk().map_or(0, |chunk| u64::from_be_bytes(*chunk));
                    self.outcome.operations = arrived;
                    self.outcome.bytes = arrived * self.options.size as u64;
                    self.outcome.sent = Some(self.sent);
                }
                Ok(Read::Finished) => {
                    self.phase = Phase::Over;
                    return;
                }
                Ok(Read::Blocked) => return,
                Err(error) => {
                    self.failed = Some(failed("connection", error));
                    return;
                }
            }
        }
    }
}

impl engine::Application for Datagrams {
    fn on_events(&mut self, now: Timestamp, _handle: ConnectionHandle, connection: &mut Connection) {
        while let Some(event) = connection.poll_event() {
            match event {
                Event::HandshakeComplete => self.phase = Phase::Sending(clock()),
                Event::StreamReadable(id, _) => self.read(now, connection, id),
                Event::Closed(error) if matches!(self.phase, Phase::Connecting) => {
                    self.failed = Some(connect::unconnected(&unconnected(&error, self.remote)));
                }
                Event::Closed(error) if !matches!(self.phase, Phase::Over) => {
                    self.failed = Some(failed("connection", error));
                }
                _ => {}
            }
        }
        self.work(now, connection);
    }

    fn on_closed(&mut self, _handle: ConnectionHandle, _connection: &Connection) {}

    fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Sending(began) => Some(began + Duration::from_secs_f64(self.options.seconds)),
            Phase::Waiting(until) => Some(until),
            Phase::Connecting | Phase::Asking | Phase::Over => None,
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
