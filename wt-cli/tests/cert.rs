//! `weft cert`, run as a user runs it.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use wt_api::Identity;

/// A directory for one test. Dropping it removes it.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("weft-cert-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    /// Runs `weft` in this directory.
    fn weft(&self, arguments: &[&str]) -> Output {
        command(arguments).current_dir(&self.0).output().expect("weft ends")
    }

    /// The same, with a JSON object as its output.
    fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let out = self.weft(&[&["--json", "cert"], arguments].concat());
        assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice(&out.stdout).expect("JSON")
    }

    fn identity(&self) -> Identity {
        Identity::from_pem_files(self.0.join("cert.pem"), self.0.join("key.pem")).expect("a pair")
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("a directory");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weft"));
    command.args(arguments).env_remove("RUST_LOG").env("NO_COLOR", "1");
    command
}

fn text(out: &Output) -> String {
    String::from_utf8_lossy(&[&out.stdout[..], &out.stderr].concat()).into_owned()
}

#[cfg(unix)]
fn mode(path: &std::path::Path) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).expect("a file").permissions()) & 0o777
}

#[test]
fn a_new_certificate_is_printed_and_replaced_only_by_force() {
    let directory = Directory::new("make");
    let out = directory.weft(&["cert", "make"]);
    let told = text(&out);
    assert_eq!(out.status.code(), Some(0), "{told}");
    let identity = directory.identity();
    assert_eq!(identity.names(), ["localhost", "127.0.0.1", "::1"]);
    let hash = identity.certificate_hash();
    let pin = identity.public_key_pin().expect("a pin");
    for expected in [
        hash.to_string(),
        hash.to_base64(),
        format!("value: bytes(\"{hash}\")"),
        format!("--ignore-certificate-errors-spki-list={pin} --webtransport-developer-mode"),
        "certutil -A".to_owned(),
        "A browser takes it by hash".to_owned(),
        "13 days 1 h".to_owned(),
    ] {
        assert!(told.contains(&expected), "{expected}\n{told}");
    }
    #[cfg(unix)]
    assert_eq!(mode(&directory.0.join("key.pem")), 0o600);
    let again = directory.weft(&["cert", "make"]);
    assert_eq!(again.status.code(), Some(2), "{}", text(&again));
    assert!(text(&again).contains("--force"), "{}", text(&again));
    assert_eq!(directory.identity().certificate_hash(), hash);
    let forced = directory.json(&["make", "--force", "--name", "example.org", "--name", "192.0.2.1"]);
    assert_eq!(forced["names"], serde_json::json!(["example.org", "192.0.2.1"]));
    assert_eq!(forced["certificateHash"], directory.identity().certificate_hash().to_string());
    assert_eq!(forced["acceptedByHash"], true);
    assert_ne!(directory.identity().certificate_hash(), hash);
    #[cfg(unix)]
    assert_eq!(mode(&directory.0.join("key.pem")), 0o600);
    assert_eq!(directory.names(), ["cert.pem", "key.pem"], "no temporary file is left");
}

#[test]
fn unwritable_and_unreadable_files_end_with_status_2() {
    let directory = Directory::new("refused");
    for (arguments, words) in [
        (&["cert", "make", "--cert", "absent/cert.pem"][..], "absent/cert.pem"),
        (&["cert", "make", "--name", "exämple"], "exämple"),
        (&["cert", "show", "absent.pem"], "absent.pem"),
        (&["cert", "rotate"], "cert.pem"),
    ] {
        let out = directory.weft(arguments);
        assert_eq!(out.status.code(), Some(2), "{arguments:?}: {}", text(&out));
        assert!(text(&out).contains(words), "{arguments:?}: {}", text(&out));
    }
    assert_eq!(directory.names(), [] as [&str; 0], "no half of a pair is left");
    fs::write(directory.0.join("text"), "no certificate").expect("written");
    let out = directory.weft(&["cert", "show", "text"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out).contains("PEM or DER"), "{}", text(&out));
}

/// Which rules `cert show` finds fulfilled.
fn rules(shown: &serde_json::Value) -> Vec<bool> {
    let rules = shown["rules"].as_array().expect("rules");
    rules.iter().map(|rule| rule["ok"].as_bool().expect("a truth")).collect()
}

#[test]
fn each_rule_of_browsers_is_shown_for_a_certificate() {
    let directory = Directory::new("show");
    let show = |key: &rcgen::KeyPair, from: (i32, u8, u8), to: (i32, u8, u8)| {
        let mut params = rcgen::CertificateParams::new(vec!["example.org".to_owned()]).expect("a name");
        params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
        params.not_after = rcgen::date_time_ymd(to.0, to.1, to.2);
        let certificate = params.self_signed(key).expect("signed");
        fs::write(directory.0.join("a.pem"), certificate.pem()).expect("written");
        fs::write(directory.0.join("a.der"), certificate.der()).expect("written");
        let shown = directory.json(&["show", "a.pem"]);
        assert_eq!(shown, directory.json(&["show", "a.der"]));
        shown
    };
    let p256 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    let old = show(&p256, (2020, 1, 1), (2020, 1, 15));
    assert_eq!((rules(&old), &old["acceptedByHash"]), (vec![true, false, true, true], &false.into()));
    assert_eq!(
        (&old["notBefore"], &old["notAfter"]),
        (&"2020-01-01T00:00:00Z".into(), &"2020-01-15T00:00:00Z".into())
    );
    let long = show(&p256, (2020, 1, 1), (2120, 1, 1));
    assert_eq!(rules(&long), [true, true, false, true]);
    let future = show(&p256, (2120, 1, 1), (2120, 1, 16));
    assert_eq!(rules(&future), [true, false, false, true]);
    let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    let other = show(&ed25519, (2020, 1, 1), (2120, 1, 1));
    assert_eq!(rules(&other), [true, true, false, false]);
    assert_eq!(other["key"], "Ed25519");
    let out = directory.weft(&["cert", "show", "a.pem"]);
    let told = text(&out);
    assert_eq!(out.status.code(), Some(0));
    assert!(told.contains("A browser does not take it by hash"), "{told}");
    assert!(told.contains("FAIL  key ECDSA P-256 or P-384    key Ed25519"), "{told}");
    assert!(told.contains("example.org"), "{told}");
}

#[test]
fn a_certificate_rotates_when_little_of_its_validity_is_left() {
    let directory = Directory::new("rotate");
    directory.weft(&["cert", "make", "--name", "example.org"]);
    let old = directory.identity().certificate_hash().to_string();
    let early = directory.json(&["rotate"]);
    assert_eq!((&early["rotated"], &early["certificateHashes"]), (&false.into(), &serde_json::json!([old])));
    assert_eq!(directory.identity().certificate_hash().to_string(), old);
    // A little less than 13 days are left.
    let rotated = directory.json(&["rotate", "--before", "13"]);
    let new = directory.identity();
    let new_hash = new.certificate_hash().to_string();
    assert_eq!(
        (&rotated["rotated"], &rotated["certificateHashes"]),
        (&true.into(), &serde_json::json!([old, new_hash]))
    );
    assert_eq!(
        (&rotated["previous"]["certificateHash"], new.names()),
        (&old.into(), vec!["example.org".to_owned()])
    );
    let out = directory.weft(&["cert", "rotate", "--force"]);
    let newest = directory.identity().certificate_hash().to_string();
    assert_eq!(out.status.code(), Some(0));
    for hash in [&new_hash, &newest] {
        assert!(text(&out).contains(&format!("value: bytes(\"{hash}\")")), "{}", text(&out));
    }
    #[cfg(unix)]
    assert_eq!(mode(&directory.0.join("key.pem")), 0o600);
    assert_eq!(directory.names(), ["cert.pem", "key.pem"]);
}

#[test]
fn a_file_for_both_is_never_half() {
    let directory = Directory::new("both");
    let made = directory.weft(&["cert", "make", "--cert", "./both.pem", "--key", "both.pem"]);
    assert_eq!(made.status.code(), Some(0), "{}", text(&made));
    let both = directory.0.join("both.pem");
    let mut seen = std::collections::HashSet::new();
    let mut rotation = command(&["cert", "rotate", "--force", "--cert", "both.pem", "--key", "both.pem"]);
    rotation.current_dir(&directory.0).stdout(Stdio::null());
    for _ in 0..5 {
        let mut child = rotation.spawn().expect("weft starts");
        // Reads as fast as possible while the other process writes.
        while child.try_wait().expect("a child").is_none() {
            let content = fs::read(&both).expect("the file is always there");
            seen.insert(Identity::from_pem(&content, &content).expect("a whole pair").certificate_hash());
        }
        assert!(child.wait().expect("an end").success());
    }
    seen.insert(Identity::from_pem_files(&both, &both).expect("a pair").certificate_hash());
    assert!(seen.len() > 1, "rotations were seen");
    #[cfg(unix)]
    assert_eq!(mode(&both), 0o600);
}

#[test]
#[cfg(unix)]
fn a_server_follows_a_rotation_without_a_complaint() {
    let directory = Directory::new("serve");
    directory.weft(&["cert", "make"]);
    let mut server =
        command(&["serve", "--json", "--listen", "127.0.0.1:0", "--cert", "cert.pem", "--key", "key.pem"]);
    let mut child = server.current_dir(&directory.0).stdout(Stdio::piped()).spawn().expect("weft starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut line = || -> serde_json::Value {
        serde_json::from_str(&lines.next().expect("a line").expect("text")).expect("JSON")
    };
    line();
    directory.weft(&["cert", "rotate", "--force"]);
    let told = line();
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!(told["reloaded"], true, "{told}");
    assert_eq!(told["certificateHash"], directory.identity().certificate_hash().to_string());
}

#[test]
fn a_server_with_its_own_certificate_prints_the_next_one_too() {
    let mut child = command(&["serve", "--json", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("weft starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let told: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let hashes = told["certificateHashes"].as_array().expect("hashes");
    let url = format!("https://{}/echo", told["listening"][0].as_str().expect("an address"));
    // The server shows the first one now. A client that knows both connects, and one that only knows the
    // second does not yet.
    let connect = |hashes: &[&serde_json::Value]| {
        let mut client = command(&["connect", &url]);
        hashes.iter().for_each(|hash| {
            client.args(["--cert-hash", hash.as_str().expect("a hash")]);
        });
        client
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("an end")
            .code()
    };
    let outcomes = (connect(&[&hashes[0], &hashes[1]]), connect(&[&hashes[1]]));
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!((hashes.len(), &hashes[0]), (2, &told["certificateHash"]));
    assert_eq!(outcomes, (Some(0), Some(4)));
}
