//! A run as the runner specifies it: folders, certificates, files, processes.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// The longest time that a process may take to start or to end.
const LIMIT: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Client,
    Server,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// How a process ended, and its output.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
}

/// A server. Dropping it ends it.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The folders of a run, with a certificate in `certs`.
pub(crate) struct Run {
    root: PathBuf,
}

impl Run {
    pub(crate) fn new(name: &str) -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("interop-{name}"));
        let _ = fs::remove_dir_all(&root);
        for folder in ["client/www", "client/downloads", "server/www", "server/downloads", "certs"] {
            fs::create_dir_all(root.join(folder)).expect("a writable folder");
        }
        let run = Self { root };
        run.certify(0);
        run
    }

    /// Makes a fresh certificate, followed by `more` large ones.
    pub(crate) fn certify(&self, more: usize) {
        let make = |names: Vec<String>| {
            let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
            let params = rcgen::CertificateParams::new(names).expect("valid names");
            (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
        };
        let (mut chain, key) = make(vec!["server".to_owned()]);
        for _ in 0..more {
            chain += &make((0..20).map(|number| format!("{}.{number}", "x".repeat(60))).collect()).0;
        }
        fs::write(self.root.join("certs/cert.pem"), chain).expect("written");
        fs::write(self.root.join("certs/priv.key"), key).expect("written");
    }

    pub(crate) fn folder(&self, role: Role, name: &str) -> PathBuf {
        self.root.join(role.name()).join(name)
    }

    /// Writes a file of this many bytes, with unique content, for this end to send.
    pub(crate) fn file(&self, role: Role, name: &str, size: usize) {
        let mut state =
            size as u64 ^ name.bytes().fold(7, |sum: u64, byte| sum.wrapping_mul(31) + u64::from(byte));
        let content: Vec<u8> = (0..size)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                state.to_be_bytes()[0]
            })
            .collect();
        let path = self.folder(role, "www").join(name);
        fs::create_dir_all(path.parent().expect("in a folder")).expect("a writable folder");
        fs::write(path, content).expect("written");
    }

    /// Checks that the other end of `from` has these files in `folder`, and no others.
    pub(crate) fn compare(&self, from: Role, folder: &str, names: &[String]) {
        let to = if from == Role::Client { Role::Server } else { Role::Client };
        let (sent, received) = (self.folder(from, "www"), self.folder(to, "downloads"));
        for name in names {
            let sent = fs::read(sent.join(name)).expect("the file that was sent");
            let received = fs::read(received.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(sent == received, "{name}: {} bytes sent, {} received", sent.len(), received.len());
        }
        let found = fs::read_dir(received.join(folder)).expect("a folder").count();
        assert_eq!(found, names.len(), "files in {folder:?}");
    }

    pub(crate) fn command(&self, role: Role, case: &str, requests: &str, protocols: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weft-interop"));
        command
            .env_remove("RUST_LOG")
            .env("ROLE", role.name())
            .env("TESTCASE", case)
            .env("REQUESTS", requests)
            .env("PROTOCOLS", protocols)
            .env("SSLKEYLOGFILE", self.folder(role, "keys.log"))
            .env("WWW", self.folder(role, "www"))
            .env("DOWNLOADS", self.folder(role, "downloads"))
            .env("CERTS", self.root.join("certs"))
            .env("PORT", "0");
        command
    }

    /// Runs an end until it ends by itself.
    pub(crate) fn ends(&self, role: Role, case: &str, requests: &str, protocols: &str) -> Ended {
        finish(&mut self.command(role, case, requests, protocols))
    }

    /// Starts a server.
    pub(crate) fn server(&self, case: &str, requests: &str, protocols: &str) -> Server {
        let mut command = self.command(Role::Server, case, requests, protocols);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the server starts");
        let stdout = child.stdout.take().expect("piped");
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(stdout).read_line(&mut line);
            let _ = tell.send(line);
        });
        let line = told.recv_timeout(LIMIT).unwrap_or_default();
        let port = line.trim().rsplit(' ').next().and_then(|port| port.parse().ok());
        let mut server = Server { child, port: 0 };
        server.port = port.unwrap_or_else(|| panic!("the server says {line:?}"));
        server
    }

    /// How many handshakes the client's key log contains, and the length of the secrets in bytes.
    pub(crate) fn handshakes(&self) -> (usize, usize) {
        let log = fs::read_to_string(self.folder(Role::Client, "keys.log")).expect("a key log");
        let secrets = log.lines().filter(|line| line.starts_with("CLIENT_TRAFFIC_SECRET_0 "));
        let sizes: Vec<_> = secrets.map(|line| line.rsplit(' ').next().map_or(0, str::len) / 2).collect();
        (sizes.len(), sizes.first().copied().unwrap_or_default())
    }
}

/// Runs a command until it ends by itself. After [`LIMIT`] it is killed, and the test fails.
pub(crate) fn finish(command: &mut Command) -> Ended {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let (tell, told) = mpsc::channel();
    let outputs: [Box<dyn Read + Send>; 2] =
        [Box::new(child.stdout.take().expect("piped")), Box::new(child.stderr.take().expect("piped"))];
    let count = outputs.len();
    for mut output in outputs {
        let tell = tell.clone();
        thread::spawn(move || {
            let mut text = String::new();
            let _ = output.read_to_string(&mut text);
            let _ = tell.send(text);
        });
    }
    let mut all = String::new();
    for _ in 0..count {
        match told.recv_timeout(LIMIT) {
            Ok(text) => all += &text,
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                panic!("not over after {LIMIT:?}: {all}");
            }
        }
    }
    // Both outputs are closed, so it is ending.
    let status = child.wait().expect("it ends");
    Ended { code: status.code(), output: all }
}
