//! `house.toml`: the layers of each folder that has a list, and the exceptions.

use std::{collections::BTreeMap, fs, io, path::Path};

use serde::Deserialize;

use super::finding::Rule;

/// The path of the file, from the workspace's root.
pub(crate) const FILE: &str = "house.toml";

/// The content of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    /// The layers by package, or by package and folder below its root module (`quic-core/congestion`), from
    /// the lowest to the highest. Each layer is a list of modules.
    #[serde(default)]
    pub(crate) layers: BTreeMap<String, Vec<Vec<String>>>,
    #[serde(default)]
    pub(crate) exceptions: Vec<Exception>,
    #[serde(skip)]
    text: String,
}

/// A permitted violation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exception {
    pub(crate) rule: Rule,
    /// The path of a file or a folder, from the workspace's root.
    pub(crate) path: String,
    /// The function, if only one is meant.
    pub(crate) function: Option<String>,
    pub(crate) reason: String,
}

impl Plan {
    pub(crate) fn parse(text: &str) -> io::Result<Self> {
        let told = |error| io::Error::new(io::ErrorKind::InvalidData, format!("{FILE}: {error}"));
        Ok(Self { text: text.to_owned(), ..toml::from_str(text).map_err(told)? })
    }

    /// The line of the list with this name; 1 if it is missing.
    pub(crate) fn line_of_layers(&self, key: &str) -> usize {
        let is_key = |line: &str| {
            line.split_once('=').is_some_and(|(before, _)| before.trim().trim_matches('"') == key)
        };
        self.text.lines().position(is_key).unwrap_or_default() + 1
    }

    /// The line where the exception with this index begins.
    pub(crate) fn line_of_exception(&self, index: usize) -> usize {
        let heads = self.text.lines().enumerate().filter(|(_, line)| line.trim() == "[[exceptions]]");
        heads.map(|(at, _)| at + 1).nth(index).unwrap_or(1)
    }

    pub(crate) fn read(root: &Path) -> io::Result<Self> {
        Self::parse(&fs::read_to_string(root.join(FILE))?)
    }
}
