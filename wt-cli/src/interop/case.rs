//! The runner's test cases, and which of them are supported.

use crate::environment::{Environment, Role};

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    /// Files over HTTP/0.9, directly over QUIC.
    Quic(Feature),
    /// Files over HTTP/3.
    Http3,
    /// WebTransport sessions.
    WebTransport(Task),
}

/// What a transfer tests beside the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feature {
    /// Nothing more: the network or the number of files makes the case.
    Plain,
    /// Only this cipher suite is offered and accepted.
    ChaCha20,
    /// The server answers every client without a token with a Retry.
    Retry,
    /// The first file uses a full handshake, the others a resumed one.
    Resumption,
    /// The first file by a full handshake, the others by one that is resumed, and asked for in 0-RTT.
    ZeroRtt,
    /// The client updates its keys as soon as it may.
    KeyUpdate,
    /// Packets carry ECN marks, and the marks are counted.
    Ecn,
    /// Each file has its own connection.
    Connections,
    /// The client opens in version 1, and the server moves the connection to version 2 (RFC 9369).
    Version2,
}

/// What an end does in a session, apart from sending files that the other end requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Nothing: a client closes at once.
    Handshake,
    /// Nothing: a client waits for the server's close.
    Answer,
    /// Gets the files of `REQUESTS`, then closes.
    Ask(Carrier),
}

/// On what files are requested and sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    Unidirectional,
    Bidirectional,
    Datagram,
}

impl Case {
    /// The case of this run; `None` if it is unknown or not supported. Migration of either end is not
    /// implemented.
    pub(crate) fn find(environment: &Environment) -> Option<Self> {
        if environment.protocols.is_empty() {
            Self::quic(&environment.case)
        } else {
            Self::webtransport(&environment.case, environment.role)
        }
    }

    fn quic(name: &str) -> Option<Self> {
        Some(Self::Quic(match name {
            "handshake" | "transfer" | "longrtt" | "multiplexing" | "ipv6" | "blackhole"
            | "amplificationlimit" | "transferloss" | "transfercorruption" | "goodput" | "crosstraffic" => {
                Feature::Plain
            }
            "chacha20" => Feature::ChaCha20,
            "retry" => Feature::Retry,
            "resumption" => Feature::Resumption,
            "zerortt" => Feature::ZeroRtt,
            "keyupdate" => Feature::KeyUpdate,
            "ecn" => Feature::Ecn,
            "v2" => Feature::Version2,
            "multiconnect" | "handshakeloss" | "handshakecorruption" => Feature::Connections,
            "http3" => return Some(Self::Http3),
            _ => return None,
        }))
    }

    /// The runner gives clients `transfer-…-receive` and servers `transfer-…-send`. The end that gets this
    /// name requests files. The other end gets `transfer`, and answers.
    fn webtransport(name: &str, role: Role) -> Option<Self> {
        match name {
            "handshake" => return Some(Self::WebTransport(Task::Handshake)),
            "transfer" => return Some(Self::WebTransport(Task::Answer)),
            _ => {}
        }
        let (carrier, direction) = name.strip_prefix("transfer-")?.split_once('-')?;
        let carrier = match carrier {
            "unidirectional" => Carrier::Unidirectional,
            "bidirectional" => Carrier::Bidirectional,
            "datagram" => Carrier::Datagram,
            _ => return None,
        };
        let asks = match direction {
            "receive" => role == Role::Client,
            "send" => role == Role::Server,
            _ => return None,
        };
        Some(Self::WebTransport(if asks { Task::Ask(carrier) } else { Task::Answer }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(name: &str, role: &str, protocols: &str, requests: &str) -> Option<Case> {
        let environment = Environment::read(|variable| match variable {
            "ROLE" => Some(role.to_owned()),
            "TESTCASE" => Some(name.to_owned()),
            "PROTOCOLS" => Some(protocols.to_owned()),
            "REQUESTS" => Some(requests.to_owned()),
            _ => None,
        });
        Case::find(&environment.unwrap())
    }

    #[test]
    fn protocols_select_the_webtransport_case() {
        let url = "https://server/room";
        assert_eq!(find("handshake", "client", "", url), Some(Case::Quic(Feature::Plain)));
        assert_eq!(find("handshake", "client", "a b", url), Some(Case::WebTransport(Task::Handshake)));
        assert_eq!(find("chacha20", "client", "a b", url), None);
        assert_eq!(find("transfer-datagram-send", "client", "", url), None);
    }

    #[test]
    fn the_end_with_the_long_name_requests() {
        let asks = Some(Case::WebTransport(Task::Ask(Carrier::Datagram)));
        assert_eq!(find("transfer-datagram-receive", "client", "a", "https://server/room/file"), asks);
        assert_eq!(find("transfer-datagram-send", "server", "a", "room/file"), asks);
        let answers = Some(Case::WebTransport(Task::Answer));
        assert_eq!(find("transfer-datagram-send", "client", "a", "https://server/room"), answers);
    }

    #[test]
    fn unimplemented_cases_are_not_supported() {
        for name in ["connectionmigration", "rebind-port", "rebind-addr", "versionnegotiation", ""] {
            for role in ["client", "server"] {
                assert_eq!(find(name, role, "", "https://server/a"), None, "{name}");
            }
        }
    }
}
