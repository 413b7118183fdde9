//! Why an HTTP exchange failed.
//!
//! Owns the public error type of HTTP. It must never know streams or drivers: they translate into it.

use std::{io, sync::Arc};

use h3_core::{SendError, StreamViolation, error::code};

use crate::error::{ConnectOptionsError, WebTransportError};

/// An error of the application or of another library, as `http_body` and `tower` have them.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why an HTTP exchange failed, or the content of a message. It is cheap to clone.
/// [`may_be_repeated`](Self::may_be_repeated) says whether the server cannot have processed the request.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The URL or the options cannot be used. Nothing was sent.
    #[error(transparent)]
    Options(#[from] ConnectOptionsError),
    /// HTTP/3 cannot carry the message: a field that it forbids, such as `connection` (RFC 9114 §4.2), a
    /// method without meaning here, or content that does not have the declared length. Nothing was sent, or
    /// the message was reset.
    #[error("the message cannot be sent: {0}")]
    Invalid(Arc<str>),
    /// The fields of the request are larger than the server accepts (RFC 9114 §4.2.2). Nothing was sent.
    #[error(
        "the fields have {size} bytes, as HTTP/3 counts, and the peer accepts {limit}; send fewer or shorter ones"
    )]
    TooLarge {
        /// Their size, in bytes (RFC 9114 §4.2.2).
        size: u64,
        /// The peer's limit, in bytes.
        limit: u64,
    },
    /// There is no connection to the server. Nothing was sent.
    #[error(transparent)]
    Connect(WebTransportError),
    /// The connection ended, or the exchange failed with it. The request may have been processed.
    #[error(transparent)]
    Exchange(#[from] WebTransportError),
    /// The server did not process the request: `H3_REQUEST_REJECTED` (RFC 9114 §4.1.1), or a GOAWAY that
    /// excludes it (§5.2).
    #[error("the server did not process the request, which may be sent again on another connection")]
    Rejected,
    /// The peer ended the message before it was whole.
    #[error("the peer ended the message with the code {code:#x}{}", name(*.code))]
    Reset {
        /// The code (RFC 9114 §8.1).
        code: u64,
    },
    /// The peer's message breaks a rule of HTTP.
    #[error("the peer's message is malformed: {0}")]
    Malformed(StreamViolation),
    /// The content of a request did not go on in time
    /// ([`ServerBuilder::body_timeout`](crate::ServerBuilder::body_timeout)).
    #[error("the content of the request did not go on in time; see ServerBuilder::body_timeout")]
    Timeout,
    /// The message has more content than the caller allowed.
    #[error("the content has more than the {limit} bytes that were allowed")]
    ReadLimit {
        /// The caller's limit, in bytes.
        limit: usize,
    },
    /// The application's own content failed while it was sent.
    #[error("the content that was to be sent failed: {0}")]
    Body(Arc<dyn std::error::Error + Send + Sync>),
    /// This side gave the exchange up, or it is over.
    #[error("the exchange is over on this side")]
    Cancelled,
}

impl HttpError {
    /// Whether the server has certainly not processed the request, so that it can be sent again even if that
    /// is not idempotent (RFC 9110 §9.2.2).
    #[must_use]
    pub fn may_be_repeated(&self) -> bool {
        matches!(
            self,
            Self::Options(_) | Self::Connect(_) | Self::Rejected | Self::Invalid(_) | Self::TooLarge { .. }
        )
    }

    /// Why HTTP/3 did not send a message.
    pub(crate) fn of_send(error: &SendError) -> Self {
        match error {
            SendError::TooLarge { size, limit } => Self::TooLarge { size: *size, limit: *limit },
            SendError::Unavailable => Self::Rejected,
            error => Self::Invalid(error.to_string().into()),
        }
    }

    /// The meaning of a reset with this code.
    pub(crate) fn of_reset(code: u64) -> Self {
        if code == code::H3_REQUEST_REJECTED { Self::Rejected } else { Self::Reset { code } }
    }
}

impl From<HttpError> for io::Error {
    fn from(error: HttpError) -> Self {
        let kind = match &error {
            HttpError::Exchange(error) | HttpError::Connect(error) => {
                return Self::from(error.clone());
            }
            HttpError::Options(_) | HttpError::Invalid(_) | HttpError::TooLarge { .. } => {
                io::ErrorKind::InvalidInput
            }
            HttpError::Rejected => io::ErrorKind::ConnectionRefused,
            HttpError::Reset { .. } => io::ErrorKind::ConnectionReset,
            HttpError::Malformed(_) => io::ErrorKind::InvalidData,
            HttpError::Timeout => io::ErrorKind::TimedOut,
            HttpError::ReadLimit { .. } => io::ErrorKind::FileTooLarge,
            HttpError::Body(_) => io::ErrorKind::Other,
            HttpError::Cancelled => io::ErrorKind::ConnectionAborted,
        };
        Self::new(kind, error)
    }
}

fn name(code: u64) -> String {
    code::name(code).map(|name| format!(" ({name})")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_repeated_is_what_was_not_processed() {
        for (error, may) in [
            (HttpError::of_reset(code::H3_REQUEST_REJECTED), true),
            (HttpError::of_reset(code::H3_REQUEST_CANCELLED), false),
            (HttpError::of_reset(code::H3_INTERNAL_ERROR), false),
            (HttpError::Timeout, false),
            (HttpError::TooLarge { size: 2, limit: 1 }, true),
        ] {
            assert_eq!(error.may_be_repeated(), may, "{error}");
        }
        assert!(HttpError::of_reset(0x102).to_string().contains("H3_INTERNAL_ERROR"));
    }
}
