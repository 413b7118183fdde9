//! Sessions, each on its own connection or on a shared one.

use std::{future::Future, sync::Arc};

use quic_core::{Dir, base::Timestamp, congestion::Algorithm};
use wt_session::ConnectRequest;

use super::{
    connector::{Connector, first_of},
    means::Means,
};
use crate::{
    congestion::CongestionControl,
    error::{ConnectOptionsError, ConnectStage, ErrorCause, WebTransportError},
    handle::Asked,
    jobs::{ClientJob, PoolKey, Pooled, SessionJob},
    limits::LEAST_DATAGRAM_FRAME,
    mailbox::{Answer, SessionBox, SessionQueue, wait},
    options::{Target, Trust, WebTransportOptions, protocol_offer},
    origin::check_origin,
    pool::{self, Maker},
    runtime::{self, Presence},
};

/// A session that is being established.
pub(crate) struct Begun {
    pub(crate) shared: Arc<SessionBox>,
    pub(crate) asked: Asked,
    /// The kind of congestion control that a new connection will use.
    pub(crate) congestion: CongestionControl,
    /// Whether the session may share its connection.
    pub(crate) pooled: bool,
}

/// `WebTransport::new`, and the same for a client of the application.
pub(crate) fn connect(
    means: Means,
    url: &str,
    options: WebTransportOptions,
) -> Result<Begun, ConnectOptionsError> {
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
    let runtime = Arc::clone(&means.runtime);
    let shared = SessionBox::new(Arc::clone(&runtime));
    for dir in [Dir::Bidi, Dir::Uni] {
        shared.set_anticipated(dir, options.anticipated[dir as usize]);
    }
    let connector = Connector::new(means, url, &options, |target| {
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
    let key = options.allow_pooling.then(|| pool_key(&connector.means, &connector.target, &options));
    let connecting = Connecting { session: Arc::clone(&shared), _presence: runtime.tally().enter() };
    runtime.spawn(Box::pin(async move {
        let _connecting = connecting;
        let gone = wait(&*session, SessionQueue::State, SessionBox::poll_abandoned);
        let outcome = match key {
            Some(key) => first_of(connector.share(&session, &key), gone).await,
            None => first_of(connector.run(ready(&session)), gone).await,
        };
        // A close during connecting does not wait for the network.
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

/// A session that a task establishes.
struct Connecting {
    session: Arc<SessionBox>,
    _presence: Presence,
}

impl Drop for Connecting {
    /// The task is done, or it ended with its runtime or by a panic, and then nobody else reports the error.
    fn drop(&mut self) {
        if self.session.established().is_none() && !self.session.is_over() {
            self.session.set_end(Err(WebTransportError::session(ErrorCause::RuntimeGone)));
        }
    }
}

/// Waits until the session is established, or will never be.
async fn ready(session: &Arc<SessionBox>) {
    let _ = wait(&**session, SessionQueue::State, SessionBox::poll_ready).await;
}

/// Waits for the fate of a session on a shared connection.
async fn answer(session: &Arc<SessionBox>) -> Answer {
    wait(&**session, SessionQueue::State, SessionBox::poll_answer).await
}

/// The values that must be equal for sessions to share a connection, including all options about the
/// connection.
pub(crate) fn pool_key(means: &Means, target: &Target, options: &WebTransportOptions) -> PoolKey {
    let Target { host, port, .. } = target;
    let sockets = means.sockets.number();
    // Two rustls configurations are equal only if they are the same object, because their contents cannot be
    // compared.
    let trust = match &options.trust {
        Trust::Rustls(config) => format!("rustls {:p}", Arc::as_ptr(config)),
        trust => format!("{trust:?}"),
    };
    let WebTransportOptions { congestion_control, .. } = options;
    let (mut transport, sessions) = options.configs();
    // The same holds for factories of controllers.
    let controller = match std::mem::take(&mut transport.congestion).algorithm {
        Algorithm::Custom(factory) => format!("own {:p}", Arc::as_ptr(&factory)),
        algorithm => algorithm.name().to_owned(),
    };
    let keep = options.keep_alive;
    format!(
        "{sockets} {host} {port} {trust} {congestion_control:?} {controller} {keep} {transport:?} {sessions:?}"
    )
}

impl Connector {
    /// Finds a connection for a session that may share one, or makes one that others may share.
    async fn share(&self, session: &Arc<SessionBox>, key: &PoolKey) -> Result<(), ErrorCause> {
        self.check()?;
        let deadline = self.runtime().now() + self.timeout;
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

    /// A shared connection is silent, so another one is made in parallel. If that is established first, the
    /// session moves. Returns true if the session is settled, and false if it must be requested on another
    /// connection. A request that moves is reset first, so that a server that wakes up later does not keep an
    /// orphaned session.
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
                // No other connection is possible, so only the silent one is left.
                (Some(Err(cause)), _) => {
                    return match first_of(answer(session), runtime::sleep_until(self.runtime(), deadline))
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
        first_of(work, runtime::sleep_until(self.runtime(), deadline)).await.ok_or(late)
    }

    /// The same for a connection that others may share. `asks` is whether it is made for this session first.
    fn pooled(&self, pooled: &Arc<Pooled>, asks: bool) -> Self {
        let job = match &self.job {
            ClientJob::Session(job) => ClientJob::Session(Box::new(SessionJob {
                asks,
                pooled: Some(Arc::clone(pooled)),
                ..(**job).clone()
            })),
            job @ ClientJob::Http(_) => job.clone(),
        };
        Self { job, ..self.clone() }
    }
}
