//! The library of algorithms: ring, or aws-lc-rs with the feature of that name.

#[cfg(feature = "aws-lc-rs")]
pub(crate) use aws_lc_rs::{aead, hkdf};
#[cfg(not(feature = "aws-lc-rs"))]
pub(crate) use ring::{aead, hkdf};
