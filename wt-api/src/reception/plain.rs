//! Plain HTTP/3 requests, and the handler's responses.
//!
//! Owns the rules for a response (RFC 9110). It must never know connections or streams.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};

use crate::connection::Connection;

/// A plain HTTP/3 request for the handler. Its content is not read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// The path and the query.
    pub path: String,
    /// The header fields.
    pub headers: HeaderMap,
    /// The connection of the request, which has the client's address among others.
    pub connection: Connection,
}

/// The content of a response.
#[non_exhaustive]
pub enum Body {
    /// The content in one piece.
    Bytes(Bytes),
    /// The content in pieces. Each one is requested when there is room to send it. `next` runs on the
    /// driver's task, so it must not block. If it panics, the response is reset. The iterator is dropped when
    /// the response has ended or nobody wants it; a panic in that has no effect. Use this for large content,
    /// because a response then holds only one piece at a time.
    Iter(Box<dyn Iterator<Item = Bytes> + Send>),
}

impl Body {
    /// The same content, made safe to drop anywhere in the driver's work.
    fn contained(self) -> Self {
        match self {
            Self::Iter(parts) => Self::Iter(Box::new(Contained(Some(parts)))),
            bytes => bytes,
        }
    }
}

/// Pieces of the application's iterator, whose drop may panic without affecting the driver. `None` once they
/// are dropped.
struct Contained(Option<Box<dyn Iterator<Item = Bytes> + Send>>);

impl Iterator for Contained {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        self.0.as_mut()?.next()
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        let parts = self.0.take();
        if catch_unwind(AssertUnwindSafe(|| drop(parts))).is_err() {
            // At a level that is off by default, because a peer can request thousands.
            tracing::debug!("the content of an HTTP response panicked when it was dropped");
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Iter(_) => f.write_str("pieces"),
        }
    }
}

/// A response. A handler returns one with a [`Body`] for a plain request. [`http3::get`](crate::http3::get)
/// returns one whose content is a [`ReceiveStream`](crate::ReceiveStream).
#[derive(Debug)]
#[non_exhaustive]
pub struct HttpResponse<B = Body> {
    /// The status. A handler must return 200 to 599; any other value becomes 500.
    pub status: StatusCode,
    /// The header fields. The response becomes 500 if a handler's `content-length` does not match the content
    /// (RFC 9110 §8.6), or is ended where pieces show the mismatch. It also becomes 500 with fields that
    /// HTTP/3 forbids, such as `connection` (RFC 9114 §4.2), and with fields that are larger than the client
    /// accepts.
    pub headers: HeaderMap,
    /// The content. A handler's content is not sent if the status has none (204, 205, 304). If a client drops
    /// the content before its end, the rest is not sent.
    pub body: B,
}

impl HttpResponse {
    /// A response without fields and content.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Body::Bytes(Bytes::new()) }
    }

    /// The same with content.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Body::Bytes(body.into());
        self
    }

    /// The same with content in pieces; see [`Body::Iter`].
    #[must_use]
    pub fn with_pieces(mut self, pieces: impl Iterator<Item = Bytes> + Send + 'static) -> Self {
        self.body = Body::Iter(Box::new(pieces));
        self
    }

    /// The same with these fields.
    #[must_use]
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }
}

/// A response that can be sent.
pub(crate) struct Sound {
    pub(crate) response: HttpResponse,
    /// The declared length of the content, if there is one and the content comes in pieces.
    pub(crate) declared: Option<u64>,
}

impl Sound {
    /// A response with only a status.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { response: HttpResponse::new(status), declared: None }
    }
}

impl HttpResponse {
    /// Checks the response to a request with this method against the rules of HTTP. The error says what is
    /// wrong.
    pub(crate) fn sound(mut self, method: &Method) -> Result<Sound, &'static str> {
        self.body = self.body.contained();
        if !(200..=599).contains(&self.status.as_u16()) {
            return Err("the status is none of a final response, 200 to 599");
        }
        let bodiless = [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::NOT_MODIFIED];
        if bodiless.contains(&self.status) {
            self.body = Body::Bytes(Bytes::new());
        }
        let declared = declared(&self.headers)?;
        match (self.status, &self.body) {
            // RFC 9110 §8.6: no length, the length of empty content, or the length of another response.
            (StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT, _) => {
                self.headers.remove(header::CONTENT_LENGTH);
            }
            (StatusCode::NOT_MODIFIED, _) => {}
            _ if method == Method::HEAD => {}
            (_, Body::Bytes(bytes)) if declared.is_some_and(|length| length != bytes.len() as u64) => {
                return Err("the content-length is not that of the content");
            }
            (_, Body::Bytes(_)) => {}
            (_, Body::Iter(_)) => return Ok(Sound { response: self, declared }),
        }
        Ok(Sound { response: self, declared: None })
    }
}

/// The length in the fields.
fn declared(fields: &HeaderMap) -> Result<Option<u64>, &'static str> {
    let mut told = None;
    for value in fields.get_all(header::CONTENT_LENGTH) {
        let digits = value.as_bytes();
        let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        let length = value.to_str().ok().filter(|_| is_number).and_then(|text| text.parse::<u64>().ok());
        let length = length.ok_or("the content-length is no number")?;
        if told.is_some_and(|other| other != length) {
            return Err("there are two values of content-length");
        }
        told = Some(length);
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, lengths: &[&str], body: &'static str) -> HttpResponse {
        let mut response = HttpResponse::new(StatusCode::from_u16(status).unwrap()).with_body(body);
        for length in lengths {
            response.headers.append(header::CONTENT_LENGTH, length.parse().unwrap());
        }
        response
    }

    #[test]
    fn invalid_responses_are_refused() {
        for (status, lengths, body, problem) in [
            (100, &[][..], "", Some("status")),
            (103, &[], "", Some("status")),
            (600, &[], "", Some("status")),
            (999, &[], "", Some("status")),
            (200, &["3"], "12345", Some("not that of the content")),
            (200, &["9"], "12345", Some("not that of the content")),
            (200, &["5", "6"], "12345", Some("two values")),
            (200, &["+5"], "12345", Some("no number")),
            (200, &[""], "", Some("no number")),
            (200, &["5", "05"], "12345", None),
            (200, &[], "12345", None),
            (404, &["0"], "", None),
            // The length is that of the response which the client already has.
            (304, &["9"], "", None),
        ] {
            let told = response(status, lengths, body).sound(&Method::GET).err();
            assert_eq!(told.is_some(), problem.is_some(), "{status} {lengths:?} {body:?}: {told:?}");
            assert!(told.unwrap_or_default().contains(problem.unwrap_or_default()), "{told:?}");
        }
        assert!(response(200, &["9"], "").sound(&Method::HEAD).is_ok());
    }

    #[test]
    fn a_status_without_content_has_none() {
        for status in [204, 205, 304] {
            let Ok(Sound { response, declared: None }) = response(status, &[], "body").sound(&Method::GET)
            else {
                panic!("{status}")
            };
            assert!(matches!(response.body, Body::Bytes(bytes) if bytes.is_empty()));
        }
        // A length that was right before the content was removed is not sent either.
        for (status, length, body) in [(204, "0", ""), (204, "4", "body"), (205, "4", "body"), (205, "0", "")]
        {
            let Ok(Sound { response, .. }) = response(status, &[length], body).sound(&Method::GET) else {
                panic!("{status} with {length}")
            };
            assert!(response.headers.is_empty());
        }
    }

    #[test]
    fn the_length_of_pieces_is_sent_and_checked() {
        let mut pieces = response(200, &["9"], "");
        pieces.body = Body::Iter(Box::new(std::iter::empty()));
        let Ok(Sound { declared, .. }) = pieces.sound(&Method::GET) else { panic!("sound") };
        assert_eq!(declared, Some(9));
    }
}
