//! Bytes between a stream and the pipes of a process. An error is the code with which the stream broke.

use std::{future::pending, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{ChildStdin, ChildStdout},
    sync::watch,
};
use wt_api::{ReceiveStream, SendStream, WebTransportError};

const CHUNK: usize = 64 * 1024;
/// How long a pipe may be silent after its process has ended: whoever inherited it may keep it open for ever.
const SILENCE: Duration = Duration::from_millis(500);

fn code(error: &WebTransportError) -> u32 {
    error.stream_error_code().unwrap_or(0)
}

/// The stream into the process. Its end closes the pipe; what a process reads no more is dropped. Neither is an end of the
/// process: only a stream that breaks ends this, with the code.
///
/// A stream is not stopped while its answer is on its way: the page of a Firefox that hears so reads no more of it either.
pub(super) async fn feed(readable: &mut ReceiveStream, mut input: ChildStdin) -> u32 {
    loop {
        match readable.read_chunk(CHUNK).await {
            Ok(Some(chunk)) => {
                if input.write_all(&chunk).await.is_err() {
                    break;
                }
            }
            Ok(None) => break,
            Err(error) => return code(&error),
        }
    }
    drop(input);
    match discard(readable).await {
        Ok(()) => pending().await,
        Err(code) => code,
    }
}

/// Reads a stream to its end for nobody, a part after the other.
pub(super) async fn discard(readable: &mut ReceiveStream) -> Result<(), u32> {
    while readable.read_chunk(CHUNK).await.map_err(|error| code(&error))?.is_some() {}
    Ok(())
}

/// What the process says onto the stream, until it says no more; with `exited`, until it is silent.
pub(super) async fn drain(
    mut output: ChildStdout,
    writable: &mut SendStream,
    mut exited: watch::Receiver<bool>,
) -> Result<(), u32> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = tokio::select! {
            biased;
            read = output.read(&mut buffer) => read,
            () = silence(&mut exited) => return Ok(()),
            // A client that wants no more need not wait for more.
            stopped = writable.stopped() => return Err(stopped.ok().flatten().unwrap_or(0)),
        };
        match read {
            // A pipe that cannot be read has ended.
            Ok(0) | Err(_) => return Ok(()),
            Ok(size) => writable.write_all(&buffer[..size]).await.map_err(|error| code(&error))?,
        }
    }
}

/// The process has ended, and a while after that nothing more has come.
async fn silence(exited: &mut watch::Receiver<bool>) {
    if exited.wait_for(|exited| *exited).await.is_err() {
        pending::<()>().await;
    }
    tokio::time::sleep(SILENCE).await;
}
