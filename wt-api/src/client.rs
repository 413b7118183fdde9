//! Connecting: name resolution, address families (RFC 8305, simplified), the connect timeout.
//!
//! Owns the race between addresses. Must never know packets: each attempt is a shard of its own.

use std::{
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use quic_core::{
    CidFactory, ClientConfig, Dir, Endpoint, EndpointConfig, base::Timestamp, congestion::Algorithm,
    crypto::TlsClientConfig,
};
use wt_session::ConnectRequest;

use crate::{
    congestion::{Congestion, CongestionControl},
    driver::Shard,
    error::{ConnectOptionsError, ConnectStage, ErrorCause, WebTransportError},
    handle::Asked,
    jobs::{ClientJob, Connect, Inbox, PoolKey, Pooled, SessionJob, ShardCommand},
    limits::LEAST_DATAGRAM_FRAME,
    mailbox::{Answer, SessionBox, SessionQueue, ShardBox, lock, wait},
    options::{Target, Trust, WebTransportOptions, check_headers, protocol_offer},
    origin::check_origin,
    pool::{self, Maker},
    race::Race,
    runtime::{self, MissingDriver, Presence, RuntimeHandle},
    socket::{KERNEL_BUFFER, fit, reached_at, wildcard_for},
    tls,
    udp::SocketOptions,
};

/// How long an address has before the next one is tried as well (RFC 8305 §5).
const STAGGER: Duration = Duration::from_millis(250);
/// Addresses that are tried at most.
const MAX_ATTEMPTS: usize = 8;

/// The attempts of a race. Those that are not wanted in the end are closed, also when nobody waits any more.
#[derive(Default)]
struct Attempts {
    race: Arc<Race>,
    inboxes: Mutex<Vec<(SocketAddr, Arc<Inbox>)>>,
    /// The winner stays.
    connected: bool,
    /// The winner has been opened to other sessions, which it serves whatever becomes of the first.
    shared: AtomicBool,
}

impl Drop for Attempts {
    fn drop(&mut self) {
        let winner = self.race.finish().filter(|_| self.connected || self.shared.load(Ordering::Relaxed));
        for (remote, inbox) in lock(&self.inboxes).iter() {
            if Some(*remote) != winner {
                inbox.command(ShardCommand::CloseAll);
            }
        }
    }
}

/// What all attempts of a client share.
#[derive(Clone)]
pub(crate) struct Connector {
    pub(crate) runtime: RuntimeHandle,
    pub(crate) target: Target,
    pub(crate) tls: Arc<rustls::ClientConfig>,
    pub(crate) verdict: tls::Verdict,
    pub(crate) transport: quic_core::TransportConfig,
    pub(crate) congestion: Congestion,
    pub(crate) timeout: Duration,
    pub(crate) job: ClientJob,
}

impl Connector {
    /// Checks everything that needs no network.
    pub(crate) fn new(
        url: &str,
        options: &WebTransportOptions,
        job: impl FnOnce(&Target) -> ClientJob,
    ) -> Result<Self, ConnectOptionsError> {
        let target = Target::parse(url)?;
        check_headers(&options.headers)?;
        let runtime = runtime::current().ok_or(ConnectOptionsError::NoRuntime)?;
        let (tls, verdict) = tls::client_config(&options.trust, options.key_log_file, &runtime)?;
        let job = job(&target);
        Ok(Self {
            runtime,
            target,
            tls,
            verdict,
            transport: options.configs().0,
            congestion: options.congestion(),
            timeout: options.connect_timeout,
            job,
        })
    }

    /// Whether the runtime can do what it takes.
    fn check(&self) -> Result<(), ErrorCause> {
        self.runtime.check().map_err(|MissingDriver(missing)| ErrorCause::RuntimeDriver { missing })
    }

    /// Resolves, then races the addresses. Returns when an attempt has won.
    async fn race(&self, attempts: &Attempts) -> Result<(), ErrorCause> {
        let Attempts { race, inboxes, .. } = attempts;
        let Target { host, port, .. } = &self.target;
        let unresolved =
            |message: String| ErrorCause::NameResolution { host: host.clone(), message: message.into() };
        let found = self.runtime.resolve(host, *port).await.map_err(|error| unresolved(error.to_string()))?;
        let addresses = interleave(&found.iter().map(reached_at).collect::<Vec<_>>());
        if addresses.is_empty() {
            return Err(unresolved("the name has no address".to_owned()));
        }
        for (position, address) in addresses.iter().enumerate() {
            match self.attempt(*address, race) {
                Ok(inbox) => lock(inboxes).push((*address, inbox)),
                Err(error) => race.fail(*address, ErrorCause::Socket(Arc::new(error))),
            }
            let attempts = position + 1;
            let outcome = wait(&**race, (), |race, cx, place| race.poll_outcome(cx, place, attempts));
            let won = if attempts == addresses.len() {
                Some(outcome.await)
            } else {
                let next = self.runtime.now() + STAGGER;
                first_of(outcome, runtime::sleep_until(&self.runtime, next)).await
            };
            if won == Some(true) {
                return Ok(());
            }
        }
        Err(race.failure().unwrap_or_else(|| unresolved("no address could be tried".to_owned())))
    }

    /// Starts a shard of its own for an attempt.
    fn attempt(&self, remote: SocketAddr, race: &Arc<Race>) -> std::io::Result<Arc<Inbox>> {
        let options = SocketOptions {
            address: wildcard_for(&remote),
            only_v6: true,
            transport_errors: true,
            buffer: KERNEL_BUFFER,
        };
        let socket = self.runtime.bind(&options)?;
        let mut transport = self.transport.clone();
        fit(&mut transport, &*socket);
        let mut entropy = self.runtime.entropy();
        let mut reset_key = [0; 32];
        entropy.fill(&mut reset_key);
        let endpoint = Endpoint::new(EndpointConfig::new(CidFactory::new(8, 0, &reset_key)), None, entropy);
        let inbox = ShardBox::new();
        inbox.command(ShardCommand::Connect(Box::new(Connect {
            config: ClientConfig::new(TlsClientConfig::new(Arc::clone(&self.tls)))
                .transport(Arc::new(transport)),
            server_name: self.target.host.clone(),
            congestion: self.congestion.clone(),
            remote,
            race: Arc::clone(race),
            verdict: self.verdict.clone(),
            job: self.job.clone(),
        })));
        let shard = Shard::new(Arc::clone(&self.runtime), socket, Arc::clone(&inbox), endpoint, None);
        self.runtime.spawn(Box::pin(shard));
        Ok(inbox)
    }

    /// Connects, and waits for `established`. All within the connect timeout; afterwards, whatever lost is closed.
    ///
    /// # Errors
    /// Why there is no connection, unless `established` has told its own error.
    pub(crate) async fn run(&self, established: impl Future<Output = ()>) -> Result<(), ErrorCause> {
        self.run_until(self.runtime.now() + self.timeout, established).await
    }

    /// The same with the end of the connect timeout.
    async fn run_until(
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
        let outcome = first_of(work, runtime::sleep_until(&self.runtime, deadline)).await;
        let won = attempts.race.finish().is_some();
        let result = outcome.unwrap_or_else(|| {
            let stage = match (won, lock(&attempts.inboxes).is_empty()) {
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

/// The output of `work`, or `None` if `limit` is over first.
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

/// Alternates the families, starting with that of the first address (RFC 8305 §4).
fn interleave(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (one, two): (Vec<_>, Vec<_>) =
        addresses.iter().copied().partition(|address| address.is_ipv6() == first_is_v6);
    let mut two = two.into_iter();
    let mut all = Vec::with_capacity(addresses.len());
    for address in one {
        all.push(address);
        all.extend(two.next());
    }
    all.extend(two);
    all.truncate(MAX_ATTEMPTS);
    all
}

/// A session that is being connected.
pub(crate) struct Begun {
    pub(crate) shared: Arc<SessionBox>,
    pub(crate) asked: Asked,
    /// In force on a connection that is yet to be made.
    pub(crate) congestion: CongestionControl,
    /// Whether it may share its connection.
    pub(crate) pooled: bool,
}

/// `WebTransport::new`.
pub(crate) fn connect(url: &str, options: WebTransportOptions) -> Result<Begun, ConnectOptionsError> {
    let origin = match &options.origin {
        Some(origin) => {
            check_origin(origin)?;
            let value =
                origin.parse().map_err(|_| ConnectOptionsError::ForbiddenHeader("origin".to_owned()))?;
            Some(value)
        }
        None => None,
    };
    let mut headers = options.headers.clone();
    if let Some(offer) = protocol_offer(&options.protocols)? {
        headers.insert(wt_session::protocols::WT_AVAILABLE_PROTOCOLS, offer);
    }
    if options.allow_pooling && matches!(options.trust, Trust::Hashes(_)) {
        return Err(ConnectOptionsError::PoolingWithHashes);
    }
    if options.transport.max_datagram_frame_size < LEAST_DATAGRAM_FRAME {
        return Err(ConnectOptionsError::NoDatagrams { size: options.transport.max_datagram_frame_size });
    }
    let runtime = runtime::current().ok_or(ConnectOptionsError::NoRuntime)?;
    let shared = SessionBox::new(Arc::clone(&runtime));
    for dir in [Dir::Bidi, Dir::Uni] {
        shared.set_anticipated(dir, options.anticipated[dir as usize]);
    }
    let connector = Connector::new(url, &options, |target| {
        ClientJob::Session(Box::new(SessionJob {
            request: ConnectRequest::new(target.authority.clone(), target.path.clone())
                .with_origin(origin)
                .with_headers(headers),
            shared: Arc::clone(&shared),
            sessions: options.configs().1,
            keep_alive: options.keep_alive,
            congestion: options.congestion().kind(),
            asks: true,
            pooled: None,
        }))
    })?;
    let (authority, path) = (connector.target.authority.clone(), connector.target.path.clone());
    let session = Arc::clone(&shared);
    let key = options.allow_pooling.then(|| pool_key(&connector, &options));
    let connecting = Connecting { session: Arc::clone(&shared), _presence: runtime.tally().enter() };
    runtime.spawn(Box::pin(async move {
        let _connecting = connecting;
        let gone = wait(&*session, SessionQueue::State, SessionBox::poll_abandoned);
        let outcome = match key {
            Some(key) => first_of(connector.share(&session, &key), gone).await,
            None => first_of(connector.run(ready(&session)), gone).await,
        };
        // Whoever closes while connecting does not wait for the network.
        if let Some(Err(cause)) = outcome {
            session.set_end(Err(WebTransportError::session(cause)));
        } else if session.established().is_none() {
            session.set_end(Err(session.gone()));
        }
    }));
    let (congestion, pooled) = (options.congestion().kind(), options.allow_pooling);
    let asked = Asked { authority, path, headers: options.headers };
    Ok(Begun { shared, asked, congestion, pooled })
}

/// A session that a task connects.
struct Connecting {
    session: Arc<SessionBox>,
    _presence: Presence,
}

impl Drop for Connecting {
    /// The task is done; or it ended with its runtime, or by a panic, and nobody else would tell.
    fn drop(&mut self) {
        if self.session.established().is_none() && !self.session.is_over() {
            self.session.set_end(Err(WebTransportError::session(ErrorCause::RuntimeGone)));
        }
    }
}

/// Waits until the session is established, or is known not to be.
async fn ready(session: &Arc<SessionBox>) {
    let _ = wait(&**session, SessionQueue::State, SessionBox::poll_ready).await;
}

/// Waits for what becomes of a session on a shared connection.
async fn answer(session: &Arc<SessionBox>) -> Answer {
    wait(&**session, SessionQueue::State, SessionBox::poll_answer).await
}

/// What has to agree for sessions to share a connection. Whatever the options say about the connection is in it.
fn pool_key(connector: &Connector, options: &WebTransportOptions) -> PoolKey {
    let Target { host, port, .. } = &connector.target;
    let runtime = connector.runtime.identity();
    // Two rustls configurations are the same if they are one: what they trust and show cannot be compared.
    let trust = match &options.trust {
        Trust::Rustls(config) => format!("rustls {:p}", Arc::as_ptr(config)),
        trust => format!("{trust:?}"),
    };
    let WebTransportOptions { congestion_control, .. } = options;
    let (mut transport, sessions) = options.configs();
    // So are two factories of controllers.
    let controller = match std::mem::take(&mut transport.congestion).algorithm {
        Algorithm::Custom(factory) => format!("own {:p}", Arc::as_ptr(&factory)),
        algorithm => algorithm.name().to_owned(),
    };
    let keep = options.keep_alive;
    format!(
        "{runtime} {host} {port} {trust} {congestion_control:?} {controller} {keep} {transport:?} {sessions:?}"
    )
}

impl Connector {
    /// Finds a connection for a session that may share one, or makes one that others may share.
    async fn share(&self, session: &Arc<SessionBox>, key: &PoolKey) -> Result<(), ErrorCause> {
        self.check()?;
        let deadline = self.runtime.now() + self.timeout;
        let mut tried = Vec::new();
        loop {
            let (pooled, new) = pool::find(key, &tried);
            tried.push(Arc::clone(&pooled));
            if new {
                let _maker = Maker(&pooled);
                let handed_back = wait(&**session, SessionQueue::State, SessionBox::poll_handed_back);
                let maker = self.pooled(&pooled, true);
                let made = maker.run_until(deadline, ready(session));
                if let Some(result) = first_of(made, handed_back).await {
                    return result;
                }
                continue;
            }
            let ClientJob::Session(job) = &self.job else { return Ok(()) };
            pooled.join(SessionJob { pooled: Some(Arc::clone(&pooled)), ..(**job).clone() });
            let settled = async {
                match answer(session).await {
                    Answer::Unanswered => self.race_another(session, key, &tried, deadline).await,
                    answer => Ok(answer == Answer::Settled),
                }
            };
            if self.within(deadline, settled).await?? {
                return Ok(());
            }
        }
    }

    /// A shared connection is silent: another one is made beside it. If that stands before the session is there, the
    /// session moves. True: it is settled; false: it has to be asked for on another connection. A request that moved is
    /// reset first, so that a server that wakes up holds no session that nobody has.
    async fn race_another(
        &self,
        session: &Arc<SessionBox>,
        key: &PoolKey,
        tried: &[Arc<Pooled>],
        deadline: Timestamp,
    ) -> Result<bool, ErrorCause> {
        let (other, new) = pool::find(key, tried);
        if new {
            let _maker = Maker(&other);
            let made = self.pooled(&other, false);
            let mut early = None;
            let answered = async { early = Some(answer(session).await) };
            let stands = first_of(made.run_until(deadline, std::future::ready(())), answered).await;
            match (stands, early) {
                (Some(Ok(())), _) => {}
                // There is none to be had: the silent one is all there is.
                (Some(Err(cause)), _) => {
                    return match first_of(answer(session), runtime::sleep_until(&self.runtime, deadline))
                        .await
                    {
                        Some(answer) => Ok(answer == Answer::Settled),
                        None => Err(cause),
                    };
                }
                (None, answer) => return Ok(answer == Some(Answer::Settled)),
            }
        }
        session.retract();
        Ok(answer(session).await == Answer::Settled)
    }

    /// The output of `work`, which waits for a shared connection.
    async fn within<T>(&self, deadline: Timestamp, work: impl Future<Output = T>) -> Result<T, ErrorCause> {
        let stage = ConnectStage::SharedAnswer;
        let late = ErrorCause::Timeout { after: self.timeout, stage };
        first_of(work, runtime::sleep_until(&self.runtime, deadline)).await.ok_or(late)
    }

    /// The same for a connection that others may share; `asks`: it is made for this session first.
    fn pooled(&self, pooled: &Arc<Pooled>, asks: bool) -> Self {
        let job = match &self.job {
            ClientJob::Session(job) => ClientJob::Session(Box::new(SessionJob {
                asks,
                pooled: Some(Arc::clone(pooled)),
                ..(**job).clone()
            })),
            job @ ClientJob::Get(_) => job.clone(),
        };
        Self { job, ..self.clone() }
    }

    /// The attempt that won is open to others.
    fn open_to_others(&self, attempts: &Attempts) {
        if let ClientJob::Session(job) = &self.job
            && let Some(pooled) = &job.pooled
            && let Some(winner) = attempts.race.winner()
        {
            attempts.shared.store(true, Ordering::Relaxed);
            let inboxes = lock(&attempts.inboxes);
            inboxes.iter().filter(|(remote, _)| *remote == winner).for_each(|(_, inbox)| pooled.open(inbox));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_alternate() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (a, b, c, d) =
            (address("[::1]:1"), address("[::2]:1"), address("1.1.1.1:1"), address("1.1.1.2:1"));
        assert_eq!(interleave(&[a, b, c]), [a, c, b]);
        assert_eq!(interleave(&[c, a, d, b]), [c, a, d, b]);
        assert_eq!(interleave(&[c, d]), [c, d]);
    }
}
