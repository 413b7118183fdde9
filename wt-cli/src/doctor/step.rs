//! One step of the diagnosis: what was looked at, what is so, what to change.

use serde_json::{Value, json};

use crate::output::{Verdict, verdict_mark};

/// A step and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// What was looked at.
    pub(super) name: String,
    pub(super) verdict: Verdict,
    /// What is so, in one line.
    pub(super) fact: String,
    /// What to change, in one line; there is one unless all is well.
    pub(super) remedy: Option<String>,
}

impl Step {
    pub(super) fn ok(name: impl Into<String>, fact: impl Into<String>) -> Self {
        Self { name: name.into(), verdict: Verdict::Ok, fact: fact.into(), remedy: None }
    }

    pub(super) fn warning(
        name: impl Into<String>,
        fact: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let remedy = Some(remedy.into());
        Self { name: name.into(), verdict: Verdict::Warning, fact: fact.into(), remedy }
    }

    pub(super) fn failed(
        name: impl Into<String>,
        fact: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let remedy = Some(remedy.into());
        Self { name: name.into(), verdict: Verdict::Failed, fact: fact.into(), remedy }
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "step": self.name,
            "verdict": self.verdict.word(),
            "fact": self.fact,
            "remedy": self.remedy,
        })
    }

    /// A line, or two with a remedy; the fact begins behind `width` characters for the name.
    pub(super) fn text(&self, width: usize) -> String {
        let line = format!("  {}  {:<width$}  {}\n", verdict_mark(self.verdict), self.name, self.fact);
        match &self.remedy {
            Some(remedy) => line + &format!("        {:width$}  -> {remedy}\n", ""),
            None => line,
        }
    }
}
