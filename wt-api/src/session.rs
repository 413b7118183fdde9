//! The session as the application sees it: W3C's `WebTransport`, for both roles.

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

/// The most keying material at once, in bytes.
const MAX_EXPORT: usize = 4096;

/// Whether datagrams can be had (W3C `WebTransportReliabilityMode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reliability {
    /// Not connected yet.
    Pending,
    /// Over HTTP/3: streams and datagrams.
    SupportsUnreliable,
}

/// A WebTransport session (W3C `WebTransport`), of a client or of a server.
///
/// A handle: clones name the same session. When the last handle goes, those of streams and datagrams included, the
/// session is closed with code 0 and no reason.
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
    /// In force on a connection that is yet to be made.
    congestion: CongestionControl,
    pooled: bool,
}

impl fmt::Debug for WebTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebTransport").field("draft", &self.negotiated_draft()).finish_non_exhaustive()
    }
}

impl WebTransport {
    /// Starts to connect to `url` and returns at once; [`ready`](Self::ready) tells the outcome. A user name and a password in
    /// the URL are not sent, as the W3C has it: a field of [`headers`](WebTransportOptions::headers) can carry them.
    ///
    /// # Errors
    /// What can be seen without the network: the URL is no absolute https URL with a host, or has a fragment; a header
    /// is not the application's to set; the TLS options cannot be used; or there is no tokio runtime around the call.
    pub fn new(url: &str, options: WebTransportOptions) -> Result<Self, ConnectOptionsError> {
        let means = Means::of_runtime().ok_or(ConnectOptionsError::NoRuntime)?;
        Self::with(means, url, options)
    }

    /// The same by a client of its own.
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

    /// Whether sessions can be had over reliable transports alone, without datagrams (W3C `supportsReliableOnly`):
    /// WebTransport over HTTP/2 is not part of this library.
    pub const SUPPORTS_RELIABLE_ONLY: bool = false;

    /// Waits until the session is established (W3C `ready`). At a server it always is. Cancel safe; any number of
    /// callers may wait.
    ///
    /// # Errors
    /// Why there is no session: the [`cause`](WebTransportError::cause) says what failed and what helps.
    pub async fn ready(&self) -> Result<(), WebTransportError> {
        wait(&*self.shared, SessionQueue::State, SessionBox::poll_ready).await
    }

    /// Waits until the session has ended (W3C `closed`). Cancel safe; any number of callers may wait, also after the
    /// fact.
    ///
    /// After a close of this side that is when the peer has answered it, or does not answer: after three probe timeouts, at
    /// least 2 s and at most 6, or with its connection. [`close_outcome`](Self::close_outcome) says which. A program that awaits it before
    /// it ends has its last words heard.
    ///
    /// # Errors
    /// The session ended without a close: the connection was lost, or a peer broke a rule.
    pub async fn closed(&self) -> Result<CloseInfo, WebTransportError> {
        wait(&*self.shared, SessionQueue::State, SessionBox::poll_closed).await
    }

    /// What the peer made of the close of this side. `None` until [`closed`](Self::closed) is ready, and where the session
    /// ended otherwise: by a close of the peer that came first, or with an error.
    #[must_use]
    pub fn close_outcome(&self) -> Option<CloseOutcome> {
        self.shared.close_outcome()
    }

    /// Waits until the peer asks to wind the session up, or it has ended (W3C `draining`). Cancel safe.
    pub async fn draining(&self) {
        wait(&*self.shared, SessionQueue::State, SessionBox::poll_draining).await;
    }

    /// Asks the peer to wind the session up; everything goes on working (`WT_DRAIN_SESSION`).
    pub fn drain(&self) {
        self.shared.drain();
    }

    /// Closes the session. Returns at once; from now on nothing can be begun. Data of finished streams is still
    /// delivered: the close waits for its acknowledgment, as long as the peer goes on acknowledging (a pause of three probe
    /// timeouts, at least 2 s and at most 6, ends that, and a minute in all). Streams that are not finished are given up. Further calls
    /// change nothing.
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
            // The session ended before the driver looked.
            None => {
                // How it ended does not matter here: the box tells that as an error.
                drop(self.closed().await);
                Err(self.shared.gone())
            }
        }
    }

    /// Opens a stream that both sides send on (W3C `createBidirectionalStream`). The peer hears of it at once, with the
    /// first data if that is written right away. Ready at once where the peer's limits permit the stream; else it waits for the
    /// session, and for the peer's credit. Cancel safe: dropped, the wish is taken back, and a stream that was opened already
    /// is reset.
    ///
    /// # Errors
    /// The session is closed; or, with `wait_until_available(false)`,
    /// [`ErrorCause::QuotaExceeded`](crate::ErrorCause::QuotaExceeded).
    pub async fn create_bidirectional_stream(
        &self,
        options: SendStreamOptions,
    ) -> Result<BidirectionalStream, WebTransportError> {
        BidirectionalStream::new(self.open(Dir::Bidi, options).await?, &self.guard)
    }

    /// Opens a stream that this side sends on (W3C `createUnidirectionalStream`), with the rules of
    /// [`create_bidirectional_stream`](Self::create_bidirectional_stream). Cancel safe, as there.
    ///
    /// # Errors
    /// As there.
    pub async fn create_unidirectional_stream(
        &self,
        options: SendStreamOptions,
    ) -> Result<SendStream, WebTransportError> {
        let mut stream = self.open(Dir::Uni, options).await?;
        let send = stream.send.take().ok_or_else(|| self.shared.gone())?;
        Ok(SendStream::new(send, Arc::clone(&self.guard)))
    }

    /// The bidirectional streams that the peer opens, in the order in which they come. Handles share one queue.
    #[must_use]
    pub fn incoming_bidirectional_streams(&self) -> IncomingBidirectionalStreams {
        IncomingBidirectionalStreams::new(Arc::clone(&self.shared), Arc::clone(&self.guard))
    }

    /// The unidirectional streams that the peer opens, in the order in which they come. Handles share one queue.
    #[must_use]
    pub fn incoming_unidirectional_streams(&self) -> IncomingUnidirectionalStreams {
        IncomingUnidirectionalStreams::new(Arc::clone(&self.shared), Arc::clone(&self.guard))
    }

    /// The next bidirectional stream that the peer opens: [`incoming_bidirectional_streams`], one at a time, for `select!` and
    /// for tasks that share the session. All of them, and those handles, take from one queue. Cancel safe: a stream is
    /// taken when the future is ready, and not before.
    ///
    /// ```no_run
    /// # async fn example(session: wt_api::WebTransport) {
    /// let (mut streams, mut datagrams) = (true, true);
    /// while streams || datagrams {
    ///     tokio::select! {
    ///         stream = session.accept_bidirectional_stream(), if streams => match stream {
    ///             Ok(stream) => println!("stream {}", stream.id()),
    ///             // Datagrams may wait all the same.
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
    /// Once the session is over, each kind says so when all of it was taken: one may while the other still has something.
    ///
    /// # Errors
    /// The session is over, and all streams that came before its end were taken:
    /// [`ErrorCause::SessionClosed`](crate::ErrorCause::SessionClosed) after a close,
    /// by whichever side; else why it ended.
    ///
    /// [`incoming_bidirectional_streams`]: Self::incoming_bidirectional_streams
    pub async fn accept_bidirectional_stream(&self) -> Result<BidirectionalStream, WebTransportError> {
        BidirectionalStream::new(self.next_incoming(Dir::Bidi).await?, &self.guard)
    }

    /// The next unidirectional stream that the peer opens, with the rules of
    /// [`accept_bidirectional_stream`](Self::accept_bidirectional_stream). Cancel safe, as there.
    ///
    /// # Errors
    /// As there.
    pub async fn accept_unidirectional_stream(&self) -> Result<ReceiveStream, WebTransportError> {
        ReceiveStream::of(self.next_incoming(Dir::Uni).await?, &self.guard)
    }

    async fn next_incoming(&self, dir: Dir) -> Result<NewStream, WebTransportError> {
        let next = wait(&*self.shared, SessionQueue::Incoming(dir), |shared, cx, place| {
            shared.poll_incoming(dir, cx, place)
        });
        next.await.unwrap_or_else(|| Err(self.shared.gone()))
    }

    /// The next datagram, empty ones included; from the queue of [`datagrams`](Self::datagrams). Cancel safe: a datagram is
    /// taken when the future is ready, and not before.
    ///
    /// # Errors
    /// The session is over, and all that came was taken.
    pub async fn receive_datagram(&self) -> Result<Bytes, WebTransportError> {
        wait(&*self.shared, SessionQueue::DatagramReaders, SessionBox::poll_datagram).await
    }

    /// Queues a datagram of order 0 and without a group: [`DatagramsWritable::send`](crate::DatagramsWritable::send). Cancel
    /// safe: not sent if it does not return.
    ///
    /// # Errors
    /// As there.
    pub async fn send_datagram(&self, data: Bytes) -> Result<(), DatagramError> {
        self.datagrams().writable.send(data).await
    }

    /// The same without waiting: [`DatagramsWritable::try_send`](crate::DatagramsWritable::try_send).
    ///
    /// # Errors
    /// As there.
    pub fn try_send_datagram(&self, data: Bytes) -> Result<(), DatagramError> {
        self.datagrams().writable.try_send(data)
    }

    /// Makes a send group (W3C `createSendGroup`): its streams and datagrams rank by `send_order` among themselves, and
    /// groups share what the session may send equally.
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

    /// How many bidirectional streams the application expects the peer to have open at once in this session (W3C
    /// `anticipatedConcurrentIncomingBidirectionalStreams`). At first what the options say; `None`: no expectation.
    #[must_use]
    pub fn anticipated_concurrent_incoming_bidirectional_streams(&self) -> Option<u16> {
        self.shared.anticipated(Dir::Bidi)
    }

    /// The same for unidirectional streams (W3C `anticipatedConcurrentIncomingUnidirectionalStreams`).
    #[must_use]
    pub fn anticipated_concurrent_incoming_unidirectional_streams(&self) -> Option<u16> {
        self.shared.anticipated(Dir::Uni)
    }

    /// Expects the peer to have so many bidirectional streams open at once (W3C
    /// `anticipatedConcurrentIncomingBidirectionalStreams`, the setter), a hint: the limits of the connection and, if there
    /// is session flow control, of the session are raised at least so far, up to 60,000 on a connection, as soon as the
    /// session is established. What was permitted before stays permitted, also after a lower number or `None`.
    pub fn set_anticipated_concurrent_incoming_bidirectional_streams(&self, streams: Option<u16>) {
        self.shared.set_anticipated(Dir::Bidi, streams);
    }

    /// The same for unidirectional streams (W3C `anticipatedConcurrentIncomingUnidirectionalStreams`, the setter).
    pub fn set_anticipated_concurrent_incoming_unidirectional_streams(&self, streams: Option<u16>) {
        self.shared.set_anticipated(Dir::Uni, streams);
    }

    /// The session's datagrams.
    #[must_use]
    pub fn datagrams(&self) -> Datagrams {
        Datagrams::new(&self.shared, &self.guard)
    }

    /// A snapshot of the counters (W3C `getStats`); the last ones once the session has ended. A session that may share its
    /// connection learns less: what is of the path, and not what others send. Waits for the connection. Cancel safe.
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

    /// Fills `out` with keying material that both ends of this session, and nobody else, can derive from the same `label`
    /// and `context` (W3C `exportKeyingMaterial`; WebTransport over HTTP/3 §4.8, RFC 8446 §7.5). Waits for the session.
    /// Cancel safe: nothing is changed, `out` neither.
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
    /// `label` or `context` is longer than 255 bytes, `out` is empty or longer than 4096 bytes, or the session is closed
    /// or could not be had.
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

    /// The kind of congestion control in force for what this end sends (W3C `congestionControl`). It is the connection's:
    /// [`Connection::set_congestion_control`] changes it.
    #[must_use]
    pub fn congestion_control(&self) -> CongestionControl {
        self.shared.connection().map_or(self.congestion, |boxes| boxes.about().congestion())
    }

    /// Whether datagrams can be had.
    #[must_use]
    pub fn reliability(&self) -> Reliability {
        match self.shared.established() {
            Some(_) => Reliability::SupportsUnreliable,
            None => Reliability::Pending,
        }
    }

    /// The draft of WebTransport over HTTP/3 that both ends speak, such as `draft-16`, and why this one. `None` until
    /// ready.
    #[must_use]
    pub fn negotiated_draft(&self) -> Option<(&'static str, Arc<str>)> {
        self.shared.established().map(|established| (established.draft, established.why))
    }

    /// The application protocol that the server chose among those offered (W3C `protocol`).
    #[must_use]
    pub fn protocol(&self) -> Option<Arc<str>> {
        self.shared.established()?.protocol
    }

    /// The fields of the server's response, once the session is ready (W3C `responseHeaders`). At a server: those that
    /// it sent.
    #[must_use]
    pub fn response_headers(&self) -> Option<Arc<HeaderMap>> {
        self.shared.established().map(|established| established.headers)
    }

    /// The server's host and port, as the client asks for them; the port is left out where it is 443.
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

    /// The peer's address, as [`Connection::remote_address`] has it. `None` until ready.
    #[must_use]
    pub fn remote_address(&self) -> Option<SocketAddr> {
        self.shared.established()?;
        Some(self.shared.connection()?.about().remote())
    }

    /// The address of this host that the peer's packets come to, as [`Request::local_address`](crate::Request::local_address)
    /// has it. `None` until ready, or if the system would not say. A client's may be that of all interfaces.
    #[must_use]
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.shared.established()?;
        self.shared.connection()?.about().local()
    }

    /// The connection that carries the session, which may carry others. `None` until a client's is made. A session that may
    /// share one ([`allow_pooling`](WebTransportOptions::allow_pooling)) can move to another one as long as it is not ready.
    #[must_use]
    pub fn connection(&self) -> Option<Connection> {
        self.shared.connection().map(Connection::new)
    }

    /// The fields of the client's request; at a client those that the application set.
    #[must_use]
    pub fn request_headers(&self) -> &HeaderMap {
        &self.asked.headers
    }
}
