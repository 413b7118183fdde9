//! What both ends do in a session: send requested files, receive files, and request files.
//!
//! `GET name` is a request, on a stream of either kind or in a datagram. The response is the content on the
//! same bidirectional stream. On a unidirectional stream or in a datagram it is `PUSH name`, a line feed and
//! the content.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::{sync::mpsc, task::JoinSet};
use wt_api::{BidirectionalStream, ReceiveStream, SendStreamOptions, WebTransport};

use crate::{case::Carrier, environment::Environment, files, tell::Failure};

/// The most data that one stream may carry, in bytes.
const MAX_FILE: usize = 64 << 20;
/// How long to wait for responses in datagrams before missing files are requested again.
const PATIENCE: Duration = Duration::from_secs(1);

/// A session's folders, and the tasks that respond in it.
pub(super) struct Exchange {
    shared: Arc<Shared>,
    /// The names of files that arrived by PUSH.
    received: mpsc::UnboundedReceiver<String>,
    _tasks: JoinSet<()>,
}

struct Shared {
    session: WebTransport,
    www: PathBuf,
    downloads: PathBuf,
    tell: mpsc::UnboundedSender<String>,
}

/// A message on a unidirectional stream or in a datagram.
#[derive(Debug, PartialEq, Eq)]
enum Message<'a> {
    Get(&'a str),
    Push(&'a str, &'a [u8]),
}

impl<'a> Message<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        if let Some(name) = bytes.strip_prefix(b"GET ") {
            return std::str::from_utf8(name).ok().map(|name| Self::Get(name.trim_end()));
        }
        let rest = bytes.strip_prefix(b"PUSH ")?;
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let (name, content) = (rest.get(..end)?, rest.get(end + 1..)?);
        std::str::from_utf8(name).ok().map(|name| Self::Push(name, content))
    }
}

/// `PUSH name`, a line feed and the content.
fn push(name: &str, content: &[u8]) -> Bytes {
    let mut message = BytesMut::with_capacity(name.len() + content.len() + 6);
    message.put_slice(b"PUSH ");
    message.put_slice(name.as_bytes());
    message.put_u8(b'\n');
    message.put_slice(content);
    message.freeze()
}

fn told(error: impl std::fmt::Display) -> Failure {
    error.to_string()
}

impl Exchange {
    /// Starts to respond in the session of this endpoint.
    pub(super) fn start(session: WebTransport, environment: &Environment, endpoint: &str) -> Self {
        let (tell, received) = mpsc::unbounded_channel();
        let (www, downloads) = (environment.www.join(endpoint), environment.downloads.join(endpoint));
        let shared = Arc::new(Shared { session, www, downloads, tell });
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&shared).unidirectional());
        tasks.spawn(Arc::clone(&shared).bidirectional());
        tasks.spawn(Arc::clone(&shared).datagrams());
        Self { shared, received, _tasks: tasks }
    }

    /// Gets these files, all concurrently.
    pub(super) async fn get(mut self, carrier: Carrier, names: Vec<String>) -> Result<(), Failure> {
        let mut missing: BTreeSet<String> = names.into_iter().collect();
        match carrier {
            Carrier::Bidirectional => {
                let mut tasks = JoinSet::new();
                for name in missing {
                    tasks.spawn(Arc::clone(&self.shared).get_bidirectional(name));
                }
                while let Some(done) = tasks.join_next().await {
                    done.map_err(told)??;
                }
            }
            Carrier::Unidirectional => {
                for name in &missing {
                    self.shared.send_unidirectional(Bytes::from(format!("GET {name}"))).await?;
                }
                while !missing.is_empty() {
                    missing.remove(&self.next().await?);
                }
            }
            Carrier::Datagram => {
                while !missing.is_empty() {
                    for name in &missing {
                        self.shared.send_datagram(Bytes::from(format!("GET {name}"))).await?;
                    }
                    self.take_datagrams(&mut missing).await?;
                }
            }
        }
        Ok(())
    }

    /// Removes files that arrive from `missing`, until none is missing or none has arrived for a while, since
    /// datagrams may be lost.
    async fn take_datagrams(&mut self, missing: &mut BTreeSet<String>) -> Result<(), Failure> {
        while !missing.is_empty() {
            match tokio::time::timeout(PATIENCE, self.next()).await {
                Ok(name) => missing.remove(&name?),
                Err(_) => return Ok(()),
            };
        }
        Ok(())
    }

    /// The next file that arrives.
    async fn next(&mut self) -> Result<String, Failure> {
        tokio::select! {
            name = self.received.recv() => name.ok_or_else(|| "nobody receives".to_owned()),
            ended = self.shared.session.closed() => Err(format!("the session ended too early: {ended:?}")),
        }
    }
}

impl Shared {
    async fn unidirectional(self: Arc<Self>) {
        let mut incoming = self.session.incoming_unidirectional_streams();
        while let Some(Ok(stream)) = incoming.next().await {
            let shared = Arc::clone(&self);
            tokio::spawn(async move { note(shared.on_unidirectional(stream).await) });
        }
    }

    async fn on_unidirectional(&self, mut stream: ReceiveStream) -> Result<(), Failure> {
        let content = stream.read_to_end(MAX_FILE).await.map_err(told)?;
        match Message::parse(&content) {
            Some(Message::Get(name)) => self.send_unidirectional(push(name, &self.load(name)?)).await,
            Some(Message::Push(name, content)) => self.take(name, content),
            None => Err("a stream with neither GET nor PUSH".to_owned()),
        }
    }

    async fn bidirectional(self: Arc<Self>) {
        let mut incoming = self.session.incoming_bidirectional_streams();
        while let Some(Ok(stream)) = incoming.next().await {
            let shared = Arc::clone(&self);
            tokio::spawn(async move { note(shared.on_bidirectional(stream).await) });
        }
    }

    async fn on_bidirectional(&self, mut stream: BidirectionalStream) -> Result<(), Failure> {
        let request = stream.readable.read_to_end(MAX_FILE).await.map_err(told)?;
        let Some(Message::Get(name)) = Message::parse(&request) else {
            return Err("a bidirectional stream without GET".to_owned());
        };
        stream.writable.write_chunk(self.load(name)?).await.map_err(told)?;
        stream.writable.finish().map_err(told)
    }

    async fn datagrams(self: Arc<Self>) {
        let mut readable = self.session.datagrams().readable;
        while let Ok(datagram) = readable.recv().await {
            note(match Message::parse(&datagram) {
                Some(Message::Get(name)) => match self.load(name) {
                    Ok(content) => self.send_datagram(push(name, &content)).await,
                    Err(error) => Err(error),
                },
                Some(Message::Push(name, content)) => self.take(name, content),
                None => Err("a datagram with neither GET nor PUSH".to_owned()),
            });
        }
    }

    async fn get_bidirectional(self: Arc<Self>, name: String) -> Result<(), Failure> {
        let stream = self.session.create_bidirectional_stream(SendStreamOptions::new()).await;
        let mut stream = stream.map_err(told)?;
        stream.writable.write_chunk(Bytes::from(format!("GET {name}"))).await.map_err(told)?;
        stream.writable.finish().map_err(told)?;
        let content = stream.readable.read_to_end(MAX_FILE).await.map_err(told)?;
        files::save(&self.downloads, &name, &content)
    }

    async fn send_unidirectional(&self, message: Bytes) -> Result<(), Failure> {
        let stream = self.session.create_unidirectional_stream(SendStreamOptions::new()).await;
        let mut stream = stream.map_err(told)?;
        stream.write_chunk(message).await.map_err(told)?;
        stream.finish().map_err(told)
    }

    async fn send_datagram(&self, message: Bytes) -> Result<(), Failure> {
        self.session.datagrams().writable.send(message).await.map_err(told)
    }

    fn load(&self, name: &str) -> Result<Bytes, Failure> {
        files::load(&self.www, name).ok_or_else(|| format!("{name:?} was requested and does not exist"))
    }

    fn take(&self, name: &str, content: &[u8]) -> Result<(), Failure> {
        files::save(&self.downloads, name, content)?;
        let _ = self.tell.send(name.to_owned());
        Ok(())
    }
}

/// Logs a failed request. It does not end the others.
fn note(outcome: Result<(), Failure>) {
    if let Err(error) = outcome {
        wt_cli::console::tell(&format!("weft-interop: {error}\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_files_and_hold_them() {
        assert_eq!(Message::parse(b"GET a.txt"), Some(Message::Get("a.txt")));
        assert_eq!(Message::parse(b"GET a.txt\r\n"), Some(Message::Get("a.txt")));
        let message = push("a.txt", b"x\ny");
        assert_eq!(Message::parse(&message), Some(Message::Push("a.txt", b"x\ny")));
        assert_eq!(Message::parse(b"PUSH a.txt"), None);
        assert_eq!(Message::parse(b"PUT a"), None);
        assert_eq!(Message::parse(b"GET \xff"), None);
    }
}
