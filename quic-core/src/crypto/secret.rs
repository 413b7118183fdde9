//! Traffic secrets and the keys derived from them (RFC 9001 §5.1, §6.1).

use zeroize::Zeroize;

use super::Suite;
use crate::{
    base::algorithms::hkdf,
    version::{Labels, Version},
};

const MAX_SECRET: usize = 48;

/// A traffic secret. It is wiped when dropped, and its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Secret {
    version: Version,
    suite: Suite,
    bytes: [u8; MAX_SECRET],
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("suite", &self.suite).finish_non_exhaustive()
    }
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl Secret {
    /// A secret of a connection of this version; `None` unless it has the size of the suite's hash.
    #[must_use]
    pub fn new(version: Version, suite: Suite, secret: &[u8]) -> Option<Self> {
        if secret.len() != suite.secret_size() {
            return None;
        }
        let mut bytes = [0; MAX_SECRET];
        bytes[..secret.len()].copy_from_slice(secret);
        Some(Self { version, suite, bytes })
    }

    /// The suite that the secret belongs to.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The labels by which keys are derived from this secret.
    pub(super) fn labels(&self) -> &'static Labels {
        &self.version.wire().labels
    }

    /// HKDF-Expand-Label (RFC 8446 §7.1) with an empty context.
    pub(super) fn expand(&self, label: &[u8], out: &mut [u8]) {
        let prk = hkdf::Prk::new_less_safe(self.suite.hash(), &self.bytes[..self.suite.secret_size()]);
        expand_label(&prk, label, out);
    }

    /// The secret after a key update (RFC 9001 §6.1).
    #[must_use]
    pub fn next(&self) -> Self {
        let mut next = Self { version: self.version, suite: self.suite, bytes: [0; MAX_SECRET] };
        self.expand(self.labels().key_update, &mut next.bytes[..self.suite.secret_size()]);
        next
    }
}

pub(super) fn expand_label(prk: &hkdf::Prk, label: &[u8], out: &mut [u8]) {
    let length = (out.len() as u16).to_be_bytes();
    let label_length = [6 + label.len() as u8];
    let info: [&[u8]; 5] = [&length, &label_length, b"tls13 ", label, &[0]];
    prk.expand(&info, Length(out.len()))
        .and_then(|okm| okm.fill(out))
        .expect("at most 48 bytes are asked for, HKDF gives 255 times the hash size");
}
