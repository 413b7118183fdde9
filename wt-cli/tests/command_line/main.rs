//! The output and exit status of the command `weft`, as people and programs run it.

mod closed;
mod congestion;
mod connect;
#[cfg(unix)]
mod exec;
mod failures;
mod get;
#[cfg(unix)]
mod interrupted;
mod limits;
mod listening;
mod manual;
mod metrics;
mod pipes;
mod qlog;
mod serve;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Output, Stdio},
};

fn weft(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weft"));
    command.args(arguments).env_remove("RUST_LOG").env("NO_COLOR", "1");
    command
}

/// Runs a command to its end with this standard input.
fn output(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = weft(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("weft starts");
    let mut pipe = child.stdin.take().expect("piped");
    std::thread::scope(|scope| {
        // A command that answers while it reads needs a reader for its output. A command that ends early does
        // not read all input.
        scope.spawn(move || pipe.write_all(input));
        child.wait_with_output().expect("weft ends")
    })
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A directory that is initially empty.
fn directory(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).expect("made");
    directory
}

/// `weft serve` on a free port. Dropping it ends it.
struct Server {
    child: Child,
    lines: BufReader<ChildStdout>,
    announced: serde_json::Value,
    address: String,
    hash: String,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        Self::on("127.0.0.1:0", arguments)
    }

    fn on(listen: &str, arguments: &[&str]) -> Self {
        Self::of(&mut weft(&[&["serve", "--json", "--listen", listen], arguments].concat()))
    }

    fn of(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("weft starts");
        let lines = BufReader::new(child.stdout.take().expect("piped"));
        let mut server = Self {
            child,
            lines,
            announced: serde_json::Value::Null,
            address: String::new(),
            hash: String::new(),
        };
        server.announced = server.line();
        let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
        server.address = text(&server.announced["listening"][0]);
        server.hash = text(&server.announced["certificateHash"]);
        server
    }

    /// Waits for the next line.
    fn line(&mut self) -> serde_json::Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).expect("JSON")
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// The same server under the name of this machine.
    fn localhost(&self, path: &str) -> String {
        let (_, port) = self.address.rsplit_once(':').expect("a port");
        format!("https://localhost:{port}{path}")
    }

    /// Runs `weft connect` to a path.
    fn connect(&self, path: &str, options: &[&str], input: &[u8]) -> Output {
        let url = self.url(path);
        output(&[&["connect", &url, "--cert-hash", &self.hash], options].concat(), input)
    }

    #[cfg(unix)]
    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
