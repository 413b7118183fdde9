//! Records (RFC 7464).

use std::time::Duration;

use crate::json::{Fields, object};

/// Every record begins with this byte (RFC 7464 §2.2).
pub(crate) const RECORD_SEPARATOR: u8 = 0x1e;

/// Appends the record of an event.
pub(crate) fn record(out: &mut Vec<u8>, time: Duration, name: &str, data: impl FnOnce(&mut Fields<'_>)) {
    out.push(RECORD_SEPARATOR);
    object(out, |event| {
        event.millis("time", time);
        event.text("name", name);
        event.object("data", data);
    });
    out.push(b'\n');
}
