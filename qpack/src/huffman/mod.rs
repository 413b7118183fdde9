//! Huffman coding of string literals (RFC 7541 §5.2, Appendix B).
//!
//! Decoding walks a state machine four bits at a time. A state is an inner node of the code tree; the machine
//! is computed at compile time from the table of codes. The shortest code has five bits, so a step of four
//! bits emits at most one symbol.

mod codes;

use bytes::BufMut;

use codes::CODES;

/// Why a string could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HuffmanError {
    /// Padding that is eight bits or longer or contains a zero, or the end-of-string symbol.
    Invalid,
    /// More output than the caller permits.
    TooLong,
}

const EOS: usize = 256;
const EMITS: u8 = 1;
const FAILS: u8 = 2;

#[derive(Clone, Copy)]
struct Step {
    next: u8,
    symbol: u8,
    flags: u8,
}

struct Machine {
    /// Indexed by `state * 16 + nibble`.
    steps: [Step; 256 * 16],
    /// The states in which a string may end: zero to seven ones since the last symbol.
    accepts: [bool; 256],
}

static MACHINE: Machine = build();

/// The code tree: two children for each inner node. A child below 256 is an inner node, from 256 on a symbol.
const fn build_tree() -> [[u16; 2]; 256] {
    const ABSENT: u16 = u16::MAX;
    let mut tree = [[ABSENT; 2]; 256];
    let mut inner = 1;
    let mut symbol = 0;
    while symbol < CODES.len() {
        let (code, length) = CODES[symbol];
        let mut node = 0;
        let mut left = length;
        while left > 1 {
            left -= 1;
            let bit = (code >> left & 1) as usize;
            if tree[node][bit] == ABSENT {
                tree[node][bit] = inner;
                inner += 1;
            }
            node = tree[node][bit] as usize;
        }
        tree[node][(code & 1) as usize] = 256 + symbol as u16;
        symbol += 1;
    }
    // A complete binary tree with 257 leaves has 256 inner nodes.
    assert!(inner == 256);
    tree
}

const fn build() -> Machine {
    let tree = build_tree();
    let mut steps = [Step { next: 0, symbol: 0, flags: 0 }; 256 * 16];
    let mut state = 0;
    while state < 256 {
        let mut nibble = 0;
        while nibble < 16 {
            let mut step = Step { next: 0, symbol: 0, flags: 0 };
            let mut node = state;
            let mut bit = 4;
            while bit > 0 {
                bit -= 1;
                let child = tree[node][nibble >> bit & 1] as usize;
                if child == 256 + EOS {
                    step.flags |= FAILS;
                    node = 0;
                } else if child >= 256 {
                    step.flags |= EMITS;
                    step.symbol = (child - 256) as u8;
                    node = 0;
                } else {
                    node = child;
                }
            }
            step.next = node as u8;
            steps[state * 16 + nibble] = step;
            nibble += 1;
        }
        state += 1;
    }
    let mut accepts = [false; 256];
    let mut node = 0;
    let mut ones = 0;
    while ones < 8 {
        accepts[node] = true;
        node = tree[node][1] as usize;
        ones += 1;
    }
    Machine { steps, accepts }
}

/// Decodes a string that arrives in pieces.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    state: u8,
}

impl Cursor {
    /// Appends what the next piece completes to `out`; fails if that is more than `limit` bytes.
    pub(crate) fn decode(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        limit: usize,
    ) -> Result<(), HuffmanError> {
        // No code is shorter than five bits, which bounds the output by the input's size: seven bits may be
        // left of the piece before.
        out.reserve((bytes.len() * 8 / 5 + 1).min(limit));
        let end = out.len().saturating_add(limit);
        let mut state = usize::from(self.state);
        for &byte in bytes {
            for nibble in [byte >> 4, byte & 0xf] {
                let step = MACHINE.steps[state << 4 | usize::from(nibble)];
                if step.flags != 0 {
                    if step.flags & FAILS != 0 {
                        return Err(HuffmanError::Invalid);
                    }
                    if out.len() >= end {
                        return Err(HuffmanError::TooLong);
                    }
                    out.push(step.symbol);
                }
                state = usize::from(step.next);
            }
        }
        self.state = state as u8;
        Ok(())
    }

    /// The string is over: what is left must be padding.
    pub(crate) fn finish(&self) -> Result<(), HuffmanError> {
        if MACHINE.accepts[usize::from(self.state)] { Ok(()) } else { Err(HuffmanError::Invalid) }
    }
}

/// Appends the string that `bytes` encodes to `out`; fails if it is longer than `limit` bytes.
pub(crate) fn decode(bytes: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<(), HuffmanError> {
    let mut cursor = Cursor::default();
    cursor.decode(bytes, out, limit)?;
    cursor.finish()
}

/// The length of the shortest text whose encoding has `length` bytes: no code has more than 30 bits, and
/// padding at most seven.
pub(crate) const fn shortest_text(length: u64) -> u64 {
    (length.saturating_mul(8).saturating_sub(7)).div_ceil(30)
}

/// The length of the encoding of `bytes`, in bytes.
pub(crate) fn encoded_length(bytes: &[u8]) -> usize {
    let bits: usize = bytes.iter().map(|&byte| usize::from(CODES[usize::from(byte)].1)).sum();
    bits.div_ceil(8)
}

/// Appends the encoding of `bytes`.
pub(crate) fn encode(bytes: &[u8], out: &mut impl BufMut) {
    // Holds at most 7 bits left over and a code of 30 bits.
    let mut buffer = 0_u64;
    let mut bits = 0_u32;
    for &byte in bytes {
        let (code, length) = CODES[usize::from(byte)];
        buffer = buffer << length | u64::from(code);
        bits += u32::from(length);
        while bits >= 8 {
            bits -= 8;
            out.put_u8((buffer >> bits) as u8);
        }
    }
    if bits > 0 {
        // Padding is the start of the end-of-string symbol: ones.
        out.put_u8((buffer << (8 - bits)) as u8 | 0xff >> bits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    fn decoded(bytes: &[u8]) -> Result<Vec<u8>, HuffmanError> {
        let mut out = Vec::new();
        decode(bytes, &mut out, 1000).map(|()| out)
    }

    /// The strings of RFC 7541 Appendix C.4 and C.6.
    #[test]
    fn published_vectors() {
        let vectors = [
            ("f1e3c2e5f23a6ba0ab90f4ff", "www.example.com"),
            ("a8eb10649cbf", "no-cache"),
            ("25a849e95ba97d7f", "custom-key"),
            ("25a849e95bb8e8b4bf", "custom-value"),
            ("6402", "302"),
            ("aec3771a4b", "private"),
            ("d07abe941054d444a8200595040b8166e082a62d1bff", "Mon, 21 Oct 2013 20:13:21 GMT"),
            ("9d29ad171863c78f0b97c8e9ae82ae43d3", "https://www.example.com"),
            ("640eff", "307"),
            ("d07abe941054d444a8200595040b8166e084a62d1bff", "Mon, 21 Oct 2013 20:13:22 GMT"),
            ("9bd9ab", "gzip"),
            (
                "94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
                "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
            ),
        ];
        for (hex, text) in vectors {
            let bytes = unhex(hex);
            assert_eq!(decoded(&bytes).as_deref(), Ok(text.as_bytes()));
            let mut out = Vec::new();
            encode(text.as_bytes(), &mut out);
            assert_eq!(out, bytes);
            assert_eq!(encoded_length(text.as_bytes()), bytes.len());
        }
    }

    #[test]
    fn bad_padding_and_end_of_string() {
        // 'a' is 00011: padded with zeros, then with a whole byte of ones, then followed by the EOS symbol.
        assert_eq!(decoded(&[0b0001_1111]).as_deref(), Ok(&b"a"[..]));
        assert_eq!(decoded(&[0b0001_1000]), Err(HuffmanError::Invalid));
        assert_eq!(decoded(&[0b0001_1111, 0xff]), Err(HuffmanError::Invalid));
        assert_eq!(decoded(&[0xff]), Err(HuffmanError::Invalid));
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xff]), Err(HuffmanError::Invalid));
    }

    #[test]
    fn output_stops_at_the_limit() {
        let mut out = b"before".to_vec();
        assert_eq!(decode(&unhex("6402"), &mut out, 3), Ok(()));
        assert_eq!(decode(&unhex("6402"), &mut out, 2), Err(HuffmanError::TooLong));
    }

    proptest! {
        #[test]
        fn pieces_of_any_size(text in proptest::collection::vec(any::<u8>(), 0..200), piece in 1_usize..50) {
            let mut bytes = Vec::new();
            encode(&text, &mut bytes);
            prop_assert!(shortest_text(bytes.len() as u64) <= text.len() as u64);
            let (mut cursor, mut out) = (Cursor::default(), Vec::new());
            for piece in bytes.chunks(piece) {
                let left = text.len() - out.len();
                prop_assert_eq!(cursor.decode(piece, &mut out, left), Ok(()));
            }
            prop_assert_eq!((cursor.finish(), out), (Ok(()), text));
        }

        #[test]
        fn encode_then_decode(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = Vec::new();
            encode(&text, &mut bytes);
            prop_assert_eq!(bytes.len(), encoded_length(&text));
            prop_assert_eq!(decoded(&bytes), Ok(text));
        }

        /// Every valid input is the only encoding of its text: no two inputs decode to the same string.
        #[test]
        fn decoding_is_injective(bytes in proptest::collection::vec(any::<u8>(), 0..50)) {
            if let Ok(text) = decoded(&bytes) {
                let mut again = Vec::new();
                encode(&text, &mut again);
                prop_assert_eq!(again, bytes);
            }
        }
    }
}
