//! One step of the diagnosis: what was checked, what was found, and what to change.

use serde_json::{Value, json};

use crate::output::{Verdict, printable, verdict_mark};

/// A step and its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// What was checked.
    pub(super) name: String,
    pub(super) verdict: Verdict,
    /// What was found, in one line.
    pub(super) fact: String,
    /// What to change, in one line; set unless all is well.
    pub(super) remedy: Option<String>,
    /// Whether only browsers fail here.
    pub(super) is_for_browsers: bool,
}

impl Step {
    pub(super) fn ok(name: impl Into<String>, fact: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            verdict: Verdict::Ok,
            fact: fact.into(),
            remedy: None,
            is_for_browsers: false,
        }
    }

    pub(super) fn warning(
        name: impl Into<String>,
        fact: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let remedy = Some(remedy.into());
        Self {
            name: name.into(),
            verdict: Verdict::Warning,
            fact: fact.into(),
            remedy,
            is_for_browsers: false,
        }
    }

    pub(super) fn failed(
        name: impl Into<String>,
        fact: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let remedy = Some(remedy.into());
        Self {
            name: name.into(),
            verdict: Verdict::Failed,
            fact: fact.into(),
            remedy,
            is_for_browsers: false,
        }
    }

    /// Marks a failure that only browsers have.
    pub(super) fn for_browsers(self) -> Self {
        Self { is_for_browsers: true, ..self }
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "step": self.name,
            "verdict": self.verdict.word(),
            "fact": self.fact,
            "remedy": self.remedy,
        })
    }

    /// One line, or two with a remedy. The fact follows after `width` characters for the name.
    pub(super) fn text(&self, width: usize) -> String {
        // Certificates, fields and reasons are the server's text.
        let (mark, name, fact) = (verdict_mark(self.verdict), printable(&self.name), printable(&self.fact));
        let line = format!("  {mark}  {name:<width$}  {fact}\n");
        match &self.remedy {
            Some(remedy) => line + &format!("        {:width$}  -> {}\n", "", printable(remedy)),
            None => line,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_a_line_and_one_more_for_its_remedy() {
        let text = Step::failed("name", "fact\x1b[2J", "remedy").text(6);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].ends_with("  name    fact\\u{1b}[2J"), "{text:?}");
        assert_eq!(lines[1..], ["                -> remedy"]);
        assert_eq!(Step::ok("name", "fact").text(4).lines().count(), 1);
    }
}
