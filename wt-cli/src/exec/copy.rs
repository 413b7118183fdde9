//! Copies bytes between a stream and the pipes of a process. An error is the code with which the stream
//! broke.

use std::{future::pending, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{ChildStdin, ChildStdout},
    sync::watch,
};
use wt_api::{ReceiveStream, SendStream, WebTransportError};

const CHUNK: usize = 64 * 1024;
/// How long a pipe may be silent after its process has ended. A process that inherited it may keep it open
/// for ever.
const SILENCE: Duration = Duration::from_millis(500);

fn code(error: &WebTransportError) -> u32 {
    error.stream_error_code().unwrap_or(0)
}

/// Copies the stream into the process. The end of the stream closes the pipe. If the process stops reading,
/// the rest is dropped. Neither ends the process: this returns only if the stream breaks, with its code.
///
/// The stream is not stopped while its answer is being sent, because a page in Firefox then stops reading the
/// answer too.
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

/// Reads a stream to its end and discards the data.
pub(super) async fn discard(readable: &mut ReceiveStream) -> Result<(), u32> {
    while readable.read_chunk(CHUNK).await.map_err(|error| code(&error))?.is_some() {}
    Ok(())
}

/// Copies the output of the process to the stream, until it ends. With `exited`, also until it is silent.
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
            // Ends at once when the client stops the stream.
            stopped = writable.stopped() => return Err(stopped.ok().flatten().unwrap_or(0)),
        };
        match read {
            // A pipe that cannot be read has ended.
            Ok(0) | Err(_) => return Ok(()),
            Ok(size) => writable.write_all(&buffer[..size]).await.map_err(|error| code(&error))?,
        }
    }
}

/// Waits until the process has ended, and then for a while in which nothing more arrives.
async fn silence(exited: &mut watch::Receiver<bool>) {
    if exited.wait_for(|exited| *exited).await.is_err() {
        pending::<()>().await;
    }
    tokio::time::sleep(SILENCE).await;
}
