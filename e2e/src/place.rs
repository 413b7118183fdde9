//! A server as a page knows it.

use serde_json::{Value, json};

/// A server as a page knows it.
#[derive(Clone, Debug)]
pub struct Place {
    /// `https://127.0.0.1:PORT`.
    pub base: String,
    /// The certificate's SHA-256 in hexadecimal digits.
    pub hash: String,
}

impl Place {
    /// A server on 127.0.0.1.
    #[must_use]
    pub fn new(port: u16, hash: &str) -> Self {
        Self { base: format!("https://127.0.0.1:{port}"), hash: hash.to_owned() }
    }

    /// What scripts get as `args`.
    #[must_use]
    pub fn args(&self, path: &str) -> Value {
        json!({ "url": format!("{}{path}", self.base), "hash": self.hash })
    }
}
