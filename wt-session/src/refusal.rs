//! Why a session was not established, with a text that names the cause and the remedy.

use h3_core::error::{SendError, code};
use http::HeaderMap;

use crate::codes;

/// Why a session was not established.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The peer's SETTINGS lack one that WebTransport needs.
    MissingSetting {
        /// Its name.
        name: &'static str,
        /// Its identifier.
        id: u64,
        /// The value it should have.
        value: u64,
    },
    /// A setting has a value that the draft forbids.
    SettingValue {
        /// Its name.
        name: &'static str,
        /// Its identifier.
        id: u64,
        /// The value received.
        value: u64,
    },
    /// The peer's transport parameters lack one that WebTransport needs.
    MissingParameter {
        /// Its name.
        name: &'static str,
        /// Its identifier.
        id: u64,
    },
    /// The request has a `:protocol` that the negotiated dialect does not know, or a scheme other than https.
    Header {
        /// The field.
        name: &'static str,
        /// The required value.
        expected: &'static str,
    },
    /// The connection already has the most sessions that it may (§5.1, §5.2).
    TooManySessions {
        /// The most sessions at once.
        max: u64,
    },
    /// The requests that wait for the client's SETTINGS take all the memory that is available for them.
    FieldsWaiting,
    /// The server answered with a status that is not 2xx.
    Status {
        /// The status.
        status: u16,
        /// The response's fields.
        headers: Box<HeaderMap>,
    },
    /// The server chose an application protocol that was not offered (§3.3).
    Protocol(String),
    /// The server chose no application protocol, or not as a string, and this side requires one (§3.3).
    NoProtocol,
    /// The server reset the request with this HTTP/3 code.
    Reset(u64),
    /// The stream ended, or was malformed, before a response.
    NoResponse,
    /// The server sent GOAWAY and did not process the request.
    GoingAway,
    /// The request could not be sent.
    Send(SendError),
    /// The application cancelled the request.
    Cancelled,
    /// The connection ended before the server answered.
    ConnectionLost,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::MissingSetting { name, id, value } => write!(
                f,
                "the peer's SETTINGS lack {name} ({id:#x}); it has to send {name} = {value} for WebTransport"
            ),
            Self::SettingValue { name, id, value } => {
                write!(f, "the peer sent {name} ({id:#x}) = {value}; only 0 and 1 are permitted")
            }
            Self::MissingParameter { name, id } => write!(
                f,
                "the peer's transport parameters lack {name} ({id:#x}); its QUIC stack has to enable it"
            ),
            Self::Header { name, expected } => {
                write!(f, "the request's {name} is not what this session needs: it has to be {expected}")
            }
            Self::FieldsWaiting => f.write_str(
                "too many fields of requests wait for the client's SETTINGS; send fewer requests before these \
                 arrive",
            ),
            Self::TooManySessions { max: 1 } => f.write_str(
                "the connection already carries a session; a second one needs a connection of its own, or \
                 session flow control on both sides",
            ),
            Self::TooManySessions { max } => write!(
                f,
                "the connection already carries {max} sessions, the most it may; another one needs a \
                 connection of its own"
            ),
            Self::Status { status, .. } => write!(f, "the server answered {status}: {}", status_remedy(*status)),
            Self::Protocol(name) => write!(
                f,
                "the server's WT-Protocol header chose \"{name}\", which was not offered; it has to choose \
                 one of WT-Available-Protocols or send none"
            ),
            Self::NoProtocol => f.write_str(
                "the server chose no application protocol, and this side requires one; it has to name one of \
                 WT-Available-Protocols in WT-Protocol, as a string",
            ),
            Self::Reset(reset) => {
                write!(f, "the server reset the request with code {reset:#x}: {}", reset_remedy(*reset))
            }
            Self::NoResponse => f.write_str("the request's stream ended without a response from the server"),
            Self::GoingAway => f.write_str("the server is going away; open a new connection"),
            Self::Send(error) => write!(f, "the request could not be sent: {error}"),
            Self::Cancelled => f.write_str("the request was given up by this side"),
            Self::ConnectionLost => f.write_str("the connection ended before there was an answer"),
        }
    }
}

impl std::error::Error for Refusal {}

fn status_remedy(status: u16) -> &'static str {
    match status {
        300..=399 => "redirects of sessions are never followed; use the final URL",
        403 => "the server does not accept this Origin",
        404 | 405 => "there is no WebTransport at this path",
        429 => "the server has too many sessions; try later",
        501 => "the server does not know this :protocol",
        _ => "only a 2xx status accepts a session",
    }
}

fn reset_remedy(reset: u64) -> &'static str {
    match reset {
        code::H3_REQUEST_REJECTED => {
            "it was not processed; the connection may have all its sessions already, or the server goes away"
        }
        code::H3_MESSAGE_ERROR => {
            "it was malformed for the server, or this side's settings lack what the server needs"
        }
        code::H3_REQUEST_CANCELLED => "the server gave it up",
        codes::WT_REQUIREMENTS_NOT_MET => "settings or transport parameters are missing",
        codes::WT_ALPN_ERROR => "no application protocol could be agreed upon",
        _ => "the server gives no further reason",
    }
}
