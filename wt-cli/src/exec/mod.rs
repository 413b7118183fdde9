//! `weft serve --exec`: a process for each bidirectional stream. The stream is its standard input and output.
//!
//! Lowest first: [`environment`] describes the stream to a process, [`copy`] moves bytes, [`process`] runs
//! one process from start to end. This file limits how many there are. A shell only runs if it is the program
//! itself.

mod copy;
mod environment;
mod process;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::sync::{Semaphore, watch};
use wt_api::{BidirectionalStream, WebTransport};

use crate::{
    args::Serve,
    exit::{Ended, Exit},
    lines,
};

pub(crate) use environment::Environment;

/// The code of a stream that gets no process because there are too many (`EX_TEMPFAIL`).
const BUSY: u32 = 75;
/// How long processes may take to end when the server ends.
const LAST: Duration = Duration::from_secs(3);

/// The program, and how many of its processes may run.
#[derive(Debug)]
pub(crate) struct Exec {
    program: PathBuf,
    arguments: Vec<OsString>,
    processes: Arc<Semaphore>,
    limit: u32,
    /// How many processes one session may have.
    session_limit: u32,
    /// Set when the server ends, which ends all processes.
    over: watch::Sender<bool>,
}

impl Exec {
    /// The program of the command line, if there is one. A missing program is reported now, because otherwise
    /// each stream would report it again.
    pub(crate) fn of(args: &Serve) -> Result<Option<Arc<Self>>, Ended> {
        let Some(program) = args.exec.clone() else { return Ok(None) };
        which::which(&program).map_err(|_| Ended::new(Exit::Usage, missing(&program)))?;
        Ok(Some(Arc::new(Self {
            program,
            arguments: args.arguments.clone(),
            processes: Arc::new(Semaphore::new(args.exec_limit as usize)),
            limit: args.exec_limit,
            session_limit: args.exec_session_limit.min(args.exec_limit),
            over: watch::Sender::new(false),
        })))
    }

    /// Serves a session until it ends. Its processes end with it.
    pub(crate) async fn serve(self: &Arc<Self>, session: &WebTransport, environment: &Arc<Environment>) {
        let places = Arc::new(Semaphore::new(self.session_limit as usize));
        let streams = async {
            while let Ok(stream) = session.accept_bidirectional_stream().await {
                self.start(stream, environment, &places);
            }
        };
        // Dropping a stream stops it: a process has a single input.
        let others = async { while session.accept_unidirectional_stream().await.is_ok() {} };
        tokio::join!(streams, others);
    }

    fn start(
        self: &Arc<Self>,
        stream: BidirectionalStream,
        environment: &Arc<Environment>,
        places: &Arc<Semaphore>,
    ) {
        let Ok(of_session) = Arc::clone(places).try_acquire_owned() else {
            self.refuse(stream, self.session_limit, "--exec-session-limit");
            return;
        };
        let Ok(place) = Arc::clone(&self.processes).try_acquire_owned() else {
            self.refuse(stream, self.limit, "--exec-limit");
            return;
        };
        let (exec, environment) = (Arc::clone(self), Arc::clone(environment));
        tokio::spawn(async move {
            let over = exec.over.subscribe();
            process::run(&exec.program, &exec.arguments, &environment, stream, over).await;
            drop((place, of_session));
        });
    }

    fn refuse(&self, stream: BidirectionalStream, limit: u32, option: &str) {
        if lines::permit() {
            tracing::warn!(program = %self.program.display(), limit, "a stream gets no process because there are too many; see {option}");
        }
        process::refuse(stream, BUSY);
    }

    /// Ends all processes, and waits until they are gone.
    pub(crate) async fn end(&self) {
        self.over.send_replace(true);
        let all = self.processes.acquire_many(self.limit);
        if tokio::time::timeout(LAST, all).await.is_err() {
            tracing::warn!("some processes did not end");
        }
    }
}

/// Why a program cannot be run, as far as this is known before running it.
fn missing(program: &Path) -> String {
    let shown = program.display();
    // A name without a directory is looked up in PATH, as shells do.
    if program.components().count() == 1 && !program.is_absolute() {
        return format!("--exec: there is no program {shown} in PATH; give its path, like ./{shown}");
    }
    if !program.exists() {
        return format!("--exec: there is no file {shown}");
    }
    format!(
        "--exec: {shown} cannot be run: it is not a file, or lacks the permission to be executed (chmod +x)"
    )
}
