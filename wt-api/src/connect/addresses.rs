//! Name resolution, and the order in which addresses are tried.

use std::{
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
};

use super::means::{Means, Resolver};
use crate::{driver::contain, error::ErrorCause, socket::reached_at, udp::loopback};

/// The most addresses that are tried.
const MAX_ATTEMPTS: usize = 8;

impl Means {
    /// The addresses of a name or a literal address, in the order in which they must be tried; at least one.
    pub(super) async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ErrorCause> {
        let unresolved =
            |message: String| ErrorCause::NameResolution { host: host.to_owned(), message: message.into() };
        // Literal addresses and `localhost` need no resolver.
        let is_known = host.parse::<IpAddr>().is_ok() || loopback(host).is_some();
        let found = match &self.resolver {
            Some(resolver) if !is_known => ask(resolver, host, port).await?,
            _ => self.runtime.resolve(host, port).await,
        };
        let found = found.map_err(|error| unresolved(error.to_string()))?;
        let found = usable(&found);
        let Some(first) = found.first().copied() else {
            return Err(unresolved("the name has no address".to_owned()));
        };
        let reached: Vec<_> = found.into_iter().filter(|address| self.sockets.reach(address)).collect();
        if reached.is_empty() {
            Err(ErrorCause::NoSocket { remote: first })
        } else {
            Ok(interleave(&reached))
        }
    }
}

/// Calls the application's resolver, which may panic.
async fn ask(resolver: &Resolver, host: &str, port: u16) -> Result<io::Result<Vec<SocketAddr>>, ErrorCause> {
    let asked = contain(|| (resolver.0)(host.to_owned(), port));
    let mut asked = asked.map_err(|panicked| panicked.cause())?;
    poll_fn(|cx| match contain(|| asked.as_mut().poll(cx)) {
        Ok(polled) => polled.map(Ok),
        Err(panicked) => std::task::Poll::Ready(Err(panicked.cause())),
    })
    .await
}

/// The addresses in the form in which they are reached, without duplicates. Addresses with port 0 are
/// removed, because no datagram can be sent there.
fn usable(found: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut all = Vec::with_capacity(found.len());
    for address in found.iter().map(reached_at).filter(|address| address.port() != 0) {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    all
}

/// Alternates the families, starting with that of the first address (RFC 8305 §4).
fn interleave(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (one, two): (Vec<_>, Vec<_>) =
        addresses.iter().copied().partition(|address| address.is_ipv6() == first_is_v6);
    let mut two = two.into_iter();
    let mut all = Vec::with_capacity(addresses.len());
    for address in one {
        all.push(address);
        all.extend(two.next());
    }
    all.extend(two);
    all.truncate(MAX_ATTEMPTS);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_alternate() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (a, b, c, d) =
            (address("[::1]:1"), address("[::2]:1"), address("1.1.1.1:1"), address("1.1.1.2:1"));
        assert_eq!(interleave(&[a, b, c]), [a, c, b]);
        assert_eq!(interleave(&[c, a, d, b]), [c, a, d, b]);
        assert_eq!(interleave(&[c, d]), [c, d]);
    }

    #[test]
    fn an_address_is_tried_once_however_it_is_written() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let found = ["1.1.1.1:1", "[::ffff:1.1.1.1]:1", "1.1.1.1:2", "1.1.1.1:0", "[::]:1", "[::1]:1"];
        assert_eq!(
            usable(&found.map(address)),
            [address("1.1.1.1:1"), address("1.1.1.1:2"), address("[::1]:1")]
        );
    }
}
