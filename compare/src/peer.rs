//! What the scenarios ask of another library, however its own interface looks.

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
    /// The draft that our side has to find in force with it.
    const DRAFT: &'static str;
    /// A session, of a client or of a server.
    type Session: Session;
    /// A server.
    type Listener: Listener<Session = Self::Session>;

    /// A server on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// If it cannot start.
    fn listen(identity: &Identity) -> impl Future<Output = Self::Listener> + Send;

    /// A client's session; the certificate is accepted by its hash.
    ///
    /// # Errors
    /// What the library says of a session that it does not get.
    fn connect(
        url: &str,
        hash: CertificateHash,
        protocols: &[&str],
    ) -> impl Future<Output = Result<Self::Session, Refused>> + Send;
}

/// What a library tells of a session that it did not get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The server's status.
    Status(u16),
    /// The server refused; the library does not tell the status.
    WithoutStatus,
    /// Something else.
    Otherwise(String),
}

/// How a session ended, as a library tells it.
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

/// The code of a reset or stopped stream, as a library tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The application's.
    Application(u32),
    /// What the QUIC frame holds.
    Quic(u64),
}

/// A server of a library.
pub trait Listener: Debug + Send + 'static {
    /// What an accepted request becomes.
    type Session;

    /// Its UDP port.
    fn port(&self) -> u16;

    /// Waits for the next request and answers it by its path; the session if it was accepted.
    fn answer(&mut self) -> impl Future<Output = Option<Self::Session>> + Send;
}

/// A session of a library.
pub trait Session: Send + Sync + Sized + 'static {
    /// What this side sends on a stream.
    type Send: SendHalf;
    /// What the other side sends on a stream.
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

/// What this side sends on a stream.
pub trait SendHalf: Send + 'static {
    /// Writes all of `data`.
    fn write_all(&mut self, data: &[u8]) -> impl Future<Output = ()> + Send;
    /// Ends the stream; may wait until all is acknowledged.
    fn finish(&mut self) -> impl Future<Output = ()> + Send;
    /// Gives the stream up, with the code as the library takes it.
    fn reset(&mut self, code: u32);
    /// Waits until the other side stops the stream.
    fn stopped(&mut self) -> impl Future<Output = Code> + Send;
}

/// What the other side sends on a stream.
pub trait ReceiveHalf: Send + 'static {
    /// Reads all.
    ///
    /// # Errors
    /// The code with which the other side reset the stream.
    fn read_to_end(&mut self) -> impl Future<Output = Result<Vec<u8>, Code>> + Send;
    /// Reads exactly one byte.
    fn read_byte(&mut self) -> impl Future<Output = u8> + Send;
    /// Wants no more, with the code as the library takes it.
    fn stop(self, code: u32);
}
