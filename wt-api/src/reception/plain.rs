//! Plain HTTP/3 requests and the handler's answers to them.
//!
//! Owns what an answer may be (RFC 9110). Must never know connections or streams.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};

use crate::connection::Connection;

/// A plain HTTP/3 request, for the handler. Its content is not read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// The fields.
    pub headers: HeaderMap,
    /// The connection that it came on: the client's address, among others.
    pub connection: Connection,
}

/// The content of a response.
#[non_exhaustive]
pub enum Body {
    /// In one piece.
    Bytes(Bytes),
    /// In pieces, each asked for when there is room to send it. `next` runs on the driver's task: it must not block. If it
    /// panics, the response is reset. A panic where the iterator is dropped, which is when the response is over or nobody wants
    /// it, changes nothing. What is large is better given so: a response holds one piece at a time.
    Iter(Box<dyn Iterator<Item = Bytes> + Send>),
}

impl Body {
    /// The same content, which may be dropped anywhere in the driver's work.
    fn contained(self) -> Self {
        match self {
            Self::Iter(parts) => Self::Iter(Box::new(Contained(Some(parts)))),
            bytes => bytes,
        }
    }
}

/// Pieces whose end is the application's code, and no panic of the driver's. `None` once they are dropped.
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
            // At a level that is off by default: a peer can ask for thousands.
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

/// A response: what a handler answers to a plain request, with a [`Body`], and what [`http3::get`](crate::http3::get) gets, whose
/// content is a [`ReceiveStream`](crate::ReceiveStream).
#[derive(Debug)]
#[non_exhaustive]
pub struct HttpResponse<B = Body> {
    /// The status. Of a handler 200 to 599; another one is answered with 500.
    pub status: StatusCode,
    /// The fields. A handler's `content-length` that is not the content's is answered with 500 (RFC 9110 §8.6), or ends the
    /// response where pieces show it. So are fields that HTTP/3 does not have, such as `connection` (RFC 9114 §4.2), and fields that
    /// are larger than the client takes.
    pub headers: HeaderMap,
    /// The content. A handler's with a status which has none (204, 205, 304) is not sent. Where a client drops it before its end,
    /// the rest is not sent.
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

    /// The same with content in pieces: see [`Body::Iter`].
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

/// An answer that can be sent.
pub(crate) struct Sound {
    pub(crate) response: HttpResponse,
    /// How long its content is, if it says so and is to come in pieces.
    pub(crate) declared: Option<u64>,
}

impl Sound {
    /// A status alone.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { response: HttpResponse::new(status), declared: None }
    }
}

impl HttpResponse {
    /// The answer as HTTP has it, to a request by this method, or what is wrong with it.
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
            // RFC 9110 §8.6: no length at all, that of nothing, and that of another answer.
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

/// The length that the fields tell.
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
    fn what_is_no_answer_is_refused() {
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
            // The length is that of the answer which the client has.
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
        // A length that was right before the content went is not told either.
        for (status, length, body) in [(204, "0", ""), (204, "4", "body"), (205, "4", "body"), (205, "0", "")]
        {
            let Ok(Sound { response, .. }) = response(status, &[length], body).sound(&Method::GET) else {
                panic!("{status} with {length}")
            };
            assert!(response.headers.is_empty());
        }
    }

    #[test]
    fn the_length_of_pieces_is_told_and_counted() {
        let mut pieces = response(200, &["9"], "");
        pieces.body = Body::Iter(Box::new(std::iter::empty()));
        let Ok(Sound { declared, .. }) = pieces.sound(&Method::GET) else { panic!("sound") };
        assert_eq!(declared, Some(9));
    }
}
