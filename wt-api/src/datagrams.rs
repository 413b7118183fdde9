//! The application's interface to datagrams.

use std::{
    num::NonZeroU32,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;

use crate::{
    error::{DatagramError, WebTransportError},
    handle::Guard,
    mailbox::{Rank, SessionBox, SessionQueue, Waiter, wait},
    streams::SendGroup,
};

/// The datagrams of a session (W3C `WebTransportDatagramDuplexStream`). Handles share the session's queues and limits.
///
/// ```no_run
/// # async fn example(session: wt_api::WebTransport) -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// let mut datagrams = session.datagrams();
/// datagrams.set_outgoing_max_age(Some(Duration::from_millis(100)));
/// datagrams.writable.send("ping".into()).await?;
/// println!("{:?}", datagrams.readable.recv().await?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Datagrams {
    /// Received datagrams.
    pub readable: DatagramsReadable,
    /// Sends datagrams with order 0 and without a group. [`create_writable`](Self::create_writable) makes
    /// others.
    pub writable: DatagramsWritable,
}

/// A limit, which is at least 1 in the W3C API.
fn at_least_one(count: u32) -> usize {
    usize::try_from(count.max(1)).unwrap_or(usize::MAX)
}

fn shown(count: usize) -> NonZeroU32 {
    NonZeroU32::new(u32::try_from(count).unwrap_or(u32::MAX)).unwrap_or(NonZeroU32::MIN)
}

impl Datagrams {
    pub(crate) fn new(shared: &Arc<SessionBox>, guard: &Arc<Guard>) -> Self {
        Self {
            readable: DatagramsReadable {
                waiter: Waiter::new(Arc::clone(shared), SessionQueue::DatagramReaders),
                _guard: Arc::clone(guard),
            },
            writable: DatagramsWritable {
                shared: Arc::clone(shared),
                guard: Arc::clone(guard),
                rank: Rank::default(),
            },
        }
    }

    fn shared(&self) -> &Arc<SessionBox> {
        &self.writable.shared
    }

    /// Makes another sender, with its own group and order (W3C `createWritable`).
    ///
    /// ```no_run
    /// # async fn example(session: wt_api::WebTransport) -> Result<(), Box<dyn std::error::Error>> {
    /// use wt_api::DatagramsWritableOptions;
    /// let group = session.create_send_group()?;
    /// let options = DatagramsWritableOptions::new().send_group(&group).send_order(5);
    /// let writable = session.datagrams().create_writable(&options)?;
    /// writable.send("before what has a lower order".into()).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The group belongs to another session, or the session is closed.
    pub fn create_writable(
        &self,
        options: &DatagramsWritableOptions,
    ) -> Result<DatagramsWritable, WebTransportError> {
        self.shared().check_open()?;
        let mut writable = self.writable.clone();
        writable.set_send_group(options.send_group.as_ref())?;
        writable.set_send_order(options.send_order);
        Ok(writable)
    }

    /// The largest payload that can be sent now, in bytes; 0 before the session is ready. It follows the path's MTU.
    #[must_use]
    pub fn max_datagram_size(&self) -> usize {
        self.writable.max_datagram_size()
    }

    /// Reports each change of [`max_datagram_size`](Self::max_datagram_size), which follows the path's MTU.
    #[must_use]
    pub fn watch_max_datagram_size(&self) -> MaxDatagramSize {
        let waiter = Waiter::new(Arc::clone(self.shared()), SessionQueue::Size);
        MaxDatagramSize { waiter, known: self.max_datagram_size() }
    }

    /// How long a received datagram waits for [`recv`](DatagramsReadable::recv) before it is dropped (W3C
    /// `incomingMaxAge`). `None`, the default, means no limit as long as there is room.
    #[must_use]
    pub fn incoming_max_age(&self) -> Option<Duration> {
        self.shared().incoming_max_age()
    }

    /// Changes [`incoming_max_age`](Self::incoming_max_age), also for queued datagrams. Zero means `None`.
    pub fn set_incoming_max_age(&self, age: Option<Duration>) {
        self.shared().set_incoming_max_age(age.filter(|age| !age.is_zero()));
    }

    /// How long a datagram waits to be sent before it is dropped (W3C `outgoingMaxAge`). The age is checked
    /// when its turn comes, before the packet is built. `None`, the default, means no limit.
    #[must_use]
    pub fn outgoing_max_age(&self) -> Option<Duration> {
        self.shared().outgoing_max_age()
    }

    /// Changes [`outgoing_max_age`](Self::outgoing_max_age), also for queued datagrams. Zero means `None`.
    pub fn set_outgoing_max_age(&self, age: Option<Duration>) {
        self.shared().set_outgoing_max_age(age.filter(|age| !age.is_zero()));
    }

    /// How many received datagrams may be queued; beyond that the oldest are dropped (W3C
    /// `incomingMaxBufferedDatagrams`, formerly `incomingHighWaterMark`). Default 1024.
    #[must_use]
    pub fn incoming_max_buffered_datagrams(&self) -> NonZeroU32 {
        shown(self.shared().incoming_max_buffered())
    }

    /// Changes [`incoming_max_buffered_datagrams`](Self::incoming_max_buffered_datagrams). 0 means 1.
    pub fn set_incoming_max_buffered_datagrams(&self, count: u32) {
        self.shared().set_incoming_max_buffered(at_least_one(count));
    }

    /// How many datagrams may wait to be sent before [`send`](DatagramsWritable::send) waits (W3C
    /// `outgoingMaxBufferedDatagrams`, formerly `outgoingHighWaterMark`). Default 256. With fewer, datagrams
    /// are younger when they arrive, because they spend less time in the queue.
    #[must_use]
    pub fn outgoing_max_buffered_datagrams(&self) -> NonZeroU32 {
        shown(self.shared().outgoing_max_buffered())
    }

    /// Changes [`outgoing_max_buffered_datagrams`](Self::outgoing_max_buffered_datagrams). 0 means 1.
    pub fn set_outgoing_max_buffered_datagrams(&self, count: u32) {
        self.shared().set_outgoing_max_buffered(at_least_one(count));
    }
}

/// Received datagrams. At most
/// [`incoming_max_buffered_datagrams`](Datagrams::incoming_max_buffered_datagrams) and 512 KiB are queued;
/// beyond that the oldest are dropped.
#[derive(Debug)]
pub struct DatagramsReadable {
    /// The waiter for polling this as a `Stream`.
    waiter: Waiter<Arc<SessionBox>>,
    _guard: Arc<Guard>,
}

impl DatagramsReadable {
    /// The next datagram, which may be empty. Cancel safe.
    ///
    /// # Errors
    /// The session has ended, and all received datagrams were taken.
    pub async fn recv(&mut self) -> Result<Bytes, WebTransportError> {
        wait(&**self.waiter.of(), SessionQueue::DatagramReaders, SessionBox::poll_datagram).await
    }

    /// [`recv`](Self::recv) for adapters: wakes the task of the last call when it is ready.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, WebTransportError>> {
        self.waiter.poll(|shared, place| shared.poll_datagram(cx, place))
    }

    /// Copies the next datagram to the start of `buffer`, and returns its size. Cancel safe.
    ///
    /// # Errors
    /// [`DatagramError::BufferTooSmall`] has the required size, and the datagram stays in the queue.
    /// Otherwise as [`recv`](Self::recv).
    pub async fn recv_into(&mut self, buffer: &mut [u8]) -> Result<usize, DatagramError> {
        let size = wait(&**self.waiter.of(), SessionQueue::DatagramReaders, |shared, cx, place| {
            shared.poll_datagram_into(cx, place, buffer)
        })
        .await?;
        size.map_err(|needed| DatagramError::BufferTooSmall { needed })
    }

    /// The next datagram, if one is queued.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Result<Option<Bytes>, WebTransportError> {
        self.waiter.of().try_datagram()
    }
}

impl Stream for DatagramsReadable {
    type Item = Bytes;

    /// Ends with the session. [`WebTransport::closed`](crate::WebTransport::closed) tells how it ended.
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.poll_recv(cx).map(Result::ok)
    }
}

/// Options of [`Datagrams::create_writable`] (W3C `WebTransportSendOptions`).
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct DatagramsWritableOptions {
    send_group: Option<SendGroup>,
    send_order: i64,
}

impl DatagramsWritableOptions {
    /// The defaults: no group, order 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// The send group of the datagrams, which must belong to the same session.
    pub fn send_group(mut self, group: &SendGroup) -> Self {
        self.send_group = Some(group.clone());
        self
    }

    /// The send order. Streams and datagrams with a higher order are sent strictly before others of their
    /// group. Default 0.
    pub fn send_order(mut self, order: i64) -> Self {
        self.send_order = order;
        self
    }
}

/// Sends datagrams (W3C `WebTransportDatagramsWritable`). At most
/// [`outgoing_max_buffered_datagrams`](Datagrams::outgoing_max_buffered_datagrams) of a session are queued. A
/// clone starts with the same group and order.
#[derive(Clone, Debug)]
pub struct DatagramsWritable {
    shared: Arc<SessionBox>,
    guard: Arc<Guard>,
    rank: Rank,
}

impl DatagramsWritable {
    /// The largest payload that can be sent now, in bytes; 0 before the session is ready.
    #[must_use]
    pub fn max_datagram_size(&self) -> usize {
        self.shared.max_datagram_size()
    }

    /// The send order of datagrams that are sent here (W3C `sendOrder`).
    #[must_use]
    pub fn send_order(&self) -> i64 {
        self.rank.order
    }

    /// Changes the send order of later datagrams (W3C `sendOrder`).
    pub fn set_send_order(&mut self, order: i64) {
        self.rank.order = order;
    }

    /// The send group of datagrams that are sent here (W3C `sendGroup`).
    #[must_use]
    pub fn send_group(&self) -> Option<SendGroup> {
        SendGroup::named(&self.guard.0, self.rank.group)
    }

    /// Changes the send group of later datagrams; `None` for no group (W3C `sendGroup`).
    ///
    /// # Errors
    /// [`ErrorCause::ForeignSendGroup`](crate::ErrorCause::ForeignSendGroup); then nothing has changed.
    pub fn set_send_group(&mut self, group: Option<&SendGroup>) -> Result<(), WebTransportError> {
        self.rank.group = group.map_or(Ok(0), |group| group.id_in(&self.guard.0))?;
        Ok(())
    }

    fn check(&self, data: &Bytes) -> Result<(), DatagramError> {
        let max = self.max_datagram_size();
        if data.len() > max { Err(DatagramError::TooLarge { size: data.len(), max }) } else { Ok(()) }
    }

    /// Queues a datagram. Waits until the session is ready and there is room. The datagram may be lost on the
    /// network. Cancel safe: if it does not return, the datagram is not sent.
    ///
    /// # Errors
    /// The datagram is larger than [`max_datagram_size`](Self::max_datagram_size), or the session has ended.
    pub async fn send(&self, data: Bytes) -> Result<(), DatagramError> {
        // If the size is known, the session is established and there is nothing to wait for.
        if self.check(&data).is_err() || self.max_datagram_size() == 0 {
            wait(&*self.shared, SessionQueue::State, SessionBox::poll_ready).await?;
            self.check(&data)?;
        }
        let sent = wait(&*self.shared, SessionQueue::DatagramWriters, |shared, cx, place| {
            shared.poll_send_datagram(Some((cx, place)), &data, self.rank)
        });
        Ok(sent.await?)
    }

    /// Queues a datagram without waiting.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`DatagramError::Full`], and [`DatagramError::NotReady`] before the
    /// session is ready.
    #[allow(clippy::needless_pass_by_value, reason = "the payload is given away, as with send")]
    pub fn try_send(&self, data: Bytes) -> Result<(), DatagramError> {
        self.shared.check_open()?;
        if self.max_datagram_size() == 0 {
            return Err(DatagramError::NotReady);
        }
        self.check(&data)?;
        match self.shared.poll_send_datagram(None, &data, self.rank) {
            Poll::Ready(result) => Ok(result?),
            Poll::Pending => Err(DatagramError::Full),
        }
    }
}

/// The changes of the largest datagram size, from [`Datagrams::watch_max_datagram_size`]. It does not keep
/// the session open.
#[derive(Debug)]
pub struct MaxDatagramSize {
    /// The waiter for polling this as a `Stream`.
    waiter: Waiter<Arc<SessionBox>>,
    known: usize,
}

impl MaxDatagramSize {
    /// The size that was last returned, in bytes.
    #[must_use]
    pub fn current(&self) -> usize {
        self.known
    }

    /// Waits until the size differs, which may be at once; `None` once the session has ended. Several changes
    /// at once are reported as one. Cancel safe.
    pub async fn changed(&mut self) -> Option<usize> {
        let known = self.known;
        let changed = wait(&**self.waiter.of(), SessionQueue::Size, |shared, cx, place| {
            shared.poll_max_datagram_size(cx, place, known)
        });
        let size = changed.await;
        self.known = size.unwrap_or(known);
        size
    }

    fn poll_changed(&mut self, cx: &Context<'_>) -> Poll<Option<usize>> {
        let known = self.known;
        let polled = self.waiter.poll(|shared, place| shared.poll_max_datagram_size(cx, place, known));
        if let Poll::Ready(Some(size)) = polled {
            self.known = size;
        }
        polled
    }
}

impl Stream for MaxDatagramSize {
    type Item = usize;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<usize>> {
        self.get_mut().poll_changed(cx)
    }
}
