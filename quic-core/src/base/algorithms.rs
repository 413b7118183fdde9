//! The library of algorithms: aws-lc-rs with the feature of that name, ring without.

#[cfg(feature = "aws-lc-rs")]
pub(crate) use aws_lc_rs::{aead, hkdf, hmac, rand};
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
pub(crate) use ring::{aead, hkdf, hmac, rand};

#[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
compile_error!(
    "a library of algorithms is missing: turn on the feature `ring`, which is on by default, or `aws-lc-rs`"
);
