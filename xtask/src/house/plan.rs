//! `house.toml`: the layers of each folder that has them, and the exceptions.

use std::{collections::BTreeMap, fs, io, path::Path};

use serde::Deserialize;

use super::finding::Rule;

/// The file, from the workspace's root.
pub(crate) const FILE: &str = "house.toml";

/// What the file says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    /// By package, or by package and folder below its root module (`quic-core/congestion`): layers from the lowest to the
    /// highest, each a list of modules.
    #[serde(default)]
    pub(crate) layers: BTreeMap<String, Vec<Vec<String>>>,
    #[serde(default)]
    pub(crate) exceptions: Vec<Exception>,
}

/// Something that is against a rule and stays.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exception {
    pub(crate) rule: Rule,
    /// A file or a folder, from the workspace's root.
    pub(crate) path: String,
    /// The one function that is meant.
    pub(crate) function: Option<String>,
    pub(crate) reason: String,
}

impl Plan {
    pub(crate) fn parse(text: &str) -> io::Result<Self> {
        toml::from_str(text)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{FILE}: {error}")))
    }

    pub(crate) fn read(root: &Path) -> io::Result<Self> {
        Self::parse(&fs::read_to_string(root.join(FILE))?)
    }
}
