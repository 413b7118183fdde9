//! A connection with its application: a client that sends and collects, or a server that echoes.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use quic_core::{
    Connection, DatagramOptions, Dir, Event, StreamId,
    base::Timestamp,
    error::{
        ConnectionError,
        call::{Read, ReadError},
    },
    testing::HasConnection,
};

use crate::{
    party::Party,
    watch::{TELL, Watch, Watcher},
};

/// A connection and the state of its application.
#[derive(Debug)]
pub struct Peer {
    /// The connection.
    pub connection: Connection,
    /// All events so far.
    pub events: Vec<Event>,
    /// The bytes read from each stream; servers echo them and keep none.
    pub received: BTreeMap<StreamId, Vec<u8>>,
    /// Streams that were read to their end.
    pub finished: BTreeSet<StreamId>,
    /// Streams that the peer reset, with its codes.
    pub reset: BTreeMap<StreamId, u64>,
    /// Datagrams received; servers echo them.
    pub datagrams: Vec<Bytes>,
    /// Why the connection ended.
    pub error: Option<ConnectionError>,
    /// When the application got the event of the end, on the endpoint's clock.
    pub ended: Option<Timestamp>,
    watch: Arc<Watch>,
    sending: BTreeMap<StreamId, (VecDeque<Bytes>, bool)>,
    /// Unidirectional streams with the streams on which they are answered.
    answers: BTreeMap<StreamId, StreamId>,
    /// Unidirectional streams whose answers wait for credit, with the bytes to answer and whether they are
    /// complete.
    unanswered: BTreeMap<StreamId, (Vec<Bytes>, bool)>,
    echo: bool,
}

impl HasConnection for Peer {
    fn connection(&self) -> &Connection {
        &self.connection
    }

    fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

/// A host's connections echo, or collect.
impl Party for Peer {
    type Role = bool;

    fn new(mut connection: Connection, now: Timestamp, echo: &bool) -> Self {
        let echo = *echo;
        let watch = Arc::new(Watch::default());
        watch.heard.store(now.as_nanos(), Ordering::Relaxed);
        let tell = TELL.load(Ordering::Relaxed).then_some(if echo { "server" } else { "client" });
        connection.add_observer(Box::new(Watcher { watch: Arc::clone(&watch), tell }));
        Self {
            connection,
            events: Vec::new(),
            received: BTreeMap::new(),
            finished: BTreeSet::new(),
            reset: BTreeMap::new(),
            datagrams: Vec::new(),
            error: None,
            ended: None,
            watch,
            sending: BTreeMap::new(),
            answers: BTreeMap::new(),
            unanswered: BTreeMap::new(),
            echo,
        }
    }

    fn watch(&self) -> Option<Arc<Watch>> {
        Some(Arc::clone(&self.watch))
    }

    fn work(&mut self, now: Timestamp) {
        while let Some(event) = self.connection.poll_event() {
            match &event {
                Event::StreamOpened(id) | Event::StreamReadable(id, _) => self.read(*id, now),
                Event::StreamWritable(id, _) => self.pump(*id),
                Event::StreamsAvailable(Dir::Uni) => self.open_answers(),
                Event::DatagramReadable => self.receive_datagrams(now),
                Event::Closed(error) => {
                    self.error = Some(error.clone());
                    self.ended = Some(now);
                }
                _ => {}
            }
            self.events.push(event);
        }
    }
}

impl Peer {
    /// When the connection last authenticated a packet, on the endpoint's clock; if never, when it was made.
    #[must_use]
    pub fn heard(&self) -> Timestamp {
        Timestamp::from_nanos(self.watch.heard.load(Ordering::Relaxed))
    }

    /// Whether this event happened.
    #[must_use]
    pub fn has(&self, event: &Event) -> bool {
        self.events.contains(event)
    }

    /// Queues data on a stream.
    pub fn send(&mut self, id: StreamId, data: Bytes, fin: bool) {
        let (queue, ends) = self.sending.entry(id).or_default();
        queue.push_back(data);
        *ends |= fin;
        self.pump(id);
    }

    fn pump(&mut self, id: StreamId) {
        let Some((queue, fin)) = self.sending.get_mut(&id) else { return };
        while let Some(data) = queue.front_mut() {
            if self.connection.write(id, data).is_err() {
                self.sending.remove(&id);
                return;
            }
            if !data.is_empty() {
                return;
            }
            queue.pop_front();
        }
        if *fin {
            let _ = self.connection.finish(id);
            self.sending.remove(&id);
        }
    }

    fn read(&mut self, id: StreamId, now: Timestamp) {
        loop {
            match self.connection.read(now, id, 64 << 10) {
                Ok(Read::Data(data)) => {
                    if self.echo {
                        self.answer(id, data, false);
                    } else {
                        self.received.entry(id).or_default().extend_from_slice(&data);
                    }
                }
                Ok(Read::Finished) => {
                    self.finished.insert(id);
                    if self.echo {
                        self.answer(id, Bytes::new(), true);
                    }
                    return;
                }
                Ok(Read::Blocked) => return,
                Err(ReadError::Reset(code)) => {
                    self.reset.insert(id, code);
                    return;
                }
                Err(_) => return,
            }
        }
    }

    fn answer(&mut self, id: StreamId, data: Bytes, fin: bool) {
        let on = match id.dir() {
            Dir::Bidi => Some(id),
            Dir::Uni => self.answers.get(&id).copied(),
        };
        if let Some(on) = on {
            return self.send(on, data, fin);
        }
        let (queue, ends) = self.unanswered.entry(id).or_default();
        queue.push(data);
        *ends |= fin;
        self.open_answers();
    }

    /// Opens the streams for answers to unidirectional ones, as many as the peer permits.
    fn open_answers(&mut self) {
        while let Some(id) = self.unanswered.keys().next().copied() {
            let Some(on) = self.connection.open(Dir::Uni) else { return };
            self.answers.insert(id, on);
            let (queue, fin) = self.unanswered.remove(&id).unwrap_or_default();
            for data in queue {
                self.send(on, data, false);
            }
            self.send(on, Bytes::new(), fin);
        }
    }

    fn receive_datagrams(&mut self, now: Timestamp) {
        while let Some(data) = self.connection.receive_datagram(now) {
            if self.echo {
                let _ = self.connection.send_datagram(now, data, DatagramOptions::default());
            } else {
                self.datagrams.push(data);
            }
        }
    }
}
