//! The offline interoperability corpus: field sections that other implementations encoded without a dynamic
//! table, and invalid ones.

use std::{fs, path::PathBuf};

use qpack::{Decoded, Decoder, Encoder, FieldRef};

type Lines = Vec<(Vec<u8>, Vec<u8>)>;

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

fn read_qif(path: &PathBuf) -> Vec<Lines> {
    let text = fs::read(path).unwrap();
    let mut lists = vec![Lines::new()];
    for line in text.split(|byte| *byte == b'\n') {
        if line.is_empty() {
            lists.push(Lines::new());
        } else if line[0] != b'#' {
            let tab = line.iter().position(|byte| *byte == b'\t').unwrap();
            lists.last_mut().unwrap().push((line[..tab].to_vec(), line[tab + 1..].to_vec()));
        }
    }
    lists.retain(|list| !list.is_empty());
    lists
}

/// The records of an encoded file: stream id and bytes.
fn records(bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut records = Vec::new();
    let mut rest = bytes;
    while let Some((head, tail)) = rest.split_at_checked(12) {
        let length = u32::from_be_bytes(head[8..].try_into().unwrap()) as usize;
        records.push((u64::from_be_bytes(head[..8].try_into().unwrap()), &tail[..length]));
        rest = &tail[length..];
    }
    records
}

#[test]
fn files_without_a_dynamic_table_decode_to_their_lists() {
    let Some(corpus) = corpus() else { return };
    let mut files = 0;
    for folder in fs::read_dir(corpus.join("encoded/qpack-06")).unwrap() {
        let folder = folder.unwrap().path();
        for file in fs::read_dir(&folder).into_iter().flatten() {
            let file = file.unwrap().path();
            let name = file.file_name().unwrap().to_str().unwrap();
            let Some(list) = name.strip_suffix(".out.0.0.0") else { continue };
            let expected = read_qif(&corpus.join(format!("qifs/{list}.qif")));
            let bytes = fs::read(&file).unwrap();
            let mut decoder = Decoder::new();
            let mut decoded = Vec::new();
            for (stream, bytes) in records(&bytes) {
                if stream == 0 {
                    decoder.on_encoder_stream(bytes).unwrap();
                    continue;
                }
                let fields = decoder.decode(bytes, 1 << 20).and_then(Decoded::fields).unwrap();
                decoded
                    .push(fields.into_iter().map(|f| (f.name.to_vec(), f.value.to_vec())).collect::<Lines>());
            }
            assert!(decoded == expected, "{}", file.display());
            files += 1;
        }
    }
    assert!(files >= 4, "only {files} files");
}

#[test]
fn our_encoding_of_the_lists_is_as_small_as_that_of_others() {
    let Some(corpus) = corpus() else { return };
    let mut size = 0;
    for list in read_qif(&corpus.join("qifs/fb-req.qif")) {
        let mut section = Vec::new();
        Encoder::new().encode(0, list.iter().map(|(name, value)| FieldRef::new(name, value)), &mut section);
        size += section.len() + 12;
        let fields = Decoder::new().decode(&section, 1 << 20).and_then(Decoded::fields).unwrap();
        assert_eq!(fields.into_iter().map(|f| (f.name.to_vec(), f.value.to_vec())).collect::<Lines>(), list);
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
        let mut decoder = Decoder::new();
        let codes = records(&bytes).into_iter().map(|(stream, bytes)| match stream {
            0 => decoder.on_encoder_stream(bytes).err().map(qpack::EncoderStreamError::code),
            _ => decoder
                .decode(bytes, 1 << 20)
                .and_then(Decoded::fields)
                .err()
                .and_then(qpack::DecodeError::code),
        });
        let expected = match number {
            9 => None,
            11 => Some(0x201),
            _ => Some(0x200),
        };
        assert_eq!(codes.fold(None, Option::or), expected, "err{number}");
    }
}
