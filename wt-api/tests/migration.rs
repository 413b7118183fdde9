//! Connections survive a NAT that forgets its mapping (RFC 9000 §9.3). A relay on loopback replaces its
//! socket to the server, and thereby its port, while sessions transfer data.

mod common;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use common::{builder, loopback, within};
use tokio::{net::UdpSocket, sync::mpsc, task::JoinHandle};
use wt_api::{
    AcceptOptions, BidirectionalStream, SendStreamOptions, Server, WebTransport, WebTransportOptions,
};

/// A network address translator between a client and a server.
struct Nat {
    address: SocketAddr,
    rebind: mpsc::Sender<()>,
    task: JoinHandle<()>,
}

impl Nat {
    async fn new(server: SocketAddr) -> Self {
        let inside = UdpSocket::bind(loopback()).await.unwrap();
        let (address, (rebind, mut wanted)) = (inside.local_addr().unwrap(), mpsc::channel(1));
        let outside = move || async move {
            let socket = UdpSocket::bind(loopback()).await.unwrap();
            socket.connect(server).await.unwrap();
            socket
        };
        let task = tokio::spawn(async move {
            let (mut mapped, mut client) = (outside().await, None);
            let (mut up, mut down) = (vec![0; 65_535], vec![0; 65_535]);
            loop {
                tokio::select! {
                    Ok((length, from)) = inside.recv_from(&mut up) => {
                        client = Some(from);
                        let _ = mapped.send(&up[..length]).await;
                    }
                    Ok(length) = mapped.recv(&mut down) => {
                        if let Some(client) = client {
                            let _ = inside.send_to(&down[..length], client).await;
                        }
                    }
                    // Datagrams on their way to the old port are lost.
                    Some(()) = wanted.recv() => mapped = outside().await,
                    else => break,
                }
            }
        });
        Self { address, rebind, task }
    }

    async fn forget(&self) {
        self.rebind.send(()).await.unwrap();
    }
}

impl Drop for Nat {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A session through the translator: both ends.
async fn session(server: &Server, nat: &Nat) -> (WebTransport, WebTransport) {
    let options = WebTransportOptions::new().server_certificate_hashes(server.certificate_hash());
    let client = WebTransport::new(&format!("https://{}/", nat.address), options).unwrap();
    let request = within(server.accept()).await.unwrap();
    let served = request.accept(AcceptOptions::new()).await.unwrap();
    within(client.ready()).await.unwrap();
    (client, served)
}

async fn echo(mut stream: BidirectionalStream) {
    while let Some(chunk) = stream.readable.read_chunk(usize::MAX).await.unwrap() {
        stream.writable.write_chunk(chunk).await.unwrap();
    }
    stream.writable.finish().unwrap();
}

#[tokio::test]
async fn a_session_survives_a_nat_rebinding() {
    let server = builder().listen(loopback()).build().unwrap();
    let nat = Nat::new(server.local_addresses()[0]).await;
    let (client, served) = session(&server, &nat).await;
    let mut before = served.remote_address().unwrap();
    for round in 0..4_u8 {
        if round > 0 {
            nat.forget().await;
        }
        let mut stream = client.create_bidirectional_stream(SendStreamOptions::new()).await.unwrap();
        stream.writable.write_all(&[round; 5_000]).await.unwrap();
        stream.writable.finish().unwrap();
        let taken = within(served.accept_bidirectional_stream()).await.unwrap();
        let answer = async { stream.readable.read_to_end(10_000).await.unwrap() };
        let ((), answer) = within(async { tokio::join!(echo(taken), answer) }).await;
        assert!(answer[..] == [round; 5_000], "round {round}");
        // The application sees its peer's new address; the client sees no change.
        let now = served.remote_address().unwrap();
        assert_eq!(now != before, round > 0, "round {round}: {before}, {now}");
        assert_eq!(served.connection().map(|connection| connection.remote_address()), Some(now));
        assert_eq!(client.remote_address(), Some(nat.address));
        before = now;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_in_both_directions_survive_nat_rebindings() {
    const SIZE: usize = 8 << 20;
    let server = builder().listen(loopback()).build().unwrap();
    let nat = Arc::new(Nat::new(server.local_addresses()[0]).await);
    let (client, served) = session(&server, &nat).await;
    let stream = client.create_bidirectional_stream(SendStreamOptions::new()).await.unwrap();
    let (mut readable, mut writable) = stream.split();
    let upload = tokio::spawn(async move {
        let data: Vec<u8> = (0..SIZE).map(|at| (at / 7) as u8).collect();
        writable.write_all(&data).await.unwrap();
        writable.finish().unwrap();
    });
    let serving =
        tokio::spawn(async move { echo(served.accept_bidirectional_stream().await.unwrap()).await });
    let (mut read, mut forgotten) = (0, 0);
    tokio::time::timeout(Duration::from_secs(60), async {
        while let Some(chunk) = readable.read_chunk(usize::MAX).await.unwrap() {
            assert!(chunk.iter().zip(read..).all(|(byte, at)| *byte == (at / 7) as u8), "at {read}");
            read += chunk.len();
            if read / (2 << 20) > forgotten {
                forgotten += 1;
                nat.forget().await;
            }
        }
        upload.await.unwrap();
        serving.await.unwrap();
    })
    .await
    .expect("done within a minute");
    assert_eq!((read, forgotten), (SIZE, 4));
}
