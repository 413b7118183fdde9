//! Capsules. The first byte is the size of the pieces; the rest is the content of a stream.

use bytes::Bytes;
use h3_core::capsule::{Capsule, CapsuleError, CapsulePolicy, CapsuleReader, put_capsule};

/// The largest capsule that a session accepts.
const MAX: u64 = 1028;

fn policy(kind: u64) -> CapsulePolicy {
    match kind {
        // WT_CLOSE_SESSION and WT_DRAIN_SESSION.
        0x2843 => CapsulePolicy::Take(MAX),
        0x78ae => CapsulePolicy::Take(0),
        // DATAGRAM.
        0 => CapsulePolicy::TakeOrSkip(MAX),
        _ => CapsulePolicy::Skip,
    }
}

fn read(bytes: &[u8], piece: usize) -> (Vec<Capsule>, Result<(), CapsuleError>) {
    let mut reader = CapsuleReader::new();
    let mut capsules = Vec::new();
    for chunk in bytes.chunks(piece) {
        let mut chunk = Bytes::copy_from_slice(chunk);
        loop {
            match reader.next(&mut chunk, policy) {
                Ok(Some(capsule)) => capsules.push(capsule),
                Ok(None) => break,
                Err(error) => return (capsules, Err(error)),
            }
        }
        assert!(chunk.is_empty(), "a reader that wants more has taken everything");
        assert!(reader.buffered() as u64 <= MAX, "no more is held than the longest capsule that is wanted");
    }
    (capsules, reader.finish())
}

/// Pieces of any size give the same capsules. The accepted ones, emitted again, do too.
pub fn target(data: &[u8]) -> bool {
    super::bound::bounded(data, 0, check)
}

fn check(data: &[u8]) -> bool {
    let Some((first, bytes)) = data.split_first() else { return false };
    let whole = read(bytes, bytes.len().max(1));
    assert_eq!(read(bytes, usize::from(*first).max(1)), whole);
    let (capsules, end) = whole;
    let mut again = Vec::new();
    for capsule in &capsules {
        assert!(capsule.value.len() as u64 <= MAX);
        put_capsule(capsule.kind, &capsule.value, &mut again);
    }
    assert_eq!(read(&again, again.len().max(1)), (capsules, Ok(())));
    end.is_ok()
}
