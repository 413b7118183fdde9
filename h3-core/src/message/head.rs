//! The types of message heads.

use bytes::Bytes;
use http::{
    HeaderMap, Method, StatusCode,
    uri::{Authority, PathAndQuery, Scheme},
};

/// The value of `:protocol` (RFC 8441 §4): a token.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Protocol(Bytes);

impl Protocol {
    /// A protocol name; `None` unless it is a token of at least one character (RFC 9110 §5.6.2).
    #[must_use]
    pub fn new(name: Bytes) -> Option<Self> {
        let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        (!name.is_empty() && name.iter().all(token)).then_some(Self(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // `new` accepts only ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl std::fmt::Debug for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The head of a request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RequestHead {
    /// `:method`.
    pub method: Method,
    /// `:scheme`; absent from a CONNECT that is not extended.
    pub scheme: Option<Scheme>,
    /// `:authority`.
    pub authority: Option<Authority>,
    /// `:path`; absent from a CONNECT that is not extended.
    pub path: Option<PathAndQuery>,
    /// `:protocol`: makes a CONNECT an extended one (RFC 9220).
    pub protocol: Option<Protocol>,
    /// The fields. A sensitive value was received, or is sent, as never-indexed.
    pub headers: HeaderMap,
}

impl RequestHead {
    /// A request of `method` for `https://authority/path`, without fields.
    #[must_use]
    pub fn new(method: Method, authority: Authority, path: PathAndQuery) -> Self {
        Self {
            method,
            scheme: Some(Scheme::HTTPS),
            authority: Some(authority),
            path: Some(path),
            protocol: None,
            headers: HeaderMap::new(),
        }
    }

    /// True for a CONNECT, extended or not.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        self.method == Method::CONNECT
    }
}

/// The head of a response.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResponseHead {
    /// `:status`.
    pub status: StatusCode,
    /// The fields.
    pub headers: HeaderMap,
}

impl ResponseHead {
    /// A response without fields.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new() }
    }

    /// Sets the fields.
    #[must_use]
    pub fn with_headers(self, headers: HeaderMap) -> Self {
        Self { headers, ..self }
    }
}
