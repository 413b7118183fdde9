//! Events of layers above QUIC, which name their fields themselves.

use quic_core::{FieldValue, LayerEvent};

use super::log::Log;
use crate::json::{Fields, Items};

pub(super) fn write(log: &mut Log<'_>, event: &LayerEvent<'_>) {
    let name = format!("{}:{}", event.namespace, event.name);
    log.event(&name, |data| fields(data, event.fields));
}

fn fields(data: &mut Fields<'_>, values: &[(&'static str, FieldValue<'_>)]) {
    for (name, value) in values {
        match value {
            FieldValue::Number(number) => data.number(name, *number),
            FieldValue::Bool(flag) => data.flag(name, *flag),
            FieldValue::Text(text) => data.text(name, text),
            FieldValue::Bytes(bytes) => data.hex(name, bytes),
            FieldValue::Fields(inner) => data.object(name, |data| fields(data, inner)),
            FieldValue::List(items) => data.list(name, |list| items_of(list, items)),
        }
    }
}

fn items_of(list: &mut Items<'_>, items: &[FieldValue<'_>]) {
    for item in items {
        match item {
            FieldValue::Number(number) => list.number(*number),
            FieldValue::Bool(flag) => list.flag(*flag),
            FieldValue::Text(text) => list.text(text),
            FieldValue::Bytes(bytes) => list.hex(bytes),
            FieldValue::Fields(inner) => list.object(|data| fields(data, inner)),
            FieldValue::List(inner) => list.list(|list| items_of(list, inner)),
        }
    }
}
