//! A header field of a session's request, as the command line gives it: `NAME: VALUE`.
//!
//! Owns the syntax of this text. It must never know what a field means to a server.

use std::{fmt, str::FromStr};

use http::{HeaderMap, HeaderName, HeaderValue};

/// Fields that the request already has, or that HTTP/3 forbids (RFC 9114 §4.2), each with a remark.
const RESERVED: [(&str, &str); 11] = [
    ("connection", "HTTP/3 forbids it"),
    ("keep-alive", "HTTP/3 forbids it"),
    ("proxy-connection", "HTTP/3 forbids it"),
    ("transfer-encoding", "HTTP/3 forbids it"),
    ("upgrade", "HTTP/3 forbids it"),
    ("te", "it has no meaning for a session"),
    ("host", "the host of the URL is sent"),
    ("origin", "give --origin"),
    ("content-length", "a session has no length"),
    ("sec-webtransport-http3-draft02", "the drafts are agreed upon without it"),
    ("wt-available-protocols", "give --protocol"),
];

/// Fields with secret values, which no output repeats.
const SECRET: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

/// A field that can be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    name: HeaderName,
    value: HeaderValue,
}

/// Why a text is not a valid field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FieldError {
    /// There is no colon.
    NoColon,
    /// The text before the colon is not a field name.
    Name(String),
    /// The value contains control characters.
    Value,
    /// The user cannot set this field; the text is a remark.
    Reserved(String, &'static str),
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoColon => f.write_str("there is no colon; write it as 'NAME: VALUE'"),
            Self::Name(name) => write!(
                f,
                "{name:?} is not a field name: use letters, digits and some punctuation, no spaces; write it as 'NAME: VALUE'"
            ),
            Self::Value => f.write_str("the value contains a line break or another control character"),
            Self::Reserved(name, instead) => write!(f, "{name} cannot be set: {instead}"),
        }
    }
}

impl std::error::Error for FieldError {}

impl FromStr for Field {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let (name, value) = text.split_once(':').ok_or(FieldError::NoColon)?;
        // Spaces around a value do not belong to it (RFC 9110 §5.5).
        let value = value.trim_matches([' ', '\t']);
        let name: HeaderName = name.parse().map_err(|_| FieldError::Name(name.to_owned()))?;
        let value = HeaderValue::from_str(value)
            .or_else(|_| HeaderValue::from_bytes(value.as_bytes()))
            .map_err(|_| FieldError::Value)?;
        match RESERVED.iter().find(|(reserved, _)| name == *reserved) {
            Some((_, instead)) => Err(FieldError::Reserved(name.to_string(), instead)),
            None => Ok(Self { name, value }),
        }
    }
}

impl Field {
    /// The field as it was given, without the values of secrets.
    pub(crate) fn shown(&self) -> String {
        if SECRET.contains(&self.name.as_str()) {
            return format!("{}: ...", self.name);
        }
        format!("{}: {}", self.name, String::from_utf8_lossy(self.value.as_bytes()))
    }
}

/// All fields; several of the same name are kept.
pub(crate) fn map(fields: &[Field]) -> HeaderMap {
    fields.iter().cloned().map(|Field { name, value }| (name, value)).fold(
        HeaderMap::new(),
        |mut map, (name, value)| {
            map.append(name, value);
            map
        },
    )
}

#[cfg(test)]
mod tests {
    use wt_api::{ConnectOptionsError, WebTransport, WebTransportOptions};

    use super::*;

    #[test]
    fn fields_are_read_and_several_of_one_name_are_kept() {
        let fields: Vec<Field> = ["Accept-Language: de", "x-empty:", "x-a:  b: c\t", "X-A: d"]
            .map(|text| text.parse().unwrap())
            .into();
        let map = map(&fields);
        assert_eq!(
            (&map["accept-language"], &map["x-empty"]),
            (&HeaderValue::from_static("de"), &HeaderValue::from_static(""))
        );
        assert_eq!(map.get_all("x-a").iter().collect::<Vec<_>>(), ["b: c", "d"]);
        assert_eq!("x-umlaut: \u{e4}".parse::<Field>().unwrap().shown(), "x-umlaut: \u{e4}");
        assert_eq!("Authorization: Bearer abc".parse::<Field>().unwrap().shown(), "authorization: ...");
    }

    #[test]
    fn invalid_fields_are_refused_with_a_reason() {
        for (text, error) in [
            ("accept", FieldError::NoColon),
            (": value", FieldError::Name(String::new())),
            (":path: /", FieldError::Name(String::new())),
            ("a b: c", FieldError::Name("a b".to_owned())),
            ("a: b\r\nc: d", FieldError::Value),
            ("Origin: https://a.example", FieldError::Reserved("origin".to_owned(), "give --origin")),
        ] {
            assert_eq!(text.parse::<Field>(), Err(error), "{text}");
        }
    }

    /// Names that the library refuses are refused here too, with a better message.
    #[tokio::test]
    async fn the_library_refuses_the_same_names() {
        for (name, _) in RESERVED {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static("x"));
            let made = WebTransport::new("https://127.0.0.1:1/", WebTransportOptions::new().headers(headers));
            assert_eq!(made.unwrap_err(), ConnectOptionsError::ForbiddenHeader(name.to_owned()));
        }
    }
}
