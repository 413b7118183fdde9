//! Writes field lines (RFC 9204 §4.5) and instructions (§4.3).
//!
//! It owns nothing.

use bytes::BufMut;

use crate::{
    field::FieldRef,
    huffman, integer,
    static_table::{self, Match},
};

/// Where a literal takes its name from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// From the line itself.
    Literal,
    /// The static table.
    Static(u64),
    /// The dynamic table: the absolute index.
    Entry(u64),
}

/// How a field line is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As an entry of the static table.
    Static(u64),
    /// As the dynamic entry with this absolute index.
    Entry(u64),
    /// As a literal.
    Literal(Name),
}

impl Form {
    /// The form that refers to nothing but the static table.
    pub(super) fn of_static(field: FieldRef<'_>) -> Self {
        match static_table::find(field.name, field.value) {
            // A sensitive line stays a literal (RFC 9204 §4.5.4).
            Some(Match::Line(index)) if !field.never_index => Self::Static(index),
            Some(Match::Line(index) | Match::Name(index)) => Self::Literal(Name::Static(index)),
            None => Self::Literal(Name::Literal),
        }
    }
}

/// The prefix of a section (RFC 9204 §4.5.1), whose Base is its Required Insert Count; that is encoded already.
pub(super) fn prefix(required: u64, out: &mut impl BufMut) {
    integer::encode(required, 8, 0, out);
    out.put_u8(0);
}

/// A field line. No entry that it refers to is at or above the Base.
pub(super) fn line(field: FieldRef<'_>, form: Form, base: u64, out: &mut impl BufMut) {
    let never = u8::from(field.never_index);
    match form {
        // 1 T=1 Index(6).
        Form::Static(index) => return integer::encode(index, 6, 0b1100_0000, out),
        // 1 T=0 Index(6).
        Form::Entry(index) => return integer::encode(base - 1 - index, 6, 0b1000_0000, out),
        // 0 1 N T Index(4).
        Form::Literal(Name::Static(index)) => integer::encode(index, 4, 0b0101_0000 | never << 5, out),
        Form::Literal(Name::Entry(index)) => {
            integer::encode(base - 1 - index, 4, 0b0100_0000 | never << 5, out);
        }
        // 0 0 1 N H Length(3).
        Form::Literal(Name::Literal) => string(field.name, 3, 0b0010_0000 | never << 4, out),
    }
    string(field.value, 7, 0, out);
}

/// Set Dynamic Table Capacity: 0 0 1 Capacity(5).
pub(super) fn set_capacity(capacity: u64, out: &mut impl BufMut) {
    integer::encode(capacity, 5, 0b0010_0000, out);
}

/// Insert, with or without a name reference, into a table with so many insertions.
pub(super) fn insert(field: FieldRef<'_>, name: Name, inserted: u64, out: &mut impl BufMut) {
    match name {
        // 1 T Index(6).
        Name::Static(index) => integer::encode(index, 6, 0b1100_0000, out),
        Name::Entry(index) => integer::encode(inserted - 1 - index, 6, 0b1000_0000, out),
        // 0 1 H Length(5).
        Name::Literal => string(field.name, 5, 0b0100_0000, out),
    }
    string(field.value, 7, 0, out);
}

/// Duplicate: 0 0 0 Index(5).
pub(super) fn duplicate(index: u64, inserted: u64, out: &mut impl BufMut) {
    integer::encode(inserted - 1 - index, 5, 0, out);
}

/// A string literal; the H bit stands right above the length's prefix (RFC 9204 §4.1.2).
fn string(text: &[u8], prefix: u32, pattern: u8, out: &mut impl BufMut) {
    let coded = huffman::encoded_length(text);
    if coded < text.len() {
        integer::encode(coded as u64, prefix, pattern | 1 << prefix, out);
        huffman::encode(text, out);
    } else {
        integer::encode(text.len() as u64, prefix, pattern, out);
        out.put_slice(text);
    }
}
