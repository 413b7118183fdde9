//! Plain HTTP/3 requests, and the service's responses.
//!
//! Owns the rules for a response (RFC 9110), and the task that answers one request. It must never know
//! connections or streams.

use std::sync::Arc;

use h3_core::{RequestHead, ResponseHead, error::code};
use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version, header,
    uri::{Authority, PathAndQuery},
};

use super::ServerShared;
use crate::{
    connection::Connection,
    exchange::{ArcService, Body, Contained, IncomingBody, Informational, Problem, Response, write_content},
    exchange_error::HttpError,
    mailbox::{ExchangeBox, ExchangeQueue, Part, RecvBox, wait},
    runtime::RuntimeHandle,
};

/// What the fields say of a response's content.
#[derive(Debug, PartialEq, Eq)]
struct Sound {
    /// There is none to send.
    bodiless: bool,
    /// The declared length of what is sent, in bytes.
    declared: Option<u64>,
}

/// Checks the head of a response to a request with this method against the rules of HTTP. `size` is the exact
/// size of its content, if that is known, and `ended` whether neither content nor trailers will come. The error
/// says what is wrong.
fn check(
    method: &Method,
    status: StatusCode,
    fields: &mut HeaderMap,
    size: Option<u64>,
    ended: bool,
) -> Result<Sound, &'static str> {
    if !(200..=599).contains(&status.as_u16()) {
        return Err("the status is none of a final response, 200 to 599");
    }
    let told = declared(fields)?;
    let bodiless = [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::NOT_MODIFIED];
    // RFC 9110 §8.6: no length, the length of empty content, or the length of another response.
    if matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT) {
        fields.remove(header::CONTENT_LENGTH);
    }
    if bodiless.contains(&status) {
        return Ok(Sound { bodiless: true, declared: None });
    }
    if method == Method::HEAD {
        // RFC 9110 §8.6: the length that the response to GET would have. Empty content may stand for any.
        if let (None, Some(size @ 1..)) = (told, size) {
            fields.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
        }
        return Ok(Sound { bodiless: true, declared: None });
    }
    if let (Some(told), Some(size)) = (told, size)
        && told != size
    {
        return Err("the content-length is not that of the content");
    }
    if let (None, Some(size)) = (told, size) {
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    }
    Ok(Sound { bodiless: ended, declared: told.or(size) })
}

/// The length in the fields.
pub(crate) fn declared(fields: &HeaderMap) -> Result<Option<u64>, &'static str> {
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

/// The request as the ecosystem has it. Its extensions contain the connection and the way to interim
/// responses.
pub(crate) fn request(
    head: RequestHead,
    recv: Arc<RecvBox>,
    exchange: &Arc<ExchangeBox>,
    connection: Connection,
) -> Request<IncomingBody> {
    let RequestHead { method, scheme, authority, path, headers, .. } = head;
    let length = declared(&headers).ok().flatten();
    let expects = headers
        .get(header::EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    let body = IncomingBody::new(recv, Arc::clone(exchange), length).expecting(expects);
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.version_mut() = Version::HTTP_3;
    let host = || headers.get(header::HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let mut parts = http::uri::Parts::default();
    parts.authority = authority.or_else(host);
    parts.scheme = scheme.filter(|_| parts.authority.is_some());
    parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    *request.headers_mut() = headers;
    request.extensions_mut().insert(connection);
    request.extensions_mut().insert(Informational::new(Arc::clone(exchange)));
    request
}

/// Gives the response up if the task ends without its end, with its runtime.
struct Unfinished<'a>(&'a ExchangeBox);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        // It has no effect after the end.
        self.0.push(Part::Reset(code::H3_INTERNAL_ERROR));
    }
}

/// The task that answers one request. It ends with the response, or when nobody wants that any more: the
/// service's future and its content are dropped then.
pub(crate) async fn serve(
    server: Arc<ServerShared>,
    service: ArcService,
    runtime: RuntimeHandle,
    exchange: Arc<ExchangeBox>,
    request: Request<IncomingBody>,
) {
    let _unfinished = Unfinished(&exchange);
    let path = request.uri().path().to_owned();
    let tell = |problem: &str| server.tell_of_answer(&path, problem, runtime.now());
    let mut answered = false;
    let work = Contained::new(answer(service, &exchange, request, &mut answered, &tell));
    let gone = wait(&*exchange, ExchangeQueue::Ender, ExchangeBox::poll_failed);
    let outcome = {
        let mut work = std::pin::pin!(work);
        let mut gone = std::pin::pin!(gone);
        std::future::poll_fn(|cx| {
            use std::{future::Future, task::Poll};
            // The service is dropped before it is polled for somebody who has gone.
            if gone.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            let polled = work.as_mut().poll(cx);
            // It has had its first look, whatever came of it.
            exchange.looked();
            polled.map(Some)
        })
        .await
    };
    let problem = match outcome {
        None | Some(Ok(Ok(()))) => return,
        Some(Ok(Err(problem))) => problem_text(&problem),
        Some(Err(_)) => "it panicked".to_owned(),
    };
    if answered {
        server.tell_of_content(&problem, runtime.now());
        exchange.push(Part::Reset(code::H3_INTERNAL_ERROR));
    } else {
        tell(&problem);
        exchange.push(internal_error());
    }
}

/// The response to a request that the service did not answer.
pub(crate) fn internal_error() -> Part {
    Part::Head { head: ResponseHead::new(StatusCode::INTERNAL_SERVER_ERROR), end: true }
}

fn problem_text(problem: &Problem) -> String {
    match problem {
        Problem::TooMuch => "there is more than its content-length".to_owned(),
        Problem::TooLittle => "there is less than its content-length".to_owned(),
        Problem::Body(error) => match error.downcast_ref::<HttpError>() {
            Some(error) => format!("it failed with its request: {error}"),
            None => format!("it failed: {error}"),
        },
    }
}

/// Asks the service, and writes its response.
async fn answer(
    service: ArcService,
    exchange: &ExchangeBox,
    request: Request<IncomingBody>,
    answered: &mut bool,
    tell: &(impl Fn(&str) + Sync),
) -> Result<(), Problem> {
    let method = request.method().clone();
    let response: Response<Body> = service.call(request).await;
    let (mut parts, body) = response.into_parts();
    let size = http_body::Body::size_hint(&body).exact();
    let ended = http_body::Body::is_end_stream(&body);
    match check(&method, parts.status, &mut parts.headers, size, ended) {
        Ok(Sound { bodiless, declared }) => {
            let head = ResponseHead::new(parts.status).with_headers(parts.headers);
            *answered = true;
            exchange.push(Part::Head { head, end: bodiless });
            if bodiless { Ok(()) } else { write_content(exchange, body, declared).await }
        }
        Err(problem) => {
            tell(problem);
            *answered = true;
            exchange.push(internal_error());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(
        status: u16,
        lengths: &[&str],
        body: &str,
        method: &Method,
    ) -> (Result<Sound, &'static str>, HeaderMap) {
        let mut fields = HeaderMap::new();
        for length in lengths {
            fields.append(header::CONTENT_LENGTH, length.parse().unwrap());
        }
        let status = StatusCode::from_u16(status).unwrap();
        let body = Body::from(body.to_owned());
        let size = http_body::Body::size_hint(&body).exact();
        let ended = http_body::Body::is_end_stream(&body);
        (check(method, status, &mut fields, size, ended), fields)
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
            let told = checked(status, lengths, body, &Method::GET).0.err();
            assert_eq!(told.is_some(), problem.is_some(), "{status} {lengths:?} {body:?}: {told:?}");
            assert!(told.unwrap_or_default().contains(problem.unwrap_or_default()), "{told:?}");
        }
        assert!(checked(200, &["9"], "", &Method::HEAD).0.is_ok());
        let (_, fields) = checked(200, &[], "12345", &Method::HEAD);
        assert_eq!(fields[header::CONTENT_LENGTH], "5", "as for GET");
    }

    #[test]
    fn a_status_without_content_has_none() {
        for status in [204, 205, 304] {
            let sound = checked(status, &[], "body", &Method::GET).0;
            assert_eq!(sound, Ok(Sound { bodiless: true, declared: None }), "{status}");
        }
        // A length that was right before the content was removed is not sent either.
        for (status, length, body) in [(204, "0", ""), (204, "4", "body"), (205, "4", "body"), (205, "0", "")]
        {
            let (sound, fields) = checked(status, &[length], body, &Method::GET);
            assert!(sound.is_ok() && fields.is_empty(), "{status} with {length}");
        }
    }

    #[test]
    fn the_length_of_content_whose_size_is_unknown_is_checked_as_it_is_made() {
        let mut fields = HeaderMap::new();
        fields.insert(header::CONTENT_LENGTH, "9".parse().unwrap());
        let sound = check(&Method::GET, StatusCode::OK, &mut fields, None, false);
        assert_eq!(sound, Ok(Sound { bodiless: false, declared: Some(9) }));
    }

    #[test]
    fn a_request_has_the_uri_that_was_asked_for() {
        let head = |authority: Option<&str>, host: Option<&str>| {
            let mut head =
                RequestHead::new(Method::GET, "a.test".parse().unwrap(), PathAndQuery::from_static("/x?y"));
            head.authority = authority.map(|name| name.parse().unwrap());
            host.map(|host| head.headers.insert(header::HOST, host.parse().unwrap()));
            head
        };
        let uri = |head| {
            let (exchange, boxes) = (ExchangeBox::new(), Arc::new(crate::mailbox::ConnectionBox::default()));
            let recv = RecvBox::new(quic_core::StreamId::from_value(0).unwrap(), Arc::clone(&boxes), None);
            request(head, recv, &exchange, Connection::new(boxes)).uri().to_string()
        };
        assert_eq!(uri(head(Some("a.test:7"), None)), "https://a.test:7/x?y");
        assert_eq!(uri(head(None, Some("b.test"))), "https://b.test/x?y");
    }
}
