//! What of a file a request gets: conditions (RFC 9110 §13) and ranges (§14).

use std::{
    fs::Metadata,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderValue, header};

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
    /// The range begins behind the end.
    Beyond,
}

/// Decides what a request with these fields gets of a file of `size` bytes.
pub(super) fn decide(asked: &HeaderMap, size: u64, version: &Version) -> Part {
    let text = |name| asked.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let unchanged = match text(header::IF_NONE_MATCH) {
        Some(tags) => tags.split(',').map(str::trim).any(|tag| {
            // The comparison is the weak one (§13.1.2).
            tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == version.tag
        }),
        None => text(header::IF_MODIFIED_SINCE)
            .and_then(calendar::parse_http_date)
            .zip(version.modified)
            .is_some_and(|(known, modified)| modified <= known),
    };
    if unchanged {
        return Part::Unchanged;
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
        let fields = fields.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        decide(&fields, 10, &version())
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
