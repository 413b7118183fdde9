//! The application on top of the endpoint under test.

use std::collections::BTreeMap;

use bytes::Bytes;
use quic_core::{
    Connection, Event, StreamId,
    base::Timestamp,
    error::{
        ConnectionError,
        call::{Read, ReadError},
    },
};

use crate::meter::Meter;

/// The state of the application under test.
#[derive(Debug, Default)]
pub struct App {
    /// All events, in order.
    pub events: Vec<Event>,
    /// Data of the peer's streams.
    pub received: BTreeMap<StreamId, Vec<u8>>,
    /// How streams ended: their reset code, or `None` for FIN.
    pub ended: BTreeMap<StreamId, Option<u64>>,
    /// Datagrams received.
    pub datagrams: usize,
    /// Data to send.
    pub(crate) sending: BTreeMap<StreamId, Bytes>,
    /// In a flood, only the end of the connection is kept.
    pub(crate) forgets: bool,
}

impl App {
    /// Why the connection ended, as reported to the application.
    #[must_use]
    pub fn error(&self) -> Option<&ConnectionError> {
        self.events.iter().find_map(|event| match event {
            Event::Closed(error) => Some(error),
            _ => None,
        })
    }
}

impl App {
    /// Handles everything that the connection has. `meter` counts the calls.
    pub(crate) fn drain(&mut self, connection: &mut Connection, meter: &Meter, now: Timestamp, reads: bool) {
        while let Some(event) = meter.count(|| connection.poll_event()) {
            match &event {
                Event::StreamOpened(id) | Event::StreamReadable(id, _) if reads => {
                    self.read(connection, meter, now, *id);
                }
                Event::StreamWritable(id, _) => meter.count(|| self.pump(connection, *id)),
                Event::DatagramReadable if reads => {
                    while meter.count(|| connection.receive_datagram(now).is_some()) {
                        self.datagrams += 1;
                    }
                }
                _ => {}
            }
            if !self.forgets || matches!(event, Event::Closed(_)) {
                self.events.push(event);
            }
        }
    }

    fn read(&mut self, connection: &mut Connection, meter: &Meter, now: Timestamp, id: StreamId) {
        loop {
            match meter.count(|| connection.read(now, id, 1 << 20)) {
                Ok(Read::Data(data)) => {
                    if !self.forgets {
                        self.received.entry(id).or_default().extend_from_slice(&data);
                    }
                    meter.count(|| drop(data));
                }
                Ok(Read::Finished) => {
                    return self.on_end(id, None);
                }
                Err(ReadError::Reset(code)) => {
                    return self.on_end(id, Some(code));
                }
                Ok(Read::Blocked) | Err(_) => return,
            }
        }
    }

    fn on_end(&mut self, id: StreamId, code: Option<u64>) {
        if !self.forgets {
            self.ended.insert(id, code);
        }
    }

    pub(crate) fn pump(&mut self, connection: &mut Connection, id: StreamId) {
        let Some(data) = self.sending.get_mut(&id) else { return };
        if connection.write(id, data).is_ok() && data.is_empty() {
            let _ = connection.finish(id);
            self.sending.remove(&id);
        }
    }
}
