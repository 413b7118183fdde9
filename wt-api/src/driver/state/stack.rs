//! The layers below the application, in one value.

use h3_core::transport::ConnTransport;
use quic_core::{Connection, base::Timestamp};
use wt_session::Sessions;

/// QUIC, HTTP/3 and the sessions of one connection, and the time of the call that is being handled.
pub(crate) struct Stack {
    pub(crate) quic: Connection,
    pub(crate) h3: h3_core::Connection,
    pub(crate) sessions: Sessions,
    pub(crate) now: Timestamp,
}

/// The layers one by one. Each takes those below it as arguments.
pub(crate) struct Layers<'a> {
    pub(crate) sessions: &'a mut Sessions,
    pub(crate) h3: &'a mut h3_core::Connection,
    pub(crate) transport: ConnTransport<'a>,
}

impl Stack {
    pub(crate) fn layers(&mut self) -> Layers<'_> {
        let Self { quic, h3, sessions, now } = self;
        Layers { sessions, h3, transport: ConnTransport::new(quic, *now) }
    }
}
