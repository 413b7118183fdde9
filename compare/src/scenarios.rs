//! What happens in a session between our library and another, with any library and in either role.

use bytes::Bytes;
use tokio::task::JoinSet;
use wt_api::{CloseInfo, ErrorCause, SendStreamOptions, WebTransportError};

use crate::{
    pair::Pair,
    peer::{Code, End, Peer, ReceiveHalf as _, SendHalf as _, Session},
    wait::within,
};

/// Application codes at the edges of the ranges that WebTransport over HTTP/3 §4.4 skips.
pub const CODES: [u32; 6] = [0, 29, 30, 255, 256, u32::MAX];
/// How many streams are open at once.
const CROWD: u32 = 200;
/// The largest content of a stream, in bytes.
const LARGE: usize = 1 << 20;

/// `size` bytes that repeat only after a prime number of them.
fn content(size: usize) -> Bytes {
    (0..=250u8).cycle().take(size).collect()
}

fn options() -> SendStreamOptions {
    SendStreamOptions::new()
}

/// Both ends negotiate the newest draft that both support.
///
/// # Panics
/// If they do not.
#[allow(clippy::unused_async, reason = "as the other scenarios")]
pub async fn draft<P: Peer>(pair: Pair<P>) {
    let (draft, why) = pair.ours.negotiated_draft().expect("a session");
    assert_eq!(draft, P::DRAFT, "{why}");
}

/// Both ends report the chosen protocol.
///
/// # Panics
/// If they do not.
#[allow(clippy::unused_async, reason = "as the other scenarios")]
pub async fn protocol<P: Peer>(pair: Pair<P>) {
    assert_eq!(pair.ours.protocol().as_deref(), Some(crate::peer::PROTOCOL));
    assert_eq!(pair.theirs.protocol().as_deref(), Some(crate::peer::PROTOCOL));
}

/// Bidirectional streams opened by each end carry 1 MiB there and back, and their end.
///
/// # Panics
/// If they do not.
pub async fn bidirectional_streams<P: Peer>(pair: Pair<P>) {
    let Pair { ours, theirs, .. } = &pair;
    let data = content(LARGE);

    let asks = async {
        let stream = ours.create_bidirectional_stream(options()).await.expect("a stream");
        let (mut readable, mut writable) = stream.split();
        writable.write_chunk(data.clone()).await.expect("written");
        writable.finish().expect("open");
        readable.read_to_end(LARGE).await.expect("an answer")
    };
    let answers = async {
        let (mut send, mut receive) = theirs.accept_bidirectional().await;
        let all = receive.read_to_end().await.expect("no reset");
        send.write_all(&all).await;
        send.finish().await;
    };
    let (answer, ()) = within("echo of our stream", async { tokio::join!(asks, answers) }).await;
    assert!(answer == data, "{} bytes came back on our stream", answer.len());

    let asks = async {
        let (mut send, mut receive) = theirs.open_bidirectional().await;
        send.write_all(&data).await;
        send.finish().await;
        receive.read_to_end().await.expect("an answer")
    };
    let answers = async {
        let next = ours.incoming_bidirectional_streams().next().await;
        let (mut readable, mut writable) = next.expect("a stream").expect("a session").split();
        let all = readable.read_to_end(LARGE).await.expect("no reset");
        writable.write_chunk(all).await.expect("written");
        writable.finish().expect("open");
        writable.finished().await.expect("acknowledged");
    };
    let (answer, ()) = within("echo of their stream", async { tokio::join!(asks, answers) }).await;
    assert!(answer == data, "{} bytes came back on their stream", answer.len());
}

/// Unidirectional streams opened by each end carry 1 MiB and their end.
///
/// # Panics
/// If they do not.
pub async fn unidirectional_streams<P: Peer>(pair: Pair<P>) {
    let Pair { ours, theirs, .. } = &pair;
    let data = content(LARGE);

    let sends = async {
        let mut stream = ours.create_unidirectional_stream(options()).await.expect("a stream");
        stream.write_chunk(data.clone()).await.expect("written");
        stream.finish().expect("open");
        stream.finished().await.expect("acknowledged");
    };
    let receives = async { theirs.accept_unidirectional().await.read_to_end().await };
    let ((), received) = within("our stream's content", async { tokio::join!(sends, receives) }).await;
    assert!(received.as_deref() == Ok(&data[..]), "they read {:?} bytes", received.map(|all| all.len()));

    let sends = async {
        let mut send = theirs.open_unidirectional().await;
        send.write_all(&data).await;
        send.finish().await;
        // Kept until everything has arrived.
        send
    };
    let receives = async {
        let next = ours.incoming_unidirectional_streams().next().await;
        next.expect("a stream").expect("a session").read_to_end(LARGE).await.expect("no reset")
    };
    let (_send, received) = within("their stream's content", async { tokio::join!(sends, receives) }).await;
    assert!(received == data, "we read {} bytes", received.len());
}

/// Datagrams of up to 1,000 bytes arrive completely, in both directions.
///
/// # Panics
/// If they do not.
pub async fn datagrams<P: Peer>(pair: Pair<P>) {
    let Pair { ours, theirs, .. } = &pair;
    let mut datagrams = ours.datagrams();
    for size in [0, 1, 100, 1000] {
        let data = content(size);
        datagrams.writable.send(data.clone()).await.expect("sent");
        assert_eq!(within("datagram of ours", theirs.receive_datagram()).await, data);
        theirs.send_datagram(data.clone());
        let received = within("datagram of theirs", datagrams.readable.recv()).await;
        assert_eq!(received.expect("a session"), data);
    }
}

/// We close, and they report it.
///
/// # Panics
/// If they tell it differently.
pub async fn close_by_ours<P: Peer>(pair: Pair<P>, told: impl Fn(u32, &str) -> End) {
    let (code, reason) = (4_000_000_000, "enough: genug, 足够");
    pair.ours.close(CloseInfo::new(code, reason.to_owned()));
    let end = within("end of their session", pair.theirs.closed()).await;
    assert_eq!(end, told(code, reason));
    let ours = within("end of our session", pair.ours.closed()).await.expect("we closed it");
    assert_eq!((ours.close_code, ours.reason.as_str()), (code, reason));
}

/// They close. Returns what our side reports.
///
/// # Panics
/// If it does not end.
pub async fn close_by_theirs<P: Peer>(
    pair: Pair<P>,
    code: u32,
    reason: &str,
) -> Result<CloseInfo, WebTransportError> {
    pair.theirs.close(code, reason);
    within("end of our session", pair.ours.closed()).await
}

/// Each end resets a stream with each of [`CODES`]; `at_ours` and `at_theirs` give the code that the other
/// end must report. A stream has carried a byte before it is reset, so that it is known.
///
/// # Panics
/// If it is told differently.
pub async fn resets<P: Peer>(
    pair: Pair<P>,
    at_ours: impl Fn(u32) -> Option<u32>,
    at_theirs: impl Fn(u32) -> Code,
) {
    let Pair { ours, theirs, .. } = &pair;
    let mut incoming = ours.incoming_unidirectional_streams();
    for code in CODES {
        let mut send = ours.create_unidirectional_stream(options()).await.expect("a stream");
        send.write_all(b"x").await.expect("written");
        let mut receive = within("our stream", theirs.accept_unidirectional()).await;
        assert_eq!(within("a byte of ours", receive.read_byte()).await, b'x');
        send.reset(code);
        let end = within("our reset", receive.read_to_end()).await;
        assert_eq!(end, Err(at_theirs(code)), "our reset with {code}");

        let mut send = theirs.open_unidirectional().await;
        send.write_all(b"x").await;
        let mut receive =
            within("their stream", incoming.next()).await.expect("a stream").expect("a session");
        let byte = within("a byte of theirs", receive.read_chunk(1)).await.expect("no reset");
        assert_eq!(byte.as_deref(), Some(&b"x"[..]));
        send.reset(code);
        let end = within("their reset", receive.read_to_end(1)).await.expect_err("a reset");
        let ErrorCause::StreamReset(told) = end.cause() else { panic!("their reset with {code}: {end}") };
        assert_eq!(*told, at_ours(code), "their reset with {code}");
    }
}

/// Like [`resets`], with streams that their reader stops.
///
/// # Panics
/// If it is told differently.
pub async fn stops<P: Peer>(
    pair: Pair<P>,
    at_ours: impl Fn(u32) -> Option<u32>,
    at_theirs: impl Fn(u32) -> Code,
) {
    let Pair { ours, theirs, .. } = &pair;
    let mut incoming = ours.incoming_unidirectional_streams();
    for code in CODES {
        let mut send = theirs.open_unidirectional().await;
        send.write_all(b"x").await;
        let mut receive =
            within("their stream", incoming.next()).await.expect("a stream").expect("a session");
        receive.stop(code);
        let told = within("our stop", send.stopped()).await;
        assert_eq!(told, at_theirs(code), "our stop with {code}");

        let mut send = ours.create_unidirectional_stream(options()).await.expect("a stream");
        send.write_all(b"x").await.expect("written");
        let receive = within("our stream", theirs.accept_unidirectional()).await;
        receive.stop(code);
        let told = within("their stop", send.stopped()).await.expect("stopped");
        assert_eq!(told, at_ours(code), "their stop with {code}");
    }
}

/// Each end opens 200 streams at once, and each stream comes back.
///
/// # Panics
/// If one does not.
pub async fn two_hundred_streams_at_once<P: Peer>(pair: Pair<P>) {
    let Pair { ours, theirs, .. } = &pair;
    let mut asking = JoinSet::new();
    for number in 0..CROWD {
        let ours = ours.clone();
        asking.spawn(async move {
            let stream = ours.create_bidirectional_stream(options()).await.expect("a stream");
            let (mut readable, mut writable) = stream.split();
            writable.write_all(&number.to_be_bytes()).await.expect("written");
            writable.finish().expect("open");
            assert_eq!(readable.read_to_end(4).await.expect("an answer")[..], number.to_be_bytes());
        });
    }
    let mut answering = JoinSet::new();
    for _ in 0..CROWD {
        let (mut send, mut receive) = within("one of our streams", theirs.accept_bidirectional()).await;
        answering.spawn(async move {
            let all = receive.read_to_end().await.expect("no reset");
            send.write_all(&all).await;
            send.finish().await;
        });
    }
    within("200 of our streams", asking.join_all()).await;
    within("200 answers of theirs", answering.join_all()).await;

    let answers = async {
        let mut incoming = ours.incoming_bidirectional_streams();
        let mut answering = JoinSet::new();
        for _ in 0..CROWD {
            let stream = incoming.next().await.expect("a stream").expect("a session");
            answering.spawn(async move {
                let (mut readable, mut writable) = stream.split();
                let all = readable.read_to_end(4).await.expect("no reset");
                writable.write_chunk(all).await.expect("written");
                writable.finish().expect("open");
                writable.finished().await.expect("acknowledged");
            });
        }
        answering.join_all().await
    };
    let asks = async {
        let mut open = Vec::new();
        for number in 0..CROWD {
            let (mut send, receive) = theirs.open_bidirectional().await;
            send.write_all(&number.to_be_bytes()).await;
            open.push((number, send, receive));
        }
        for (number, mut send, mut receive) in open {
            send.finish().await;
            assert_eq!(receive.read_to_end().await.as_deref(), Ok(&number.to_be_bytes()[..]));
        }
    };
    within("200 of their streams", async { tokio::join!(asks, answers) }).await;
}
