//! Field lines: a name and a value, owned or borrowed.

use bytes::Bytes;

/// The size that each field line adds to its name and value when it counts against a limit, in bytes
/// (RFC 9114 §4.2.2).
pub const FIELD_OVERHEAD: u64 = 32;

/// A decoded field line. The bytes are those of the wire; this crate does not check their characters.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Field {
    /// The name.
    pub name: Bytes,
    /// The value.
    pub value: Bytes,
    /// The peer set the N bit: the line must never be indexed, also when it is encoded again
    /// (RFC 9204 §4.5.4).
    pub never_index: bool,
}

impl Field {
    /// A field line that may be indexed.
    #[must_use]
    pub const fn new(name: Bytes, value: Bytes) -> Self {
        Self { name, value, never_index: false }
    }

    /// Sets [`never_index`](Self#structfield.never_index).
    #[must_use]
    pub fn never_index(self, never_index: bool) -> Self {
        Self { never_index, ..self }
    }
}

/// A field line to encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FieldRef<'a> {
    /// The name, in lower case.
    pub name: &'a [u8],
    /// The value.
    pub value: &'a [u8],
    /// Marks the line as sensitive: the encoder sends it as a literal with the N bit (RFC 9204 §7.1.3).
    pub never_index: bool,
}

impl<'a> FieldRef<'a> {
    /// A field line that may be indexed.
    #[must_use]
    pub const fn new(name: &'a [u8], value: &'a [u8]) -> Self {
        Self { name, value, never_index: false }
    }

    /// Sets [`never_index`](Self#structfield.never_index).
    #[must_use]
    pub const fn never_index(self, never_index: bool) -> Self {
        Self { never_index, ..self }
    }

    /// The size of the line as it counts against a field section size limit, in bytes (RFC 9114 §4.2.2).
    #[must_use]
    pub const fn size(self) -> u64 {
        (self.name.len() as u64).saturating_add(self.value.len() as u64).saturating_add(FIELD_OVERHEAD)
    }
}

impl<'a> From<&'a Field> for FieldRef<'a> {
    fn from(field: &'a Field) -> Self {
        Self { name: &field.name, value: &field.value, never_index: field.never_index }
    }
}
