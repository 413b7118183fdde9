//! The interface to another library that the scenarios need.

use std::{fmt::Debug, future::Future};

use bytes::Bytes;
use wt_api::{CertificateHash, Identity};

/// A request for a session at this path is accepted.
pub const SESSION: &str = "/session";
/// A request for a session at this path is refused with 403; at any other with 404.
pub const FORBIDDEN: &str = "/forbidden";
/// The application protocol that servers choose if it is offered.
pub const PROTOCOL: &str = "beta";

/// A library with a client and a server.
pub trait Peer: Debug + Send + Sync + 'static {
    /// The draft that our side must negotiate with it.
    const DRAFT: &'static str;
    /// A session, of a client or of a server.
    type Session: Session;
    /// A server.
    type Listener: Listener<Session = Self::Session>;

    /// Starts a server on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// If it cannot start.
    fn listen(identity: &Identity) -> impl Future<Output = Self::Listener> + Send;

    /// Opens a client's session. The certificate is accepted by its hash.
    ///
    /// # Errors
    /// The library's error if there is no session.
    fn connect(
        url: &str,
        hash: CertificateHash,
        protocols: &[&str],
    ) -> impl Future<Output = Result<Self::Session, Refused>> + Send;
}

/// A library's report about a session that was not established.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The server's status.
    Status(u16),
    /// The server refused, and the library does not report the status.
    WithoutStatus,
    /// Something else.
    Otherwise(String),
}

/// A library's report about the end of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The other side closed it.
    Closed {
        /// The application's code.
        code: u64,
        /// The application's reason.
        reason: String,
    },
    /// In another way.
    Otherwise(String),
}

/// The code of a reset or stopped stream, as a library reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The application's code.
    Application(u32),
    /// The code in the QUIC frame.
    Quic(u64),
}

/// A server of a library.
pub trait Listener: Debug + Send + 'static {
    /// What an accepted request becomes.
    type Session;

    /// Its UDP port.
    fn port(&self) -> u16;

    /// Waits for the next request and responds by its path. Returns the session if it was accepted.
    fn answer(&mut self) -> impl Future<Output = Option<Self::Session>> + Send;
}

/// A session of a library.
pub trait Session: Send + Sync + Sized + 'static {
    /// The sending half of a stream.
    type Send: SendHalf;
    /// The receiving half of a stream.
    type Receive: ReceiveHalf;

    /// Opens a stream.
    fn open_bidirectional(&self) -> impl Future<Output = (Self::Send, Self::Receive)> + Send;
    /// The next stream that the other side opens.
    fn accept_bidirectional(&self) -> impl Future<Output = (Self::Send, Self::Receive)> + Send;
    /// Opens a stream.
    fn open_unidirectional(&self) -> impl Future<Output = Self::Send> + Send;
    /// The next stream that the other side opens.
    fn accept_unidirectional(&self) -> impl Future<Output = Self::Receive> + Send;
    /// Sends a datagram.
    fn send_datagram(&self, data: Bytes);
    /// The next datagram.
    fn receive_datagram(&self) -> impl Future<Output = Bytes> + Send;
    /// Closes the session.
    fn close(&self, code: u32, reason: &str);
    /// Waits for the end.
    fn closed(&self) -> impl Future<Output = End> + Send;
    /// The application protocol, where the library negotiates one.
    fn protocol(&self) -> Option<String>;
}

/// The sending half of a stream.
pub trait SendHalf: Send + 'static {
    /// Writes all of `data`.
    fn write_all(&mut self, data: &[u8]) -> impl Future<Output = ()> + Send;
    /// Ends the stream. It may wait until everything is acknowledged.
    fn finish(&mut self) -> impl Future<Output = ()> + Send;
    /// Resets the stream, with the code in the library's form.
    fn reset(&mut self, code: u32);
    /// Waits until the other side stops the stream.
    fn stopped(&mut self) -> impl Future<Output = Code> + Send;
}

/// The receiving half of a stream.
pub trait ReceiveHalf: Send + 'static {
    /// Reads all.
    ///
    /// # Errors
    /// The code with which the other side reset the stream.
    fn read_to_end(&mut self) -> impl Future<Output = Result<Vec<u8>, Code>> + Send;
    /// Reads exactly one byte.
    fn read_byte(&mut self) -> impl Future<Output = u8> + Send;
    /// Stops the stream, with the code in the library's form.
    fn stop(self, code: u32);
}
