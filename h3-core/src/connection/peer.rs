//! Handles what the peer sends outside of requests: the control stream, the QPACK streams, datagrams.

use bytes::Bytes;
use quic_core::{Dir, Priority, Side, StreamId, error::call::Read};

use super::{Connection, Event, control::ControlFrame, critical::Critical};
use crate::{
    datagram,
    error::{H3Error, H3Violation},
    frame::kind,
    priority::parse_priority,
    trace::{self, From},
    transport::Transport,
};

/// How much of a critical stream is read at once, in bytes.
const CHUNK: usize = 4096;
/// How many `PRIORITY_UPDATE` frames for streams that are not open yet are kept; a new one replaces the
/// oldest.
const MAX_EARLY_PRIORITIES: usize = 64;

impl Connection {
    pub(super) fn read_critical(
        &mut self,
        id: StreamId,
        kind: Critical,
        mut data: Bytes,
        transport: &mut impl Transport,
    ) -> Result<(), H3Error> {
        loop {
            match kind {
                Critical::Control => {
                    while let Some(frame) = self.control.next(&mut data)? {
                        self.on_control_frame(frame, transport)?;
                    }
                    self.idle.count(self.control.take_skipped(), self.now)?;
                }
                Critical::Encoder => self.on_encoder_stream(&data, transport)?,
                Critical::Decoder => {
                    self.idle.count_small(self.encoder.on_decoder_stream(&data)?, self.now)?;
                }
            }
            data = match transport.read(id, CHUNK) {
                Ok(Read::Data(data)) => data,
                Ok(Read::Blocked) => return Ok(()),
                // RFC 9114 §6.2.1, RFC 9204 §4.2.
                Ok(Read::Finished) | Err(_) => return Err(H3Violation::CriticalStreamClosed.into()),
            };
        }
    }

    fn on_control_frame(
        &mut self,
        frame: ControlFrame,
        transport: &mut impl Transport,
    ) -> Result<(), H3Error> {
        // SETTINGS comes once. Every other frame replaces a value, and a peer can send it without end.
        if !matches!(frame, ControlFrame::Settings(_)) {
            self.idle.count(1, self.now)?;
        }
        let id = self.critical_in[Critical::Control as usize];
        if let Some(id) = id.filter(|_| transport.is_observed()) {
            trace_control(&frame, id, transport);
        }
        match frame {
            ControlFrame::Settings(settings) => {
                self.check_remembered(&settings)?;
                self.encoder.on_settings(settings.qpack_max_table_capacity, settings.qpack_blocked_streams);
                self.peer_settings = Some(settings.clone());
                self.events.push_back(Event::SettingsReceived(Box::new(settings)));
            }
            ControlFrame::GoAway(id) => self.on_goaway(id)?,
            ControlFrame::MaxPushId(id) => {
                // RFC 9114 §7.2.7.
                if self.max_push_id.is_some_and(|earlier| id < earlier) {
                    return Err(H3Violation::MaxPushIdReduced.into());
                }
                self.max_push_id = Some(id);
            }
            // RFC 9114 §7.2.3: no push was ever permitted (client) or promised (server).
            ControlFrame::CancelPush => return Err(H3Violation::CancelPushUnknown.into()),
            // RFC 9218 §7.2: no push was promised, so none can have a priority.
            ControlFrame::PriorityUpdate { push: true, .. } => {
                return Err(H3Violation::PriorityUpdateId.into());
            }
            ControlFrame::PriorityUpdate { push: false, id, value } => {
                self.on_priority_update(id, &value, transport)?;
            }
        }
        Ok(())
    }

    fn on_goaway(&mut self, id: u64) -> Result<(), H3Error> {
        // RFC 9114 §7.2.6: a server names a request stream.
        let is_request = StreamId::from_value(id)
            .is_some_and(|id| id.initiator() == Side::Client && id.dir() == Dir::Bidi);
        if self.side.is_client() && !is_request {
            return Err(H3Violation::GoAwayId.into());
        }
        // RFC 9114 §5.2: the identifier must not increase.
        if self.goaway_received.is_some_and(|earlier| id > earlier) {
            return Err(H3Violation::GoAwayRaised.into());
        }
        if self.goaway_received.replace(id) == Some(id) {
            return Ok(());
        }
        self.events.push_back(Event::GoAway { id });
        Ok(())
    }

    fn on_priority_update(
        &mut self,
        id: u64,
        value: &[u8],
        transport: &mut impl Transport,
    ) -> Result<(), H3Error> {
        let id = StreamId::from_value(id)
            .filter(|id| id.initiator() == Side::Client && id.dir() == Dir::Bidi)
            .filter(|id| id.index() < transport.stream_limit(Side::Client, Dir::Bidi))
            .ok_or(H3Violation::PriorityUpdateId)?;
        let priority = parse_priority(value);
        if let Some(request) = self.requests.get_mut(&id) {
            request.priority = Some(priority);
            if request.announced {
                transport.set_priority(id, priority);
                self.events.push_back(Event::PriorityUpdate { stream: id, priority });
            }
        } else if self.may_come(id) {
            self.take_early_priority(id);
            if self.early_priorities.len() >= MAX_EARLY_PRIORITIES {
                self.early_priorities.pop_front();
            }
            self.early_priorities.push_back((id, priority));
        }
        Ok(())
    }

    /// Removes the priority that a `PRIORITY_UPDATE` set before the stream was open.
    pub(super) fn take_early_priority(&mut self, id: StreamId) -> Option<Priority> {
        let at = self.early_priorities.iter().position(|(stream, _)| *stream == id)?;
        self.early_priorities.remove(at).map(|(_, priority)| priority)
    }

    pub(super) fn on_datagrams(&mut self, transport: &mut impl Transport) -> Result<(), H3Error> {
        while let Some(bytes) = transport.receive_datagram() {
            // RFC 9297 §2.1.1: without our setting, datagrams have no meaning and are dropped.
            if self.config.settings.datagrams() {
                self.on_datagram(bytes, transport)?;
            }
        }
        Ok(())
    }

    fn on_datagram(&mut self, bytes: Bytes, transport: &mut impl Transport) -> Result<(), H3Error> {
        let (stream, payload) = datagram::decode(bytes)?;
        // RFC 9297 §2.1: the stream is beyond the stream limit.
        if stream.index() >= transport.stream_limit(Side::Client, Dir::Bidi) {
            return Err(H3Violation::DatagramStreamLimit.into());
        }
        let wanted = match self.requests.get(&stream) {
            Some(request) => !request.is_done(),
            // At a server a datagram may overtake its request. A stream that is over accepts none.
            None => !self.side.is_client() && self.may_come(stream),
        };
        trace::datagram(transport, From::Peer, stream, payload.len());
        if wanted {
            self.events.push_back(Event::Datagram { stream, payload });
        }
        Ok(())
    }
}

/// Shows a frame of the peer's control stream to the observer.
fn trace_control(frame: &ControlFrame, id: StreamId, transport: &mut impl Transport) {
    match frame {
        ControlFrame::Settings(settings) => trace::settings(transport, From::Peer, id, settings),
        ControlFrame::GoAway(value) => trace::control(transport, From::Peer, id, kind::GOAWAY, *value),
        ControlFrame::MaxPushId(value) => {
            trace::control(transport, From::Peer, id, kind::MAX_PUSH_ID, *value);
        }
        ControlFrame::PriorityUpdate { push: false, id: request, value } => {
            trace::priority_update(transport, id, *request, value);
        }
        ControlFrame::CancelPush | ControlFrame::PriorityUpdate { push: true, .. } => {}
    }
}
