//! Datagrams (§4.5) and keying material (§4.8).

use bytes::Bytes;
use h3_core::{Connection, datagram};
use quic_core::{DatagramOptions, StreamId, error::call::DatagramError as QuicError};

use super::{Fate, Sessions};
use crate::{
    error::DatagramError,
    event::{Event, SessionId},
    transport::{ExportError, SessionTransport},
};

impl Sessions {
    /// Sends a datagram. It is sent once, when congestion control permits, or dropped.
    pub fn send_datagram<T: SessionTransport>(
        &mut self,
        session: SessionId,
        payload: Bytes,
        h3: &mut Connection,
        t: &mut T,
    ) -> Result<(), DatagramError> {
        self.send_datagram_with(session, payload, DatagramOptions::default(), h3, t)
    }

    /// As [`send_datagram`](Self::send_datagram), with a priority and a maximum age.
    #[expect(clippy::needless_pass_by_value, reason = "a transport may later take it without a copy")]
    pub fn send_datagram_with<T: SessionTransport>(
        &mut self,
        session: SessionId,
        payload: Bytes,
        options: DatagramOptions,
        h3: &mut Connection,
        t: &mut T,
    ) -> Result<(), DatagramError> {
        // §6: no datagram is sent after the session's end.
        if !self.is_open(session) {
            return Err(DatagramError::SessionGone);
        }
        h3.send_datagram(session.0, &payload, options, t).map_err(|error| match error {
            QuicError::TooLarge { max } => {
                DatagramError::TooLarge { max: max.saturating_sub(datagram::overhead(session.0)) }
            }
            QuicError::Full => DatagramError::Full,
            _ => DatagramError::Unsupported,
        })
    }

    /// The largest datagram payload now, in bytes; `None` if the session is not open or the peer accepts no
    /// datagrams.
    #[must_use]
    pub fn max_datagram_size<T: SessionTransport>(
        &self,
        session: SessionId,
        h3: &Connection,
        t: &T,
    ) -> Option<usize> {
        if self.is_open(session) { h3.max_datagram_size(session.0, t) } else { None }
    }

    /// Fills `out` with keying material of the session that both ends share. `label` and `context` have at
    /// most 255 bytes each.
    pub fn export_keying_material<T: SessionTransport>(
        &self,
        session: SessionId,
        out: &mut [u8],
        label: &[u8],
        context: &[u8],
        t: &T,
    ) -> Result<(), ExportError> {
        let (Ok(label_size), Ok(context_size)) = (u8::try_from(label.len()), u8::try_from(context.len()))
        else {
            return Err(ExportError);
        };
        let mut scope = Vec::with_capacity(10 + label.len() + context.len());
        scope.extend_from_slice(&session.0.value().to_be_bytes());
        scope.push(label_size);
        scope.extend_from_slice(label);
        scope.push(context_size);
        scope.extend_from_slice(context);
        t.export_keying_material(out, b"EXPORTER-WebTransport", &scope)
    }

    pub(super) fn on_datagram(&mut self, stream: StreamId, payload: Bytes, h3: &Connection) {
        let session = SessionId(stream);
        match self.fate(session, h3) {
            Fate::Deliver => self.queue_datagram(session, payload),
            Fate::Wait => self.early.keep_datagram(session, payload, self.early_until()),
            Fate::Gone => {}
            Fate::Plain => self.events.push_back(Event::Http(h3_core::Event::Datagram { stream, payload })),
        }
    }

    /// How many received datagrams of a session were dropped because
    /// [`max_queued_datagrams`](super::Config::max_queued_datagrams) of it were queued. 0 once the session is
    /// forgotten.
    #[must_use]
    pub fn dropped_datagrams(&self, session: SessionId) -> u64 {
        self.sessions.get(&session).map_or(0, |session| session.dropped_datagrams)
    }

    /// Queues a datagram for the application, or drops it if the session's queue is full: small datagrams
    /// must not fill the memory, and a session must not take the room of another.
    pub(super) fn queue_datagram(&mut self, session: SessionId, payload: Bytes) {
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        if entry.queued_datagrams < self.config.max_queued_datagrams {
            entry.queued_datagrams += 1;
            self.events.push_back(Event::Datagram { session, payload });
        } else {
            entry.dropped_datagrams = entry.dropped_datagrams.saturating_add(1);
        }
    }
}
