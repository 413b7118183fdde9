//! The library of algorithms: aws-lc-rs with the feature of that name, ring without, as in `quic_core`.

#[cfg(feature = "aws-lc-rs")]
pub(crate) use aws_lc_rs::{digest, hmac};
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
pub(crate) use ring::{digest, hmac};
