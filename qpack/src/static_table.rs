//! The static table (RFC 9204 §3.1, Appendix A) and the look-up of a field line in it.

/// Name and value by index, 0 to 98.
#[rustfmt::skip]
pub(crate) const ENTRIES: [(&[u8], &[u8]); 99] = [
    (b":authority", b""),
    (b":path", b"/"),
    (b"age", b"0"),
    (b"content-disposition", b""),
    (b"content-length", b"0"),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"referer", b""),
    (b"set-cookie", b""),
    (b":method", b"CONNECT"),
    (b":method", b"DELETE"),
    (b":method", b"GET"),
    (b":method", b"HEAD"),
    (b":method", b"OPTIONS"),
    (b":method", b"POST"),
    (b":method", b"PUT"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"103"),
    (b":status", b"200"),
    (b":status", b"304"),
    (b":status", b"404"),
    (b":status", b"503"),
    (b"accept", b"*/*"),
    (b"accept", b"application/dns-message"),
    (b"accept-encoding", b"gzip, deflate, br"),
    (b"accept-ranges", b"bytes"),
    (b"access-control-allow-headers", b"cache-control"),
    (b"access-control-allow-headers", b"content-type"),
    (b"access-control-allow-origin", b"*"),
    (b"cache-control", b"max-age=0"),
    (b"cache-control", b"max-age=2592000"),
    (b"cache-control", b"max-age=604800"),
    (b"cache-control", b"no-cache"),
    (b"cache-control", b"no-store"),
    (b"cache-control", b"public, max-age=31536000"),
    (b"content-encoding", b"br"),
    (b"content-encoding", b"gzip"),
    (b"content-type", b"application/dns-message"),
    (b"content-type", b"application/javascript"),
    (b"content-type", b"application/json"),
    (b"content-type", b"application/x-www-form-urlencoded"),
    (b"content-type", b"image/gif"),
    (b"content-type", b"image/jpeg"),
    (b"content-type", b"image/png"),
    (b"content-type", b"text/css"),
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-type", b"text/plain"),
    (b"content-type", b"text/plain;charset=utf-8"),
    (b"range", b"bytes=0-"),
    (b"strict-transport-security", b"max-age=31536000"),
    (b"strict-transport-security", b"max-age=31536000; includesubdomains"),
    (b"strict-transport-security", b"max-age=31536000; includesubdomains; preload"),
    (b"vary", b"accept-encoding"),
    (b"vary", b"origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-xss-protection", b"1; mode=block"),
    (b":status", b"100"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"302"),
    (b":status", b"400"),
    (b":status", b"403"),
    (b":status", b"421"),
    (b":status", b"425"),
    (b":status", b"500"),
    (b"accept-language", b""),
    (b"access-control-allow-credentials", b"FALSE"),
    (b"access-control-allow-credentials", b"TRUE"),
    (b"access-control-allow-headers", b"*"),
    (b"access-control-allow-methods", b"get"),
    (b"access-control-allow-methods", b"get, post, options"),
    (b"access-control-allow-methods", b"options"),
    (b"access-control-expose-headers", b"content-length"),
    (b"access-control-request-headers", b"content-type"),
    (b"access-control-request-method", b"get"),
    (b"access-control-request-method", b"post"),
    (b"alt-svc", b"clear"),
    (b"authorization", b""),
    (b"content-security-policy", b"script-src 'none'; object-src 'none'; base-uri 'none'"),
    (b"early-data", b"1"),
    (b"expect-ct", b""),
    (b"forwarded", b""),
    (b"if-range", b""),
    (b"origin", b""),
    (b"purpose", b"prefetch"),
    (b"server", b""),
    (b"timing-allow-origin", b"*"),
    (b"upgrade-insecure-requests", b"1"),
    (b"user-agent", b""),
    (b"x-forwarded-for", b""),
    (b"x-frame-options", b"deny"),
    (b"x-frame-options", b"sameorigin"),
];

const NONE: u8 = u8::MAX;
const SLOTS: usize = 256;

/// Finds the entries of a name: an open-addressed hash table leads to the first entry of a name, and each
/// entry to the next one of the same name. It is computed at compile time; a look-up compares about one name.
struct Index {
    first: [u8; SLOTS],
    next: [u8; 99],
}

static INDEX: Index = build();

const fn hash(name: &[u8]) -> usize {
    let length = name.len();
    if length == 0 {
        return 0;
    }
    let ends = name[0] as usize * 31 + name[length - 1] as usize * 7;
    (ends + name[length / 2] as usize * 13 + length * 5) % SLOTS
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

const fn build() -> Index {
    let mut index = Index { first: [NONE; SLOTS], next: [NONE; 99] };
    let mut entry = 0;
    while entry < ENTRIES.len() {
        let name = ENTRIES[entry].0;
        let mut slot = hash(name);
        while index.first[slot] != NONE && !equal(ENTRIES[index.first[slot] as usize].0, name) {
            slot = (slot + 1) % SLOTS;
        }
        if index.first[slot] == NONE {
            index.first[slot] = entry as u8;
        } else {
            let mut last = index.first[slot] as usize;
            while index.next[last] != NONE {
                last = index.next[last] as usize;
            }
            index.next[last] = entry as u8;
        }
        entry += 1;
    }
    index
}

/// What the static table contains of a field line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// Name and value.
    Line(u64),
    /// The name alone.
    Name(u64),
}

/// The best entry for a field line.
pub(crate) fn find(name: &[u8], value: &[u8]) -> Option<Match> {
    let mut slot = hash(name);
    // There are more slots than names, so the loop reaches an empty one.
    let first = loop {
        match INDEX.first[slot] {
            NONE => return None,
            entry if ENTRIES[usize::from(entry)].0 == name => break entry,
            _ => slot = (slot + 1) % SLOTS,
        }
    };
    let mut entry = first;
    while entry != NONE {
        if ENTRIES[usize::from(entry)].1 == value {
            return Some(Match::Line(u64::from(entry)));
        }
        entry = INDEX.next[usize::from(entry)];
    }
    Some(Match::Name(u64::from(first)))
}

/// The entry with this index.
pub(crate) fn get(index: u64) -> Option<(&'static [u8], &'static [u8])> {
    ENTRIES.get(usize::try_from(index).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_found_by_line_and_by_name() {
        for (index, (name, value)) in ENTRIES.iter().enumerate() {
            assert_eq!(find(name, value), Some(Match::Line(index as u64)));
            let first = ENTRIES.iter().position(|(other, _)| other == name).unwrap();
            assert_eq!(find(name, b"no such value"), Some(Match::Name(first as u64)));
        }
        for absent in [&b""[..], b":", b"x-custom", b":authorit", b":authoritz"] {
            assert_eq!(find(absent, b""), None);
        }
        assert_eq!((get(98).is_some(), get(99), get(u64::MAX)), (true, None, None));
    }
}
