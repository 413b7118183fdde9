//! Steps with a headline, a duration and a verdict, and the summary at the end.

use std::{
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The step succeeded.
    Passed,
    /// The step failed; the text says why, in a line.
    Failed(String),
    /// The step was not run; the text says why, in a line.
    Skipped(String),
}

/// A run of steps.
#[derive(Debug)]
pub(crate) struct Run {
    keep_going: bool,
    only: Option<String>,
    started: Instant,
    steps: Vec<(&'static str, Outcome, Duration)>,
}

#[expect(clippy::disallowed_methods, reason = "a tool that tells people how long it took, not a protocol")]
fn clock() -> Instant {
    Instant::now()
}

impl Run {
    /// A run without steps so far. `only` selects the steps whose names contain this text.
    pub(crate) fn new(keep_going: bool, only: Option<String>) -> Self {
        Self { keep_going, only, started: clock(), steps: Vec::new() }
    }

    /// Runs a step, unless an earlier one failed and that ends the run.
    pub(crate) fn step(&mut self, name: &'static str, body: impl FnOnce() -> Outcome) {
        let is_meant = self.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
        if !is_meant || (self.is_broken() && !self.keep_going) {
            return;
        }
        println!("\n== {name}");
        let started = clock();
        let outcome = body();
        let took = started.elapsed();
        match &outcome {
            Outcome::Passed => println!("-- {name}: ok in {}", seconds(took)),
            Outcome::Failed(why) => println!("-- {name}: FAILED after {}: {why}", seconds(took)),
            Outcome::Skipped(why) => println!("-- {name}: skipped: {why}"),
        }
        self.steps.push((name, outcome, took));
    }

    /// Whether a step failed.
    fn is_broken(&self) -> bool {
        self.steps.iter().any(|(_, outcome, _)| matches!(outcome, Outcome::Failed(_)))
    }

    /// Whether a step failed, or no step was selected.
    fn failed(&self) -> bool {
        self.is_broken() || (self.only.is_some() && self.steps.is_empty())
    }

    /// Prints the summary. Returns the exit status of the whole run.
    pub(crate) fn finish(&self) -> ExitCode {
        println!("\n== summary");
        for (name, outcome, took) in &self.steps {
            let (verdict, why) = match outcome {
                Outcome::Passed => ("ok", String::new()),
                Outcome::Failed(why) => ("FAILED", format!("  {why}")),
                Outcome::Skipped(why) => ("skipped", format!("  {why}")),
            };
            println!("{verdict:>8} {:>8}  {name}{why}", seconds(*took));
        }
        println!(
            "{:>8} {:>8}  in all",
            if self.failed() { "FAILED" } else { "ok" },
            seconds(self.started.elapsed())
        );
        if self.failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// Runs a command and shows its output.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let line = words.join(" ");
    println!("$ {line}");
    match command.status() {
        Ok(status) if status.success() => Outcome::Passed,
        Ok(status) => Outcome::Failed(format!("`{line}`: {status}")),
        Err(error) => Outcome::Failed(format!("`{line}` could not be started: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_ends_the_run_unless_asked_to_keep_going() {
        for (keep_going, expected) in [(false, 2), (true, 3)] {
            let mut run = Run::new(keep_going, None);
            run.step("first", || Outcome::Skipped("not here".to_owned()));
            run.step("second", || Outcome::Failed("broken".to_owned()));
            run.step("third", || Outcome::Passed);
            assert_eq!(run.steps.len(), expected);
            assert!(run.failed());
        }
    }

    #[test]
    fn only_the_steps_that_are_meant_are_run_and_none_is_a_failure() {
        let mut run = Run::new(false, Some("format".to_owned()));
        assert!(run.failed(), "a word that no step has");
        run.step("lints", || Outcome::Failed("not meant".to_owned()));
        run.step("format of the fuzz targets", || Outcome::Passed);
        assert!(!run.failed());
        assert_eq!(run.steps.len(), 1);
    }

    #[test]
    fn a_command_that_is_missing_is_a_failure() {
        assert!(matches!(run(&mut Command::new("/no/such/program")), Outcome::Failed(_)));
    }
}
