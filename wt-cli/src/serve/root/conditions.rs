//! What of a file a request gets: conditions (RFC 9110 §13) and ranges (§14).

use std::{
    fs::Metadata,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::calendar;

/// Which version of a file it is.
#[derive(Clone, Debug)]
pub(super) struct Version {
    /// A strong validator, with its quotation marks (§8.8.3).
    tag: String,
    /// To the second.
    modified: Option<SystemTime>,
}

impl Version {
    pub(super) fn of(file: &Metadata) -> Self {
        Self::new(file.len(), file.modified().ok())
    }

    fn new(size: u64, modified: Option<SystemTime>) -> Self {
        let since =
            modified.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok()).unwrap_or_default();
        let whole = |_| SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs());
        Self { tag: format!("\"{:x}-{size:x}\"", since.as_nanos()), modified: modified.map(whole) }
    }

    /// Adds the fields that tell it.
    pub(super) fn tell(&self, fields: &mut HeaderMap) {
        let told = [
            (header::ETAG, Some(self.tag.clone())),
            (header::LAST_MODIFIED, self.modified.map(calendar::http_date)),
        ];
        for (name, value) in told {
            if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
                fields.insert(name, value);
            }
        }
    }
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    Range {
        from: u64,
        length: u64,
    },
    /// The client has this version.
    Unchanged,
    /// It is not the version that the client means.
    Refused,
    /// The range begins behind the end.
    Beyond,
}

/// Decides what a request with these fields gets of a file of `size` bytes, in the order of §13.2.2.
pub(super) fn decide(method: &Method, asked: &HeaderMap, size: u64, version: &Version) -> Part {
    let text = |name| asked.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    // Whether the file is no newer than this field says, if that can be told.
    let is_older = |name| {
        let known = text(name).and_then(calendar::parse_http_date);
        known.zip(version.modified).map(|(known, modified)| modified <= known)
    };
    // The comparison is the strong one (§13.1.1).
    let meant = tags(asked, &header::IF_MATCH, |tag| tag == version.tag)
        .or_else(|| is_older(header::IF_UNMODIFIED_SINCE));
    if meant == Some(false) {
        return Part::Refused;
    }
    // The comparison is the weak one (§13.1.2).
    let weakly = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag) == version.tag;
    let unchanged =
        tags(asked, &header::IF_NONE_MATCH, weakly).or_else(|| is_older(header::IF_MODIFIED_SINCE));
    if unchanged == Some(true) {
        return Part::Unchanged;
    }
    // No other method has ranges (§14.2).
    if method != Method::GET {
        return Part::Whole;
    }
    // The comparison is the strong one, and a date has to be the same one (§13.1.5).
    let same = text(header::IF_RANGE).is_none_or(|known| {
        known == version.tag
            || calendar::parse_http_date(known).is_some_and(|at| Some(at) == version.modified)
    });
    match text(header::RANGE).filter(|_| same) {
        Some(range) => part(range, size),
        None => Part::Whole,
    }
}

/// Whether one of the tags in this field is the right one, or any will do. Its lines are one list (§5.3). `None`
/// without such a field.
fn tags(asked: &HeaderMap, name: &HeaderName, is_right: impl Fn(&str) -> bool) -> Option<bool> {
    let mut lines = asked.get_all(name).iter().peekable();
    lines.peek()?;
    let mut tags =
        lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',').map(str::trim));
    Some(tags.any(|tag| tag == "*" || is_right(tag)))
}

/// The part that a `range` field asks for. Several ranges, and what cannot be understood, get all (§14.2).
fn part(range: &str, size: u64) -> Part {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let Some((unit, range)) = range.split_once('=') else { return Part::Whole };
    let Some((from, to)) = range.trim().split_once('-') else { return Part::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Part::Whole;
    }
    match (number(from), number(to)) {
        (Some(from), to) if to.is_some() || to_is_open(range) => {
            let last = to.unwrap_or(u64::MAX);
            if last < from {
                Part::Whole
            } else if from >= size {
                Part::Beyond
            } else {
                Part::Range { from, length: last.min(size - 1) - from + 1 }
            }
        }
        (None, Some(last)) if from.is_empty() => {
            let length = last.min(size);
            if length == 0 { Part::Beyond } else { Part::Range { from: size - length, length } }
        }
        _ => Part::Whole,
    }
}

fn to_is_open(range: &str) -> bool {
    range.trim().ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version() -> Version {
        Version::new(10, Some(SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_500)))
    }

    fn asked(fields: &[(header::HeaderName, &str)]) -> Part {
        by(&Method::GET, fields)
    }

    fn by(method: &Method, fields: &[(header::HeaderName, &str)]) -> Part {
        let mut all = HeaderMap::new();
        for (name, value) in fields {
            all.append(name, value.parse().unwrap());
        }
        decide(method, &all, 10, &version())
    }

    #[test]
    fn ranges_are_for_get_alone() {
        assert_eq!(by(&Method::HEAD, &[(header::RANGE, "bytes=0-0")]), Part::Whole);
        assert_eq!(by(&Method::HEAD, &[(header::RANGE, "bytes=10-")]), Part::Whole);
        assert_eq!(by(&Method::HEAD, &[(header::IF_NONE_MATCH, "*")]), Part::Unchanged);
    }

    #[test]
    fn a_client_gets_the_version_it_means_or_nothing() {
        let tag = version().tag;
        let weak = format!("W/{tag}");
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let earlier = "Sun, 06 Nov 1994 08:49:36 GMT";
        for (fields, part) in [
            (vec![(header::IF_MATCH, tag.as_str())], Part::Whole),
            (vec![(header::IF_MATCH, "*")], Part::Whole),
            (vec![(header::IF_MATCH, "\"x\""), (header::IF_MATCH, tag.as_str())], Part::Whole),
            (vec![(header::IF_MATCH, "\"x\"")], Part::Refused),
            (vec![(header::IF_MATCH, "\"x\""), (header::IF_NONE_MATCH, "*")], Part::Refused),
            (vec![(header::IF_MATCH, weak.as_str())], Part::Refused),
            (vec![(header::IF_UNMODIFIED_SINCE, date)], Part::Whole),
            (vec![(header::IF_UNMODIFIED_SINCE, "yesterday")], Part::Whole),
            (vec![(header::IF_UNMODIFIED_SINCE, earlier)], Part::Refused),
            // The tag has precedence.
            (vec![(header::IF_MATCH, tag.as_str()), (header::IF_UNMODIFIED_SINCE, earlier)], Part::Whole),
            (vec![(header::IF_MATCH, tag.as_str()), (header::IF_NONE_MATCH, tag.as_str())], Part::Unchanged),
        ] {
            assert_eq!(asked(&fields), part, "{fields:?}");
        }
    }

    #[test]
    fn ranges() {
        let range = |from, length| Part::Range { from, length };
        for (text, part) in [
            ("bytes=0-0", range(0, 1)),
            ("bytes=2-", range(2, 8)),
            ("bytes=2-99999999999999999999999", range(2, 8)),
            ("bytes=-3", range(7, 3)),
            ("bytes=-30", range(0, 10)),
            ("Bytes = 3-4", range(3, 2)),
            ("bytes=10-", Part::Beyond),
            ("bytes=-0", Part::Beyond),
            ("bytes=5-4", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("lines=0-1", Part::Whole),
            ("bytes", Part::Whole),
        ] {
            assert_eq!(asked(&[(header::RANGE, text)]), part, "{text}");
        }
        assert_eq!(part("bytes=-5", 0), Part::Beyond);
        assert_eq!(part("bytes=0-", 0), Part::Beyond);
    }

    #[test]
    fn conditions() {
        let tag = version().tag;
        let (whole, unchanged) = (Part::Whole, Part::Unchanged);
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        for (fields, part) in [
            (vec![(header::IF_NONE_MATCH, tag.as_str())], unchanged),
            (vec![(header::IF_NONE_MATCH, "\"x\", *")], unchanged),
            (vec![(header::IF_NONE_MATCH, "\"x\"")], whole),
            (vec![(header::IF_NONE_MATCH, "\"x\""), (header::IF_NONE_MATCH, tag.as_str())], unchanged),
            // The tag has precedence.
            (vec![(header::IF_NONE_MATCH, "\"x\""), (header::IF_MODIFIED_SINCE, date)], whole),
            (vec![(header::IF_MODIFIED_SINCE, date)], unchanged),
            (vec![(header::IF_MODIFIED_SINCE, "Sun, 06 Nov 1994 08:49:36 GMT")], whole),
            (vec![(header::IF_MODIFIED_SINCE, "yesterday")], whole),
            (vec![(header::RANGE, "bytes=0-0"), (header::IF_RANGE, "\"x\"")], whole),
            (
                vec![(header::RANGE, "bytes=0-0"), (header::IF_RANGE, date)],
                Part::Range { from: 0, length: 1 },
            ),
            (
                vec![(header::RANGE, "bytes=0-0"), (header::IF_RANGE, tag.as_str())],
                Part::Range { from: 0, length: 1 },
            ),
        ] {
            assert_eq!(asked(&fields), part, "{fields:?}");
        }
        let weak = format!("W/{tag}");
        assert_eq!(asked(&[(header::IF_NONE_MATCH, &weak)]), unchanged);
        let mut fields = HeaderMap::new();
        version().tell(&mut fields);
        assert_eq!(
            (fields[header::ETAG].as_bytes(), fields[header::LAST_MODIFIED].as_bytes()),
            (tag.as_bytes(), date.as_bytes())
        );
    }
}
