//! `weft serve` follows its certificate files.
#![cfg(unix)]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use wt_api::Identity;

struct Server {
    child: Child,
    lines: BufReader<ChildStdout>,
    url: String,
    directory: PathBuf,
}

impl Server {
    fn start(name: &str, identity: &Identity) -> Self {
        let directory = std::env::temp_dir().join(format!("weft-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        write(&directory, identity);
        let mut child = weft()
            .args(["serve", "--json", "--listen", "127.0.0.1:0", "--cert"])
            .arg(directory.join("cert.pem"))
            .arg("--key")
            .arg(directory.join("key.pem"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("weft starts");
        let lines = BufReader::new(child.stdout.take().expect("piped"));
        let mut server = Self { child, lines, url: String::new(), directory };
        let announced = server.line();
        assert_eq!(announced["certificateHash"], hash(identity));
        server.url = format!("https://{}/echo", announced["listening"][0].as_str().expect("an address"));
        server
    }

    /// Waits for the next line.
    fn line(&mut self) -> serde_json::Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).expect("JSON")
    }

    fn hang_up(&self) {
        let killed = Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status();
        assert!(killed.expect("kill runs").success());
    }

    /// The exit status of a client that expects this identity.
    fn connect(&self, identity: &Identity) -> Option<i32> {
        let mut client = weft();
        client.args(["connect", &self.url, "--cert-hash", &hash(identity)]);
        client.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        client.status().expect("weft ends").code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn weft() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weft"));
    command.env_remove("RUST_LOG").env("NO_COLOR", "1");
    command
}

fn identity() -> Identity {
    Identity::self_signed(["127.0.0.1"]).expect("an identity")
}

fn hash(identity: &Identity) -> String {
    identity.certificate_hash().to_string()
}

fn write(directory: &Path, identity: &Identity) {
    // The files are replaced one after the other, each at once, so that no reader finds half a file.
    for (name, text) in [("key", identity.private_key_pem()), ("cert", identity.certificate_chain_pem())] {
        let part = directory.join(format!("{name}.part"));
        fs::write(&part, text).expect("written");
        fs::rename(part, directory.join(format!("{name}.pem"))).expect("renamed");
    }
}

#[test]
fn changed_files_are_used_and_broken_ones_are_not() {
    let (first, second) = (identity(), identity());
    let mut server = Server::start("reload-change", &first);
    assert_eq!(server.connect(&first), Some(0));
    fs::write(server.directory.join("cert.pem"), "broken").expect("written");
    let told = server.line();
    assert_eq!(told["reloaded"], false);
    let error = told["error"].as_str().expect("a text");
    assert!(error.contains("cert.pem") && error.contains("no certificate was found"), "{error}");
    assert_eq!(server.connect(&first), Some(0));
    write(&server.directory, &second);
    // The server may see the files while only one of them was replaced.
    let told = std::iter::repeat_with(|| server.line()).find(|line| line["reloaded"] == true);
    assert_eq!(told.expect("a line")["certificateHash"], hash(&second));
    assert_eq!((server.connect(&second), server.connect(&first)), (Some(0), Some(4)));
}

#[test]
fn a_hangup_reads_the_files_at_once() {
    let first = identity();
    let mut server = Server::start("reload-hangup", &first);
    // The files are unchanged, so only the signal causes a line.
    server.hang_up();
    let told = server.line();
    assert_eq!((&told["reloaded"], &told["certificateHash"]), (&true.into(), &hash(&first).into()));
    assert_eq!(server.connect(&first), Some(0));
}
