//! QPACK (RFC 9204): field sections and the two instruction streams, bytes in and bytes out.
//!
//! The crate knows no transport: the caller carries the bytes of request, encoder and decoder streams.
//!
//! [`Decoder::new`] offers a dynamic table capacity of zero (the default of `SETTINGS_QPACK_MAX_TABLE_CAPACITY`,
//! RFC 9204 §5) and refuses every section that needs one; [`Decoder::with_table`] offers a table.
//!
//! ```
//! use qpack::{Decoder, Encoder, FieldRef};
//! let mut section = Vec::new();
//! Encoder::new().encode(0, [FieldRef::new(b":method", b"GET"), FieldRef::new(b"x-a", b"1")], &mut section);
//! let fields = Decoder::new().decode(0, &section, 1000)?.fields()?;
//! assert_eq!((&fields[0].value[..], &fields[1].name[..]), (&b"GET"[..], &b"x-a"[..]));
//! # Ok::<(), qpack::DecodeError>(())
//! ```
#![forbid(unsafe_code)]
#![warn(clippy::exhaustive_structs, clippy::exhaustive_enums)]

/// The code of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod decoder;
mod encoder;
mod error;
mod field;
mod huffman;
mod instruction;
mod integer;
mod static_table;
mod table;

pub use decoder::{Decoded, Decoder};
pub use encoder::Encoder;
pub use error::{DecodeError, DecoderStreamError, EncoderStreamError, IntegerTooLarge};
pub use field::{FIELD_OVERHEAD, Field, FieldRef};
