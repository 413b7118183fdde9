//! Processes that a test starts, reads and ends.

use std::{ffi::OsStr, path::Path, process::Stdio};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::wait::within;

/// A process; it is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// Held open: programs that serve end when it closes.
    _input: Option<ChildStdin>,
}

impl Process {
    /// Starts `program`, whose standard output is read by lines; its errors go to the test's.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(program: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
        let output = child.stdout.take().expect("its output was asked for");
        let input = child.stdin.take();
        Self { child, lines: BufReader::new(output).lines(), _input: input }
    }

    /// The next line; `None` at the end.
    pub async fn line(&mut self) -> Option<String> {
        within("line of output", self.lines.next_line()).await.expect("readable output")
    }

    /// The next line, as JSON.
    ///
    /// # Panics
    /// If there is none, or it is something else.
    pub async fn json(&mut self) -> Value {
        let line = self.line().await.expect("a line of output");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?} is not JSON: {error}"))
    }

    /// The value of the next line of output that has the field `name`; other lines are passed over.
    pub async fn told(&mut self, name: &str) -> Value {
        loop {
            let mut object = self.json().await;
            if let Some(value) = object.get_mut(name) {
                return value.take();
            }
        }
    }

    /// Waits for the end of the process: all remaining lines, and whether it ended well.
    pub async fn finish(mut self) -> (Vec<String>, bool) {
        let mut lines = Vec::new();
        while let Some(line) = self.line().await {
            lines.push(line);
        }
        let status = within("exit", self.child.wait()).await.expect("an exit status");
        (lines, status.success())
    }
}
