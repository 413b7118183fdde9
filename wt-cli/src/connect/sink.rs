//! Where everything goes that comes: to standard output as it is, or as an object a line for each event.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncWriteExt as _, Stdout},
    sync::Mutex,
};

use super::Stop;
use crate::{base64, output};

/// As many bytes of datagrams as are written together, about.
const TOGETHER: usize = 64 << 10;

/// Whether a stream goes one way or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bidirectional,
    Unidirectional,
}

/// Whose stream it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opener {
    Client,
    Server,
}

pub(super) struct Sink {
    json: bool,
    output: Mutex<Stdout>,
    /// Lines that were not sent.
    unsent: AtomicUsize,
}

impl Sink {
    pub(super) fn new(json: bool) -> Self {
        Self { json, output: Mutex::new(tokio::io::stdout()), unsent: AtomicUsize::new(0) }
    }

    /// A line could not be sent, and people were told why.
    pub(super) fn note_unsent(&self) {
        self.unsent.fetch_add(1, Relaxed);
    }

    pub(super) fn unsent(&self) -> usize {
        self.unsent.load(Relaxed)
    }

    /// Whether programs read it, which can tell the events of several streams apart.
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

    /// Ready when what is being written now is written.
    pub(super) async fn settled(&self) {
        drop(self.output.lock().await);
    }

    /// Tells an event, to programs alone.
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

    /// One datagram, and those of `more` that have come since, in one write: a write for each would be slower than they come.
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

    /// The peer reset what it sends on a stream, or does not want to read more of it (`event`: "reset", "stop").
    pub(super) async fn broken(&self, event: &str, stream: u64, code: Option<u32>) -> Result<(), Stop> {
        self.event(&json!({ "event": event, "stream": stream, "code": code })).await
    }

    /// The end of an answer that is a line among others.
    pub(super) async fn end_line(&self, last: Option<u8>) -> Result<(), Stop> {
        if self.json || last == Some(b'\n') { Ok(()) } else { self.write(b"\n").await }
    }
}

/// The content as text where it is UTF-8, else in base64.
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
