//! Messages (RFC 9114 §4): heads and trailers as types, their validation, and their conversion from and to
//! field lines.
//!
//! It must never know streams or frames.

mod encode;
mod head;
mod parse;
#[cfg(test)]
mod tests;

pub(crate) use encode::{request_lines, response_lines, size, trailer_lines};
pub use head::{Protocol, RequestHead, ResponseHead};
pub(crate) use parse::{content_length, parse_request, parse_response, parse_trailers};
