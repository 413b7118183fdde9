//! Writes everything that arrives to standard output: as it is, or as one JSON object per line for each
//! event.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncWriteExt as _, Stdout},
    sync::Mutex,
};

use super::Stop;
use crate::{base64, output};

/// About how many bytes of datagrams are written together.
const TOGETHER: usize = 64 << 10;

/// Whether a stream is unidirectional or bidirectional.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bidirectional,
    Unidirectional,
}

/// Which end opened a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opener {
    Client,
    Server,
}

pub(super) struct Sink {
    json: bool,
    output: Mutex<Stdout>,
    /// How many lines were not sent.
    unsent: AtomicUsize,
}

impl Sink {
    pub(super) fn new(json: bool) -> Self {
        Self { json, output: Mutex::new(tokio::io::stdout()), unsent: AtomicUsize::new(0) }
    }

    /// Counts a line that could not be sent. People were told why.
    pub(super) fn note_unsent(&self) {
        self.unsent.fetch_add(1, Relaxed);
    }

    pub(super) fn unsent(&self) -> usize {
        self.unsent.load(Relaxed)
    }

    /// Whether programs read the output. They can tell the events of several streams apart.
    pub(super) const fn tells_programs(&self) -> bool {
        self.json
    }

    async fn write(&self, data: &[u8]) -> Result<(), Stop> {
        let mut output = self.output.lock().await;
        let written = async {
            output.write_all(data).await?;
            output.flush().await
        };
        written.await.map_err(|error| {
            output::note_unwritten(&error);
            Stop::Output
        })
    }

    /// Waits until the write in progress is complete.
    pub(super) async fn settled(&self) {
        drop(self.output.lock().await);
    }

    /// Writes an event, for programs only.
    pub(super) async fn event(&self, event: &Value) -> Result<(), Stop> {
        if self.json { self.write(format!("{event}\n").as_bytes()).await } else { Ok(()) }
    }

    pub(super) async fn opened(&self, stream: u64, kind: Kind, by: Opener) -> Result<(), Stop> {
        let kind = match kind {
            Kind::Bidirectional => "bidirectional",
            Kind::Unidirectional => "unidirectional",
        };
        let by = match by {
            Opener::Client => "client",
            Opener::Server => "server",
        };
        self.event(&json!({ "event": "stream", "stream": stream, "kind": kind, "by": by })).await
    }

    pub(super) async fn data(&self, stream: u64, data: &[u8]) -> Result<(), Stop> {
        if !self.json {
            return self.write(data).await;
        }
        self.event(&with_content(json!({ "event": "data", "stream": stream }), data)).await
    }

    pub(super) async fn fin(&self, stream: u64) -> Result<(), Stop> {
        self.event(&json!({ "event": "fin", "stream": stream })).await
    }

    /// Writes one datagram, and those of `more` that have arrived since, in one write. Separate writes would
    /// be slower than the datagrams arrive.
    pub(super) async fn datagrams(
        &self,
        first: Bytes,
        mut more: impl FnMut() -> Option<Bytes>,
    ) -> Result<(), Stop> {
        let mut text = Vec::new();
        let mut next = Some(first);
        while let Some(data) = next {
            if self.json {
                let event = with_content(json!({ "event": "datagram" }), &data);
                text.extend_from_slice(event.to_string().as_bytes());
            } else {
                text.extend_from_slice(&data);
            }
            text.push(b'\n');
            next = if text.len() < TOGETHER { more() } else { None };
        }
        self.write(&text).await
    }

    /// The peer reset its side of a stream, or does not want to read more of ours (`event`: "reset", "stop").
    pub(super) async fn broken(&self, event: &str, stream: u64, code: Option<u32>) -> Result<(), Stop> {
        self.event(&json!({ "event": event, "stream": stream, "code": code })).await
    }

    /// Ends an answer that is one line among others.
    pub(super) async fn end_line(&self, last: Option<u8>) -> Result<(), Stop> {
        if self.json || last == Some(b'\n') { Ok(()) } else { self.write(b"\n").await }
    }
}

/// The content as text if it is UTF-8, else in Base64.
fn with_content(mut event: Value, data: &[u8]) -> Value {
    match std::str::from_utf8(data) {
        Ok(text) => event["text"] = text.into(),
        Err(_) => event["base64"] = base64::encode(data).into(),
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_text_where_it_can_be() {
        assert_eq!(with_content(json!({}), "h\u{e9}\n".as_bytes()), json!({ "text": "h\u{e9}\n" }));
        assert_eq!(with_content(json!({}), &[0xff, 0]), json!({ "base64": "/wA=" }));
    }
}
