//! The offline interoperability corpus: what other implementations encoded, with and without a dynamic table,
//! and invalid files.

#[path = "../examples/qif/decode.rs"]
mod decode;
#[path = "../examples/qif/encode.rs"]
mod encode;
#[path = "../examples/qif/records.rs"]
mod records;
#[path = "../examples/qif/text.rs"]
mod text;

use std::{
    fs,
    path::{Path, PathBuf},
};

use encode::Choices;
use qpack::Policy;
use records::{Cut, read_records};
use text::{List, NoTab, read_qif, write_qif};

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
        let decoded = decode::decode(&read_records(&bytes).unwrap(), capacity, blocked);
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

/// The size of our encoding of a list, which decodes to the list again.
fn size(corpus: &Path, list: &str, choices: Choices) -> usize {
    let expected = lists(&format!("{list}.qif"), corpus);
    let encoded = encode::encode(&expected, choices).unwrap();
    let Choices { capacity, blocked, .. } = choices;
    let decoded = decode::decode(&read_records(&encoded).unwrap(), capacity, blocked).unwrap();
    assert!(decoded == expected, "{list} {choices:?}");
    encoded.len()
}

#[test]
fn each_policy_encodes_each_list() {
    let Some(corpus) = corpus() else { return };
    for policy in [Policy::StaticOnly, Policy::Balanced, Policy::Greedy] {
        for (capacity, blocked) in
            [(0, 0), (31, 1), (256, 0), (256, 100), (512, 1), (4096, 0), (4096, 100), (65_536, 100)]
        {
            for acknowledged in [false, true] {
                for list in ["fb-req", "fb-resp-hq", "netbsd"] {
                    size(&corpus, list, Choices { policy, capacity, blocked, acknowledged });
                }
            }
        }
    }
}

/// No other implementation of the corpus encodes the lists in fewer bytes.
#[test]
fn our_encoding_is_smaller_than_that_of_others() {
    let Some(corpus) = corpus() else { return };
    let balanced = |list, capacity, blocked| {
        size(&corpus, list, Choices { policy: Policy::Balanced, capacity, blocked, acknowledged: true })
    };
    for (list, capacity, blocked, best) in [
        ("fb-req", 4096, 100, 55_844),
        ("fb-resp", 4096, 100, 57_632),
        ("netbsd", 4096, 100, 1_099),
        ("fb-req", 256, 100, 127_192),
        ("fb-req", 512, 0, 102_747),
        ("fb-resp", 512, 100, 197_643),
        ("fb-resp", 256, 0, 217_376),
        ("netbsd", 512, 100, 1_423),
    ] {
        let size = balanced(list, capacity, blocked);
        println!("{list} {capacity} {blocked}: {size} bytes, {best} by the best other");
        assert!(size < best, "{list} {capacity} {blocked}: {size} bytes");
    }
    // Without a table there is little to choose.
    for (list, best) in [("fb-req", 150_484), ("fb-resp", 214_369), ("netbsd", 3_474)] {
        assert!(balanced(list, 0, 0) <= best, "{list}");
    }
}

#[test]
fn broken_files_are_refused_with_their_code() {
    let Some(corpus) = corpus() else { return };
    for number in [1, 2, 4, 5, 7, 8, 9, 11] {
        let bytes = fs::read(corpus.join(format!("encoded/errors/err{number}"))).unwrap();
        let decoded = decode::decode(&read_records(&bytes).unwrap(), 4096, 100);
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
    let list: List = vec![(b"a".to_vec(), b"b\tc".to_vec()), (b"d".to_vec(), vec![])];
    assert_eq!(read_qif(b"# one\na\tb\tc\nd\t\r\n\n\n"), Ok(vec![list.clone()]));
    assert_eq!(read_qif(&write_qif(&[list.clone(), list.clone()])), Ok(vec![list.clone(), list]));
    assert_eq!(read_qif(b"a\tb\n\nno tab\n"), Err(NoTab { line: 3 }));
}
