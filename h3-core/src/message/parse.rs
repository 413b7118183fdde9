//! Turns field lines into heads and checks every rule that makes a message malformed.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header,
    uri::{Authority, PathAndQuery, Scheme},
};
use qpack::Field;

use super::{Protocol, RequestHead, ResponseHead};
use crate::error::StreamViolation as V;

/// Reads a request's header section. `extended` says that this side offered extended CONNECT.
pub(crate) fn parse_request(fields: Vec<Field>, extended: bool) -> Result<RequestHead, V> {
    let mut pseudo: [Option<Bytes>; 5] = Default::default();
    let headers = split(fields, |name, value| {
        let slot = match name {
            b":method" => 0,
            b":scheme" => 1,
            b":authority" => 2,
            b":path" => 3,
            // RFC 9114 §4.3, RFC 9220 §3: without the offer this pseudo-header is undefined.
            b":protocol" if extended => 4,
            b":protocol" => return Err(V::ProtocolNotEnabled),
            _ => return Err(V::PseudoHeaderUnknown),
        };
        set(pseudo.get_mut(slot), value)
    })?;
    let [method, scheme, authority, path, protocol] = pseudo;
    let method = method.ok_or(V::PseudoHeaderMissing)?;
    let head = RequestHead {
        method: Method::from_bytes(&method).map_err(|_| V::PseudoHeaderValue)?,
        scheme: scheme.map(|value| parse_scheme(&value)).transpose()?,
        authority: authority.map(parse_authority).transpose()?,
        path: path.map(parse_path).transpose()?,
        protocol: protocol.map(|name| Protocol::new(name).ok_or(V::PseudoHeaderValue)).transpose()?,
        headers,
    };
    check_request(&head)?;
    Ok(head)
}

/// Reads a response's header section.
pub(crate) fn parse_response(fields: Vec<Field>) -> Result<ResponseHead, V> {
    let mut status = None;
    let headers = split(fields, |name, value| match name {
        b":status" => set(Some(&mut status), value),
        _ => Err(V::PseudoHeaderUnknown),
    })?;
    let status =
        StatusCode::from_bytes(&status.ok_or(V::PseudoHeaderMissing)?).map_err(|_| V::PseudoHeaderValue)?;
    // RFC 9114 §4.5: there is no upgrade in HTTP/3.
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(V::StatusForbidden);
    }
    if status.as_u16() >= 600 {
        return Err(V::PseudoHeaderValue);
    }
    check_no_te(&headers)?;
    Ok(ResponseHead { status, headers })
}

/// Reads a trailer section.
pub(crate) fn parse_trailers(fields: Vec<Field>) -> Result<HeaderMap, V> {
    let trailers = split(fields, |_, _| Err(V::PseudoHeaderInTrailers))?;
    check_no_te(&trailers)?;
    Ok(trailers)
}

/// The declared length of the content. Repeated lines must have the same number; a list is refused.
pub(crate) fn content_length(headers: &HeaderMap) -> Result<Option<u64>, V> {
    let mut declared = None;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        let value = value.as_bytes();
        // RFC 9110 §8.6: only digits are valid; `str::parse` would accept a sign.
        if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return Err(V::ContentLengthInvalid);
        }
        let number = value
            .iter()
            .try_fold(0_u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
            .ok_or(V::ContentLengthInvalid)?;
        if declared.is_some_and(|declared| declared != number) {
            return Err(V::ContentLengthInvalid);
        }
        declared = Some(number);
    }
    Ok(declared)
}

fn set(slot: Option<&mut Option<Bytes>>, value: Bytes) -> Result<(), V> {
    match slot {
        Some(slot @ None) => {
            *slot = Some(value);
            Ok(())
        }
        // RFC 9114 §4.3.1: each pseudo-header exactly once.
        _ => Err(V::PseudoHeaderDuplicate),
    }
}

/// Passes pseudo-headers to `on_pseudo` and collects the regular fields.
fn split(
    fields: Vec<Field>,
    mut on_pseudo: impl FnMut(&[u8], Bytes) -> Result<(), V>,
) -> Result<HeaderMap, V> {
    let mut headers = HeaderMap::new();
    let mut regular = false;
    for field in fields {
        if field.name.first() == Some(&b':') {
            // RFC 9114 §4.3: all of them before any regular field.
            if regular {
                return Err(V::PseudoHeaderLate);
            }
            on_pseudo(&field.name, field.value)?;
        } else {
            regular = true;
            let (name, value) = parse_field(field)?;
            headers.try_append(name, value).map_err(|_| V::FieldSectionTooLarge)?;
        }
    }
    Ok(headers)
}

fn parse_field(field: Field) -> Result<(HeaderName, HeaderValue), V> {
    // RFC 9114 §4.2: names are lower-case tokens.
    let name = HeaderName::from_lowercase(&field.name).map_err(|_| V::FieldName)?;
    // RFC 9110 §5.5: a value has no surrounding white space. The RFC lets a recipient strip it; this code
    // refuses it.
    let outer = [field.value.first(), field.value.last()];
    if outer.into_iter().flatten().any(|byte| matches!(byte, b' ' | b'\t')) {
        return Err(V::FieldValue);
    }
    let mut value = HeaderValue::from_maybe_shared(field.value).map_err(|_| V::FieldValue)?;
    value.set_sensitive(field.never_index);
    check_field(&name, &value)?;
    Ok((name, value))
}

/// RFC 9114 §4.2: no connection-specific field is permitted, and `te` only with "trailers".
pub(super) fn check_field(name: &HeaderName, value: &HeaderValue) -> Result<(), V> {
    match name.as_str() {
        "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade" => {
            Err(V::ConnectionField)
        }
        "te" if !value.as_bytes().eq_ignore_ascii_case(b"trailers") => Err(V::TeField),
        _ => Ok(()),
    }
}

/// RFC 9114 §4.2: only the head of a request may have `te`.
pub(super) fn check_no_te(headers: &HeaderMap) -> Result<(), V> {
    if headers.contains_key(header::TE) { Err(V::TeField) } else { Ok(()) }
}

fn parse_scheme(value: &[u8]) -> Result<Scheme, V> {
    // RFC 3986 §3.1: a scheme starts with a letter.
    if !value.first().is_some_and(u8::is_ascii_alphabetic) {
        return Err(V::PseudoHeaderValue);
    }
    Scheme::try_from(value).map_err(|_| V::PseudoHeaderValue)
}

fn parse_authority(value: Bytes) -> Result<Authority, V> {
    // RFC 9114 §4.3.1: an authority has no user information.
    if value.contains(&b'@') {
        return Err(V::PseudoHeaderValue);
    }
    Authority::from_maybe_shared(value).map_err(|_| V::PseudoHeaderValue)
}

fn parse_path(value: Bytes) -> Result<PathAndQuery, V> {
    // RFC 9114 §4.3.1: a path starts with a slash or is the asterisk, and has no fragment.
    let origin_form = value.first() == Some(&b'/') && !value.contains(&b'#');
    if !origin_form && value != b"*"[..] {
        return Err(V::PseudoHeaderValue);
    }
    PathAndQuery::from_maybe_shared(value).map_err(|_| V::PseudoHeaderValue)
}

/// Checks which pseudo-headers are present, and whether they agree with the fields.
pub(super) fn check_request(head: &RequestHead) -> Result<(), V> {
    content_length(&head.headers)?;
    let connect = head.is_connect();
    if head.protocol.is_some() && !connect {
        return Err(V::ProtocolWithoutConnect);
    }
    if connect && head.protocol.is_none() {
        // RFC 9114 §4.4.
        let fits = head.scheme.is_none() && head.path.is_none() && head.authority.is_some();
        return if fits { Ok(()) } else { Err(V::ConnectPseudoHeaders) };
    }
    let (Some(scheme), Some(path)) = (&head.scheme, &head.path) else { return Err(V::PseudoHeaderMissing) };
    // RFC 8441 §4: an extended CONNECT has all of them.
    if connect && head.authority.is_none() {
        return Err(V::PseudoHeaderMissing);
    }
    if path.as_str() == "*" && head.method != Method::OPTIONS {
        return Err(V::PseudoHeaderValue);
    }
    check_host(head, *scheme == Scheme::HTTPS || *scheme == Scheme::HTTP)
}

/// RFC 9114 §4.3.1: `host` and `:authority` must agree. If the scheme needs an authority, one must be
/// present.
fn check_host(head: &RequestHead, required: bool) -> Result<(), V> {
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() || host.is_some_and(HeaderValue::is_empty) {
        return Err(V::HostMismatch);
    }
    match (&head.authority, host) {
        (Some(authority), Some(host))
            if !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) =>
        {
            Err(V::HostMismatch)
        }
        (None, None) if required => Err(V::HostMismatch),
        _ => Ok(()),
    }
}
