//! A client's request for a session.

use std::{fmt, net::SocketAddr, sync::Arc};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header::ALLOW};
use quic_core::Dir;

use crate::{
    close::{CloseInfo, ClosedBy},
    congestion::CongestionControl,
    connection::Connection,
    error::{ErrorCause, WebTransportError},
    handle::Asked,
    mailbox::{Command, Established},
    reception::offer::Offer,
    session::WebTransport,
};

/// Options of [`Request::accept`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct AcceptOptions {
    status: StatusCode,
    headers: HeaderMap,
    protocol: Option<String>,
    /// How many streams of the client are expected at once: bidirectional, unidirectional.
    anticipated: [Option<u16>; 2],
    congestion_control: Option<CongestionControl>,
}

impl AcceptOptions {
    /// The defaults: status 200 without fields, and the settings of the
    /// [`ServerBuilder`](super::ServerBuilder).
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers with this status, 200 to 299; [`Request::accept`] refuses others. Clients treat all of them
    /// alike. Default 200.
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Sends these fields with the response, except `wt-protocol`, which [`protocol`](Self::protocol) sets.
    /// If HTTP/3 forbids one of them, such as `connection` (RFC 9114 §4.2), or they are larger than the
    /// client accepts, the response is 500, and the session ends with [`ErrorCause::SessionFailed`].
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// Chooses an application protocol from [`Request::protocols`]. One that was not offered is not sent.
    pub fn protocol(mut self, protocol: impl Into<String>) -> Self {
        self.protocol = Some(protocol.into());
        self
    }

    /// Changes the kind of congestion control for what the server sends on the session's connection, a hint.
    /// All sessions on the connection share it, and the last choice counts
    /// ([`Connection::set_congestion_control`](crate::Connection::set_congestion_control)). Default: no
    /// change.
    pub fn congestion_control(mut self, wanted: CongestionControl) -> Self {
        self.congestion_control = Some(wanted);
        self
    }

    /// How many bidirectional streams this client is expected to have open at once, and may have from the
    /// response on; see [`WebTransport::set_anticipated_concurrent_incoming_bidirectional_streams`]. Default
    /// `None`: the value of the
    /// [`ServerBuilder`](super::ServerBuilder::anticipated_concurrent_incoming_bidirectional_streams).
    pub fn anticipated_concurrent_incoming_bidirectional_streams(mut self, streams: Option<u16>) -> Self {
        self.anticipated[Dir::Bidi as usize] = streams;
        self
    }

    /// The same for unidirectional streams.
    pub fn anticipated_concurrent_incoming_unidirectional_streams(mut self, streams: Option<u16>) -> Self {
        self.anticipated[Dir::Uni as usize] = streams;
        self
    }
}

/// A request for a session without an answer yet. Dropping it answers with 404.
///
/// ```no_run
/// # async fn example(request: wt_api::Request) -> Result<(), wt_api::WebTransportError> {
/// use wt_api::AcceptOptions;
/// if request.path() != "/app" {
///     request.reject(http::StatusCode::NOT_FOUND).await;
/// } else {
///     let session = request.accept(AcceptOptions::new().protocol("app.v1")).await?;
/// #   drop(session);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Request {
    offer: Offer,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("authority", &self.authority())
            .field("path", &self.path())
            .field("remote", &self.offer.addresses.remote)
            .finish_non_exhaustive()
    }
}

impl Request {
    pub(crate) fn new(offer: Offer) -> Self {
        Self { offer }
    }

    /// The host and port that the client requested.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.offer.request.authority.as_str()
    }

    /// The path, without the query (RFC 3986 §3.3).
    #[must_use]
    pub fn path(&self) -> &str {
        self.offer.request.path.path()
    }

    /// The query, without its question mark (RFC 3986 §3.4).
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.offer.request.path.query()
    }

    /// The page's origin; `None` for programs. It was checked against the server's allowed origins.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.offer.request.origin.as_deref()
    }

    /// All header fields.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.offer.request.headers
    }

    /// The application protocols that the client offers, best first.
    #[must_use]
    pub fn protocols(&self) -> &[String] {
        &self.offer.request.protocols
    }

    /// The draft of WebTransport over HTTP/3 that is used, such as `draft-16`.
    #[must_use]
    pub fn dialect(&self) -> &'static str {
        self.offer.request.dialect.name()
    }

    /// Why this draft is used.
    #[must_use]
    pub fn dialect_reason(&self) -> &str {
        &self.offer.request.why
    }

    /// The client's address.
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        self.offer.addresses.remote
    }

    /// The address of this host that receives the client's packets. If a server listens on all addresses, it
    /// is the one that this client uses. `None` if the system does not tell.
    #[must_use]
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.offer.addresses.local
    }

    /// The connection of the request, which may carry other sessions.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.offer.connection
    }

    /// The certificates that the client presented, in DER, its own first. The server's verifier has accepted
    /// them. Empty unless the server's [`rustls_config`](super::ServerBuilder::rustls_config) requests them.
    #[must_use]
    pub fn client_certificates(&self) -> &[Vec<u8>] {
        &self.offer.certificates
    }

    /// Accepts the request. The session can be used at once. Cancel safe: if it is never awaited, the request
    /// is dropped and answered with 404.
    ///
    /// # Errors
    /// The client has gone, or the application has closed its [`connection`](Self::connection)
    /// ([`ErrorCause::ConnectionClosed`]). If the status of `options` is not 2xx
    /// ([`ErrorCause::NotAccepting`]), the request is answered with 404.
    #[allow(clippy::unused_async, reason = "accepting may have to wait once it does more than answer")]
    pub async fn accept(mut self, options: AcceptOptions) -> Result<WebTransport, WebTransportError> {
        if !options.status.is_success() {
            let status = options.status.as_u16();
            return Err(WebTransportError::session(ErrorCause::NotAccepting { status }));
        }
        if let Some(error) = self.offer.connection.ending() {
            return Err(error);
        }
        let Some(shared) = self.offer.take() else {
            return Err(WebTransportError::closed(ClosedBy::ThisSide, CloseInfo::default()));
        };
        for dir in [Dir::Bidi, Dir::Uni] {
            if let Some(streams) = options.anticipated[dir as usize] {
                shared.set_anticipated(dir, Some(streams));
            }
        }
        let mut headers = options.headers;
        // W3C: the `protocol` attribute has the choice, and the fields do not.
        headers.remove(wt_session::protocols::WT_PROTOCOL);
        let told = Arc::new(headers.clone());
        let choice = options.protocol.as_deref().and_then(|protocol| self.offer.request.choice(protocol));
        let protocol = options.protocol.filter(|_| choice.is_some());
        if let Some(value) = choice {
            headers.insert(wt_session::protocols::WT_PROTOCOL, value);
        }
        // Before the session can send data.
        if let Some(wanted) = options.congestion_control {
            self.offer.connection.set_congestion_control(wanted);
        }
        shared.command(Command::Accept(options.status, headers))?;
        shared.set_established(Established {
            headers: told,
            protocol: protocol.map(Into::into),
            draft: self.offer.request.dialect.name(),
            why: self.offer.request.why.as_str().into(),
        });
        let asked = Asked {
            authority: self.offer.request.authority.clone(),
            path: self.offer.request.path.clone(),
            headers: std::mem::take(&mut self.offer.request.headers),
        };
        Ok(WebTransport::from_parts(shared, asked, self.offer.connection.congestion_control(), false))
    }

    /// Refuses with a status from 300 to 599. Cancel safe: if it is never awaited, the answer is 404. The
    /// same holds for the other refusals.
    #[allow(clippy::unused_async, reason = "as accept")]
    pub async fn reject(mut self, status: StatusCode) {
        self.offer.answer(status, HeaderMap::new());
    }

    /// Refuses with a status from 300 to 599 and header fields, such as `retry-after`. Cancel safe.
    #[allow(clippy::unused_async, reason = "as accept")]
    pub async fn reject_with(mut self, status: StatusCode, headers: HeaderMap) {
        self.offer.answer(status, headers);
    }

    /// Refuses because the resource at this path does not support WebTransport, only these methods. The
    /// answer is 405 with `allow`, or 404 for clients of drafts before 16 (webtransport-http3 §3.2; RFC 9110
    /// §15.5.6). Cancel safe.
    pub async fn reject_unsupported(self, methods: &[Method]) {
        let status = self.offer.request.dialect.unsupported_status();
        let mut headers = HeaderMap::new();
        if status == StatusCode::METHOD_NOT_ALLOWED {
            let methods: Vec<&str> = methods.iter().map(Method::as_str).collect();
            // The names of methods are tokens.
            headers.extend(HeaderValue::from_str(&methods.join(", ")).ok().map(|value| (ALLOW, value)));
        }
        self.reject_with(status, headers).await;
    }

    /// Refuses with 429 because there are too many sessions, of this client or in total. It may try again
    /// later. Cancel safe.
    pub async fn too_many_requests(self) {
        self.reject(StatusCode::TOO_MANY_REQUESTS).await;
    }

    /// Refuses without an answer (`H3_REQUEST_REJECTED`, RFC 9114 §8.1): the request was not processed, and
    /// the client may send it again, for example on another connection. Cancel safe.
    #[allow(clippy::unused_async, reason = "as accept")]
    pub async fn refuse(self) {
        self.offer.turn_away();
    }
}
