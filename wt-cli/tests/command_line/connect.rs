//! `weft connect`, and what `weft doctor` reports about the same server.

use std::net::UdpSocket;

use crate::{Server, code, output, text};

#[test]
fn origin_timeout_and_quiet_are_options() {
    let server = Server::start(&["--origin", "https://good.example"]);
    let good = server.connect("/echo", &["--origin", "https://good.example", "--quiet"], b"hello");
    assert_eq!(
        (code(&good), text(&good.stdout), text(&good.stderr)),
        (Some(0), "hello".to_owned(), String::new())
    );
    let told =
        server.connect("/echo", &["--protocol", "chat", "--header", "authorization: Bearer x"], b"hello");
    assert_eq!((code(&told), text(&told.stdout)), (Some(0), "hello".to_owned()));
    assert!(text(&told.stderr).contains("packets sent"), "{}", text(&told.stderr));
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let url = format!("https://{}/", silent.local_addr().expect("an address"));
    let late = output(&["connect", &url, "--timeout", "0.3"], b"");
    assert_eq!(code(&late), Some(3));
    let told = text(&late.stderr);
    assert!(told.contains("no session within 300ms") && told.contains("--timeout 0.3"), "{told}");
}

/// The name stands for both loopback addresses, whatever the system's resolver says. Chromium tries only one
/// of them.
#[test]
fn localhost_is_reached_in_either_family_and_the_doctor_mentions_browsers() {
    let ask = |server: &Server| {
        let url = server.localhost("/echo");
        let connected = output(&["connect", &url, "--cert-hash", &server.hash], b"hello");
        assert_eq!((code(&connected), text(&connected.stdout)), (Some(0), "hello".to_owned()), "{url}");
        output(&["doctor", &url, "--cert-hash", &server.hash], b"")
    };
    let only_v4 = ask(&Server::start(&[]));
    let told = text(&only_v4.stdout);
    assert_eq!(code(&only_v4), Some(3), "{told}");
    assert!(
        !told.contains("A session can be made.") && told.contains("::1, 127.0.0.1 (both families)"),
        "{told}"
    );
    let last = told.lines().last().expect("a line");
    assert!(last.starts_with("Programs can make a session; a browser that asks [::1] alone"), "{told}");
    assert!(last.contains("What to change first: UDP to [::1]:"), "{told}");
    let only_v6 = ask(&Server::on("[::1]:0", &[]));
    assert_eq!(code(&only_v6), Some(0), "{}", text(&only_v6.stdout));
    assert!(text(&only_v6.stdout).ends_with("A session can be made.\n"));
}

#[test]
fn the_doctor_warns_about_servers_that_permit_no_page() {
    let pages = |server: &Server| {
        let url = server.url("/echo");
        let out = output(&["--json", "doctor", &url, "--cert-hash", &server.hash], b"");
        assert_eq!(code(&out), Some(0), "{}", text(&out.stdout));
        let told: serde_json::Value = serde_json::from_slice(&out.stdout).expect("JSON");
        let step =
            told["steps"].as_array().expect("steps").iter().find(|step| step["step"] == "pages").cloned();
        step.expect("told of pages")
    };
    let none = pages(&Server::start(&[]));
    assert_eq!(none["verdict"], "warning", "{none}");
    assert!(none["fact"].as_str().is_some_and(|fact| fact.contains("403")), "{none}");
    assert!(none["remedy"].as_str().is_some_and(|remedy| remedy.contains("--origin")), "{none}");
    assert_eq!(pages(&Server::start(&["--origin", "*"]))["verdict"], "ok");
}

#[test]
fn a_servers_certificate_given_as_a_ca_is_named_as_the_mistake() {
    let directory = crate::directory("leaf");
    let key = || rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    let named = |name: &str| {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params
    };
    let mut authority = named("the authority");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = rcgen::Issuer::new(authority, key());
    let leaf = named("the server").signed_by(&key(), &issuer).expect("signed");
    let file = directory.join("leaf.pem");
    std::fs::write(&file, leaf.pem()).expect("written");
    let file = file.to_str().expect("text");
    for command in ["connect", "doctor"] {
        let out = output(&[command, "https://127.0.0.1:1/", "--ca", file], b"");
        let told = text(&out.stderr);
        assert_eq!(code(&out), Some(2), "{told}");
        for words in [file, "that of a server", "CN=the server", "issuer (CN=the authority)"] {
            assert!(told.contains(words), "{command}: {words}: {told}");
        }
    }
}
