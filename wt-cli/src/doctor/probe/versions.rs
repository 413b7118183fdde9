//! Finds the versions that a server supports. A packet of a reserved version asks for them (RFC 9000 §6.1,
//! §15).

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use quic_core::{
    base::{Entropy as _, SystemEntropy},
    offered_versions,
};
use tokio::time::{Instant, timeout_at};

use super::{
    super::facts::{Noise, Versions},
    plan::connect,
};

/// A reserved version that nobody supports.
const RESERVED: u32 = 0x1a2a_3a4a;
/// The least size of a first datagram, in bytes (RFC 9000 §14.1).
const DATAGRAM: usize = 1200;
const ID: usize = 8;
/// The longest wait. Many servers and networks stay silent here, which is no fault.
const PATIENCE: Duration = Duration::from_secs(2);
/// When the packet is first repeated. Each further wait is twice as long.
const REPEAT: Duration = Duration::from_millis(200);

/// Asks until there is a response, or `limit` has passed.
pub(super) async fn ask(remote: SocketAddr, limit: Duration) -> Versions {
    match exchange(remote, limit.min(PATIENCE)).await {
        Ok(versions) => versions,
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Versions::Refused,
        Err(error) => Versions::NotSent(Arc::new(error)),
    }
}

async fn exchange(remote: SocketAddr, limit: Duration) -> io::Result<Versions> {
    let socket = connect(remote).await?;
    let mut ids = [0; 2 * ID];
    SystemEntropy::new().fill(&mut ids);
    let question = question(&ids);
    let end = Instant::now() + limit;
    let (mut wait, mut buffer) = (REPEAT, vec![0; 65_536]);
    let mut heard = Versions::Silent;
    while Instant::now() < end {
        socket.send(&question).await?;
        let until = end.min(Instant::now() + wait);
        while let Ok(received) = timeout_at(until, socket.recv(&mut buffer)).await {
            let size = received?;
            if let Some(versions) = answer(&buffer[..size], &ids) {
                return Ok(Versions::Offered(versions));
            }
            heard = Versions::Noise(Noise::of(&buffer[..size], &question));
        }
        wait *= 2;
    }
    Ok(heard)
}

/// A packet with a long header of the reserved version and no meaningful content.
fn question(ids: &[u8; 2 * ID]) -> Vec<u8> {
    let (destination, source) = ids.split_at(ID);
    let length = [ID as u8];
    let mut packet = [&[0xc0], &RESERVED.to_be_bytes()[..], &length, destination, &length, source].concat();
    packet.resize(DATAGRAM, 0);
    packet
}

/// The versions, if this is a response to the question.
fn answer(datagram: &[u8], ids: &[u8; 2 * ID]) -> Option<Vec<u32>> {
    let (destination, source) = ids.split_at(ID);
    offered_versions(datagram, source, destination)
}

#[cfg(test)]
mod tests {
    use quic_core::packet;

    use super::*;

    #[test]
    fn only_the_response_to_the_question_counts() {
        let ids: [u8; 16] = std::array::from_fn(|i| i as u8);
        let question = question(&ids);
        assert_eq!(question.len(), DATAGRAM);
        let header = packet::parse(&question, ID, false);
        assert!(matches!(header, Ok(packet::Header::UnknownVersion { version: RESERVED, .. })));
        let offer = |destination: &[u8], source: &[u8]| {
            [&[0x80, 0, 0, 0, 0, 8], destination, &[8], source, &[0, 0, 0, 1, 0x6b, 0x33, 0x43, 0xcf]]
                .concat()
        };
        assert_eq!(answer(&offer(&ids[8..], &ids[..8]), &ids), Some(vec![1, 0x6b33_43cf]));
        assert_eq!(answer(&offer(&ids[..8], &ids[8..]), &ids), None, "not exchanged");
        assert_eq!(answer(&question, &ids), None);
        assert_eq!(answer(b"noise", &ids), None);
    }
}
