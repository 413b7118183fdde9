//! What the names and figures of events depend on.

use quic_core::{ConnectionStart, Side};

use super::names;
use crate::json::Fields;

pub(crate) struct Mapping {
    pub(super) side: Side,
    /// Whether codes of the application are those of HTTP/3.
    pub(super) http3: bool,
    /// How this end, and the peer, count the delay of acknowledgments: in a power of two of microseconds.
    pub(super) ack_delay_exponents: [u8; 2],
}

impl Mapping {
    pub(crate) fn new(start: &ConnectionStart) -> Self {
        Self { side: start.side, http3: false, ack_delay_exponents: [3; 2] }
    }

    /// A code of the application: its name, or `unknown` and the number.
    pub(super) fn application_error(&self, data: &mut Fields<'_>, name: &str, code: u64) {
        match names::http3_error(code).filter(|_| self.http3) {
            Some(known) => data.text(name, known),
            None => {
                data.text(name, "unknown");
                data.number("error_code", code);
            }
        }
    }
}
