//! The offline interoperability corpus: what other implementations encoded, with and without a dynamic table,
//! and invalid files.

#[path = "../examples/qif/decode.rs"]
mod decode;
#[path = "../examples/qif/records.rs"]
mod records;
#[path = "../examples/qif/text.rs"]
mod text;

use std::{
    fs,
    path::{Path, PathBuf},
};

use qpack::{Decoded, Decoder, Encoder, FieldRef};
use records::{Cut, read_records};
use text::{List, NoTab, read_qif};

/// The folder of the corpus, or `None` if it is missing. The automated build must have it.
fn corpus() -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/qifs");
    if path.is_dir() {
        return Some(path);
    }
    let required = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!required, "the QPACK corpus is missing");
    println!("skipped: the QPACK corpus is not there");
    None
}

fn lists(name: &str, corpus: &Path) -> Vec<List> {
    read_qif(&fs::read(corpus.join("qifs").join(name)).unwrap()).unwrap()
}

/// Capacity and blocked streams, and the list that was encoded, by a file's name.
fn settings(name: &str) -> (&str, u64, u64) {
    let mut parts = name.split('.');
    let list = parts.next().unwrap();
    let numbers: Vec<u64> = parts.skip(1).map(|part| part.parse().unwrap()).collect();
    // The examples of an older draft say nothing of their settings.
    match numbers[..] {
        [capacity, blocked, _] => (list, capacity, blocked),
        _ => (list, 4096, 100),
    }
}

#[test]
fn every_file_of_every_implementation_decodes_to_its_list() {
    let Some(corpus) = corpus() else { return };
    let encoded = corpus.join("encoded/qpack-06");
    let mut folders = vec![encoded.clone()];
    folders.extend(
        fs::read_dir(&encoded).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()),
    );
    let mut files = 0;
    for file in folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()) {
        let file = file.unwrap().path();
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.contains(".out") {
            continue;
        }
        let (list, capacity, blocked) = settings(&name);
        let expected = match list {
            "examples" => published_examples(),
            _ => lists(&format!("{list}.qif"), &corpus),
        };
        let bytes = fs::read(&file).unwrap();
        let decoded = decode::decode(&read_records(&bytes).unwrap(), capacity, blocked, |_| {});
        assert!(
            decoded.unwrap_or_else(|error| panic!("{}: {error}", file.display())) == expected,
            "{}",
            file.display()
        );
        files += 1;
    }
    assert!(files >= 84, "only {files} files");
}

/// RFC 9204 Appendix B.
fn published_examples() -> Vec<List> {
    let line = |(name, value): &(&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    [
        &[(":path", "/index.html")][..],
        &[(":authority", "www.example.com"), (":path", "/sample/path")],
        &[(":authority", "www.example.com"), (":path", "/"), ("custom-key", "custom-value")],
    ]
    .map(|list| list.iter().map(line).collect())
    .into()
}

#[test]
fn our_encoding_of_the_lists_is_as_small_as_that_of_others() {
    let Some(corpus) = corpus() else { return };
    let mut size = 0;
    for list in lists("fb-req.qif", &corpus) {
        let mut section = Vec::new();
        Encoder::new().encode(0, list.iter().map(|(name, value)| FieldRef::new(name, value)), &mut section);
        size += section.len() + 12;
        let fields = Decoder::new().decode(0, &section, 1 << 20).and_then(Decoded::fields).unwrap();
        assert_eq!(fields.into_iter().map(|f| (f.name.to_vec(), f.value.to_vec())).collect::<List>(), list);
    }
    // 150,484 bytes by the smallest encoder of the corpus; ties between literals of one name may cost a byte
    // or so.
    assert!(size <= 150_484 + 150_484 / 200, "{size} bytes");
}

#[test]
fn broken_files_are_refused_with_their_code() {
    let Some(corpus) = corpus() else { return };
    for number in [1, 2, 4, 5, 7, 8, 9, 11] {
        let bytes = fs::read(corpus.join(format!("encoded/errors/err{number}"))).unwrap();
        let decoded = decode::decode(&read_records(&bytes).unwrap(), 4096, 100, |_| {});
        let code = decoded.err().map(|error| match error {
            decode::Error::Instructions { error, .. } => Some(error.code()),
            decode::Error::Section { error, .. } => error.code(),
            other => panic!("err{number}: {other}"),
        });
        let expected = match number {
            9 => None,
            11 => Some(Some(0x201)),
            _ => Some(Some(0x200)),
        };
        assert_eq!(code, expected, "err{number}");
    }
}

#[test]
fn broken_formats_say_where() {
    let record = [&[0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 3][..], b"abc"].concat();
    assert_eq!(read_records(&record), Ok(vec![(4, &b"abc"[..])]));
    for cut in 1..record.len() {
        let two = [&record, &record[..cut]].concat();
        let expected = match cut {
            ..12 => Cut::Head { offset: 15 },
            _ => Cut::Bytes { offset: 15, length: 3, left: cut - 12 },
        };
        assert_eq!(read_records(&two), Err(expected));
    }
    let list = vec![(b"a".to_vec(), b"b\tc".to_vec()), (b"d".to_vec(), vec![])];
    assert_eq!(read_qif(b"# one\na\tb\tc\nd\t\r\n\n\n"), Ok(vec![list]));
    assert_eq!(read_qif(b"a\tb\n\nno tab\n"), Err(NoTab { line: 3 }));
}
