//! Reads the records of a qlog file one after the other: JSON text sequences (RFC 7464), a JSON value on each line, or
//! one JSON value with all events in it. No more than one record is in memory.

use std::io::{self, BufRead};

/// The longest record, and the longest rest of a file without its events. What is longer is skipped and counted.
const LONGEST: usize = 4 << 20;
const RECORD_SEPARATOR: u8 = 0x1e;
/// U+FEFF in UTF-8, which some programs write at the start of a file. JSON does not permit it (RFC 8259 §8.1).
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// A record that could be read, or where one could not.
#[derive(Debug, PartialEq)]
pub(crate) enum Record {
    /// A JSON object: an event, or the head of a file.
    Value(serde_json::Value),
    /// What is no JSON object, and the line it begins at.
    Bad { line: u64, why: String },
}

/// The records of a file.
pub(crate) struct Records<R> {
    input: R,
    /// The line that is read.
    line: u64,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Unknown,
    /// Records on lines of their own, with or without separators.
    Lines,
    /// One value; its events are cut out of it.
    Contained(Box<Cutter>),
    Over,
}

impl<R: BufRead> Records<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, line: 1, form: Form::Unknown }
    }

    /// Whether the file is one JSON value, whose head comes after its events.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn is_contained(&mut self) -> io::Result<bool> {
        if matches!(self.form, Form::Unknown) {
            self.form = self.find_form()?;
        }
        Ok(matches!(self.form, Form::Contained(_)))
    }

    /// The next record.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn next(&mut self) -> io::Result<Option<Record>> {
        loop {
            match &mut self.form {
                Form::Unknown => self.form = self.find_form()?,
                Form::Lines => return self.next_line(),
                Form::Contained(cutter) => {
                    let (found, over) = cutter.next(&mut self.input, &mut self.line)?;
                    if over {
                        self.form = Form::Over;
                    }
                    if let Some((bytes, line)) = found {
                        return Ok(Some(parse(&bytes, line)));
                    }
                }
                Form::Over => return Ok(None),
            }
        }
    }

    /// One value is pretty-printed, or has its events in it: its first line is then no whole value, or has them.
    fn find_form(&mut self) -> io::Result<Form> {
        for byte in BYTE_ORDER_MARK {
            if self.input.fill_buf()?.first() != Some(&byte) {
                break;
            }
            self.input.consume(1);
        }
        let start = self.input.fill_buf()?;
        let first = start.iter().find(|byte| !byte.is_ascii_whitespace());
        if first != Some(&b'{') {
            return Ok(Form::Lines);
        }
        let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let whole = serde_json::from_slice::<serde_json::Value>(line);
        let has_events =
            |value: &serde_json::Value| value.get("traces").is_some_and(serde_json::Value::is_array);
        Ok(match whole {
            Ok(value) if !has_events(&value) => Form::Lines,
            _ => Form::Contained(Box::default()),
        })
    }

    fn next_line(&mut self) -> io::Result<Option<Record>> {
        loop {
            let (mut bytes, line) = (Vec::new(), self.line);
            let (length, ended) = read_line(&mut self.input, &mut bytes)?;
            if length == 0 {
                return Ok(None);
            }
            self.line += u64::from(ended);
            bytes.retain(|byte| *byte != RECORD_SEPARATOR);
            if length > LONGEST {
                return Ok(Some(Record::Bad { line, why: format!("the record has {length} bytes") }));
            }
            if !bytes.iter().all(u8::is_ascii_whitespace) {
                return Ok(Some(parse(&bytes, line)));
            }
        }
    }
}

fn parse(bytes: &[u8], line: u64) -> Record {
    match serde_json::from_slice::<serde_json::Value>(bytes) {
        Ok(value) if value.is_object() => Record::Value(value),
        Ok(_) => Record::Bad { line, why: "not an object".to_owned() },
        Err(error) => Record::Bad { line, why: error.to_string() },
    }
}

/// Reads a line of which at most [`LONGEST`] bytes are kept. Returns its length, and whether it ended.
fn read_line(input: &mut impl BufRead, kept: &mut Vec<u8>) -> io::Result<(usize, bool)> {
    let mut length = 0;
    loop {
        let available = input.fill_buf()?;
        let (part, ended) = match available.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (available.len(), false),
        };
        if length < LONGEST {
            kept.extend_from_slice(&available[..part]);
        }
        input.consume(part);
        length += part;
        if ended || part == 0 {
            return Ok((length, ended));
        }
    }
}

/// Cuts the events out of one value: everything that stands in a list named `events`.
#[derive(Debug, Default)]
struct Cutter {
    /// The value without its events.
    rest: Vec<u8>,
    /// How many lists and objects are open.
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// The last string outside of events.
    word: Vec<u8>,
    /// Whether only a colon, or only a list after it, has followed the word `events`.
    near: bool,
    /// The depth of the list of events.
    events: Option<usize>,
    event: Vec<u8>,
    began: u64,
}

/// An event, and the line it begins at.
type Found = Option<(Vec<u8>, u64)>;

impl Cutter {
    /// The next event, or the rest at the end; and whether that was the end.
    fn next(&mut self, input: &mut impl BufRead, line: &mut u64) -> io::Result<(Found, bool)> {
        loop {
            let available = input.fill_buf()?;
            if available.is_empty() {
                return Ok((Some((std::mem::take(&mut self.rest), 1)), true));
            }
            let (mut used, mut done) = (0, false);
            for byte in available {
                used += 1;
                *line += u64::from(*byte == b'\n');
                if self.take(*byte, *line) {
                    done = true;
                    break;
                }
            }
            input.consume(used);
            if done {
                return Ok((Some((std::mem::take(&mut self.event), self.began)), false));
            }
        }
    }

    /// Takes a byte. Returns whether it completes an event.
    fn take(&mut self, byte: u8, line: u64) -> bool {
        let in_event = self.events.is_some_and(|depth| self.depth > depth);
        let structural = self.follow(byte);
        match self.events {
            Some(depth) if in_event => {
                if self.event.len() < LONGEST {
                    self.event.push(byte);
                }
                structural && self.depth == depth
            }
            Some(depth) if structural && self.depth > depth => {
                self.event.push(byte);
                self.began = line;
                false
            }
            Some(_) => {
                // Between objects and lists only what should not be there adds to an event, such as a number.
                if structural {
                    self.events = None;
                    self.keep(byte);
                    return !self.event.is_empty();
                }
                if !self.in_string && byte == b',' {
                    return !self.event.is_empty();
                }
                if self.in_string || !byte.is_ascii_whitespace() {
                    if self.event.is_empty() {
                        self.began = line;
                    }
                    if self.event.len() < LONGEST {
                        self.event.push(byte);
                    }
                }
                false
            }
            None => {
                self.keep(byte);
                if structural && byte == b'[' && self.near {
                    self.events = Some(self.depth);
                }
                if !(byte.is_ascii_whitespace() || byte == b':') {
                    self.near = byte == b'"' && !self.in_string && self.word == b"events";
                }
                false
            }
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.rest.len() < LONGEST {
            self.rest.push(byte);
        }
    }

    /// Follows strings and depth. Returns whether the byte opened or closed a list or an object.
    fn follow(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ if self.word.len() < 16 => self.word.push(byte),
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => {
                self.in_string = true;
                self.word.clear();
            }
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => return false,
        }
        byte != b'"'
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use serde_json::json;

    use super::*;

    /// All records, read through a buffer of this size.
    fn read(text: &str, buffer: usize) -> Vec<Record> {
        let mut records = Records::new(BufReader::with_capacity(buffer, text.as_bytes()));
        std::iter::from_fn(|| records.next().expect("memory")).collect()
    }

    fn values(text: &str) -> Vec<serde_json::Value> {
        let records = read(text, 4096);
        let value = |record| match record {
            Record::Value(value) => value,
            Record::Bad { line, why } => panic!("line {line}: {why}"),
        };
        records.into_iter().map(value).collect()
    }

    #[test]
    fn sequences_and_lines_are_read() {
        for text in ["\x1e{\"a\":1}\n\x1e{\"time\":2}\n", "{\"a\":1}\n\n{\"time\":2}"] {
            assert_eq!(values(text), [json!({"a": 1}), json!({"time": 2})]);
        }
        assert!(values("").is_empty());
    }

    #[test]
    fn events_are_cut_out_of_one_value() {
        let whole = json!({
            "qlog_version": "0.3",
            "traces": [
                {"vantage_point": {"type": "client"}, "events": [{"time": 1, "data": {"x": ["}", "\"]\\"]}}, {"time": 2}]},
                {"title": "events", "events": []},
            ],
        });
        let rest = json!({
            "qlog_version": "0.3",
            "traces": [{"vantage_point": {"type": "client"}, "events": []}, {"title": "events", "events": []}],
        });
        for text in [serde_json::to_string_pretty(&whole).unwrap(), whole.to_string()] {
            for buffer in [1, 7, 4096] {
                let found = read(&text, buffer);
                let [Record::Value(first), Record::Value(second), Record::Value(last)] = &found[..] else {
                    panic!("{found:?}")
                };
                assert_eq!(first, &whole["traces"][0]["events"][0], "{buffer}");
                assert_eq!((second, last), (&json!({"time": 2}), &rest));
            }
        }
    }

    #[test]
    fn events_that_are_no_objects_are_bad() {
        let text = "{\"traces\":[{\"events\":[\n1, \"a, ]\",\n{\"time\":1}, [2], null ]}]}";
        for buffer in [1, 4096] {
            let found = read(text, buffer);
            let bad = |line| Record::Bad { line, why: "not an object".to_owned() };
            let rest = json!({"traces": [{"events": []}]});
            let expected =
                [bad(2), bad(2), Record::Value(json!({"time": 1})), bad(3), bad(3), Record::Value(rest)];
            assert_eq!(found, expected, "{buffer}");
        }
        assert!(matches!(
            read("[1]\n7\n", 4096)[..],
            [Record::Bad { line: 1, .. }, Record::Bad { line: 2, .. }]
        ));
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        for text in
            ["{\"a\":1}\n{\"time\":2}\n", "\x1e{\"a\":1}\n", "{\"traces\":[{\"events\":[{\"time\":2}]}]}"]
        {
            for buffer in [1, 2, 4096] {
                assert_eq!(read(&format!("\u{feff}{text}"), buffer), read(text, buffer), "{text} {buffer}");
            }
        }
    }

    #[test]
    fn bad_lines_are_told_with_their_number() {
        let found = read("\x1e{\"a\":1}\n\x1e{\"b\":\n\x1e{\"c\":3}\n", 4096);
        assert!(matches!(found[1], Record::Bad { line: 2, .. }), "{found:?}");
        assert_eq!(found[2], Record::Value(json!({"c": 3})));
    }
}
