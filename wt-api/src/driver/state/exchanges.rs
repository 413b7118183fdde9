//! Plain HTTP/3 exchanges of a connection: a server's responses, and the one request that a client makes.

use std::sync::Arc;

use quic_core::StreamId;

use super::responses::Responses;
use crate::{jobs::GetJob, mailbox::RecvBox};

/// Plain exchanges of a connection.
#[derive(Default)]
pub(crate) struct HttpExchanges {
    pub(crate) responses: Responses,
    pub(crate) get: Option<GetState>,
}

/// The client's request.
pub(crate) struct GetState {
    pub(crate) stream: StreamId,
    pub(crate) body: Arc<RecvBox>,
    pub(crate) job: Arc<GetJob>,
}

impl HttpExchanges {
    pub(crate) fn is_idle(&self) -> bool {
        self.responses.is_idle() && self.get.is_none()
    }
}
