//! Applies the exceptions, and finds those that nothing needs any more.

use super::{
    finding::{Finding, Rule},
    plan::{Exception, FILE, Plan},
};

/// The remaining findings, and one for each exception that has no reason or no effect.
pub(crate) fn apply(found: Vec<Finding>, plan: &Plan) -> Vec<Finding> {
    let mut needed = vec![false; plan.exceptions.len()];
    let mut left = Vec::new();
    for finding in found {
        let mut excepted = false;
        for (exception, needed) in plan.exceptions.iter().zip(&mut needed) {
            if exception.covers(&finding) {
                excepted = true;
                *needed = true;
            }
        }
        if !excepted {
            left.push(finding);
        }
    }
    for (index, (exception, needed)) in plan.exceptions.iter().zip(needed).enumerate() {
        let line = plan.line_of_exception(index);
        if !needed {
            left.push(exception.against(line, "excepts nothing any more: delete it"));
        }
        if exception.reason.trim().is_empty() {
            left.push(exception.against(line, "has no reason: tell why it stays"));
        }
    }
    left
}

impl Exception {
    /// Whether the path matches. It ends where a name does: `a/b` covers `a/b/c.rs`, not `a/bc.rs`.
    fn covers(&self, finding: &Finding) -> bool {
        let rest = finding.file.strip_prefix(self.path.as_str());
        self.rule == finding.rule
            && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            && self.function.as_ref().is_none_or(|function| Some(function) == finding.item.as_ref())
    }

    fn against(&self, line: usize, what: &str) -> Finding {
        let function = self.function.as_ref().map_or(String::new(), |name| format!(", function {name}"));
        Finding {
            rule: Rule::Exceptions,
            file: FILE.to_owned(),
            line,
            item: None,
            text: format!("the exception for {}{function} from {:?} {what}", self.path, self.rule),
        }
    }
}
