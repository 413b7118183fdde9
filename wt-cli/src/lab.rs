//! Commands of the demonstration's page, beside echo: streams from the server, resets, STOP_SENDING, close,
//! drain, keying material.
//!
//! A bidirectional stream whose first line begins with `#` is a command; every other one is echoed. First,
//! the server tells on a unidirectional stream which dialect is in use.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::json;
use wt_api::{
    AcceptOptions, BidirectionalStream, CloseInfo, ReceiveStream, Request, SendStream, SendStreamOptions,
    WebTransport, WebTransportError,
};

use crate::mirror;

/// The path of this service.
pub(crate) const PATH: &str = "/demo";
/// The longest first line, in bytes.
const MAX_LINE: usize = 2_048;
/// The most bytes that one read takes.
const CHUNK: usize = 64 * 1024;
/// The longest answer of a page on a stream that the server opened, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// A command of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Command {
    /// Reset this stream with the code.
    Reset(u32),
    /// Stop reading this stream with the code.
    Stop(u32),
    /// Close the session.
    Close(CloseInfo),
    /// Open a bidirectional stream, send the text, and report on this stream what comes back.
    Bidirectional(String),
    /// Open a unidirectional stream and send the text.
    Unidirectional(String),
    /// Read the rest of this stream and report how many bytes it had.
    Count,
    /// Ask the page to drain the session.
    Drain,
    /// Report exported keying material of the session, as hexadecimal digits.
    Keys,
}

impl Command {
    /// Parses a first line without its line end; `None` if it is not a command.
    fn parse(line: &str) -> Option<Self> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        Some(match verb {
            "#reset" => Self::Reset(rest.parse().ok()?),
            "#stop" => Self::Stop(rest.parse().ok()?),
            "#close" => {
                let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
                Self::Close(CloseInfo::new(code.parse().ok()?, reason.to_owned()))
            }
            "#bidi" => Self::Bidirectional(rest.to_owned()),
            "#uni" => Self::Unidirectional(rest.to_owned()),
            "#count" => Self::Count,
            "#drain" => Self::Drain,
            "#keys" => Self::Keys,
            _ => return None,
        })
    }
}

/// Serves a session until it ends.
pub(crate) async fn serve(session: &WebTransport) {
    let greeting = greet(session);
    let bidirectional = async {
        let mut streams = session.incoming_bidirectional_streams();
        while let Some(Ok(stream)) = streams.next().await {
            let session = session.clone();
            tokio::spawn(async move {
                if let Err(error) = answer(&session, stream).await {
                    tracing::debug!(%error, "a stream of the page failed");
                }
            });
        }
    };
    let (greeted, ..) =
        tokio::join!(greeting, bidirectional, mirror::unidirectional(session), mirror::datagrams(session));
    if let Err(error) = greeted {
        tracing::debug!(%error, "the greeting could not be sent");
    }
}

/// Tells what was negotiated.
async fn greet(session: &WebTransport) -> Result<(), WebTransportError> {
    let (draft, why) = session.negotiated_draft().unzip();
    let told = json!({ "dialect": draft, "why": why.map(|why| why.to_string()) }).to_string();
    let mut writable = session.create_unidirectional_stream(SendStreamOptions::new()).await?;
    writable.write_chunk(told.into()).await?;
    writable.finish()
}

async fn answer(session: &WebTransport, stream: BidirectionalStream) -> Result<(), WebTransportError> {
    let (mut readable, mut writable) = stream.split();
    // A reset may overtake data that was written before it.
    let first = first_line(&mut readable).await.map_err(|error| passed_on(error, &mut writable))?;
    if !first.starts_with(b"#") {
        writable.write_chunk(first).await?;
        mirror::copy(readable, writable).await;
        return Ok(());
    }
    let line = first.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let followed = first.len().saturating_sub(line.len() + 1);
    let line = String::from_utf8_lossy(line);
    match Command::parse(&line) {
        Some(command) => obey(session, command, followed, readable, writable).await,
        None => say(writable, format!("unknown command: {line}")).await,
    }
}

/// Answers a reset with a reset of the same code.
fn passed_on(error: WebTransportError, writable: &mut SendStream) -> WebTransportError {
    writable.reset(error.stream_error_code().unwrap_or(0));
    error
}

/// Reads up to the end of the first line, and returns everything that has arrived.
async fn first_line(readable: &mut ReceiveStream) -> Result<Bytes, WebTransportError> {
    let mut first = Vec::new();
    while !first.contains(&b'\n') && first.len() < MAX_LINE {
        match readable.read_chunk(MAX_LINE).await? {
            Some(chunk) => first.extend_from_slice(&chunk),
            None => break,
        }
        // Data that is not a command need not wait for a line end.
        if first.first() != Some(&b'#') {
            break;
        }
    }
    Ok(first.into())
}

/// Executes a command. `followed` is how many bytes have already arrived after its line.
async fn obey(
    session: &WebTransport,
    command: Command,
    followed: usize,
    mut readable: ReceiveStream,
    mut writable: SendStream,
) -> Result<(), WebTransportError> {
    match command {
        Command::Reset(code) => {
            writable.reset(code);
            Ok(())
        }
        Command::Stop(code) => {
            readable.stop(code);
            say(writable, format!("stopped with code {code}")).await
        }
        Command::Close(info) => {
            session.close(info);
            Ok(())
        }
        Command::Bidirectional(text) => {
            let mut stream = session.create_bidirectional_stream(SendStreamOptions::new()).await?;
            stream.writable.write_chunk(text.into()).await?;
            stream.writable.finish()?;
            let echoed = stream.readable.read_to_end(MAX_ANSWER).await?;
            writable.write_chunk(echoed).await?;
            writable.finish()
        }
        Command::Unidirectional(text) => {
            let other = session.create_unidirectional_stream(SendStreamOptions::new()).await?;
            say(other, text).await?;
            say(writable, "sent".to_owned()).await
        }
        Command::Count => count(followed, readable, writable).await,
        Command::Drain => {
            session.drain();
            say(writable, "draining".to_owned()).await
        }
        Command::Keys => {
            let mut key = [0; 32];
            let told = session.export_keying_material(b"demo", b"page", &mut key).await;
            say(writable, told.map_or_else(|error| error.to_string(), |()| digits(&key))).await
        }
    }
}

/// Reads to the end of the stream and counts, including bytes that have already arrived.
async fn count(
    mut bytes: usize,
    mut readable: ReceiveStream,
    mut writable: SendStream,
) -> Result<(), WebTransportError> {
    let read = async {
        while let Some(chunk) = readable.read_chunk(CHUNK).await? {
            bytes += chunk.len();
        }
        Ok(())
    };
    read.await.map_err(|error| passed_on(error, &mut writable))?;
    say(writable, bytes.to_string()).await
}

/// The page may offer any protocols, so the first one is accepted. The fields show that headers arrive.
pub(crate) fn answer_to(request: &Request) -> AcceptOptions {
    let mut headers = HeaderMap::new();
    if let Some(asked) = request.headers().get("x-asked") {
        headers.insert("x-answered", asked.clone());
    }
    let options = AcceptOptions::new().headers(headers);
    match request.protocols().first() {
        Some(protocol) => options.protocol(protocol),
        None => options,
    }
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a text, and ends the stream.
async fn say(mut writable: SendStream, text: String) -> Result<(), WebTransportError> {
    writable.write_chunk(text.into()).await?;
    writable.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_with_their_arguments() {
        let close = |code, reason: &str| Some(Command::Close(CloseInfo::new(code, reason.to_owned())));
        for (line, expected) in [
            ("#reset 42", Some(Command::Reset(42))),
            ("#stop 4294967295", Some(Command::Stop(u32::MAX))),
            ("#stop 4294967296", None),
            ("#reset", None),
            ("#close 7 good bye", close(7, "good bye")),
            ("#close 7", close(7, "")),
            ("#close soon", None),
            ("#bidi a b", Some(Command::Bidirectional("a b".to_owned()))),
            ("#uni ", Some(Command::Unidirectional(String::new()))),
            ("#count", Some(Command::Count)),
            ("#drain", Some(Command::Drain)),
            ("#keys", Some(Command::Keys)),
            ("#dance", None),
            ("reset 42", None),
        ] {
            assert_eq!(Command::parse(line), expected, "{line}");
        }
    }
}
