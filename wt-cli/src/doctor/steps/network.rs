//! Names, addresses, reachability, QUIC's version, the handshake.

use std::{io, net::SocketAddr};

use quic_core::{
    Version,
    error::{CloseReason, ConnectionError},
};
use wt_api::udp::loopback;

use super::super::{
    facts::{Attempt, Handshake, Noise, Versions},
    step::Step,
};
use crate::texts;

/// The TLS alert of a server that supports none of the client's protocols (RFC 7301 §3.2).
const NO_APPLICATION_PROTOCOL: u8 = 120;

/// The addresses of the name.
pub(in super::super) fn names(host: &str, found: &Result<Vec<SocketAddr>, String>) -> Step {
    const NAME: &str = "addresses";
    let found = match found {
        Ok(found) if !found.is_empty() => found,
        Ok(_) => {
            return Step::failed(NAME, format!("{host} has no address"), "give the name an A or AAAA record");
        }
        Err(error) => {
            let remedy = "check the name, and that this machine can ask a name server";
            return Step::failed(NAME, format!("{host} cannot be resolved: {error}"), remedy);
        }
    };
    let list: Vec<String> = found.iter().map(|address| address.ip().to_string()).collect();
    let family = match (found.iter().any(SocketAddr::is_ipv4), found.iter().any(SocketAddr::is_ipv6)) {
        (true, true) => "both families",
        (true, false) => "IPv4 alone",
        _ => "IPv6 alone",
    };
    Step::ok(NAME, format!("{} ({family})", list.join(", ")))
}

/// Whether each address responds. An address that does not is a failure only if none does.
pub(in super::super) fn reachable(host: &str, attempts: &[Attempt]) -> Vec<Step> {
    let any = attempts.iter().any(Attempt::is_alive);
    attempts.iter().map(|attempt| reach(host, attempt, any)).collect()
}

/// Whether browsers fail because they only try `::1` for localhost, while another address responds.
pub(in super::super) fn is_lost_to_browsers(host: &str, attempts: &[Attempt]) -> bool {
    attempts.iter().any(Attempt::is_alive)
        && attempts.iter().any(|attempt| !attempt.is_alive() && is_missed_by_browsers(host, attempt))
}

/// Whether this is an address that browsers try. A machine without IPv6 has no such address, but one that
/// forbids IPv6 does.
fn is_missed_by_browsers(host: &str, attempt: &Attempt) -> bool {
    let can_be_asked = match &attempt.versions {
        Versions::NotSent(error) => error.kind() == io::ErrorKind::PermissionDenied,
        _ => true,
    };
    loopback(host).is_some() && attempt.address.is_ipv6() && can_be_asked
}

/// The least datagram size that every path must carry (RFC 9000 §14), in bytes.
const LEAST_PAYLOAD: u32 = 1_200;

fn reach(host: &str, attempt: &Attempt, any: bool) -> Step {
    let name = format!("UDP to {}", attempt.address);
    let port = attempt.address.port();
    let refused = matches!(attempt.versions, Versions::Refused) || attempt.handshake == Handshake::Refused;
    let (fact, remedy) = if attempt.is_alive() {
        return Step::ok(name, "answers");
    } else if let Some(noise) = attempt.noise() {
        let what = match noise {
            Noise::Echo => "it sends back what it gets".to_owned(),
            Noise::Bytes(1) => "it sent 1 byte".to_owned(),
            Noise::Bytes(size) => format!("it sent {size} bytes"),
        };
        (format!("what answers there is not QUIC: {what}"), not_quic(port))
    } else if let Some(payload) = attempt.payload.filter(|payload| *payload < LEAST_PAYLOAD) {
        (
            format!("the way there carries datagrams of {payload} bytes at most, and QUIC needs {LEAST_PAYLOAD} (RFC 9000 §14)"),
            "raise the MTU of the link or tunnel that is too small to 1280 bytes or more; `tracepath` tells which".to_owned(),
        )
    } else if refused {
        (
            "refused: the machine, or a firewall in its name, says that nothing listens there (ICMP)"
                .to_owned(),
            format!(
                "start the server on UDP port {port} of this address; a TCP port is not enough. If it runs, a firewall there or on the way rejects the port in its name: permit UDP to it"
            ),
        )
    } else if let Versions::NotSent(error) = &attempt.versions {
        texts::unreachable(attempt.address, error)
    } else if let Handshake::NotStarted(error) = &attempt.handshake {
        (
            format!("no connection could begin: {error}"),
            "use a host name or an address that TLS can ask for".to_owned(),
        )
    } else {
        (
            "silent: nothing came back, not even a refusal".to_owned(),
            format!(
                "open UDP port {port} in firewalls and security groups, and see that a QUIC server listens there"
            ),
        )
    };
    if any && is_missed_by_browsers(host, attempt) {
        // Another listener there would not help.
        if attempt.noise().is_some() || matches!(attempt.versions, Versions::NotSent(_)) {
            return Step::failed(name, fact, remedy).for_browsers();
        }
        let remedy =
            format!("let the server listen on [::1]:{port} as well: Chromium asks it alone for localhost");
        return Step::failed(name, fact, remedy).for_browsers();
    }
    if any { Step::warning(name, fact, remedy) } else { Step::failed(name, fact, remedy) }
}

fn not_quic(port: u16) -> String {
    format!(
        "check the port in the URL: UDP port {port} of this address belongs to another program (there, `ss -lunp` tells which); give the port of the QUIC server, or this one to it"
    )
}

fn version_name(version: u32) -> String {
    match version {
        1 => "1".to_owned(),
        0x6b33_43cf => "2".to_owned(),
        other => format!("{other:#010x}"),
    }
}

/// Reserved versions only exercise version negotiation (RFC 9000 §15).
fn is_reserved(version: u32) -> bool {
    version & 0x0f0f_0f0f == 0x0a0a_0a0a
}

/// The step for QUIC's version.
pub(in super::super) fn version(attempt: &Attempt) -> Option<Step> {
    const NAME: &str = "QUIC version";
    let used = match &attempt.handshake {
        Handshake::Complete(_, version) => *version,
        _ => Version::V1,
    };
    let offered = match (&attempt.handshake, &attempt.versions) {
        (Handshake::Ended(ConnectionError::VersionMismatch { offered, .. }), _) => offered.to_vec(),
        (_, Versions::Offered(offered)) => offered.clone(),
        (Handshake::Complete(..), _) => {
            let fact = format!("{used}; the server does not tell others which it speaks (RFC 9000 §6)");
            return Some(Step::ok(NAME, fact));
        }
        _ => return None,
    };
    let known = offered.iter().copied().filter(|version| !is_reserved(*version));
    let list = known.map(version_name).collect::<Vec<_>>().join(", ");
    if offered.contains(&1) {
        return Some(Step::ok(NAME, format!("{used}; the server offers {list}")));
    }
    let (fact, remedy) = (
        format!("the server offers {list}, not version 1"),
        "enable QUIC version 1 (RFC 9000) on the server",
    );
    let step = Step::failed(NAME, fact, remedy);
    // Browsers speak version 1 alone.
    Some(if matches!(attempt.handshake, Handshake::Complete(..)) { step.for_browsers() } else { step })
}

/// The step for the handshake; none if the server never responded. If ALPN ended it, the ALPN step says so.
pub(in super::super) fn handshake(attempt: &Attempt) -> Option<Step> {
    const NAME: &str = "TLS handshake";
    if is_alpn(&attempt.handshake) {
        return None;
    }
    Some(match &attempt.handshake {
        Handshake::Complete(took, _) => {
            Step::ok(NAME, format!("TLS 1.3, complete after {:.1} ms", took.as_secs_f64() * 1000.0))
        }
        Handshake::Ended(ConnectionError::VersionMismatch { .. }) => return None,
        Handshake::Ended(error) => Step::failed(NAME, error.to_string(), ended_remedy(error)),
        Handshake::Unfinished => Step::failed(
            NAME,
            "the server answered, but not to the end",
            "raise --timeout; if that does not help, a path or tunnel loses datagrams of 1200 bytes",
        ),
        Handshake::Silent if attempt.is_alive() => Step::failed(
            NAME,
            "the server tells its versions, but does not answer any",
            "see the server's log: it may refuse this client, or be overloaded",
        ),
        Handshake::NotStarted(error) if attempt.is_alive() => {
            Step::failed(NAME, error.clone(), "use a host name or an address that TLS can ask for")
        }
        _ => return None,
    })
}

fn ended_remedy(error: &ConnectionError) -> &'static str {
    match error {
        ConnectionError::PeerClosed(CloseReason::Transport { code, .. }) => match code.alert() {
            Some(112) => "the server has no certificate for this name: add it there, or use another name",
            Some(40 | 70) => "enable TLS 1.3 with a common cipher suite and key exchange on the server",
            Some(116) => {
                "the server wants a certificate of the client, which WebTransport cannot give: switch that off"
            }
            Some(_) => "see the server's TLS configuration and log for this alert",
            None => "see the server's log: it refused the connection for this reason",
        },
        ConnectionError::Tls { .. } => "see the server's TLS configuration",
        ConnectionError::Violation { .. } => "the server's QUIC stack is at fault: update it",
        _ => "see the server's log for this connection",
    }
}

/// Whether the handshake ended because there was no common protocol.
pub(in super::super) fn is_alpn(handshake: &Handshake) -> bool {
    match handshake {
        Handshake::Ended(ConnectionError::Tls { alert, .. }) => *alert == NO_APPLICATION_PROTOCOL,
        Handshake::Ended(ConnectionError::PeerClosed(CloseReason::Transport { code, .. })) => {
            code.alert() == Some(NO_APPLICATION_PROTOCOL)
        }
        _ => false,
    }
}

/// The step for the application protocol of the connection.
pub(in super::super) fn alpn(attempt: &Attempt) -> Option<Step> {
    const NAME: &str = "ALPN";
    let remedy = "the service at this port is no HTTP/3: enable h3 on the server, or use its port";
    if is_alpn(&attempt.handshake) {
        return Some(Step::failed(NAME, "the server does not know h3 (HTTP/3)", remedy));
    }
    if !matches!(attempt.handshake, Handshake::Complete(..)) {
        return None;
    }
    Some(match attempt.alpn.as_deref() {
        Some(b"h3") => Step::ok(NAME, "h3 (HTTP/3)"),
        Some(other) => {
            Step::failed(NAME, format!("the server chose {:?}", String::from_utf8_lossy(other)), remedy)
        }
        None => Step::failed(NAME, "the server chose no protocol", remedy),
    })
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use quic_core::error::TransportErrorCode;

    use super::*;
    use crate::output::Verdict;

    fn attempt(address: &str) -> Attempt {
        Attempt::new(address.parse().unwrap())
    }

    #[test]
    fn an_address_that_does_not_answer_is_a_failure_only_if_none_does() {
        let mut good = attempt("127.0.0.1:4433");
        good.versions = Versions::Offered(vec![1]);
        let mut closed = attempt("[::1]:4433");
        closed.versions = Versions::Refused;
        let steps = reachable("localhost", &[closed.clone(), good.clone()]);
        assert_eq!(
            [steps[0].verdict, steps[1].verdict],
            [Verdict::Failed, Verdict::Ok],
            "browsers try no other address"
        );
        assert!(steps[0].remedy.as_ref().unwrap().contains("[::1]:4433"), "{steps:?}");
        assert!(
            steps[0].is_for_browsers && is_lost_to_browsers("localhost", &[closed.clone(), good.clone()])
        );
        assert_eq!(reachable("example.org", &[closed.clone(), good.clone()])[0].verdict, Verdict::Warning);
        let mut absent = closed.clone();
        absent.versions = Versions::NotSent(Arc::new(io::ErrorKind::AddrNotAvailable.into()));
        assert!(!is_lost_to_browsers("localhost", &[absent.clone(), good.clone()]));
        absent.versions = Versions::NotSent(Arc::new(io::ErrorKind::PermissionDenied.into()));
        let step = &reachable("localhost", &[absent, good])[0];
        assert!(step.is_for_browsers && step.remedy.as_ref().unwrap().contains("permit UDP"), "{step:?}");
        let steps = reachable("localhost", &[closed, attempt("127.0.0.1:4433")]);
        assert!(steps.iter().all(|step| step.verdict == Verdict::Failed));
        assert!(steps[0].fact.contains("refused") && steps[1].fact.contains("silent"), "{steps:?}");
        // A rejecting firewall responds like a port on which nothing listens.
        let remedy = steps[0].remedy.as_ref().unwrap();
        assert!(remedy.contains("start the server") && remedy.contains("a firewall"), "{steps:?}");
        let mut prohibited = attempt("192.0.2.1:443");
        prohibited.versions = Versions::NotSent(Arc::new(io::ErrorKind::HostUnreachable.into()));
        let step = &reachable("a", &[prohibited])[0];
        let remedy = step.remedy.as_ref().unwrap();
        assert!(remedy.contains("has a route") && remedy.contains("a firewall"), "{step:?}");
        let mut unrouted = attempt("[2001:db8::1]:443");
        unrouted.versions = Versions::NotSent(Arc::new(io::ErrorKind::NetworkUnreachable.into()));
        assert!(reachable("a", &[unrouted])[0].remedy.as_ref().unwrap().contains("has a route"));
        // A router's report about the path explains the silence, unless the path is wide enough.
        for (payload, told) in [(972, "datagrams of 972 bytes at most"), (1_199, "1199"), (1_200, "silent")] {
            let mut narrow = attempt("192.0.2.1:443");
            narrow.payload = Some(payload);
            assert!(reachable("a", &[narrow])[0].fact.contains(told));
        }
    }

    #[test]
    fn a_response_that_is_not_quic_is_reported_where_it_is_seen() {
        let noisy = |handshake, versions| Attempt { versions, handshake, ..attempt("[::1]:4433") };
        for (noise, told) in
            [(Noise::Echo, "sends back"), (Noise::Bytes(0), "0 bytes"), (Noise::Bytes(1), "1 byte")]
        {
            for seen in [
                noisy(Handshake::Noise(noise), Versions::Silent),
                noisy(Handshake::Silent, Versions::Noise(noise)),
            ] {
                let step = &reachable("a", std::slice::from_ref(&seen))[0];
                assert_eq!(step.verdict, Verdict::Failed);
                assert!(step.fact.contains("not QUIC") && step.fact.contains(told), "{step:?}");
                assert!(step.remedy.as_ref().unwrap().contains("UDP port 4433"), "{step:?}");
                assert_eq!((version(&seen), handshake(&seen), alpn(&seen)), (None, None, None));
                // A browser tries no other address for localhost, and no other server can listen on this one.
                let good = Attempt { versions: Versions::Offered(vec![1]), ..attempt("127.0.0.1:4433") };
                let step = &reachable("localhost", &[seen, good])[0];
                assert!(step.is_for_browsers && step.remedy.as_ref().unwrap().contains("another program"));
            }
        }
        let answered = noisy(Handshake::Unfinished, Versions::Noise(Noise::Echo));
        assert_eq!(answered.noise(), None, "a server of QUIC may ignore the question");
        assert!(handshake(&answered).unwrap().remedy.unwrap().contains("--timeout"));
    }

    #[test]
    fn names_show_their_address_families() {
        let both = vec!["[::1]:1".parse().unwrap(), "127.0.0.1:1".parse().unwrap()];
        assert_eq!(names("localhost", &Ok(both.clone())).fact, "::1, 127.0.0.1 (both families)");
        assert_eq!(names("localhost", &Ok(both[..1].to_vec())).fact, "::1 (IPv6 alone)");
        assert_eq!(names("localhost", &Ok(both[1..].to_vec())).fact, "127.0.0.1 (IPv4 alone)");
        for wrong in [Ok(vec![]), Err("no such name".to_owned())] {
            assert_eq!(names("nobody", &wrong).verdict, Verdict::Failed);
        }
    }

    #[test]
    fn versions_are_shown_by_name() {
        let mut attempt = attempt("127.0.0.1:1");
        assert_eq!(version(&attempt), None);
        attempt.versions = Versions::Offered(vec![0x1a2a_3a4a, 1, 0x6b33_43cf, 0xff00_001d]);
        assert_eq!(version(&attempt).unwrap().fact, "1; the server offers 1, 2, 0xff00001d");
        attempt.versions = Versions::Offered(vec![0x6b33_43cf]);
        let step = version(&attempt).unwrap();
        assert_eq!((step.verdict, &*step.fact), (Verdict::Failed, "the server offers 2, not version 1"));
        attempt.versions = Versions::Silent;
        attempt.handshake = Handshake::Complete(Duration::from_millis(3), Version::V2);
        let step = version(&attempt).unwrap();
        assert_eq!((step.verdict, step.fact.split_once(';').unwrap().0), (Verdict::Ok, "2"));
    }

    fn closed(alert: u8) -> Handshake {
        let code = TransportErrorCode::crypto(alert);
        Handshake::Ended(ConnectionError::PeerClosed(CloseReason::Transport {
            code,
            frame_type: 6,
            reason: bytes::Bytes::new(),
        }))
    }

    #[test]
    fn a_missing_protocol_is_not_a_tls_failure() {
        let mut attempt = attempt("127.0.0.1:1");
        attempt.handshake = closed(120);
        assert_eq!(handshake(&attempt), None);
        assert!(alpn(&attempt).unwrap().fact.contains("does not know h3"));
        attempt.handshake = closed(112);
        assert!(handshake(&attempt).unwrap().remedy.unwrap().contains("no certificate for this name"));
        assert_eq!(alpn(&attempt), None);
        attempt.handshake = Handshake::Complete(Duration::from_micros(2500), Version::V1);
        assert_eq!(handshake(&attempt).unwrap().fact, "TLS 1.3, complete after 2.5 ms");
        for (chosen, verdict) in
            [(Some(&b"h3"[..]), Verdict::Ok), (Some(b"hq"), Verdict::Failed), (None, Verdict::Failed)]
        {
            attempt.alpn = chosen.map(<[u8]>::to_vec);
            assert_eq!(alpn(&attempt).unwrap().verdict, verdict);
        }
    }
}
