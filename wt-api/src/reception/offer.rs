//! A request for a session on its way to the application.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use crate::{
    connection::Connection,
    mailbox::{Addresses, Command, SessionBox},
};

/// A request that is not answered yet. Dropped, it is answered with 404.
pub(crate) struct Offer {
    pub(crate) request: wt_session::SessionRequest,
    /// Taken by the answer.
    shared: Option<Arc<SessionBox>>,
    pub(crate) connection: Connection,
    pub(crate) addresses: Addresses,
    /// The client's certificates in DER, its own first. All requests of a connection share them.
    pub(crate) certificates: Arc<[Vec<u8>]>,
}

impl Offer {
    pub(crate) fn new(
        request: wt_session::SessionRequest,
        shared: Arc<SessionBox>,
        connection: Connection,
        addresses: Addresses,
        certificates: Arc<[Vec<u8>]>,
    ) -> Self {
        Self { request, shared: Some(shared), connection, addresses, certificates }
    }

    /// The session, for whoever answers; `None` if that was done.
    pub(crate) fn take(&mut self) -> Option<Arc<SessionBox>> {
        self.shared.take()
    }

    /// Answers with a status, 300 to 599, and these fields.
    pub(crate) fn answer(&mut self, status: StatusCode, headers: HeaderMap) {
        if let Some(shared) = self.shared.take() {
            let _ = shared.command(Command::Reject(status, headers));
        }
    }

    /// Refuses without an answer (`H3_REQUEST_REJECTED`, RFC 9114 §8.1): nothing was done for the request.
    pub(crate) fn turn_away(mut self) {
        if let Some(shared) = self.shared.take() {
            let _ = shared.command(Command::Refuse);
        }
    }

    /// Whether it asks for the session of this box.
    pub(crate) fn is_for(&self, session: &SessionBox) -> bool {
        self.shared.as_deref().is_some_and(|shared| std::ptr::eq(shared, session))
    }

    /// Its client has gone: nobody is left who could be answered.
    pub(crate) fn forget(mut self) {
        self.shared = None;
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        self.answer(StatusCode::NOT_FOUND, HeaderMap::new());
    }
}
