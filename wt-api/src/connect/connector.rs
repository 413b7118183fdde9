//! The race between the addresses of a server.
//!
//! Owns the attempts, and closes the unwanted ones. It must never know packets: each attempt is a connection
//! that a driver makes.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use quic_core::{
    ClientConfig,
    base::Timestamp,
    crypto::{SessionCache, TlsClientConfig},
};

use super::means::Means;
use crate::{
    congestion::Congestion,
    error::{ConnectOptionsError, ConnectStage, ErrorCause},
    jobs::{Attempt, ClientJob, Connect, Way},
    mailbox::{lock, wait},
    options::{Target, Trust, WebTransportOptions, check_headers},
    race::Race,
    runtime::{self, MissingDriver, RuntimeHandle},
    tls,
};

/// How long an attempt has before the next address is tried in parallel (RFC 8305 §5).
const STAGGER: Duration = Duration::from_millis(250);

/// The attempts of a race. Unwanted ones are closed at the end, even if nobody waits any more.
#[derive(Default)]
struct Attempts {
    race: Arc<Race>,
    ways: Mutex<Vec<Way>>,
    /// Whether the winner must stay open.
    connected: bool,
    /// Whether other sessions may use the winner, which then stays open whatever happens to the first
    /// session.
    shared: AtomicBool,
}

impl Drop for Attempts {
    fn drop(&mut self) {
        let winner = self.race.finish().filter(|_| self.connected || self.shared.load(Ordering::Relaxed));
        let ways = lock(&self.ways);
        ways.iter().filter(|way| Some(way.attempt.remote) != winner).for_each(Way::give_up);
    }
}

/// What all attempts of a client have in common.
#[derive(Clone)]
pub(crate) struct Connector {
    pub(super) means: Means,
    pub(crate) target: Target,
    pub(crate) tls: Arc<rustls::ClientConfig>,
    pub(super) sessions: Option<SessionCache>,
    pub(crate) verdict: tls::Verdict,
    pub(crate) transport: Arc<quic_core::TransportConfig>,
    pub(crate) congestion: Congestion,
    pub(crate) timeout: Duration,
    pub(crate) job: ClientJob,
}

impl Connector {
    /// Checks everything that does not need the network.
    pub(crate) fn new(
        means: Means,
        url: &str,
        options: &WebTransportOptions,
        job: impl FnOnce(&Target) -> ClientJob,
    ) -> Result<Self, ConnectOptionsError> {
        let target = Target::parse(url)?;
        check_headers(&options.headers)?;
        let trusted = means.memory.as_ref().map(|memory| &memory.trusted);
        let (trust, log) = (&options.trust, options.key_log_file);
        let (tls, verdict) = tls::Trusted::config(trusted, trust, log, &target.host, &means.runtime)?;
        // A configuration of the application's own says how it resumes.
        let memory = means.memory.as_ref().filter(|_| !matches!(trust, Trust::Rustls(_)));
        let sessions = memory.map(|memory| memory.sessions.clone());
        let job = job(&target);
        Ok(Self {
            means,
            target,
            tls,
            sessions,
            verdict,
            transport: Arc::new(options.configs().0),
            congestion: options.congestion(),
            timeout: options.connect_timeout,
            job,
        })
    }

    /// The runtime.
    pub(crate) fn runtime(&self) -> &RuntimeHandle {
        &self.means.runtime
    }

    /// Whether the runtime has the required drivers.
    pub(super) fn check(&self) -> Result<(), ErrorCause> {
        self.runtime().check().map_err(|MissingDriver(missing)| ErrorCause::RuntimeDriver { missing })
    }

    /// Resolves the name, and races the addresses. Returns when an attempt has won.
    async fn race(&self, attempts: &Attempts) -> Result<(), ErrorCause> {
        let Attempts { race, ways, .. } = attempts;
        let addresses = self.means.addresses(&self.target.host, self.target.port).await?;
        for (position, address) in addresses.iter().enumerate() {
            let attempt = Attempt::new(*address);
            match self.means.sockets.connect(self.runtime(), self.ask(attempt, race)) {
                Ok(way) => lock(ways).push(way),
                Err(cause) => race.fail(*address, cause),
            }
            let attempts = position + 1;
            let outcome = wait(&**race, (), |race, cx, place| race.poll_outcome(cx, place, attempts));
            let won = if attempts == addresses.len() {
                Some(outcome.await)
            } else {
                let next = self.runtime().now() + STAGGER;
                first_of(outcome, runtime::sleep_until(self.runtime(), next)).await
            };
            if won == Some(true) {
                return Ok(());
            }
        }
        let untried = || ErrorCause::NameResolution {
            host: self.target.host.clone(),
            message: "no address could be tried".into(),
        };
        Err(race.failure().unwrap_or_else(untried))
    }

    /// The request to a driver.
    fn ask(&self, attempt: Arc<Attempt>, race: &Arc<Race>) -> Connect {
        Connect {
            config: ClientConfig::new(TlsClientConfig::new(Arc::clone(&self.tls)))
                .transport(Arc::clone(&self.transport))
                .sessions(self.sessions.clone()),
            server_name: self.target.host.clone(),
            congestion: self.congestion.clone(),
            attempt,
            race: Arc::clone(race),
            verdict: self.verdict.clone(),
            job: self.job.clone(),
        }
    }

    /// Lets other sessions, or requests, use the winning attempt.
    fn open_to_others(&self, attempts: &Attempts) {
        let Some(winner) = attempts.race.winner() else { return };
        let way = lock(&attempts.ways).iter().find(|way| way.attempt.remote == winner).cloned();
        let Some(way) = way else { return };
        match &self.job {
            ClientJob::Session(job) => {
                let Some(pooled) = &job.pooled else { return };
                attempts.shared.store(true, Ordering::Relaxed);
                pooled.open(&way);
            }
            ClientJob::Http(link) => {
                attempts.shared.store(true, Ordering::Relaxed);
                link.open(&way);
            }
        }
    }

    /// Connects, and waits for `established`, both within the connect timeout. Then closes the attempts that
    /// lost.
    ///
    /// # Errors
    /// Why there is no connection, unless `established` has reported its own error.
    pub(crate) async fn run(&self, established: impl Future<Output = ()>) -> Result<(), ErrorCause> {
        self.run_until(self.runtime().now() + self.timeout, established).await
    }

    /// The same with the end of the connect timeout.
    pub(super) async fn run_until(
        &self,
        deadline: Timestamp,
        established: impl Future<Output = ()>,
    ) -> Result<(), ErrorCause> {
        self.check()?;
        let mut attempts = Attempts::default();
        let work = async {
            self.race(&attempts).await?;
            self.open_to_others(&attempts);
            established.await;
            Ok(())
        };
        let outcome = first_of(work, runtime::sleep_until(self.runtime(), deadline)).await;
        let won = attempts.race.finish().is_some();
        let result = outcome.unwrap_or_else(|| {
            let stage = match (won, lock(&attempts.ways).is_empty()) {
                (true, _) => ConnectStage::Answer,
                (false, false) => ConnectStage::Handshake { port: self.target.port },
                (false, true) => ConnectStage::Name,
            };
            let own = attempts.race.trouble().filter(|_| matches!(stage, ConnectStage::Handshake { .. }));
            Err(own.unwrap_or(ErrorCause::Timeout { after: self.timeout, stage }))
        });
        attempts.connected = result.is_ok();
        result
    }
}

/// The output of `work`, or `None` if `limit` is ready first.
pub(crate) async fn first_of<T>(work: impl Future<Output = T>, limit: impl Future<Output = ()>) -> Option<T> {
    let (mut work, mut limit) = (pin!(work), pin!(limit));
    poll_fn(|cx| {
        if let Poll::Ready(output) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        limit.as_mut().poll(cx).map(|()| None)
    })
    .await
}
