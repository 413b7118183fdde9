//! `weft serve --exec`: a process for each bidirectional stream. The stream is its standard input and output.
//!
//! Lowest first: [`environment`] is what a process is told of its stream, [`copy`] moves bytes, [`process`] is one process
//! from its start to its end. Here: how many there are. No shell is ever asked unless it is the program.

mod copy;
mod environment;
mod process;

use std::{ffi::OsString, path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::{Semaphore, watch};
use wt_api::{BidirectionalStream, WebTransport};

use crate::lines;

pub(crate) use environment::Environment;

/// The code of a stream for which there is no process because there are too many (`EX_TEMPFAIL`).
const BUSY: u32 = 75;
/// How long processes have to end when the server does.
const LAST: Duration = Duration::from_secs(3);

/// The program, and how many processes of it there may be.
#[derive(Debug)]
pub(crate) struct Exec {
    program: PathBuf,
    arguments: Vec<OsString>,
    processes: Arc<Semaphore>,
    limit: u32,
    /// Whether the server ends, and all processes with it.
    over: watch::Sender<bool>,
}

impl Exec {
    pub(crate) fn new(program: PathBuf, arguments: Vec<OsString>, limit: u32) -> Self {
        let processes = Arc::new(Semaphore::new(limit as usize));
        Self { program, arguments, processes, limit, over: watch::Sender::new(false) }
    }

    /// Serves a session until it ends. Its processes end with it.
    pub(crate) async fn serve(self: &Arc<Self>, session: &WebTransport, environment: &Arc<Environment>) {
        let streams = async {
            while let Ok(stream) = session.accept_bidirectional_stream().await {
                self.start(stream, environment);
            }
        };
        // Dropped, they are stopped: a process has one input.
        let others = async { while session.accept_unidirectional_stream().await.is_ok() {} };
        tokio::join!(streams, others);
    }

    fn start(self: &Arc<Self>, stream: BidirectionalStream, environment: &Arc<Environment>) {
        let Ok(place) = Arc::clone(&self.processes).try_acquire_owned() else {
            if lines::permit() {
                tracing::warn!(
                    limit = self.limit,
                    "more streams than there may be processes; see --exec-limit"
                );
            }
            process::refuse(stream, BUSY);
            return;
        };
        let (exec, environment) = (Arc::clone(self), Arc::clone(environment));
        tokio::spawn(async move {
            let over = exec.over.subscribe();
            process::run(&exec.program, &exec.arguments, &environment, stream, over).await;
            drop(place);
        });
    }

    /// Ends all processes, and waits until they are gone.
    pub(crate) async fn end(&self) {
        self.over.send_replace(true);
        let all = self.processes.acquire_many(self.limit);
        if tokio::time::timeout(LAST, all).await.is_err() {
            tracing::warn!("processes are left that do not end");
        }
    }
}
