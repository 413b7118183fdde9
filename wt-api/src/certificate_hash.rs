//! The hash by which a client accepts a certificate (W3C `serverCertificateHashes`).

use std::{fmt, str::FromStr};

use crate::algorithms::digest;

/// The SHA-256 of a certificate in DER (W3C `WebTransportHash` with `sha-256`).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CertificateHash([u8; 32]);

impl CertificateHash {
    /// A hash from its 32 bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The hash of a certificate in DER.
    #[must_use]
    pub fn of_certificate(der: &[u8]) -> Self {
        let digest = digest::digest(&digest::SHA256, der);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for CertificateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CertificateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The error for a text that is not a certificate hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a certificate hash has 64 hexadecimal digits, colons between the bytes permitted")]
#[expect(clippy::exhaustive_structs, reason = "an error with one cause")]
pub struct InvalidHash;

impl FromStr for CertificateHash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        let mut digits = text.chars().filter(|c| *c != ':').map(|c| c.to_digit(16));
        let mut bytes = [0; 32];
        for byte in &mut bytes {
            let mut digit = || digits.next().flatten().and_then(|digit| u8::try_from(digit).ok());
            *byte = digit().ok_or(InvalidHash)? << 4 | digit().ok_or(InvalidHash)?;
        }
        if digits.next().is_some() { Err(InvalidHash) } else { Ok(Self(bytes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_read_with_and_without_colons() {
        let hash = CertificateHash::of_certificate(b"abc");
        let text = hash.to_string();
        assert_eq!(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(text.parse(), Ok(hash));
        let pairs: Vec<_> =
            text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect();
        assert_eq!(pairs.join(":").parse(), Ok(hash));
        assert_eq!(text[1..].parse::<CertificateHash>(), Err(InvalidHash));
        assert_eq!(format!("{text}0").parse::<CertificateHash>(), Err(InvalidHash));
    }
}
