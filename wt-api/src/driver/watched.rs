//! Shows the observer of a connection what becomes of its sessions: events of a name space of this library, beside those
//! of QUIC and HTTP/3.

use quic_core::{Dir, FieldValue, LayerEvent};
use wt_session::{Event, SessionId};

use super::state::conn::Conn;

/// The name space of these events.
const NAMESPACE: &str = "weft_webtransport";

impl Conn {
    /// An event of a session is about to be handled.
    #[inline]
    pub(super) fn show_session_event(&mut self, event: &Event) {
        if self.stack.quic.is_observed() {
            self.show(event);
        }
    }

    #[cold]
    fn show(&mut self, event: &Event) {
        let id = |session: &SessionId| ("session_id", FieldValue::Number(session.0.value()));
        match event {
            Event::Incoming { session, request } => {
                let path = request.path.to_string();
                let fields = [id(session), ("path", FieldValue::Text(&path))];
                self.tell_layer("session_requested", &fields);
            }
            Event::Requested { session, .. } => self.tell_layer("session_requested", &[id(session)]),
            Event::Established { session, response } => {
                let draft = ("draft", FieldValue::Text(response.dialect.name()));
                let protocol = response.protocol.as_deref().map(|text| ("protocol", FieldValue::Text(text)));
                let fields: Vec<_> = [id(session), draft].into_iter().chain(protocol).collect();
                self.tell_layer("session_established", &fields);
            }
            Event::Refused { session: Some(session), reason, .. } => {
                let reason = reason.to_string();
                self.tell_layer("session_refused", &[id(session), ("reason", FieldValue::Text(&reason))]);
            }
            Event::StreamOpened { session, stream, dir } => {
                let kind = if *dir == Dir::Bidi { "bidirectional" } else { "unidirectional" };
                let fields = [
                    id(session),
                    ("stream_id", FieldValue::Number(stream.value())),
                    ("stream_type", FieldValue::Text(kind)),
                ];
                self.tell_layer("stream_opened", &fields);
            }
            Event::Draining { session } => self.tell_layer("session_draining", &[id(session)]),
            Event::Closed { session, result } => {
                let result = match result {
                    Ok(close) => format!("code {}: {}", close.code, close.reason),
                    Err(error) => error.to_string(),
                };
                self.tell_layer("session_closed", &[id(session), ("result", FieldValue::Text(&result))]);
            }
            _ => {}
        }
    }

    fn tell_layer(&mut self, name: &'static str, fields: &[(&'static str, FieldValue<'_>)]) {
        let now = self.stack.now;
        self.stack.quic.trace(now, &LayerEvent { namespace: NAMESPACE, name, fields });
    }
}
