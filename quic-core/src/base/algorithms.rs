//! The library of cryptographic algorithms: aws-lc-rs with the feature of that name, ring otherwise.

#[cfg(feature = "aws-lc-rs")]
pub(crate) use aws_lc_rs::{aead, hkdf, hmac, rand};
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
pub(crate) use ring::{aead, hkdf, hmac, rand};

#[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
compile_error!("no cryptographic library is chosen: turn on the feature `ring` (the default) or `aws-lc-rs`");
