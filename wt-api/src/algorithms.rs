//! The cryptography library, as in `quic_core`: aws-lc-rs with the feature of that name, and ring without it.

#[cfg(feature = "aws-lc-rs")]
pub(crate) use aws_lc_rs::{digest, hmac};
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
pub(crate) use ring::{digest, hmac};
