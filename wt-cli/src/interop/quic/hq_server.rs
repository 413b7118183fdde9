//! Serves files over HTTP/0.9.

use std::{collections::HashMap, path::PathBuf};

use bytes::Bytes;
use quic_core::{Connection, ConnectionHandle, Dir, Event, StreamId, base::Timestamp, error::call::Read};

use crate::files;
use wt_cli::engine;

/// The longest accepted request, in bytes.
const MAX_REQUEST: usize = 4096;
/// The code for streams whose request cannot be answered.
const NO_SUCH_FILE: u64 = 1;

/// A stream: first it receives its request, then it sends the content.
enum Stream {
    Request(Vec<u8>),
    Content(Bytes),
}

pub(super) struct Application {
    www: PathBuf,
    streams: HashMap<(usize, StreamId), Stream>,
}

impl Application {
    pub(super) fn new(www: PathBuf) -> Self {
        Self { www, streams: HashMap::new() }
    }

    fn read(&mut self, now: Timestamp, handle: ConnectionHandle, connection: &mut Connection, id: StreamId) {
        let key = (handle.0, id);
        let Some(Stream::Request(request)) = self.streams.get_mut(&key) else { return };
        loop {
            match connection.read(now, id, MAX_REQUEST) {
                Ok(Read::Data(data)) if request.len() + data.len() <= MAX_REQUEST => {
                    request.extend_from_slice(&data);
                }
                Ok(Read::Blocked) => return,
                Ok(Read::Finished) => break,
                Ok(Read::Data(_)) | Err(_) => {
                    let _ = connection.reset(id, NO_SUCH_FILE, 0);
                    let _ = connection.stop_sending(id, NO_SUCH_FILE);
                    self.streams.remove(&key);
                    return;
                }
            }
        }
        let name = std::str::from_utf8(request).ok().and_then(|text| text.trim_end().strip_prefix("GET "));
        match name.and_then(|name| files::load(&self.www, name)) {
            Some(content) => {
                self.streams.insert(key, Stream::Content(content));
                self.write(handle, connection, id);
            }
            None => {
                let _ = connection.reset(id, NO_SUCH_FILE, 0);
                self.streams.remove(&key);
            }
        }
    }

    fn write(&mut self, handle: ConnectionHandle, connection: &mut Connection, id: StreamId) {
        let Some(Stream::Content(content)) = self.streams.get_mut(&(handle.0, id)) else { return };
        let written = connection.write(id, content);
        if written.is_ok() && !content.is_empty() {
            // A writable event follows.
            return;
        }
        let _ = connection.finish(id);
        self.streams.remove(&(handle.0, id));
    }
}

impl engine::Application for Application {
    fn on_events(&mut self, now: Timestamp, handle: ConnectionHandle, connection: &mut Connection) {
        while let Some(event) = connection.poll_event() {
            match event {
                Event::StreamOpened(id) if id.dir() == Dir::Bidi => {
                    self.streams.insert((handle.0, id), Stream::Request(Vec::new()));
                    self.read(now, handle, connection, id);
                }
                Event::StreamReadable(id, _) => self.read(now, handle, connection, id),
                Event::StreamWritable(id, _) => self.write(handle, connection, id),
                Event::StreamStopped(id, ..) => {
                    self.streams.remove(&(handle.0, id));
                }
                _ => {}
            }
        }
    }

    fn on_closed(&mut self, handle: ConnectionHandle, _connection: &Connection) {
        self.streams.retain(|(connection, _), _| *connection != handle.0);
    }

    fn is_done(&self) -> bool {
        false
    }
}
