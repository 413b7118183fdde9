//! PEM, the file format of certificates and keys.
//!
//! Owns reading, with errors that say what to do, and writing. It must never know the contents of a
//! certificate.

use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{PemObject, SectionKind},
};

use crate::error::IdentityError;

/// The names of the inputs in errors.
pub(super) const CHAIN: &str = "certificate chain";
pub(super) const KEY: &str = "private key";

/// The content without the byte order mark that some editors write.
fn text(pem: &[u8]) -> &[u8] {
    pem.strip_prefix(b"\xef\xbb\xbf").unwrap_or(pem)
}

/// Whether bytes are PEM of any kind. DER never starts like PEM.
pub(super) fn is_pem(bytes: &[u8]) -> bool {
    text(bytes).trim_ascii_start().starts_with(b"-----BEGIN ")
}

/// Whether bytes start like certificates and keys in DER: with a SEQUENCE and its length (X.690 §8.1.3).
fn is_der(bytes: &[u8]) -> bool {
    match bytes {
        [0x30, 0x81..=0x84, ..] => true,
        [0x30, length, content @ ..] => content.len() == usize::from(*length),
        _ => false,
    }
}

fn sections(pem: &[u8], of: &'static str) -> Result<Vec<(SectionKind, Vec<u8>)>, IdentityError> {
    if is_der(pem) {
        return Err(IdentityError::DerForPem { what: of });
    }
    let sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(text(pem)).collect::<Result<Vec<_>, _>>();
    sections.map_err(|error| IdentityError::Malformed(format!("the {of} is not readable PEM: {error}")))
}

/// All certificates in a text, in order. Other blocks and text in between are ignored.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let found = sections(pem, CHAIN)?.into_iter();
    let chain: Vec<_> = found
        .filter(|(kind, _)| *kind == SectionKind::Certificate)
        .map(|(_, der)| CertificateDer::from(der))
        .collect();
    if chain.is_empty() { Err(IdentityError::NoCertificate) } else { Ok(chain) }
}

/// The only private key in a text.
pub(super) fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, IdentityError> {
    // PKCS#8 marks encryption in its label, and older formats in a header inside the block (RFC 1421
    // §4.6.1.1).
    let is_encrypted = |line: &[u8]| {
        let line = line.trim_ascii();
        line == b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
            || (line.starts_with(b"Proc-Type:") && line.ends_with(b"ENCRYPTED"))
    };
    if text(pem).split(|byte| matches!(byte, b'\n' | b'\r')).any(is_encrypted) {
        return Err(IdentityError::EncryptedKey);
    }
    let found = sections(pem, KEY)?.into_iter();
    let mut keys: Vec<_> = found.filter_map(|(kind, der)| PrivateKeyDer::from_pem(kind, der)).collect();
    match (keys.pop(), keys.len()) {
        (Some(key), 0) => Ok(key),
        (Some(_), others) => Err(IdentityError::SeveralKeys { count: others + 1 }),
        (None, _) => Err(IdentityError::NoKey),
    }
}

/// Writes one block.
pub(super) fn write(label: &str, der: &[u8]) -> String {
    let base64 = base64(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        // Base64 is ASCII, so every position is a character boundary.
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem + &format!("-----END {label}-----\n")
}

/// Base64 with padding (RFC 4648 §4).
pub(super) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, i| bits << 8 | u32::from(group.get(i).copied().unwrap_or(0)));
        for position in 0..4 {
            let index = (bits >> (18 - 6 * position)) & 63;
            let digit = ALPHABET.get(index as usize).copied().unwrap_or(b'=');
            text.push(if position <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (bytes, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), expected);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn what_is_written_is_read_again() {
        for size in [1, 47, 48, 49, 1000] {
            let der: Vec<u8> = (0..size).map(|i| (i % 256) as u8).collect();
            let read = certificates(write("CERTIFICATE", &der).as_bytes()).unwrap();
            assert_eq!(read, [CertificateDer::from(der)]);
        }
    }
}
