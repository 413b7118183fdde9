//! A request for a session that waits for the application.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use crate::{
    connection::Connection,
    mailbox::{Addresses, Command, SessionBox},
};

/// A request without an answer yet. Dropping it answers with 404.
pub(crate) struct Offer {
    pub(crate) request: wt_session::SessionRequest,
    /// `None` once it was answered.
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

    /// Takes the session to answer the request; `None` if that was already done.
    pub(crate) fn take(&mut self) -> Option<Arc<SessionBox>> {
        self.shared.take()
    }

    /// Answers with a status from 300 to 599 and these fields.
    pub(crate) fn answer(&mut self, status: StatusCode, headers: HeaderMap) {
        if let Some(shared) = self.shared.take() {
            let _ = shared.command(Command::Reject(status, headers));
        }
    }

    /// Refuses without an answer (`H3_REQUEST_REJECTED`, RFC 9114 §8.1): the request was not processed.
    pub(crate) fn turn_away(mut self) {
        if let Some(shared) = self.shared.take() {
            let _ = shared.command(Command::Refuse);
        }
    }

    /// Whether it is the request for this session.
    pub(crate) fn is_for(&self, session: &SessionBox) -> bool {
        self.shared.as_deref().is_some_and(|shared| std::ptr::eq(shared, session))
    }

    /// The client is gone, so nobody can be answered.
    pub(crate) fn forget(mut self) {
        self.shared = None;
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        self.answer(StatusCode::NOT_FOUND, HeaderMap::new());
    }
}
