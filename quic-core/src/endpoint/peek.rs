//! Reads the server name from a client's first datagram, before there is a connection.
//!
//! Reads as much of the ClientHello as has arrived. Never waits and never judges: a ClientHello that does not
//! parse has no name here, and TLS reports its fault to the client.

use crate::{
    base::{Reader, UnexpectedEnd},
    crypto::{HeaderKey, PacketKey, initial_secrets, unprotect_header},
    frame::{Frame, Frames},
    ids::ConnectionId,
    packet::{self, Header},
};

const CLIENT_HELLO: u8 = 1;
/// RFC 6066 §3.
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;
/// The longest DNS name, in bytes (RFC 1035 §2.3.4).
const MAX_NAME: usize = 253;

/// The server name in the first packet of `datagram`, which was sent to `dcid`. `None` if the packet's part
/// of the ClientHello has no name, or the packet is not authentic.
pub(super) fn server_name(datagram: &[u8], dcid: &ConnectionId) -> Option<String> {
    let Ok(Header::Long(long)) = packet::parse(datagram, 0, true) else { return None };
    let mut bytes = datagram.get(..long.end)?.to_vec();
    let (secret, _) = initial_secrets(long.version, dcid);
    let protected = unprotect_header(&HeaderKey::new(&secret), &mut bytes, long.pn_offset)?;
    let number = packet::decode_packet_number(protected.number, protected.pn_size, 0);
    let header_size = long.pn_offset + protected.pn_size;
    let size = PacketKey::new(&secret).open(number, &mut bytes, header_size).ok()?;
    name_in(&hello(bytes.get(header_size..header_size + size)?)).ok().flatten()
}

/// The beginning of the handshake data up to the first gap. Clients may cut it into pieces in any order.
fn hello(payload: &[u8]) -> Vec<u8> {
    let mut pieces: Vec<(usize, &[u8])> = Frames::new(payload)
        .map_while(Result::ok)
        .filter_map(|frame| match frame {
            Frame::Crypto { offset, data } => Some((usize::try_from(offset).ok()?, data)),
            _ => None,
        })
        .collect();
    pieces.sort_unstable_by_key(|(offset, _)| *offset);
    let mut hello = Vec::with_capacity(payload.len());
    for (offset, data) in pieces {
        let Some(known) = hello.len().checked_sub(offset) else { break };
        hello.extend_from_slice(data.get(known..).unwrap_or_default());
    }
    hello
}

/// The name in a ClientHello (RFC 8446 §4.1.2), which may end anywhere.
fn name_in(hello: &[u8]) -> Result<Option<String>, UnexpectedEnd> {
    let mut reader = Reader::new(hello);
    if reader.u8()? != CLIENT_HELLO {
        return Ok(None);
    }
    // The length, the version and the random value.
    reader.bytes(3 + 2 + 32)?;
    let session_id = reader.u8()?;
    reader.bytes(session_id.into())?;
    let suites = reader.u16()?;
    reader.bytes(suites.into())?;
    let compressions = reader.u8()?;
    reader.bytes(compressions.into())?;
    reader.u16()?;
    loop {
        let (kind, size) = (reader.u16()?, reader.u16()?);
        let extension = reader.bytes(size.into())?;
        if kind == SERVER_NAME {
            return host_name(extension);
        }
    }
}

/// The first name of the list; a client may send only one.
fn host_name(extension: &[u8]) -> Result<Option<String>, UnexpectedEnd> {
    let mut reader = Reader::new(extension);
    reader.u16()?;
    let kind = reader.u8()?;
    let size = reader.u16()?;
    let name = reader.bytes(size.into())?;
    let valid =
        kind == HOST_NAME && (1..=MAX_NAME).contains(&name.len()) && name.iter().all(u8::is_ascii_graphic);
    Ok(valid.then(|| String::from_utf8_lossy(name).to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
        [&kind.to_be_bytes()[..], &(body.len() as u16).to_be_bytes(), body].concat()
    }

    fn named(name: &[u8]) -> Vec<u8> {
        let size = (name.len() as u16).to_be_bytes();
        let list = (name.len() as u16 + 3).to_be_bytes();
        extension(SERVER_NAME, &[&list[..], &[HOST_NAME], &size, name].concat())
    }

    fn message(extensions: &[u8]) -> Vec<u8> {
        let fields = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0]].concat();
        let size = (extensions.len() as u16).to_be_bytes();
        let body = [&fields[..], &size, extensions].concat();
        [&[CLIENT_HELLO][..], &(body.len() as u32).to_be_bytes()[1..], &body].concat()
    }

    fn found(hello: &[u8]) -> Option<String> {
        name_in(hello).ok().flatten()
    }

    #[test]
    fn a_name_is_found_behind_other_extensions_and_only_if_it_is_one() {
        let before = extension(43, &[2, 3, 4]);
        let hello = message(&[before.clone(), named(b"Example.org"), extension(51, &[0; 900])].concat());
        assert_eq!(found(&hello).as_deref(), Some("example.org"));
        // The bytes after the name have not arrived.
        assert_eq!(found(&hello[..hello.len() - 500]).as_deref(), Some("example.org"));
        assert_eq!(found(&hello[..60]), None);
        assert_eq!(found(&message(&before)), None);
        for name in [&b""[..], b"a b", b"a\0", &[b'a'; 254], "é".as_bytes()] {
            assert_eq!(found(&message(&named(name))), None, "{name:?}");
        }
    }

    #[test]
    fn pieces_in_any_order_are_put_together_as_far_as_there_is_no_gap() {
        let piece = |offset: u8, data: &[u8]| [&[6, offset, data.len() as u8][..], data].concat();
        let payload =
            [piece(4, b"56"), vec![0; 3], piece(0, b"12"), piece(2, b"34"), piece(9, b"x")].concat();
        assert_eq!(hello(&payload), b"123456");
        let overlapping = [piece(0, b"123"), piece(1, b"2345")].concat();
        assert_eq!(hello(&overlapping), b"12345");
    }

    proptest! {
        #[test]
        fn garbage_has_no_name_and_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0usize..300) {
            let _ = (found(&bytes), hello(&bytes));
            let mut valid = message(&named(b"example.org"));
            valid.truncate(cut);
            valid.extend(&bytes);
            let _ = found(&valid);
            let _ = server_name(&bytes, &ConnectionId::new(&[1; 8]).unwrap());
        }
    }
}
