//! The application's interface to a session: W3C's `WebTransport`, for both roles.

use std::{fmt, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::HeaderMap;
use quic_core::Dir;
use tokio::sync::oneshot;

use crate::{
    close::{CloseInfo, CloseOutcome},
    congestion::CongestionControl,
    connect::{self, Begun, Means},
    connection::Connection,
    datagrams::Datagrams,
    error::{ConnectOptionsError, DatagramError, ExportError, WebTransportError},
    handle::{Asked, Guard},
    mailbox::{Command, NewStream, Rank, SessionBox, SessionQueue, wait},
    options::WebTransportOptions,
    stats::WebTransportStats,
    streams::{
        BidirectionalStream, IncomingBidirectionalStreams, IncomingUnidirectionalStreams, ReceiveStream,
        SendGroup, SendStream, SendStreamOptions,
    },
};

/// The most keying material that one call may export, in bytes.
const MAX_EXPORT: usize = 4096;

/// Whether datagrams are possible (W3C `WebTransportReliabilityMode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reliability {
    /// The session is not connected yet.
    Pending,
    /// The session uses HTTP/3: streams and datagrams.
    SupportsUnreliable,
}

/// A WebTransport session (W3C `WebTransport`) of a client or of a server.
///
/// This is a handle: clones refer to the same session. When the last handle is dropped, including those of
/// streams and datagrams, the session is closed with code 0 and no reason.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use wt_api::{CloseInfo, WebTransport, WebTransportOptions};
/// let session = WebTransport::new("https://example.org/app", WebTransportOptions::new())?;
/// session.ready().await?;
/// session.datagrams().writable.send("hello".into()).await?;
/// session.close(CloseInfo::new(0, "done"));
/// let CloseInfo { close_code, reason, .. } = session.closed().await?;
/// # drop((close_code, reason));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct WebTransport {
    shared: Arc<SessionBox>,
    guard: Arc<Guard>,
    asked: Arc<Asked>,
    /// The kind of congestion control that a new connection will use.
    congestion: CongestionControl,
    pooled: bool,
}

impl fmt::Debug for WebTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebTransport").field("draft", &self.negotiated_draft()).finish_non_exhaustive()
    }
}

impl WebTransport {
    /// Starts to connect to `url`, and returns at once; [`ready`](Self::ready) returns the result. A user
    /// name and a password in the URL are not sent, as in the W3C API. Use
    /// [`headers`](WebTransportOptions::headers) for credentials.
    ///
    /// # Errors
    /// Errors that can be found without the network: the URL is not an absolute https URL with a host, or has
    /// a fragment; the application may not set a header; the TLS options cannot be used; or there is no tokio
    /// runtime around the call.
    pub fn new(url: &str, options: WebTransportOptions) -> Result<Self, ConnectOptionsError> {
        let means = Means::of_runtime().ok_or(ConnectOptionsError::NoRuntime)?;
        Self::with(means, url, options)
    }

    /// The same with a client of the application.
    pub(crate) fn with(
        means: Means,
        url: &str,
        options: WebTransportOptions,
    ) -> Result<Self, ConnectOptionsError> {
        let Begun { shared, asked, congestion, pooled } = connect::connect(means, url, options)?;
        Ok(Self::from_parts(shared, asked, congestion, pooled))
    }

    pub(crate) fn from_parts(
        shared: Arc<SessionBox>,
        asked: Asked,
        congestion: CongestionControl,
        pooled: bool,
    ) -> Self {
        let guard = Arc::new(Guard(Arc::clone(&shared)));
        Self { shared, guard, asked: Arc::new(asked), congestion, pooled }
    }

    /// Whether sessions are possible over a purely reliable transport without datagrams (W3C
    /// `supportsReliableOnly`). They are not, because this library does not implement WebTransport over
    /// HTTP/2.
    pub const SUPPORTS_RELIABLE_ONLY: bool = false;

    /// Waits until the session is established (W3C `ready`). A server's session always is. Cancel safe; any
    /// number of callers may wait.
    ///
    /// # Errors
    /// Why there is no session: the [`cause`](WebTransportError::cause) tells what failed and what helps.
    pub async fn ready(&self) -> Result<(), WebTransportError> {
        wait(&*self.shared, SessionQueue::State, SessionBox::poll_ready).await
    }

    /// Waits until the session has ended (W3C `closed`). Cancel safe; any number of callers may wait, even
    /// after the end.
    ///
    /// After a close by this side, it waits until the peer has answered. It also ends if the peer does not
    /// answer for three probe timeouts (at least 2 s, at most 6 s), or if the connection ends.
    /// [`close_outcome`](Self::close_outcome) tells which. A program that awaits this before it exits ensures
    /// that the peer gets the close.
    ///
    /// # Errors
    /// The session ended without a close: the connection was lost, or a peer violated a rule.
    /// The session ended without a close: the connection was lost, or a peer broke a rule.
    pub async fn closed(&self) -> Result<CloseInfo, WebTransportError> {
        wait(&*self.shared, SessionQueue::State, SessionBox::poll_closed).await
    }

    /// How the peer reacted to the close of this side. `None` until [`closed`](Self::closed) is ready, and if
    /// the session ended in another way: by an earlier close of the peer, or with an error.
    #[must_use]
    pub fn close_outcome(&self) -> Option<CloseOutcome> {
        self.shared.close_outcome()
    }

    /// Waits until the peer asks to drain the session, or until it has ended (W3C `draining`). Cancel safe.
    pub async fn draining(&self) {
        wait(&*self.shared, SessionQueue::State, SessionBox::poll_draining).await;
    }

    /// Asks the peer to drain the session (`WT_DRAIN_SESSION`). Everything continues to work.
    pub fn drain(&self) {
        self.shared.drain();
    }

    /// Closes the session. Returns at once. Nothing new can be started from now on. Data of finished streams
    /// is still delivered: the close waits for its acknowledgment as long as the peer keeps acknowledging,
    /// and at most a minute in total. A pause of three probe timeouts (at least 2 s, at most 6 s) ends the
    /// wait. Unfinished streams are reset. Further calls have no effect.
    pub fn close(&self, info: CloseInfo) {
        self.shared.close(info);
    }

    async fn open(&self, dir: Dir, options: SendStreamOptions) -> Result<NewStream, WebTransportError> {
        let group = match &options.send_group {
            Some(group) => group.id_in(&self.shared)?,
            None => 0,
        };
        let rank = Rank { group, order: options.send_order };
        if let Some(stream) = self.shared.claim(dir, rank)? {
            return Ok(stream);
        }
        let mut asked = self.shared.ask(dir, rank, options.wait_until_available)?;
        match asked.answer().await {
            Some(result) => result,
            // The session ended before the driver handled the request.
            None => {
                // The box returns the end as an error, so its details do not matter here.
                drop(self.closed().await);
                Err(self.shared.gone())
            }
        }
    }

    /// Opens a bidirectional stream (W3C `createBidirectionalStream`). The peer is told at once, together
    /// with the first data if that is written right away. It is ready at once if the peer's limits permit the
    /// stream. Otherwise it waits for the session and for the peer's credit. Cancel safe: dropping the future
    /// cancels the request, and resets a stream that was opened already.
    ///
    /// # Errors
    /// The session is closed. With `wait_until_available(false)`, also
    /// [`ErrorCause::QuotaExceeded`](crate::ErrorCause::QuotaExceeded).
    pub async fn create_bidirectional_stream(
        &self,
        options: SendStreamOptions,
    ) -> Result<BidirectionalStream, WebTransportError> {
        BidirectionalStream::new(self.open(Dir::Bidi, options).await?, &self.guard)
    }

    /// Opens a unidirectional stream (W3C `createUnidirectionalStream`), with the rules of
    /// [`create_bidirectional_stream`](Self::create_bidirectional_stream). Cancel safe in the same way.
    ///
    /// # Errors
    /// As [`create_bidirectional_stream`](Self::create_bidirectional_stream).
    pub async fn create_unidirectional_stream(
        &self,
        options: SendStreamOptions,
    ) -> Result<SendStream, WebTransportError> {
        let mut stream = self.open(Dir::Uni, options).await?;
        let send = stream.send.take().ok_or_else(|| self.shared.gone())?;
        Ok(SendStream::new(send, Arc::clone(&self.guard)))
    }

    /// The bidirectional streams that the peer opens, in the order of arrival. All handles share one queue.
    #[must_use]
    pub fn incoming_bidirectional_streams(&self) -> IncomingBidirectionalStreams {
        IncomingBidirectionalStreams::new(Arc::clone(&self.shared), Arc::clone(&self.guard))
    }

    /// The unidirectional streams that the peer opens, in the order of arrival. All handles share one queue.
    #[must_use]
    pub fn incoming_unidirectional_streams(&self) -> IncomingUnidirectionalStreams {
        IncomingUnidirectionalStreams::new(Arc::clone(&self.shared), Arc::clone(&self.guard))
    }

    /// The next bidirectional stream that the peer opens. It is like [`incoming_bidirectional_streams`], one
    /// at a time, for `select!` and for tasks that share the session. All of these take from the same queue.
    /// Cancel safe: a stream is only taken when the future is ready.
    ///
    /// ```no_run
    /// # async fn example(session: wt_api::WebTransport) {
    /// let (mut streams, mut datagrams) = (true, true);
    /// while streams || datagrams {
    ///     tokio::select! {
    ///         stream = session.accept_bidirectional_stream(), if streams => match stream {
    ///             Ok(stream) => println!("stream {}", stream.id()),
    ///             // Datagrams may still be queued.
    ///             Err(_) => streams = false,
    ///         },
    ///         datagram = session.receive_datagram(), if datagrams => match datagram {
    ///             Ok(datagram) => println!("{} bytes", datagram.len()),
    ///             Err(_) => datagrams = false,
    ///         },
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// After the end of the session, each kind returns the error once all of its queue was taken, so one may
    /// do so while the other still has something.
    ///
    /// # Errors
    /// The session has ended, and all earlier streams were taken:
    /// [`ErrorCause::SessionClosed`](crate::ErrorCause::SessionClosed) after a close by either side,
    /// otherwise why it ended.
    ///
    /// [`incoming_bidirectional_streams`]: Self::incoming_bidirectional_streams
    pub async fn accept_bidirectional_stream(&self) -> Result<BidirectionalStream, WebTransportError> {
        BidirectionalStream::new(self.next_incoming(Dir::Bidi).await?, &self.guard)
    }

    /// The next unidirectional stream that the peer opens, with the rules of
    /// [`accept_bidirectional_stream`](Self::accept_bidirectional_stream). Cancel safe in the same way.
    ///
    /// # Errors
    /// As [`accept_bidirectional_stream`](Self::accept_bidirectional_stream).
    pub async fn accept_unidirectional_stream(&self) -> Result<ReceiveStream, WebTransportError> {
        ReceiveStream::of(self.next_incoming(Dir::Uni).await?, &self.guard)
    }

    async fn next_incoming(&self, dir: Dir) -> Result<NewStream, WebTransportError> {
        let next = wait(&*self.shared, SessionQueue::Incoming(dir), |shared, cx, place| {
            shared.poll_incoming(dir, cx, place)
        });
        next.await.unwrap_or_else(|| Err(self.shared.gone()))
    }

    /// The next datagram, which may be empty, from the queue of [`datagrams`](Self::datagrams). Cancel safe:
    /// a datagram is only taken when the future is ready.
    ///
    /// # Errors
    /// The session has ended, and all received datagrams were taken.
    pub async fn receive_datagram(&self) -> Result<Bytes, WebTransportError> {
        wait(&*self.shared, SessionQueue::DatagramReaders, SessionBox::poll_datagram).await
    }

    /// Queues a datagram with order 0 and without a group, like
    /// [`DatagramsWritable::send`](crate::DatagramsWritable::send). Cancel safe: if it does not return, the
    /// datagram is not sent.
    ///
    /// # Errors
    /// As [`DatagramsWritable::send`](crate::DatagramsWritable::send).
    pub async fn send_datagram(&self, data: Bytes) -> Result<(), DatagramError> {
        self.datagrams().writable.send(data).await
    }

    /// The same without waiting, like [`DatagramsWritable::try_send`](crate::DatagramsWritable::try_send).
    ///
    /// # Errors
    /// As [`DatagramsWritable::try_send`](crate::DatagramsWritable::try_send).
    pub fn try_send_datagram(&self, data: Bytes) -> Result<(), DatagramError> {
        self.datagrams().writable.try_send(data)
    }

    /// Makes a send group (W3C `createSendGroup`). Its streams and datagrams are ranked among each other by
    /// `send_order`, and the groups share the session's rate equally.
    ///
    /// ```no_run
    /// # async fn example(session: wt_api::WebTransport) -> Result<(), wt_api::WebTransportError> {
    /// use wt_api::SendStreamOptions;
    /// let video = session.create_send_group()?;
    /// let key_frame = SendStreamOptions::new().send_group(&video).send_order(2);
    /// let stream = session.create_unidirectional_stream(key_frame).await?;
    /// # drop(stream);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The session is closed (W3C `InvalidStateError`).
    pub fn create_send_group(&self) -> Result<SendGroup, WebTransportError> {
        self.shared.check_open()?;
        Ok(SendGroup::new(&self.shared, self.shared.new_group()))
    }

    /// How many bidirectional streams the application expects the peer to have open at once in this session
    /// (W3C `anticipatedConcurrentIncomingBidirectionalStreams`). The initial value comes from the options;
    /// `None` means no expectation.
    #[must_use]
    pub fn anticipated_concurrent_incoming_bidirectional_streams(&self) -> Option<u16> {
        self.shared.anticipated(Dir::Bidi)
    }

    /// The same for unidirectional streams (W3C `anticipatedConcurrentIncomingUnidirectionalStreams`).
    #[must_use]
    pub fn anticipated_concurrent_incoming_unidirectional_streams(&self) -> Option<u16> {
        self.shared.anticipated(Dir::Uni)
    }

    /// Sets how many bidirectional streams the peer is expected to have open at once (W3C
    /// `anticipatedConcurrentIncomingBidirectionalStreams`, the setter), a hint. As soon as the session is
    /// established, the limits of the connection are raised at least to this, up to 60,000 on a connection.
    /// If there is session flow control, so are those of the session. Limits never decrease, even after a
    /// lower number or `None`.
    pub fn set_anticipated_concurrent_incoming_bidirectional_streams(&self, streams: Option<u16>) {
        self.shared.set_anticipated(Dir::Bidi, streams);
    }

    /// The same for unidirectional streams (W3C `anticipatedConcurrentIncomingUnidirectionalStreams`, the setter).
    pub fn set_anticipated_concurrent_incoming_unidirectional_streams(&self, streams: Option<u16>) {
        self.shared.set_anticipated(Dir::Uni, streams);
    }

    /// The interface to the session's datagrams.
    #[must_use]
    pub fn datagrams(&self) -> Datagrams {
        Datagrams::new(&self.shared, &self.guard)
    }

    /// A snapshot of the counters (W3C `getStats`); the last ones once the session has ended. A session that
    /// may share its connection only gets values of the path, because others send on it too. Waits for the
    /// connection. Cancel safe.
    ///
    /// # Errors
    /// There never was a connection, or the session was given up before (W3C `InvalidStateError`).
    pub async fn get_stats(&self) -> Result<WebTransportStats, WebTransportError> {
        let (reply, answer) = oneshot::channel();
        let asked = self.shared.enquire(Command::Stats(reply));
        let stats = match if asked { answer.await.ok() } else { None } {
            Some(stats) => stats,
            // The session has ended.
            None => {
                drop(self.closed().await);
                self.shared.last_stats().ok_or_else(|| self.shared.gone())?
            }
        };
        Ok(WebTransportStats::new(&stats, self.shared.datagram_counts(), self.pooled))
    }

    /// Fills `out` with keying material that only both ends of this session can derive from the same `label`
    /// and `context` (W3C `exportKeyingMaterial`; WebTransport over HTTP/3 §4.8, RFC 8446 §7.5). Waits for
    /// the session. Cancel safe: if it does not return, nothing has changed, not even `out`.
    ///
    /// ```no_run
    /// # async fn example(session: wt_api::WebTransport) -> Result<(), wt_api::ExportError> {
    /// let mut key = [0; 32];
    /// session.export_keying_material(b"my protocol", b"", &mut key).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `label` or `context` is longer than 255 bytes, `out` is empty or longer than 4096 bytes, or the
    /// session is closed or was never established.
    pub async fn export_keying_material(
        &self,
        label: &[u8],
        context: &[u8],
        out: &mut [u8],
    ) -> Result<(), ExportError> {
        if label.len() > 255 {
            return Err(ExportError::LabelTooLong { size: label.len() });
        }
        if context.len() > 255 {
            return Err(ExportError::ContextTooLong { size: context.len() });
        }
        if !(1..=MAX_EXPORT).contains(&out.len()) {
            return Err(ExportError::OutputSize { size: out.len() });
        }
        self.ready().await?;
        let (reply, answer) = oneshot::channel();
        let (label, context) = (label.to_vec(), context.to_vec());
        self.shared.command(Command::Export { label, context, length: out.len(), reply })?;
        let material = answer.await.map_err(|_| self.shared.gone())?;
        out.copy_from_slice(&material);
        Ok(())
    }

    /// The kind of congestion control that this end uses (W3C `congestionControl`). It belongs to the
    /// connection: [`Connection::set_congestion_control`] changes it.
    #[must_use]
    pub fn congestion_control(&self) -> CongestionControl {
        self.shared.connection().map_or(self.congestion, |boxes| boxes.about().congestion())
    }

    /// Whether datagrams are possible.
    #[must_use]
    pub fn reliability(&self) -> Reliability {
        match self.shared.established() {
            Some(_) => Reliability::SupportsUnreliable,
            None => Reliability::Pending,
        }
    }

    /// The draft of WebTransport over HTTP/3 that both ends use, such as `draft-16`, and why this one. `None`
    /// until ready.
    #[must_use]
    pub fn negotiated_draft(&self) -> Option<(&'static str, Arc<str>)> {
        self.shared.established().map(|established| (established.draft, established.why))
    }

    /// The application protocol that the server chose among those offered (W3C `protocol`).
    #[must_use]
    pub fn protocol(&self) -> Option<Arc<str>> {
        self.shared.established()?.protocol
    }

    /// The fields of the server's response, once the session is ready (W3C `responseHeaders`). At a server
    /// these are the fields that it sent.
    #[must_use]
    pub fn response_headers(&self) -> Option<Arc<HeaderMap>> {
        self.shared.established().map(|established| established.headers)
    }

    /// The server's host and port, as the client requests them. The port is omitted if it is 443.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.asked.authority.as_str()
    }

    /// The path of the session's URL, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.asked.path.path()
    }

    /// The query of the session's URL, without its question mark.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.asked.path.query()
    }

    /// The peer's address, as in [`Connection::remote_address`]. `None` until ready.
    #[must_use]
    pub fn remote_address(&self) -> Option<SocketAddr> {
        self.shared.established()?;
        Some(self.shared.connection()?.about().remote())
    }

    /// The address of this host that receives the peer's packets, as in
    /// [`Request::local_address`](crate::Request::local_address). `None` until ready, or if the system does
    /// not tell. A client's may be the wildcard address.
    #[must_use]
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.shared.established()?;
        self.shared.connection()?.about().local()
    }

    /// The connection of the session, which may carry other sessions too. `None` until a client's connection
    /// exists. A session that may share one ([`allow_pooling`](WebTransportOptions::allow_pooling)) can move
    /// to another one until it is ready.
    #[must_use]
    pub fn connection(&self) -> Option<Connection> {
        self.shared.connection().map(Connection::new)
    }

    /// The fields of the client's request. At a client these are the fields that the application set.
    #[must_use]
    pub fn request_headers(&self) -> &HeaderMap {
        &self.asked.headers
    }
}
