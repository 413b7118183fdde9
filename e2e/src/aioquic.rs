//! aioquic as server and as client.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::{certificate::Certificate, folders::target, process::Process, programs::program};

/// A Python that has aioquic.
#[must_use]
pub fn python() -> Option<PathBuf> {
    let venv = target().join("aioquic-venv/bin/python");
    if venv.is_file() && std::env::var_os("WEFT_PYTHON").is_none() {
        return Some(venv);
    }
    // A python3 of the search path would rarely have aioquic: only one that was named counts.
    program("WEFT_PYTHON", &["python with aioquic"])
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("aioquic").join(name)
}

/// Runs `hq.py`, HTTP/0.9 with 0-RTT, as a client or a server.
#[must_use]
pub fn hq<'a>(python: &Path, arguments: impl IntoIterator<Item = &'a str>) -> Process {
    let script = script("hq.py").to_string_lossy().into_owned();
    Process::start(python, std::iter::once(script).chain(arguments.into_iter().map(str::to_owned)))
}

/// A running `server.py`.
#[derive(Debug)]
pub struct Server {
    /// Tells what happens, a JSON object a line.
    pub process: Process,
    /// Its port on 127.0.0.1.
    pub port: u16,
}

impl Server {
    /// Starts it.
    ///
    /// # Panics
    /// If it does not tell its port.
    pub async fn start(python: &Path, certificate: &Certificate, folder: &Path) -> Self {
        let (cert, key) = certificate.write(folder);
        let mut process = Process::start(python, [script("server.py"), cert, key]);
        let port = process.told("port").await.as_u64().and_then(|port| u16::try_from(port).ok());
        Self { process, port: port.expect("a port") }
    }
}

/// Runs `client.py` to its end: everything it told as one object, and whether it ended well.
///
/// # Panics
/// If it tells something else than JSON objects.
pub async fn client(
    python: &Path,
    ca: &Path,
    port: u16,
    what: &str,
    path: &str,
) -> (Map<String, Value>, bool) {
    let arguments = [script("client.py"), ca.to_owned(), port.to_string().into(), what.into(), path.into()];
    let (lines, success) = Process::start(python, arguments).finish().await;
    let mut told = Map::new();
    for line in lines {
        match serde_json::from_str(&line) {
            Ok(Value::Object(object)) => told.extend(object),
            _ => panic!("{line:?} is not a JSON object"),
        }
    }
    (told, success)
}
