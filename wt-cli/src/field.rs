//! A field of the request for a session, as the command line gives it: `NAME: VALUE`.
//!
//! Owns what such a text may be. Must never know what a field means to a server.

use std::{fmt, str::FromStr};

use http::{HeaderMap, HeaderName, HeaderValue};

/// Fields that the request has anyway, or that HTTP/3 forbids (RFC 9114 §4.2), each with what to do instead.
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

/// Fields whose values are secrets, which no text repeats.
const SECRET: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

/// A field that can be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    name: HeaderName,
    value: HeaderValue,
}

/// Why a text is no such field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FieldError {
    /// There is no colon.
    NoColon,
    /// What stands before the colon is no name.
    Name(String),
    /// The value has control characters in it.
    Value,
    /// The field is not the user's to set; what to do instead.
    Reserved(String, &'static str),
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoColon => f.write_str("there is no colon; write it as 'NAME: VALUE'"),
            Self::Name(name) => write!(
                f,
                "{name:?} is no name of a field: letters, digits and some punctuation, no spaces; write it as 'NAME: VALUE'"
            ),
            Self::Value => f.write_str("the value has a line break or another control character in it"),
            Self::Reserved(name, instead) => write!(f, "{name} cannot be set: {instead}"),
        }
    }
}

impl std::error::Error for FieldError {}

impl FromStr for Field {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let (name, value) = text.split_once(':').ok_or(FieldError::NoColon)?;
        // Spaces around a value are no part of it (RFC 9110 §5.5).
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
    /// As it was given, but for values that are secrets.
    pub(crate) fn shown(&self) -> String {
        if SECRET.contains(&self.name.as_str()) {
            return format!("{}: ...", self.name);
        }
        format!("{}: {}", self.name, String::from_utf8_lossy(self.value.as_bytes()))
    }
}

/// All of them; those of one name stay several.
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
    fn fields_are_read_and_those_of_one_name_stay_several() {
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
    fn what_is_no_field_is_told_with_its_reason() {
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

    /// What the library refuses is refused here with better words.
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
