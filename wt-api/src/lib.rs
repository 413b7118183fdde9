//! The W3C WebTransport API in Rust, client and server, on tokio. With the feature `testing` it also runs on
//! a virtual network.
//!
//! Names are those of the W3C in snake case. One type, [`WebTransport`], serves both roles.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use wt_api::{SendStreamOptions, WebTransport, WebTransportOptions};
//! let session = WebTransport::new("https://example.org/echo", WebTransportOptions::new())?;
//! session.ready().await?;
//! let mut stream = session.create_bidirectional_stream(SendStreamOptions::new()).await?;
//! stream.writable.write_all(b"hello").await?;
//! stream.writable.finish()?;
//! println!("{:?}", stream.readable.read_to_end(1 << 20).await?);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
#![warn(clippy::exhaustive_structs, clippy::exhaustive_enums)]

/// Compiles and runs the code of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

/// Compiles the code of the guide, and runs the parts that do not need the machine's network.
#[cfg(doctest)]
#[doc = include_str!("../../docs/guide.md")]
mod guide {}

mod algorithms;
mod buffers;
mod certificate_hash;
mod client;
mod close;
mod congestion;
mod connect;
mod connection;
mod datagrams;
mod driver;
pub mod error;
mod exchange;
mod exchange_error;
mod handle;
pub mod http3;
mod jobs;
mod limits;
mod lines;
mod mailbox;
mod options;
mod origin;
mod parameters;
mod pool;
pub mod qlog;
mod race;
mod reception;
mod runtime;
mod server;
mod session;
mod socket;
mod stats;
mod streams;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;
#[doc(hidden)]
pub mod udp;
mod waiters;

/// The crates whose types are part of this API, in the matching versions.
pub use {bytes, http, http_body, rustls};

/// Types of the lower layers that occur in errors and options.
pub mod protocol {
    pub use h3_core::{H3Error, H3Violation, StreamViolation};
    pub use quic_core::{
        ConnectionStart, ConnectionStats, DropCounts, EcnState, EndpointStats, FieldValue, LayerEvent,
        LimitedTimes, PathStats, SendLimit, TraceEvent,
        base::{Ecn, Rate, Timestamp},
        congestion,
        error::{CloseReason, ConnectionError, DropReason, TransportErrorCode, Violation},
    };
    pub use wt_session::Dialect;
}

pub use certificate_hash::{CertificateHash, InvalidHash};
pub use client::{Client, ClientBuilder};
pub use close::{CloseInfo, CloseOutcome, ClosedBy};
pub use congestion::CongestionControl;
pub use connection::Connection;
pub use datagrams::{
    Datagrams, DatagramsReadable, DatagramsWritable, DatagramsWritableOptions, MaxDatagramSize,
};
pub use error::{
    CertificateError, ClientError, ConnectOptionsError, ConnectStage, ConnectionCloser, DatagramError,
    ErrorCause, ExportError, IdentityError, InvalidOrigin, ServerError, ServerKeysError, WebTransportError,
    WebTransportErrorSource,
};
pub use options::{DangerousOptions, WebTransportOptions};
pub use origin::check_origin;
pub use parameters::ConnectionParameters;
pub use quic_core::{
    AckFrequency, AddressLimits, Observer, ObserverFactory, TransportConfig, Version, Versions,
    crypto::{Resumption, SessionCache, SessionCacheError, TicketKeys},
};
pub use reception::{
    admission::{Admission, ConnectionAttempt, ServerLoad},
    stats::{AdmissionStats, HandshakeStats, RequestStats, ServerStats, SocketStats, TrafficStats},
};
pub use runtime::wait_idle;
pub use server::{AcceptOptions, Metric, MetricKind, Request, Server, ServerBuilder, ServerKeys};
pub use session::{Reliability, WebTransport};
pub use stats::{DatagramStats, ReceiveStreamStats, SendStreamStats, WebTransportStats};
pub use streams::{
    BidirectionalStream, Halves, IncomingBidirectionalStreams, IncomingUnidirectionalStreams, ReceiveStream,
    SendGroup, SendStream, SendStreamOptions,
};
pub use tls::{CertificateDetails, CertificateKey, Identity, SelfSigned};
