//! QPACK (RFC 9204): field sections and the two instruction streams, bytes in and bytes out.
//!
//! The crate knows no transport: the caller carries the bytes of request, encoder and decoder streams.
//!
//! [`Encoder::new`] and [`Decoder::new`] use no dynamic table. [`Decoder::with_table`] offers one to the peer's
//! encoder, and an encoder [with options](Encoder::with_options) uses the one that the peer's decoder offers:
//!
//! ```
//! use qpack::{Decoded, Decoder, Encoder, EncoderOptions, FieldRef};
//! let mut encoder = Encoder::with_options(EncoderOptions::new());
//! let mut decoder = Decoder::with_table(4096, 16);
//! encoder.on_settings(4096, 16);
//! for stream in [0, 4] {
//!     let (mut section, mut instructions, mut answer) = (Vec::new(), Vec::new(), Vec::new());
//!     encoder.encode(stream, [FieldRef::new(b"user-agent", b"example/1.0")], &mut section);
//!     encoder.take_instructions(&mut instructions); // for the encoder stream
//!     let Decoded::Blocked { .. } = decoder.decode(stream, &section, 1000)? else { continue };
//!     decoder.on_encoder_stream(&instructions)?;
//!     assert_eq!(decoder.poll_unblocked(), Some(stream));
//!     assert_eq!(decoder.decode(stream, &section, 1000)?.fields()?.len(), 1);
//!     decoder.take_instructions(&mut answer); // for the decoder stream
//!     encoder.on_decoder_stream(&answer)?;
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Without a table:
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

pub use decoder::{Decoded, Decoder, Start};
pub use encoder::{Encoder, EncoderOptions, Policy};
pub use error::{DecodeError, DecoderStreamError, EncoderStreamError, IntegerTooLarge};
pub use field::{FIELD_OVERHEAD, Field, FieldRef};
