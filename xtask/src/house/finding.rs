//! A violation of a rule: which rule, where, and what to do about it.

use std::fmt;

/// A rule, with the name that exceptions use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Rule {
    /// No circle of imports between files.
    Circles,
    /// No import from a layer above.
    Layers,
    /// No file that is too long.
    FileLength,
    /// No function that is too long.
    FunctionLength,
    /// No hash table with random state.
    RandomState,
    /// The exceptions themselves.
    Exceptions,
}

/// A violation of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) rule: Rule,
    /// The path from the workspace's root.
    pub(crate) file: String,
    pub(crate) line: usize,
    /// The function, if the finding concerns a function.
    pub(crate) item: Option<String>,
    /// What is wrong, and the remedy.
    pub(crate) text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.text)
    }
}
