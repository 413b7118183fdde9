//! One process from its start to its end.
//!
//! When a stream breaks or its session ends, its process ends too: the pipes are closed, and a process that
//! does not end is killed. An exit status other than 0 resets the stream with the status as code, after the
//! output of the process. If a client sends data after the end of the process, the stream depends on the
//! client. Programs get STOP_SENDING, so that they need not end the stream. For pages the data is dropped,
//! because Firefox then discards the part of the answer that it has not read yet.

use std::{
    ffi::OsString,
    io,
    path::Path,
    pin::pin,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    process::{Child, Command},
    sync::watch,
};
use wt_api::{BidirectionalStream, SendStream};

use super::{copy, environment::Environment};
use crate::{lines, platform};

/// The codes for a program that does not exist, and for one that cannot be run, as in shells.
const NOT_FOUND: u32 = 127;
const NOT_RUNNABLE: u32 = 126;
/// How long a process may take to end after it has lost its stream.
const GRACE: Duration = Duration::from_secs(1);

/// Rejects a stream.
pub(super) fn refuse(stream: BidirectionalStream, code: u32) {
    let (mut readable, mut writable) = stream.split();
    readable.stop(code);
    writable.reset(code);
}

/// Serves a stream with its own process.
pub(super) async fn run(
    program: &Path,
    arguments: &[OsString],
    environment: &Environment,
    stream: BidirectionalStream,
    mut over: watch::Receiver<bool>,
) {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    environment.apply(&mut command, stream.id());
    platform::in_group_of_its_own(&mut command);
    let spawned = command.spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            if lines::permit() {
                tracing::error!(program = %program.display(), %error, "no process");
            }
            let missing = error.kind() == io::ErrorKind::NotFound;
            refuse(stream, if missing { NOT_FOUND } else { NOT_RUNNABLE });
            return;
        }
    };
    let (mut readable, mut writable) = stream.split();
    let attended = tokio::select! {
        attended = attend(&mut child, &mut readable, &mut writable) => attended,
        // A closed channel means the same.
        _ = over.wait_for(|over| *over) => Err(0),
    };
    match attended {
        Ok(status) => {
            let status = platform::code_of(status);
            if status != 0 && lines::permit() {
                tracing::info!(program = %program.display(), status, "a process ended without success");
            }
            answer(&mut writable, status);
            if environment.is_of_a_page() {
                // It ends with the stream, the session or the server. The process no longer counts.
                tokio::spawn(async move { copy::discard(&mut readable).await });
            } else {
                readable.stop(0);
            }
        }
        Err(code) => {
            readable.stop(code);
            writable.reset(code);
            end(&mut child).await;
        }
    }
}

fn answer(writable: &mut SendStream, status: u32) {
    if status == 0 {
        // Fails if the session is over.
        let _ = writable.finish();
        return;
    }
    writable.commit();
    writable.reset(status);
}

/// Waits until the process has ended and all its output is on the stream. An error is the code with which the
/// stream broke.
async fn attend(
    child: &mut Child,
    readable: &mut wt_api::ReceiveStream,
    writable: &mut SendStream,
) -> Result<ExitStatus, u32> {
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else { return Err(0) };
    let (exit, exited) = watch::channel(false);
    let (mut feeding, mut draining) =
        (pin!(copy::feed(readable, input)), pin!(copy::drain(output, writable, exited)));
    let (mut said, mut status) = (false, None);
    loop {
        tokio::select! {
            code = &mut feeding => return Err(code),
            drained = &mut draining, if !said => {
                drained?;
                said = true;
            }
            ended = child.wait(), if status.is_none() => {
                status = Some(ended.map_err(|_| 0_u32)?);
                exit.send_replace(true);
            }
        }
        if let (true, Some(status)) = (said, status) {
            return Ok(status);
        }
    }
}

/// Ends a process that has lost its pipes, and all processes that it started.
async fn end(child: &mut Child) {
    if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
        platform::kill(child);
        // A process cannot ignore this signal.
        let _ = child.wait().await;
    }
}
