//! Real sockets: datagrams of every size arrive, and a socket works without the features that the system
//! refuses.

use std::{
    io::{self, IoSliceMut},
    net::SocketAddr,
};

use quic_core::{Transmit, base::Ecn};
use quinn_udp::RecvMeta;
use tokio::io::Interest;

use super::{Progress, SocketOptions, Train, TrainSocket, Trains, UdpSocket};

fn options(address: &str) -> SocketOptions {
    let address: SocketAddr = address.parse().expect("an address");
    SocketOptions { address, only_v6: true, transport_errors: true, buffer: 4 << 20 }
}

/// Both ends over loopback; `None` if the machine does not have the address family.
fn pair(address: &str) -> Option<(UdpSocket, UdpSocket, SocketAddr)> {
    let receiver = UdpSocket::bind(&options(address)).ok()?;
    let sender = UdpSocket::bind(&options(address)).ok()?;
    let remote = receiver.local_address().expect("bound");
    Some((sender, receiver, remote))
}

async fn send(trains: &mut Trains, socket: &UdpSocket, transmit: Transmit, contents: &[u8]) {
    let mut train = Train::new(transmit);
    loop {
        match trains.send(socket, &mut train, contents) {
            Progress::Done(trouble) => return assert!(trouble.is_none(), "{trouble:?}"),
            Progress::Blocked => socket.ready(Interest::WRITABLE).await.expect("a runtime"),
            Progress::Later(_) => tokio::task::yield_now().await,
        }
    }
}

/// Receives this many bytes, as the datagrams in which they arrived.
async fn receive(socket: &UdpSocket, mut bytes: usize) -> Vec<Vec<u8>> {
    let (mut buffer, mut datagrams) = (vec![0; 64 << 10], Vec::new());
    while bytes > 0 {
        socket.ready(Interest::READABLE).await.expect("a runtime");
        let mut metas = [RecvMeta::default()];
        match socket.try_recv(&mut [IoSliceMut::new(&mut buffer)], &mut metas) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => panic!("{error}"),
        }
        let [meta] = metas;
        datagrams.extend(buffer[..meta.len].chunks(meta.stride.max(1)).map(<[u8]>::to_vec));
        bytes = bytes.checked_sub(meta.len).expect("no more than was sent");
    }
    datagrams
}

#[tokio::test]
async fn every_size_of_datagram_leaves_in_trains_that_are_taken() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let Some((sender, receiver, remote)) = pair(address) else { continue };
        let mut trains = Trains::new(sender.max_gso_segments());
        for size in (1200..=1500).chain([9000, 65_000]) {
            let size_of_all = size * trains.segments(size, &remote);
            let contents: Vec<u8> = (0..size_of_all).map(|at| (at % 253) as u8).collect();
            let transmit =
                Transmit { remote, local_ip: None, ecn: Ecn::Ect0, size: size_of_all, segment_size: size };
            send(&mut trains, &sender, transmit, &contents).await;
            let received = receive(&receiver, size_of_all).await;
            assert!(received.iter().all(|datagram| datagram.len() == size), "{size} to {remote}");
            assert!(received.concat() == contents, "{size} to {remote}");
        }
        assert_eq!(trains.refused(), 0, "to {remote}");
    }
}

#[tokio::test]
async fn a_socket_without_marks_sends_and_receives_all_the_same() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let refused = |_: &socket2::Socket| Err(io::Error::from(io::ErrorKind::InvalidInput));
        let Some((_, receiver, remote)) = pair(address) else { continue };
        let plain = UdpSocket::bind_with(&options(address), false, refused).expect("a socket");
        assert!(plain.may_fragment() && plain.max_gso_segments() == 1);
        let mut trains = Trains::new(plain.max_gso_segments());
        let (contents, local_ip) = (vec![7; 3 * 1200 + 100], Some(remote.ip()));
        let transmit =
            Transmit { remote, local_ip, ecn: Ecn::Ect0, size: contents.len(), segment_size: 1200 };
        send(&mut trains, &plain, transmit, &contents).await;
        let received = receive(&receiver, contents.len()).await;
        assert_eq!(received.iter().map(Vec::len).collect::<Vec<_>>(), [1200, 1200, 1200, 100]);

        let other = UdpSocket::bind(&options(address)).expect("a socket");
        let mut trains = Trains::new(other.max_gso_segments());
        let transmit = Transmit { remote: plain.local_address().expect("bound"), ..transmit };
        send(&mut trains, &other, transmit, &contents).await;
        assert!(receive(&plain, contents.len()).await.concat() == contents);
    }
}

/// Clients are distributed among the sockets of an address, each always to the same socket. The address is in
/// use.
#[tokio::test]
async fn sockets_share_the_datagrams_for_their_address_and_nobody_else_gets_them() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(sockets) = UdpSocket::bind_shared(&options(address), 3) else { continue };
        let remote = sockets[0].local_address().expect("bound");
        assert!(sockets.iter().all(|socket| socket.local_address().expect("bound") == remote));
        for attempt in [
            UdpSocket::bind(&options(&remote.to_string())).map(drop),
            UdpSocket::bind_shared(&options(&remote.to_string()), 3).map(drop),
        ] {
            assert_eq!(attempt.unwrap_err().kind(), io::ErrorKind::AddrInUse, "{remote}");
        }
        let clients: Vec<_> =
            (0..64).map(|_| UdpSocket::bind(&options(address)).expect("a socket")).collect();
        for _ in 0..3 {
            for client in &clients {
                client.ready(Interest::WRITABLE).await.expect("a runtime");
                TrainSocket::try_send_plain(client, remote, b"hello").expect("room");
            }
        }
        let (mut came, mut received) = (vec![0; sockets.len()], 0);
        let mut of_client = std::collections::BTreeMap::new();
        while received < 3 * clients.len() {
            for (place, socket) in sockets.iter().enumerate() {
                let (mut buffer, mut metas) = ([0; 2048], [RecvMeta::default()]);
                let Ok(_) = socket.try_recv(&mut [IoSliceMut::new(&mut buffer)], &mut metas) else {
                    continue;
                };
                assert_eq!(*of_client.entry(metas[0].addr).or_insert(place), place, "{remote}");
                let count = metas[0].len / metas[0].stride.max(1);
                (came[place], received) = (came[place] + count, received + count);
            }
            tokio::task::yield_now().await;
        }
        assert!(came.iter().filter(|count| **count > 0).count() > 1, "{remote}: {came:?}");
    }
}

/// The ancillary data of a train that was received as one message fits into the control buffer: sizes,
/// addresses, and the mark. Without the mark, ECN would count as broken (RFC 9000 §13.4.2.1).
#[tokio::test]
async fn a_train_arrives_with_its_mark() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let Some((sender, receiver, remote)) = pair(address) else { continue };
        let mut trains = Trains::new(sender.max_gso_segments());
        for ecn in [Ecn::Ect0, Ecn::Ect1, Ecn::Ce] {
            for (size, count) in [(1200, 1), (1200, 2), (1452, 20)] {
                let contents = vec![7; size * count];
                let transmit =
                    Transmit { remote, local_ip: None, ecn, size: size * count, segment_size: size };
                send(&mut trains, &sender, transmit, &contents).await;
                let mut bytes = 0;
                while bytes < contents.len() {
                    receiver.ready(Interest::READABLE).await.expect("a runtime");
                    let (mut buffer, mut metas) = (vec![0; 64 << 10], [RecvMeta::default()]);
                    let Ok(_) = receiver.try_recv(&mut [IoSliceMut::new(&mut buffer)], &mut metas) else {
                        continue;
                    };
                    let mark = metas[0].ecn.map_or(Ecn::NotEct, |mark| Ecn::from_bits(mark as u8));
                    assert_eq!(mark, ecn, "{} bytes in pieces of {size} from {remote}", metas[0].len);
                    assert!(metas[0].dst_ip.is_some(), "the address that was asked");
                    bytes += metas[0].len;
                }
            }
        }
    }
}
