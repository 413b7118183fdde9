//! The addresses of `localhost`, whatever the system's resolver says (RFC 6761 §6.3). Some resolvers know the
//! name in one family only, and some ask the network for it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Both loopback addresses, in the order in which browsers try them, if the name is `localhost` or ends in
/// `.localhost`. `None` if the resolver must be asked.
#[must_use]
pub fn loopback(host: &str) -> Option<[IpAddr; 2]> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or_default();
    last.eq_ignore_ascii_case("localhost")
        .then_some([IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_localhost_are_both_loopback_addresses() {
        let both: [IpAddr; 2] = ["::1".parse().unwrap(), "127.0.0.1".parse().unwrap()];
        for host in ["localhost", "LocalHost", "localhost.", "app.localhost", "a.b.localhost."] {
            assert_eq!(loopback(host), Some(both), "{host}");
        }
        for host in ["localhost.example", "notlocalhost", "", ".", "127.0.0.1", "localhost.."] {
            assert_eq!(loopback(host), None, "{host}");
        }
    }
}
