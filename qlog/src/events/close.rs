//! The end of a connection.

use quic_core::error::{CloseReason, ConnectionError, TransportErrorCode};

use super::{log::Log, mapping::Mapping, names};
use crate::json::Fields;

impl Mapping {
    pub(super) fn closed(&self, log: &mut Log<'_>, error: &ConnectionError) {
        log.event("quic:connection_closed", |data| match error {
            ConnectionError::LocallyClosed => end(data, "local", "application"),
            ConnectionError::Violation { violation, .. } => {
                end(data, "local", "error");
                transport(data, violation.code());
                data.text("reason", violation.text());
            }
            ConnectionError::Tls { alert, message } => {
                end(data, "local", "error");
                transport(data, TransportErrorCode::crypto(*alert));
                data.text("reason", message);
            }
            ConnectionError::PeerClosed(CloseReason::Transport { code, reason, .. }) => {
                end(data, "remote", if code.0 == 0 { "unspecified" } else { "error" });
                transport(data, *code);
                data.text("reason", &String::from_utf8_lossy(reason));
            }
            ConnectionError::PeerClosed(CloseReason::Application { code, reason }) => {
                end(data, "remote", "application");
                self.application_error(data, "application_error", *code);
                data.text("reason", &String::from_utf8_lossy(reason));
            }
            ConnectionError::StatelessReset => end(data, "remote", "stateless_reset"),
            ConnectionError::IdleTimeout => end(data, "local", "idle_timeout"),
            ConnectionError::VersionMismatch { .. } => end(data, "local", "version_mismatch"),
            ConnectionError::NoViablePath => {
                end(data, "local", "error");
                transport(data, TransportErrorCode::NO_VIABLE_PATH);
            }
            error => {
                end(data, "local", "aborted");
                data.text("reason", &error.to_string());
            }
        });
    }
}

fn end(data: &mut Fields<'_>, initiator: &str, trigger: &str) {
    data.text("initiator", initiator);
    data.text("trigger", trigger);
}

fn transport(data: &mut Fields<'_>, code: TransportErrorCode) {
    match names::transport_error(code.0) {
        Some(known) => data.text("connection_error", &known),
        None => {
            data.text("connection_error", "unknown");
            data.number("error_code", code.0);
        }
    }
}
