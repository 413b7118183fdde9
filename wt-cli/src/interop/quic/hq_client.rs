//! Gets files over HTTP/0.9: sends `GET /name` on a bidirectional stream and reads the content to its end.

use std::{
    collections::{HashMap, VecDeque},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use quic_core::{
    Connection, ConnectionHandle, Dir, EarlyData, Event, StreamId, Version,
    base::{Ecn, Timestamp},
    crypto::SessionCache,
    error::call::Read,
};

use crate::{case::Feature, files, tell::Failure, tls::Seen};
use wt_cli::engine;

/// Where tickets go.
pub(super) enum Tickets {
    /// They are counted, and TLS keeps them.
    Seen(Arc<Seen>),
    Cache(SessionCache),
}

impl Tickets {
    fn are_missing(&self) -> bool {
        match self {
            Self::Seen(seen) => seen.tickets() == 0,
            Self::Cache(cache) => cache.sessions() == 0,
        }
    }
}

/// The files of one connection.
pub(super) struct Application {
    /// Files that are not requested yet.
    waiting: VecDeque<String>,
    /// Requested files: the path and the data so far.
    open: HashMap<StreamId, (String, Vec<u8>)>,
    downloads: PathBuf,
    feature: Feature,
    /// If set, the connection stays open until a ticket arrives.
    ticket: Option<Tickets>,
    /// Whether the files are requested in 0-RTT, which the server has to accept.
    early: bool,
    updated: bool,
    outcome: Result<(), Failure>,
    /// Everything arrived as expected, or something went wrong.
    over: bool,
}

impl Application {
    pub(super) fn new(
        paths: &[String],
        downloads: &Path,
        feature: Feature,
        ticket: Option<Tickets>,
        early: bool,
    ) -> Self {
        Self {
            waiting: paths.iter().cloned().collect(),
            open: HashMap::new(),
            downloads: downloads.to_owned(),
            feature,
            ticket,
            early,
            updated: false,
            outcome: Ok(()),
            over: false,
        }
    }

    pub(super) fn outcome(self) -> Result<(), Failure> {
        self.outcome
    }

    fn fail(&mut self, why: Failure) {
        if self.outcome.is_ok() {
            self.outcome = Err(why);
        }
        self.over = true;
    }

    /// Requests as many files as the server has credit for.
    fn ask(&mut self, connection: &mut Connection) {
        while let Some(path) = self.waiting.front() {
            let Some(id) = connection.open(Dir::Bidi) else { return };
            let mut request = Bytes::from(format!("GET {path}\r\n"));
            let asked = connection.write(id, &mut request).and_then(|_| connection.finish(id));
            if let Err(error) = asked {
                return self.fail(format!("request: {error}"));
            }
            self.open.insert(id, (self.waiting.pop_front().unwrap_or_default(), Vec::new()));
        }
    }

    fn read(&mut self, now: Timestamp, connection: &mut Connection, id: StreamId) {
        let Some((path, content)) = self.open.get_mut(&id) else { return };
        loop {
            match connection.read(now, id, usize::MAX) {
                Ok(Read::Data(data)) => content.extend_from_slice(&data),
                Ok(Read::Blocked) => return,
                Ok(Read::Finished) => {
                    let saved = files::save(&self.downloads, path, content);
                    self.open.remove(&id);
                    return saved.unwrap_or_else(|error| self.fail(error));
                }
                Err(error) => {
                    let why = format!("{path}: {error}");
                    return self.fail(why);
                }
            }
        }
    }

    /// Once all files have arrived, checks whether the connection showed the tested feature.
    fn judge(&mut self, connection: &Connection) {
        let all = self.open.is_empty() && self.waiting.is_empty();
        if !all || self.over || self.ticket.as_ref().is_some_and(Tickets::are_missing) {
            return;
        }
        let stats = connection.stats();
        match self.feature {
            Feature::KeyUpdate if stats.key_updates == 0 => self.fail("the keys were not updated".to_owned()),
            Feature::ZeroRtt if self.early && connection.early_data() != EarlyData::Accepted => {
                self.fail(format!("0-RTT was not accepted: {:?}", connection.early_data()));
            }
            Feature::Version2 if connection.version() != Version::V2 => {
                self.fail(format!("the connection is of version {}", connection.version()));
            }
            Feature::Ecn if stats.ecn == Ecn::NotEct => self.fail("marks do not come through".to_owned()),
            _ => self.over = true,
        }
    }
}

impl engine::Application for Application {
    fn on_events(&mut self, now: Timestamp, _handle: ConnectionHandle, connection: &mut Connection) {
        if self.early && connection.can_send() {
            self.ask(connection);
        }
        while let Some(event) = connection.poll_event() {
            match event {
                Event::HandshakeComplete | Event::StreamsAvailable(Dir::Bidi) => self.ask(connection),
                Event::HandshakeConfirmed if self.feature == Feature::KeyUpdate && !self.updated => {
                    self.updated = connection.update_keys();
                }
                Event::StreamReadable(id, _) => self.read(now, connection, id),
                Event::Closed(error) if !self.over => self.fail(format!("the connection ended: {error}")),
                _ => {}
            }
        }
        self.judge(connection);
    }

    fn on_closed(&mut self, _handle: ConnectionHandle, _connection: &Connection) {
        if !self.over {
            self.fail("the connection ended".to_owned());
        }
    }

    fn is_done(&self) -> bool {
        self.over
    }
}
