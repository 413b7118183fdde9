//! The QUIC versions that this stack speaks, and everything in the bytes of packets that depends on the
//! version.
//!
//! Owns one entry for each version: its number, its salt and labels, the types of its long headers, its Retry
//! key. A new version is a new variant and a new entry; no other module names a version.
//!
//! All versions of the table are compatible with each other (RFC 9368 §2.2, RFC 9369 §4). One that is not needs
//! a column that says so.

/// A QUIC version that this stack speaks.
///
/// ```
/// use quic_core::Version;
/// assert_eq!(Version::from_number(1), Some(Version::V1));
/// assert_eq!(Version::from_number(0x6b33_43cf), Some(Version::V2));
/// assert_eq!(Version::from_number(0x1a2a_3a4a), None);
/// assert!(Version::is_reserved(0x1a2a_3a4a));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Version {
    /// QUIC version 1 (RFC 9000).
    V1,
    /// QUIC version 2 (RFC 9369): version 1 with other bytes on the wire, so that networks do not come to rely
    /// on those of version 1.
    V2,
}

/// What differs on the wire between versions.
#[derive(Debug)]
pub(crate) struct Wire {
    version: Version,
    /// The Version field of long headers (RFC 9000 §15).
    number: u32,
    /// The salt of Initial secrets (RFC 9001 §5.2).
    pub(crate) initial_salt: [u8; 20],
    pub(crate) labels: Labels,
    pub(crate) long_types: LongTypes,
    /// The key of the integrity tag of Retry packets (RFC 9001 §5.8).
    pub(crate) retry_key: [u8; 16],
    pub(crate) retry_nonce: [u8; 12],
}

/// The HKDF labels by which keys are derived from a traffic secret (RFC 9001 §5.1, §5.4, §6.1).
#[derive(Debug)]
pub(crate) struct Labels {
    /// The AEAD key.
    pub(crate) key: &'static [u8],
    /// The AEAD IV.
    pub(crate) iv: &'static [u8],
    /// The header protection key.
    pub(crate) header_protection: &'static [u8],
    /// The secret after a key update.
    pub(crate) key_update: &'static [u8],
}

/// The two bits of a long header's first byte that tell its type (RFC 9000 §17.2 Table 5), as a number from 0
/// to 3.
#[derive(Debug)]
pub(crate) struct LongTypes {
    pub(crate) initial: u8,
    pub(crate) zero_rtt: u8,
    pub(crate) handshake: u8,
    pub(crate) retry: u8,
}

/// How many versions this stack speaks.
pub(super) const COUNT: usize = 2;

/// An entry for each version at the index of its variant; the most preferred version comes first.
static TABLE: [Wire; COUNT] = [
    Wire {
        version: Version::V1,
        number: 0x0000_0001,
        initial_salt: [
            0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad,
            0xcc, 0xbb, 0x7f, 0x0a,
        ],
        labels: Labels {
            key: b"quic key",
            iv: b"quic iv",
            header_protection: b"quic hp",
            key_update: b"quic ku",
        },
        long_types: LongTypes { initial: 0, zero_rtt: 1, handshake: 2, retry: 3 },
        retry_key: [
            0xbe, 0x0c, 0x69, 0x0b, 0x9f, 0x66, 0x57, 0x5a, 0x1d, 0x76, 0x6b, 0x54, 0xe3, 0x68, 0xc8, 0x4e,
        ],
        retry_nonce: [0x46, 0x15, 0x99, 0xd3, 0x5d, 0x63, 0x2b, 0xf2, 0x23, 0x98, 0x25, 0xbb],
    },
    // RFC 9369 §3.
    Wire {
        version: Version::V2,
        number: 0x6b33_43cf,
        initial_salt: [
            0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb,
            0xf9, 0xbd, 0x2e, 0xd9,
        ],
        labels: Labels {
            key: b"quicv2 key",
            iv: b"quicv2 iv",
            header_protection: b"quicv2 hp",
            key_update: b"quicv2 ku",
        },
        long_types: LongTypes { initial: 1, zero_rtt: 2, handshake: 3, retry: 0 },
        retry_key: [
            0x8f, 0xb4, 0xb0, 0x1b, 0x56, 0xac, 0x48, 0xe2, 0x60, 0xfb, 0xcb, 0xce, 0xad, 0x7c, 0xcc, 0x92,
        ],
        retry_nonce: [0xd8, 0x69, 0x69, 0xbc, 0x2d, 0x7c, 0x6d, 0x99, 0x90, 0xef, 0xb0, 0x4a],
    },
];

impl Version {
    /// The version with which a client opens connections, unless [`Versions`](super::Versions) says otherwise.
    pub const PREFERRED: Self = Self::V1;

    /// The versions that this stack speaks, in the order of preference of
    /// [`Versions::default`](super::Versions::default).
    pub fn spoken() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|wire| wire.version)
    }

    /// The version with this number in the Version field of long headers; `None` if this stack does not speak
    /// it.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::spoken().find(|version| version.number() == number)
    }

    /// The number by which people call the version: 1 or 2.
    #[must_use]
    pub const fn ordinal(self) -> u8 {
        self as u8 + 1
    }

    /// The number of the version in the Version field of long headers (RFC 9000 §15).
    #[must_use]
    pub fn number(self) -> u32 {
        self.wire().number
    }

    /// Whether a number is reserved to exercise version negotiation (RFC 9000 §15).
    #[must_use]
    pub const fn is_reserved(number: u32) -> bool {
        number & 0x0f0f_0f0f == 0x0a0a_0a0a
    }

    /// A reserved number whose free bits are those of `random` (RFC 9000 §15).
    pub(crate) const fn reserved(random: u32) -> u32 {
        random & 0xf0f0_f0f0 | 0x0a0a_0a0a
    }

    /// The properties of the version on the wire.
    pub(crate) fn wire(self) -> &'static Wire {
        &TABLE[self as usize]
    }
}

impl Version {
    /// Version numbers as people read them: those of this stack by their names, without reserved ones, which
    /// stand for no version (RFC 9000 §15).
    pub(crate) fn listed(numbers: &[u32]) -> String {
        let real = numbers.iter().filter(|number| !Self::is_reserved(**number));
        let names: Vec<String> = real
            .map(|number| match Self::from_number(*number) {
                Some(version) => version.to_string(),
                None => format!("{number:#x}"),
            })
            .collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.ordinal())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_is_at_the_index_of_its_version_and_is_unique() {
        assert_eq!(Version::spoken().next(), Some(Version::PREFERRED));
        for (at, wire) in TABLE.iter().enumerate() {
            assert_eq!(wire.version as usize, at);
            assert_eq!(Version::from_number(wire.number), Some(wire.version));
            assert!(wire.number != 0 && !Version::is_reserved(wire.number));
            let types = &wire.long_types;
            let mut bits = [types.initial, types.zero_rtt, types.handshake, types.retry];
            bits.sort_unstable();
            assert_eq!(bits, [0, 1, 2, 3], "{:?}", wire.version);
        }
    }

    #[test]
    fn reserved_numbers_are_spoken_by_nobody() {
        for random in [0, u32::MAX, 0x1234_5678] {
            let number = Version::reserved(random);
            assert!(Version::is_reserved(number) && Version::from_number(number).is_none(), "{number:#x}");
        }
        assert_eq!(Version::from_number(0), None);
    }

    #[test]
    fn numbers_are_listed_by_names_and_without_reserved_ones() {
        let numbers = [Version::V2.number(), 0x1a2a_3a4a, 1, 0xff00_001d];
        assert_eq!(Version::listed(&numbers), "2, 1, 0xff00001d");
        assert_eq!(Version::listed(&[0x1a2a_3a4a]), "none");
    }
}
