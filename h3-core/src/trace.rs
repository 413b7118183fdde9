//! What an observer of the connection is told of HTTP/3: events of qlog's name space `http3`
//! (draft-ietf-quic-qlog-h3-events-13). Nothing is built unless somebody observes.
//!
//! Values of fields that carry credentials are not shown, nor is any content.

use qpack::FieldRef;
use quic_core::{FieldValue, LayerEvent, StreamId};

use crate::{frame::kind, settings::Settings, transport::Transport};

/// Fields whose values nobody is shown.
const SECRET: [&[u8]; 4] = [b"authorization", b"proxy-authorization", b"cookie", b"set-cookie"];

/// Which end something came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    Here,
    Peer,
}

impl From {
    fn initiator(self) -> FieldValue<'static> {
        FieldValue::Text(if self == Self::Here { "local" } else { "remote" })
    }

    fn frame_event(self) -> &'static str {
        if self == Self::Here { "frame_created" } else { "frame_parsed" }
    }
}

type Fields<'a> = [(&'static str, FieldValue<'a>)];

fn tell(transport: &mut impl Transport, name: &'static str, fields: &Fields<'_>) {
    transport.trace(&LayerEvent { namespace: "http3", name, fields });
}

fn number(id: StreamId) -> FieldValue<'static> {
    FieldValue::Number(id.value())
}

/// A frame of this type was made or read, with these fields besides its type.
fn frame(transport: &mut impl Transport, from: From, id: StreamId, name: &'static str, fields: &Fields<'_>) {
    let mut all = vec![("frame_type", FieldValue::Text(name))];
    all.extend_from_slice(fields);
    tell(transport, from.frame_event(), &[("stream_id", number(id)), ("frame", FieldValue::Fields(&all))]);
}

/// The kind of a stream is known: `control`, `qpack_encode`, `qpack_decode` or `request`.
#[inline]
pub(crate) fn stream_type(transport: &mut impl Transport, from: From, id: StreamId, name: &'static str) {
    if transport.is_observed() {
        let fields = [
            ("initiator", from.initiator()),
            ("stream_id", number(id)),
            ("stream_type", FieldValue::Text(name)),
        ];
        tell(transport, "stream_type_set", &fields);
    }
}

/// SETTINGS were sent or have arrived.
#[inline]
pub(crate) fn settings(transport: &mut impl Transport, from: From, id: StreamId, settings: &Settings) {
    if transport.is_observed() {
        show_settings(transport, from, id, settings);
    }
}

#[cold]
fn show_settings(transport: &mut impl Transport, from: From, id: StreamId, settings: &Settings) {
    let number = FieldValue::Number;
    let mut parameters = vec![
        ("initiator", from.initiator()),
        ("max_table_capacity", number(settings.qpack_max_table_capacity)),
        ("blocked_streams_count", number(settings.qpack_blocked_streams)),
        ("extended_connect", number(u64::from(settings.enable_connect_protocol))),
        ("h3_datagram", number(u64::from(settings.h3_datagram))),
    ];
    parameters.extend(settings.max_field_section_size.map(|size| ("max_field_section_size", number(size))));
    tell(transport, "parameters_set", &parameters);
    let known = [
        ("settings_qpack_max_table_capacity", settings.qpack_max_table_capacity),
        ("settings_qpack_blocked_streams", settings.qpack_blocked_streams),
        ("settings_enable_connect_protocol", u64::from(settings.enable_connect_protocol)),
        ("settings_h3_datagram", u64::from(settings.h3_datagram)),
    ];
    let size = settings.max_field_section_size.map(|size| ("settings_max_field_section_size", size));
    let known: Vec<_> = known
        .into_iter()
        .chain(size)
        .map(|(name, value)| [("name", FieldValue::Text(name)), ("value", number(value))])
        .collect();
    let other: Vec<_> = settings
        .extra
        .iter()
        .map(|(id, value)| {
            [("name", FieldValue::Text("unknown")), ("name_bytes", number(*id)), ("value", number(*value))]
        })
        .collect();
    let items: Vec<_> = known
        .iter()
        .map(|setting| FieldValue::Fields(setting))
        .chain(other.iter().map(|setting| FieldValue::Fields(setting)))
        .collect();
    frame(transport, from, id, "settings", &[("settings", FieldValue::List(&items))]);
}

/// A header section was sent or has arrived.
#[inline]
pub(crate) fn headers<'a>(
    transport: &mut impl Transport,
    from: From,
    id: StreamId,
    lines: impl Iterator<Item = FieldRef<'a>>,
) {
    if transport.is_observed() {
        show_headers(transport, from, id, lines);
    }
}

#[cold]
fn show_headers<'a>(
    transport: &mut impl Transport,
    from: From,
    id: StreamId,
    lines: impl Iterator<Item = FieldRef<'a>>,
) {
    let lines: Vec<_> = lines
        .map(|line| {
            let secret = line.never_index || SECRET.contains(&line.name);
            let (name, value) = (std::str::from_utf8(line.name), std::str::from_utf8(line.value));
            let name = name.map_or(("name_bytes", FieldValue::Bytes(line.name)), |name| {
                ("name", FieldValue::Text(name))
            });
            let value = value.map_or(("value_bytes", FieldValue::Bytes(line.value)), |value| {
                ("value", FieldValue::Text(value))
            });
            if secret { vec![name] } else { vec![name, value] }
        })
        .collect();
    let items: Vec<_> = lines.iter().map(|line| FieldValue::Fields(line)).collect();
    frame(transport, from, id, "headers", &[("headers", FieldValue::List(&items))]);
}

/// A DATA frame with `size` bytes was made, or begins.
#[inline]
pub(crate) fn data(transport: &mut impl Transport, from: From, id: StreamId, size: u64) {
    if transport.is_observed() {
        let raw = [("payload_length", FieldValue::Number(size))];
        frame(transport, from, id, "data", &[("raw", FieldValue::Fields(&raw))]);
    }
}

/// A frame of the control stream that has a single number.
#[inline]
pub(crate) fn control(transport: &mut impl Transport, from: From, id: StreamId, kind: u64, value: u64) {
    if transport.is_observed() {
        let (name, field) = match kind {
            kind::GOAWAY => ("goaway", "id"),
            kind::MAX_PUSH_ID => ("max_push_id", "push_id"),
            _ => return,
        };
        frame(transport, from, id, name, &[(field, FieldValue::Number(value))]);
    }
}

/// A `PRIORITY_UPDATE` arrived for a request (RFC 9218 §7).
#[inline]
pub(crate) fn priority_update(transport: &mut impl Transport, id: StreamId, request: u64, value: &[u8]) {
    if transport.is_observed() {
        let text = String::from_utf8_lossy(value);
        let fields =
            [("stream_id", FieldValue::Number(request)), ("priority_field_value", FieldValue::Text(&text))];
        frame(transport, From::Peer, id, "priority_update", &fields);
    }
}

/// An HTTP datagram with a payload of `size` bytes.
#[inline]
pub(crate) fn datagram(transport: &mut impl Transport, from: From, stream: StreamId, size: usize) {
    if transport.is_observed() {
        let raw = [("payload_length", FieldValue::Number(size as u64))];
        let name = if from == From::Here { "datagram_created" } else { "datagram_parsed" };
        let quarter = FieldValue::Number(stream.value() / 4);
        tell(transport, name, &[("quarter_stream_id", quarter), ("raw", FieldValue::Fields(&raw))]);
    }
}
