//! JSON as text, appended to a buffer. The caller gives values in order, and nothing is built in between.

use std::time::Duration;

/// The fields of an object that is being written.
pub(crate) struct Fields<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

/// The items of a list that is being written.
pub(crate) struct Items<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

/// Appends an object.
pub(crate) fn object(out: &mut Vec<u8>, write: impl FnOnce(&mut Fields<'_>)) {
    out.push(b'{');
    write(&mut Fields { out, first: true });
    out.push(b'}');
}

fn put_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let (mut rest, mut at) = (number, digits.len());
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a text with what RFC 8259 §7 asks to be escaped.
fn put_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => {
                out.extend_from_slice(b"\\u00");
                put_hex_byte(out, byte);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

fn put_hex_byte(out: &mut Vec<u8>, byte: u8) {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
}

fn put_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    bytes.iter().for_each(|byte| put_hex_byte(out, *byte));
    out.push(b'"');
}

/// Appends milliseconds with up to six decimals.
fn put_millis(out: &mut Vec<u8>, time: Duration) {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    put_number(out, nanos / 1_000_000);
    let mut fraction = nanos % 1_000_000;
    if fraction > 0 {
        out.push(b'.');
        let mut place = 100_000;
        while fraction > 0 {
            out.push(b'0' + (fraction / place) as u8);
            fraction %= place;
            place /= 10;
        }
    }
}

impl Fields<'_> {
    fn key(&mut self, name: &str) -> &mut Vec<u8> {
        if !std::mem::replace(&mut self.first, false) {
            self.out.push(b',');
        }
        put_text(self.out, name);
        self.out.push(b':');
        self.out
    }

    pub(crate) fn number(&mut self, name: &str, value: u64) {
        put_number(self.key(name), value);
    }

    pub(crate) fn flag(&mut self, name: &str, value: bool) {
        self.key(name).extend_from_slice(if value { b"true" } else { b"false" });
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) {
        put_text(self.key(name), value);
    }

    pub(crate) fn hex(&mut self, name: &str, value: &[u8]) {
        put_hex(self.key(name), value);
    }

    /// A time in milliseconds.
    pub(crate) fn millis(&mut self, name: &str, value: Duration) {
        put_millis(self.key(name), value);
    }

    pub(crate) fn object(&mut self, name: &str, write: impl FnOnce(&mut Fields<'_>)) {
        object(self.key(name), write);
    }

    pub(crate) fn list(&mut self, name: &str, write: impl FnOnce(&mut Items<'_>)) {
        put_list(self.key(name), write);
    }
}

fn put_list(out: &mut Vec<u8>, write: impl FnOnce(&mut Items<'_>)) {
    out.push(b'[');
    write(&mut Items { out, first: true });
    out.push(b']');
}

impl Items<'_> {
    fn next(&mut self) -> &mut Vec<u8> {
        if !std::mem::replace(&mut self.first, false) {
            self.out.push(b',');
        }
        self.out
    }

    pub(crate) fn number(&mut self, value: u64) {
        put_number(self.next(), value);
    }

    pub(crate) fn flag(&mut self, value: bool) {
        self.next().extend_from_slice(if value { b"true" } else { b"false" });
    }

    pub(crate) fn text(&mut self, value: &str) {
        put_text(self.next(), value);
    }

    pub(crate) fn hex(&mut self, value: &[u8]) {
        put_hex(self.next(), value);
    }

    pub(crate) fn object(&mut self, write: impl FnOnce(&mut Fields<'_>)) {
        object(self.next(), write);
    }

    pub(crate) fn list(&mut self, write: impl FnOnce(&mut Items<'_>)) {
        put_list(self.next(), write);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_json() {
        let mut out = Vec::new();
        object(&mut out, |fields| {
            fields.text("a \"quoted\" one", "line\nnext \\ ü \u{1}");
            fields.number("most", u64::MAX);
            fields.number("none", 0);
            fields.hex("bytes", &[0, 0xab, 0x7f]);
            fields.flag("yes", true);
            fields.object("inside", |_| {});
            fields.list("items", |items| {
                items.number(1);
                items.text("two");
                items.flag(false);
                items.hex(&[3]);
                items.object(|fields| fields.number("four", 4));
                items.list(|_| {});
            });
        });
        let read: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        let expected = serde_json::json!({
            "a \"quoted\" one": "line\nnext \\ ü \u{1}",
            "most": u64::MAX, "none": 0, "bytes": "00ab7f", "yes": true, "inside": {},
            "items": [1, "two", false, "03", {"four": 4}, []],
        });
        assert_eq!(read, expected);
    }

    #[test]
    fn times_are_milliseconds() {
        for (nanos, text) in [(0, "0"), (1, "0.000001"), (1_500_000, "1.5"), (12_000_340_000, "12000.34")] {
            let mut out = Vec::new();
            put_millis(&mut out, Duration::from_nanos(nanos));
            assert_eq!(out, text.as_bytes());
        }
    }
}
