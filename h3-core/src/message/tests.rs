use bytes::Bytes;
use http::StatusCode;

use super::*;
use crate::error::StreamViolation as V;
use qpack::Field;

fn fields(lines: &[(&str, &str)]) -> Vec<Field> {
    let field = |(name, value): &(&str, &str)| {
        Field::new(Bytes::copy_from_slice(name.as_bytes()), Bytes::copy_from_slice(value.as_bytes()))
    };
    lines.iter().map(field).collect()
}

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/")];

fn request(lines: &[(&str, &str)]) -> Result<RequestHead, V> {
    parse_request(fields(lines), true)
}

fn with(extra: &[(&str, &str)]) -> Result<RequestHead, V> {
    request(&[&GET[..], extra].concat())
}

#[test]
fn a_request_there_and_back() {
    let head = with(&[("accept", "*/*"), ("cookie", "a=b"), ("cookie", "c=d"), ("te", "trailers")]).unwrap();
    assert_eq!(head.headers.get_all("cookie").iter().count(), 2);
    let lines = request_lines(&head).unwrap();
    let again: Vec<Field> = lines
        .iter()
        .map(|line| {
            Field::new(Bytes::copy_from_slice(line.name), Bytes::copy_from_slice(line.value))
                .never_index(line.never_index)
        })
        .collect();
    let again = parse_request(again, false).unwrap();
    assert_eq!(
        (again.method, again.path, again.headers),
        (head.method.clone(), head.path.clone(), head.headers.clone())
    );
    assert_eq!(size(&lines), lines.iter().map(|line| (line.name.len() + line.value.len() + 32) as u64).sum());
}

#[test]
fn h03_duplicated_pseudo_header() {
    for line in GET {
        assert_eq!(with(&[line]).unwrap_err(), V::PseudoHeaderDuplicate);
    }
    assert_eq!(
        parse_response(fields(&[(":status", "200"), (":status", "200")])).unwrap_err(),
        V::PseudoHeaderDuplicate
    );
}

#[test]
fn h04_undefined_pseudo_header() {
    for name in [":status", ":custom", ":"] {
        assert_eq!(with(&[(name, "200")]).unwrap_err(), V::PseudoHeaderUnknown);
    }
    for name in [":method", ":path", ":protocol"] {
        assert_eq!(
            parse_response(fields(&[(":status", "200"), (name, "GET")])).unwrap_err(),
            V::PseudoHeaderUnknown
        );
    }
}

#[test]
fn h05_pseudo_header_late_or_in_trailers() {
    let late = [("accept", "*/*"), GET[0], GET[1], GET[2], GET[3]];
    assert_eq!(request(&late).unwrap_err(), V::PseudoHeaderLate);
    assert_eq!(parse_response(fields(&[("a", "b"), (":status", "200")])).unwrap_err(), V::PseudoHeaderLate);
    assert_eq!(parse_trailers(fields(&[(":path", "/")])).unwrap_err(), V::PseudoHeaderInTrailers);
}

#[test]
fn h06_names_and_values() {
    for name in ["Accept", "", "a b", "a\0", "a\r", "a\n", "a:b"] {
        assert_eq!(with(&[(name, "x")]).unwrap_err(), V::FieldName, "{name:?}");
        assert_eq!(parse_trailers(fields(&[(name, "x")])).unwrap_err(), V::FieldName);
    }
    for value in ["a\0b", "a\r", "\nb", " a", "a ", "\ta", "a\t", "\x7f"] {
        assert_eq!(with(&[("x", value)]).unwrap_err(), V::FieldValue, "{value:?}");
        assert_eq!(parse_response(fields(&[(":status", "200"), ("x", value)])).unwrap_err(), V::FieldValue);
    }
    assert!(with(&[("x", "a b\tc"), ("y", ""), ("z", "ü")]).is_ok());
}

#[test]
fn h07_content_length_values() {
    for value in ["+5", "5,5", "18446744073709551616", "-1", "0x5", "5 5", ""] {
        assert_eq!(with(&[("content-length", value)]).unwrap_err(), V::ContentLengthInvalid, "{value:?}");
    }
    assert_eq!(
        with(&[("content-length", "5"), ("content-length", "6")]).unwrap_err(),
        V::ContentLengthInvalid
    );
    let head = with(&[("content-length", "5"), ("content-length", "05")]).unwrap();
    assert_eq!(content_length(&head.headers), Ok(Some(5)));
}

#[test]
fn h09_connect() {
    let classic = [(":method", "CONNECT"), (":authority", "a.test:443")];
    assert!(request(&classic).is_ok());
    for extra in [(":path", "/"), (":scheme", "https")] {
        assert_eq!(request(&[classic[0], classic[1], extra]).unwrap_err(), V::ConnectPseudoHeaders);
    }
    assert_eq!(request(&classic[..1]).unwrap_err(), V::ConnectPseudoHeaders);
    let extended = [(":method", "CONNECT"), GET[1], GET[2], GET[3], (":protocol", "webtransport")];
    assert_eq!(request(&extended).unwrap().protocol.unwrap().as_str(), "webtransport");
    assert_eq!(parse_request(fields(&extended), false).unwrap_err(), V::ProtocolNotEnabled);
    for missing in 1..4 {
        let lines: Vec<_> =
            extended.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, l)| *l).collect();
        assert_eq!(request(&lines).unwrap_err(), V::PseudoHeaderMissing);
    }
    assert_eq!(with(&[(":protocol", "x")]).unwrap_err(), V::ProtocolWithoutConnect);
    let bad = [&extended[..4], &[(":protocol", "a b")]].concat();
    assert_eq!(request(&bad).unwrap_err(), V::PseudoHeaderValue);
}

#[test]
fn missing_and_bad_pseudo_headers() {
    for missing in [0, 1, 3] {
        let lines: Vec<_> =
            GET.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, l)| *l).collect();
        assert_eq!(request(&lines).unwrap_err(), V::PseudoHeaderMissing);
    }
    for (slot, value) in [
        (0, "G T"),
        (0, ""),
        (1, ""),
        (1, "1x"),
        (2, "u@a.test"),
        (2, ""),
        (3, ""),
        (3, "a"),
        (3, "/#x"),
        (3, "*"),
    ] {
        let mut lines = GET;
        lines[slot].1 = value;
        assert_eq!(request(&lines).unwrap_err(), V::PseudoHeaderValue, "{value:?}");
    }
    for status in ["", "20", "2000", "abc", "099", "600"] {
        assert_eq!(parse_response(fields(&[(":status", status)])).unwrap_err(), V::PseudoHeaderValue);
    }
    assert_eq!(parse_response(fields(&[(":status", "101")])).unwrap_err(), V::StatusForbidden);
    assert_eq!(parse_response(fields(&[("a", "b")])).unwrap_err(), V::PseudoHeaderMissing);
}

#[test]
fn host_and_authority() {
    assert!(with(&[("host", "a.test")]).is_ok());
    assert_eq!(with(&[("host", "b.test")]).unwrap_err(), V::HostMismatch);
    assert_eq!(with(&[("host", "a.test"), ("host", "a.test")]).unwrap_err(), V::HostMismatch);
    let without = [GET[0], GET[1], GET[3]];
    assert_eq!(request(&without).unwrap_err(), V::HostMismatch);
    assert!(request(&[&without[..], &[("host", "a.test")]].concat()).is_ok());
    assert_eq!(request(&[&without[..], &[("host", "")]].concat()).unwrap_err(), V::HostMismatch);
}

#[test]
fn connection_specific_fields() {
    for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"] {
        assert_eq!(with(&[(name, "x")]).unwrap_err(), V::ConnectionField);
        let mut head = ResponseHead::new(StatusCode::OK);
        head.headers.insert(name, http::HeaderValue::from_static("x"));
        assert_eq!(response_lines(&head).unwrap_err(), V::ConnectionField);
    }
    assert_eq!(with(&[("te", "gzip")]).unwrap_err(), V::TeField);
}
