//! Turns heads into field lines and refuses malformed ones.

use http::{HeaderMap, HeaderValue};
use qpack::FieldRef;

use super::{
    RequestHead, ResponseHead,
    parse::{check_field, check_no_te, check_request, content_length},
};
use crate::error::StreamViolation;

/// The lines of a request head, pseudo-headers first.
pub(crate) fn request_lines(head: &RequestHead) -> Result<Vec<FieldRef<'_>>, StreamViolation> {
    check_request(head)?;
    let mut lines = Vec::with_capacity(5 + head.headers.len());
    lines.push(FieldRef::new(b":method", head.method.as_str().as_bytes()));
    let pseudo = [
        (&b":protocol"[..], head.protocol.as_ref().map(super::Protocol::as_str)),
        (b":scheme", head.scheme.as_ref().map(http::uri::Scheme::as_str)),
        (b":authority", head.authority.as_ref().map(http::uri::Authority::as_str)),
        (b":path", head.path.as_ref().map(http::uri::PathAndQuery::as_str)),
    ];
    lines.extend(pseudo.into_iter().filter_map(|(name, value)| Some(FieldRef::new(name, value?.as_bytes()))));
    fields(&head.headers, &mut lines)?;
    Ok(lines)
}

/// The lines of a response head.
pub(crate) fn response_lines(head: &ResponseHead) -> Result<Vec<FieldRef<'_>>, StreamViolation> {
    if head.status == http::StatusCode::SWITCHING_PROTOCOLS {
        return Err(StreamViolation::StatusForbidden);
    }
    content_length(&head.headers)?;
    check_no_te(&head.headers)?;
    let mut lines = Vec::with_capacity(1 + head.headers.len());
    lines.push(FieldRef::new(b":status", head.status.as_str().as_bytes()));
    fields(&head.headers, &mut lines)?;
    Ok(lines)
}

/// The lines of a trailer section.
pub(crate) fn trailer_lines(trailers: &HeaderMap) -> Result<Vec<FieldRef<'_>>, StreamViolation> {
    check_no_te(trailers)?;
    let mut lines = Vec::with_capacity(trailers.len());
    fields(trailers, &mut lines)?;
    Ok(lines)
}

fn fields<'a>(headers: &'a HeaderMap, lines: &mut Vec<FieldRef<'a>>) -> Result<(), StreamViolation> {
    for (name, value) in headers {
        check_field(name, value)?;
        let trimmed = HeaderValue::as_bytes(value).trim_ascii();
        lines.push(FieldRef::new(name.as_str().as_bytes(), trimmed).never_index(value.is_sensitive()));
    }
    Ok(())
}

/// The size of the lines as it counts against the peer's limit, in bytes (RFC 9114 §4.2.2).
pub(crate) fn size(lines: &[FieldRef<'_>]) -> u64 {
    lines.iter().map(|line| line.size()).sum()
}
