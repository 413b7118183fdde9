//! Answers requests on bidirectional streams, and counts datagrams.

use std::collections::HashMap;

use bytes::Bytes;
use quic_core::{Connection, ConnectionHandle, Dir, Event, StreamId, base::Timestamp, error::call::Read};
use wt_cli::engine;

use super::super::wire::{HEADER, Request};

/// How much is written at once.
const CHUNK: usize = 1 << 20;

/// A stream that is being served.
#[derive(Default)]
struct Served {
    header: Vec<u8>,
    received: u64,
    request: Option<Request>,
    ended: bool,
    /// How many bytes of the response are not written yet; `None` before it starts.
    left: Option<u64>,
}

pub(super) struct Application {
    streams: HashMap<(usize, StreamId), Served>,
    /// How many datagrams arrived, by connection.
    datagrams: HashMap<usize, u64>,
    data: Bytes,
}

impl Default for Application {
    fn default() -> Self {
        Self { streams: HashMap::new(), datagrams: HashMap::new(), data: Bytes::from(vec![0x5a; CHUNK]) }
    }
}

impl engine::Application for Application {
    fn on_events(&mut self, now: Timestamp, handle: ConnectionHandle, connection: &mut Connection) {
        while let Some(event) = connection.poll_event() {
            match event {
                Event::StreamOpened(id) if id.dir() == Dir::Bidi => {
                    self.streams.insert((handle.0, id), Served::default());
                    self.read(now, handle, connection, id);
                }
                Event::StreamReadable(id, _) => self.read(now, handle, connection, id),
                Event::StreamWritable(id, _) => self.write(handle, connection, id),
                Event::DatagramReadable => {
                    let count = self.datagrams.entry(handle.0).or_default();
                    while connection.receive_datagram(now).is_some() {
                        *count += 1;
                    }
                }
                Event::StreamStopped(id, ..) => {
                    self.streams.remove(&(handle.0, id));
                }
                _ => {}
            }
        }
    }

    fn on_closed(&mut self, handle: ConnectionHandle, _connection: &Connection) {
        self.streams.retain(|(connection, _), _| *connection != handle.0);
        self.datagrams.remove(&handle.0);
    }
}

impl Application {
    fn read(&mut self, now: Timestamp, handle: ConnectionHandle, connection: &mut Connection, id: StreamId) {
        let Some(served) = self.streams.get_mut(&(handle.0, id)) else { return };
        // A readable event may be about data that an earlier read has taken.
        while !served.ended {
            match connection.read(now, id, usize::MAX) {
                Ok(Read::Data(data)) => served.take(&data),
                Ok(Read::Finished) => served.ended = true,
                Ok(Read::Blocked) => break,
                Err(_) => {
                    self.streams.remove(&(handle.0, id));
                    return;
                }
            }
        }
        self.write(handle, connection, id);
    }

    fn write(&mut self, handle: ConnectionHandle, connection: &mut Connection, id: StreamId) {
        let Some(served) = self.streams.get_mut(&(handle.0, id)) else { return };
        let Some(mut left) = served.left.or_else(|| served.answer_size()) else { return };
        let count = match served.request {
            Some(Request::Up) => Some(served.received),
            Some(Request::Count) => Some(self.datagrams.get(&handle.0).copied().unwrap_or_default()),
            _ => None,
        };
        while left > 0 {
            let mut chunk = match count {
                Some(count) => Bytes::copy_from_slice(&count.to_be_bytes()),
                None => self.data.slice(..usize::try_from(left).unwrap_or(CHUNK).min(CHUNK)),
            };
            match connection.write(id, &mut chunk) {
                Ok(written) => left -= written as u64,
                Err(_) => {
                    self.streams.remove(&(handle.0, id));
                    return;
                }
            }
            if !chunk.is_empty() {
                served.left = Some(left);
                return;
            }
        }
        let _ = connection.finish(id);
        self.streams.remove(&(handle.0, id));
    }
}

impl Served {
    fn take(&mut self, data: &[u8]) {
        self.received += data.len() as u64;
        if self.request.is_none() {
            let missing = HEADER - self.header.len();
            self.header.extend_from_slice(&data[..missing.min(data.len())]);
            self.request = self.header.first_chunk().and_then(Request::decode);
        }
    }

    /// The size of the response, once it is known.
    fn answer_size(&self) -> Option<u64> {
        match self.request? {
            Request::Down(bytes) => Some(bytes),
            Request::Echo { answer, .. } => self.ended.then_some(answer),
            Request::Up | Request::Count => self.ended.then_some(8),
        }
    }
}
