//! Gets files over HTTP/3 with `h3-core`, all on one connection and concurrently.

use std::{
    collections::{HashMap, VecDeque},
    path::{Path, PathBuf},
};

use h3_core::{Event as H3, RequestHead, SendError, Settings, transport::ConnTransport};
use http::{Method, StatusCode};
use quic_core::{
    Connection, ConnectionHandle, Dir, Event, Side, StreamId, base::Timestamp, error::call::Read,
};

use crate::{files, tell::Failure};
use wt_cli::engine;

/// The files of a connection.
pub(super) struct Application {
    h3: h3_core::Connection,
    /// Files that are not requested yet: the path and the head of the request.
    waiting: VecDeque<(String, RequestHead)>,
    /// Requested files: the path and the data so far.
    open: HashMap<StreamId, (String, Vec<u8>)>,
    downloads: PathBuf,
    outcome: Result<(), Failure>,
    over: bool,
}

impl Application {
    pub(super) fn new(urls: &[String], downloads: &Path) -> Result<Self, Failure> {
        let mut waiting = VecDeque::new();
        for url in urls {
            let uri: http::Uri = url.parse().map_err(|error| format!("{url}: {error}"))?;
            let parts = uri.into_parts();
            let (Some(authority), Some(path)) = (parts.authority, parts.path_and_query) else {
                return Err(format!("{url} has no host or no path"));
            };
            waiting.push_back((path.path().to_owned(), RequestHead::new(Method::GET, authority, path)));
        }
        let config = h3_core::Config::new(Settings::default());
        Ok(Self {
            h3: h3_core::Connection::new(config, Side::Client),
            waiting,
            open: HashMap::new(),
            downloads: downloads.to_owned(),
            outcome: Ok(()),
            over: false,
        })
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

    fn ask(&mut self, transport: &mut ConnTransport<'_>) {
        while let Some((path, head)) = self.waiting.pop_front() {
            match self.h3.send_request(&head, true, transport) {
                Ok(stream) => {
                    self.open.insert(stream, (path, Vec::new()));
                }
                // An event will report more credit.
                Err(SendError::NoStream) => return self.waiting.push_front((path, head)),
                Err(error) => return self.fail(format!("{path}: {error}")),
            }
        }
    }

    fn on_h3(&mut self, event: H3, transport: &mut ConnTransport<'_>) {
        match event {
            H3::Response { stream, head, informational: false } if head.status != StatusCode::OK => {
                let path = self.open.get(&stream).map_or("", |(path, _)| path.as_str());
                let why = format!("{path}: status {}", head.status);
                self.fail(why);
            }
            H3::Data { stream } => self.read(stream, transport),
            H3::Finished { stream } => self.finish(stream),
            H3::StreamError { violation, .. } => self.fail(violation.to_string()),
            H3::Reset { code, .. } => self.fail(format!("a response was reset with code {code:#x}")),
            _ => {}
        }
    }

    fn read(&mut self, stream: StreamId, transport: &mut ConnTransport<'_>) {
        let Some((path, content)) = self.open.get_mut(&stream) else { return };
        loop {
            match self.h3.read_data(stream, usize::MAX, transport) {
                Ok(Read::Data(data)) => content.extend_from_slice(&data),
                Ok(Read::Blocked) => return,
                Ok(Read::Finished) => return self.finish(stream),
                Err(error) => {
                    let why = format!("{path}: {error}");
                    return self.fail(why);
                }
            }
        }
    }

    /// Called once or twice: after a read, and for an event.
    fn finish(&mut self, stream: StreamId) {
        let Some((path, content)) = self.open.remove(&stream) else { return };
        if let Err(error) = files::save(&self.downloads, &path, &content) {
            return self.fail(error);
        }
        self.over |= self.open.is_empty() && self.waiting.is_empty();
    }
}

impl engine::Application for Application {
    fn on_events(&mut self, now: Timestamp, _handle: ConnectionHandle, connection: &mut Connection) {
        while let Some(event) = connection.poll_event() {
            let mut transport = ConnTransport::new(connection, now);
            match &event {
                Event::HandshakeComplete => {
                    self.h3.start(&mut transport);
                    self.ask(&mut transport);
                }
                Event::StreamsAvailable(Dir::Bidi) => self.ask(&mut transport),
                Event::Closed(error) if !self.over => self.fail(format!("the connection ended: {error}")),
                event => {
                    self.h3.on_event(event, now, &mut transport);
                }
            }
            while let Some(event) = self.h3.poll_event() {
                self.on_h3(event, &mut transport);
            }
        }
    }

    fn on_closed(&mut self, _handle: ConnectionHandle, _connection: &Connection) {
        if !self.over {
            self.fail("the connection ended".to_owned());
        }
    }

    fn is_done(&self) -> bool {
        self.over
    }

    fn close_code(&self) -> u64 {
        h3_core::error::code::H3_NO_ERROR
    }
}
