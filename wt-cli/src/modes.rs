//! The service behind the demonstration's panel of congestion control: video frames and a bulk transfer in
//! one session, whose connection uses one kind of congestion control.
//!
//! Each frame is sent on its own unidirectional stream, before the bulk data. A stream begins with 12 bytes:
//! a number, and the send time in milliseconds since 1970. The page runs on the same machine, so it can
//! compute the age of a frame.

use std::time::{Duration, UNIX_EPOCH};

use bytes::{BufMut as _, Bytes, BytesMut};
use serde_json::json;
use tokio::time::MissedTickBehavior;
use wt_api::{
    AcceptOptions, CloseInfo, CongestionControl, Request, SendStream, SendStreamOptions, WebTransport,
    WebTransportError,
};

use crate::calendar;

/// The path of this service.
pub(crate) const PATH: &str = "/modes";
/// Frames per second.
const RATE: f64 = 30.0;
/// One in this many frames is a key frame, which is larger.
const GROUP: u32 = 30;
const KEY_FRAME: usize = 37_500;
const FRAME: usize = 3_750;
/// How many bytes of bulk data are written at a time.
const CHUNK: usize = 64 * 1024;
/// The longest time that a session may last.
const LIMIT: Duration = Duration::from_secs(60);
/// The number of the stream that tells which congestion control is in use.
const TOLD: u32 = u32::MAX - 1;
/// The number of the bulk stream.
const BULK: u32 = u32::MAX;

/// Answers a page's request for one of the kinds: `?mode=low-latency`.
pub(crate) fn answer_to(request: &Request) -> AcceptOptions {
    let mode = request.query().and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("mode=")));
    AcceptOptions::new().congestion_control(match mode {
        Some("throughput") => CongestionControl::Throughput,
        Some("low-latency") => CongestionControl::LowLatency,
        _ => CongestionControl::Default,
    })
}

/// Sends until the page ends the session.
pub(crate) async fn serve(session: &WebTransport) {
    let sent = async { tokio::try_join!(tell(session), frames(session), bulk(session)).map(drop) };
    match tokio::time::timeout(LIMIT, sent).await {
        Ok(Err(error)) => tracing::debug!(%error, "the page ended the session"),
        _ => session.close(CloseInfo::new(0, "enough")),
    }
}

/// Tells which congestion control is in use.
async fn tell(session: &WebTransport) -> Result<(), WebTransportError> {
    let kind = match session.congestion_control() {
        CongestionControl::Throughput => "throughput",
        CongestionControl::LowLatency => "low-latency",
        _ => "default",
    };
    let controller = session.get_stats().await?.connection.map(|stats| stats.congestion_controller);
    let mut writable = session.create_unidirectional_stream(SendStreamOptions::new().send_order(2)).await?;
    writable.write_chunk(head(TOLD)).await?;
    writable.write_chunk(json!({ "kind": kind, "controller": controller }).to_string().into()).await?;
    writable.finish()
}

async fn frames(session: &WebTransport) -> Result<(), WebTransportError> {
    let mut each = tokio::time::interval(Duration::from_secs_f64(1.0 / RATE));
    each.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for number in 0.. {
        each.tick().await;
        let options = SendStreamOptions::new().send_order(1);
        let mut writable = session.create_unidirectional_stream(options).await?;
        let size = if number % GROUP == 0 { KEY_FRAME } else { FRAME };
        writable.write_chunk(head(number)).await?;
        // A blocked frame must not delay the next one.
        tokio::spawn(async move { finish(writable, size).await });
    }
    Ok(())
}

async fn finish(mut writable: SendStream, size: usize) -> Result<(), WebTransportError> {
    writable.write_chunk(vec![0; size].into()).await?;
    writable.finish()
}

async fn bulk(session: &WebTransport) -> Result<(), WebTransportError> {
    let mut writable = session.create_unidirectional_stream(SendStreamOptions::new()).await?;
    writable.write_chunk(head(BULK)).await?;
    let chunk = Bytes::from(vec![0; CHUNK]);
    loop {
        writable.write_chunk(chunk.clone()).await?;
    }
}

/// The header of a stream.
fn head(number: u32) -> Bytes {
    let now = calendar::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut head = BytesMut::with_capacity(12);
    head.put_u32(number);
    head.put_f64(now.as_secs_f64() * 1e3);
    head.freeze()
}
